//! One CONNECT a second and client id, and a little less: AWS refuses more (AWS IoT Core quotas).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleetkey_model::name::ClientId;
use tokio::time::Instant;

/// The time between two CONNECTs of one client id. AWS takes one a second (AWS IoT Core quotas) and counts them where they
/// arrive: one whose predecessor was longer on its way comes sooner after it there than it left here. What AWS refuses for
/// that it closes without a word, as it does with an identity that is none, so a tenth more is waited.
pub(crate) const SPACING: Duration = Duration::from_millis(1100);

/// Remembers when each client id sent its last CONNECT.
#[derive(Debug, Clone)]
pub(crate) struct Pacer {
    spacing: Duration,
    last: Arc<Mutex<HashMap<ClientId, Instant>>>,
}

impl Pacer {
    pub(crate) fn new(spacing: Duration) -> Self {
        Self { spacing, last: Arc::default() }
    }

    /// Waits until `client` may send a CONNECT; does not yet count one.
    pub(crate) async fn ready(&self, client: &ClientId) {
        let last = {
            let known = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(client).copied()
        };
        if let Some(last) = last {
            tokio::time::sleep_until(last + self.spacing).await;
        }
    }

    /// Counts a CONNECT that is being sent now.
    pub(crate) fn note(&self, client: &ClientId) {
        let mut known = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(client.clone(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connect_that_was_a_moment_longer_on_its_way_than_the_next_is_no_second_one_in_a_second() {
        let late = Duration::from_millis(90);
        let (pacer, client) = (Pacer::new(SPACING), ClientId::new("press-1").unwrap());
        pacer.note(&client);
        let first_arrives = Instant::now() + late;
        pacer.ready(&client).await;
        assert!(Instant::now() - first_arrives >= Duration::from_secs(1));
        let other = ClientId::new("press-1~verify").unwrap();
        let begun = Instant::now();
        pacer.ready(&other).await;
        assert_eq!(Instant::now(), begun, "each client id has a rate of its own");
    }
}
