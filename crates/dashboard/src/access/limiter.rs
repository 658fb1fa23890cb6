//! How often somebody may fail to come in: a bucket of ten attempts that fills by one every six seconds.
//!
//! One bucket for all: on loopback everybody has the same address. An attempt is taken before the secret is compared
//! and given back when it was right, so that many at once cannot slip through together.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetkey_model::time::Timestamp;

const ATTEMPTS: u32 = 10;
const REFILL: Duration = Duration::from_secs(6);

#[derive(Debug, Default)]
pub(super) struct Limiter {
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    attempts: u32,
    /// Up to here the bucket has been refilled.
    since: Timestamp,
}

impl Limiter {
    /// Takes an attempt.
    ///
    /// # Errors
    /// How long to wait when there is none left.
    pub(super) fn take(&self, now: Timestamp) -> Result<(), Duration> {
        let mut used = self.used();
        used.refill(now);
        if used.attempts >= ATTEMPTS {
            return Err(REFILL.saturating_sub(now.since(used.since)));
        }
        used.attempts += 1;
        Ok(())
    }

    /// Gives an attempt back: it was no failure.
    pub(super) fn give_back(&self) {
        let mut used = self.used();
        used.attempts = used.attempts.saturating_sub(1);
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn refill(&mut self, now: Timestamp) {
        // A clock that went back must not lock anybody out.
        if self.attempts == 0 || now < self.since {
            self.since = now;
            return;
        }
        while self.attempts > 0 && now.since(self.since) >= REFILL {
            self.attempts -= 1;
            self.since = self.since + REFILL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ten_failures_one_waits_and_then_has_one_more() {
        let limiter = Limiter::default();
        let start = Timestamp::from_secs(1_000);
        for _ in 0..ATTEMPTS {
            assert_eq!(limiter.take(start), Ok(()));
        }
        assert_eq!(limiter.take(start + Duration::from_secs(2)), Err(Duration::from_secs(4)));
        assert_eq!(limiter.take(start + REFILL), Ok(()));
        assert!(limiter.take(start + REFILL).is_err());
    }

    #[test]
    fn a_success_costs_nothing_and_time_going_back_locks_nobody_out() {
        let limiter = Limiter::default();
        let start = Timestamp::from_secs(1_000);
        for _ in 0..100 {
            assert_eq!(limiter.take(start), Ok(()));
            limiter.give_back();
        }
        for _ in 0..ATTEMPTS {
            assert_eq!(limiter.take(start), Ok(()));
        }
        let earlier = Timestamp::from_secs(1);
        assert!(limiter.take(earlier).is_err());
        assert_eq!(limiter.take(earlier + REFILL), Ok(()));
    }
}
