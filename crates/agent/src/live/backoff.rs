//! Waits between attempts to connect: the first almost at once, then exponential with full jitter, so that a
//! fleet that was cut off together does not come back together.

use std::time::Duration;

/// The upper bound of the first wait.
const FIRST: Duration = Duration::from_millis(150);
/// The upper bound of the second, doubled from there on.
const BASE: Duration = Duration::from_millis(500);

/// Counts failed attempts.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    failures: u32,
    cap: Duration,
}

impl Backoff {
    pub(super) fn new(cap: Duration) -> Self {
        Self { failures: 0, cap }
    }

    /// A connection has proved itself.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait before the next attempt; `random` is uniform over all of `u64`.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let ceiling = match self.failures.checked_sub(1) {
            None => FIRST,
            Some(doublings) => BASE.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX)),
        };
        self.failures = self.failures.saturating_add(1);
        let ceiling = u64::try_from(ceiling.min(self.cap).as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random % ceiling.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_fast_and_no_wait_is_longer_than_the_cap() {
        let cap = Duration::from_secs(60);
        let mut backoff = Backoff::new(cap);
        assert!(backoff.next(u64::MAX) < Duration::from_millis(200));
        for _ in 0..200 {
            assert!(backoff.next(u64::MAX - 7) <= cap);
        }
        backoff.reset();
        assert!(backoff.next(u64::MAX) < Duration::from_millis(200));
    }
}
