//! Waits after failures: exponential with full jitter, so that a fleet that failed together does not return together.

use core::time::Duration;

/// The bounds of the waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// The upper bound of the first wait.
    pub base: Duration,
    /// The upper bound of every wait within a rotation: a lost answer, a throttle, a bad network.
    pub step_cap: Duration,
    /// The upper bound of the wait between rotations that failed.
    pub rotation_cap: Duration,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            step_cap: Duration::from_secs(300),
            rotation_cap: Duration::from_secs(24 * 3600),
        }
    }
}

/// A source of jitter: SplitMix64, reproducible from its seed, not for secrets.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Full jitter: anywhere up to `base · 2^failures`, capped. Never zero, so that a failing step cannot spin.
    pub fn wait(&mut self, base: Duration, cap: Duration, failures: u32) -> Duration {
        self.up_to(ceiling(base, cap, failures))
    }

    /// Between half of and the whole of `base · 2^failures`, capped: for what is costly to try again too soon, as a
    /// whole rotation is, and for what is repeated without having failed.
    pub fn spread(&mut self, base: Duration, cap: Duration, failures: u32) -> Duration {
        let half = ceiling(base, cap, failures) / 2;
        half + self.up_to(half)
    }

    fn up_to(&mut self, span: Duration) -> Duration {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(1 + self.next() % millis)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn ceiling(base: Duration, cap: Duration, failures: u32) -> Duration {
    base.saturating_mul(1u32.checked_shl(failures.min(20)).unwrap_or(u32::MAX)).min(cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_are_never_zero() {
        let mut jitter = Jitter::new(7);
        let cap = Duration::from_secs(60);
        for failures in 0..40 {
            let wait = jitter.wait(Duration::from_secs(1), cap, failures);
            assert!(wait > Duration::ZERO && wait <= cap + Duration::from_millis(1), "{wait:?}");
        }
        assert!((0..50).any(|_| jitter.wait(Duration::from_secs(1), cap, 30) > cap / 2));
        assert!((0..50).any(|_| jitter.wait(Duration::from_secs(1), cap, 30) < cap / 4), "full jitter");
        assert!((0..50).all(|_| jitter.spread(Duration::from_secs(1), cap, 30) >= cap / 2));
        assert!(jitter.wait(Duration::ZERO, cap, 0) > Duration::ZERO);
    }

    #[test]
    fn two_devices_do_not_wait_alike() {
        let wait = |seed| Jitter::new(seed).wait(Duration::from_secs(600), Duration::from_secs(600), 0);
        assert_ne!(wait(1), wait(2));
    }
}
