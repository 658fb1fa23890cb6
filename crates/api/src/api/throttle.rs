//! Wrong tokens: so many a minute are told that they are wrong, the rest to wait. A right one is never held up.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fleetkey_model::time::Timestamp;

/// How many a minute.
const MOST: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// How many there were in the present minute.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<(Timestamp, u32)>);

impl Throttle {
    /// Counts a wrong token; whether it may be told so.
    pub(super) fn wrong(&self, now: Timestamp) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, count) = &mut *state;
        if now.since(*begun) >= MINUTE || now < *begun {
            (*begun, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_wrong_token_in_a_minute_has_to_wait() {
        let throttle = Throttle::default();
        let at = Timestamp::from_secs;
        assert!((0..MOST).all(|_| throttle.wrong(at(100))));
        assert!(!throttle.wrong(at(159)) && throttle.wrong(at(160)));
        assert!(throttle.wrong(at(1)), "a clock that was set back locks nobody out");
    }
}
