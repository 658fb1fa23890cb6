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

    /// A wait between half of and the whole of `base · 2^failures`, capped. Never zero, so that a failing step
    /// cannot spin.
    pub fn wait(&mut self, base: Duration, cap: Duration, failures: u32) -> Duration {
        let ceiling = base.saturating_mul(1u32.checked_shl(failures.min(20)).unwrap_or(u32::MAX)).min(cap);
        let half = ceiling / 2;
        let span = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_millis(1 + self.next() % span)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
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
        assert!(jitter.wait(Duration::from_secs(1), cap, 30) >= cap / 2);
        assert!(jitter.wait(Duration::ZERO, cap, 0) > Duration::ZERO);
    }

    #[test]
    fn two_devices_do_not_wait_alike() {
        let wait = |seed| Jitter::new(seed).wait(Duration::from_secs(600), Duration::from_secs(600), 0);
        assert_ne!(wait(1), wait(2));
    }
}
