//! One CONNECT a second and client id: AWS refuses more (AWS IoT Core quotas), and so do we.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleetkey_model::name::ClientId;
use tokio::time::Instant;

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
