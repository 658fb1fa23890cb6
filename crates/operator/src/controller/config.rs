//! How patient the controller is.

use std::time::Duration;

/// The spans of a retirement. They are measured on the controller's own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long an older certificate stays ACTIVE after its successor was attested. Longer than a device takes to
    /// connect again: a rightful owner who was thrown out must have had the time to come back.
    pub soak: Duration,
    /// How long it stays INACTIVE, which can be undone, before it is REVOKED, which cannot.
    pub grace: Duration,
    /// How long it stays REVOKED before it is deleted. Of one thing the newest hundred are kept, whatever this says.
    pub delete_after: Duration,
    /// How much longer than the soak an older certificate may stay in use, and how long it and a newer one may take
    /// turns or live side by side, before the thing is frozen. Longer than a device takes for its verdict on a
    /// candidate that it verifies by takeover.
    pub outlast: Duration,
    /// How long a newer certificate may be in use without a request before the thing is frozen. Longer than the
    /// device's own soak, which comes before its request.
    pub ask_within: Duration,
    /// How old a certificate that is newer than the attested one and was never used must be to count as a leftover of
    /// a rotation that was given up. Longer than a device may take to repair a read-only disk.
    pub leftover_after: Duration,
    /// How long what is registered and unused is no leftover after its device has told that it holds a certificate ready
    /// for a switch. Longer than from one maintenance window to the next.
    pub staged_for: Duration,
    /// The shortest time between two looks at one thing's certificates, which bounds what a noisy device can cost; and
    /// between any two looks that are only for leftovers, which bounds what the sweep of a large fleet costs.
    pub look_again: Duration,
    /// The first pause after a call that failed; it doubles up to [`Self::longest_pause`].
    pub first_pause: Duration,
    /// The longest pause between attempts.
    pub longest_pause: Duration,
}

impl Default for Config {
    /// A soak of an hour, a grace of a day, thirty days until deletion. A device soaks for a day before it asks: it has
    /// two.
    fn default() -> Self {
        Self {
            soak: Duration::from_secs(3600),
            grace: Duration::from_secs(24 * 3600),
            delete_after: Duration::from_secs(30 * 24 * 3600),
            outlast: Duration::from_secs(3600),
            ask_within: Duration::from_secs(48 * 3600),
            leftover_after: Duration::from_secs(24 * 3600),
            staged_for: Duration::from_secs(90 * 24 * 3600),
            look_again: Duration::from_secs(1),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// The pause before attempt `attempt`, counted from 0.
    pub(super) fn pause(&self, attempt: u32) -> Duration {
        let factor = 1u32.checked_shl(attempt.min(20)).unwrap_or(u32::MAX);
        self.first_pause.saturating_mul(factor).min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_are_capped() {
        let config = Config::default();
        assert_eq!(config.pause(0), Duration::from_millis(500));
        assert_eq!(config.pause(3), Duration::from_secs(4));
        assert_eq!(config.pause(u32::MAX), Duration::from_secs(300));
    }
}
