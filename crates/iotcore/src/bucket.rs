//! A bucket that holds one second's requests, for quotas that are the account's.

use fleetkey_model::time::Timestamp;

/// What has been used of it, in thousandths of a request, as of `at`.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    used: u64,
    at: Timestamp,
}

impl Bucket {
    /// Takes a request out, of `rate` a second; whether there was one left.
    pub(crate) fn take(&mut self, rate: u32, now: Timestamp) -> bool {
        let rate = u64::from(rate);
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        // A thousandth of a request a millisecond, `rate` times over.
        self.used = self.used.saturating_sub(elapsed.saturating_mul(rate));
        self.at = now;
        let has_room = self.used + 1000 <= rate * 1000;
        if has_room {
            self.used += 1000;
        }
        has_room
    }

    /// Whether it still counts what was taken within the last second.
    pub(crate) fn is_in_use(&self, now: Timestamp) -> bool {
        now.since(self.at).as_millis() < 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_the_quota_and_no_more() {
        let mut bucket = Bucket::default();
        let mut taken = |at| (0..50).filter(|_| bucket.take(10, Timestamp::from_millis(at))).count();
        assert_eq!((taken(100_000), taken(100_250), taken(100_250), taken(900_000)), (10, 2, 0, 10));
    }
}
