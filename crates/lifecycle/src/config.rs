//! What the machine is told once, at its start.

use core::time::Duration;

use fleetkey_model::name::{SerialNumber, ThingName};
use fleetkey_model::time::Timestamp;

use crate::backoff::BackoffPolicy;
use crate::schedule::Schedule;

/// The settings of one device's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The device's serial, which names its thing.
    pub serial: SerialNumber,
    /// Whether a claim certificate is there to provision with.
    pub has_claim: bool,
    /// Whether a recovery template is there for the claim certificate, for when no identity is accepted any more.
    pub has_recovery: bool,
    /// The shortest time between two attempts to recover.
    pub recovery_spacing: Duration,
    /// When to rotate.
    pub schedule: Schedule,
    /// How long real traffic runs on a new identity before the old one is given up.
    pub soak: Duration,
    /// How long to wait before a retire request is repeated.
    pub retire_retry: Duration,
    /// When a candidate counts as refused.
    pub verdict: Verdict,
    /// Waits after failures.
    pub backoff: BackoffPolicy,
    /// How long after its issue a token is worth trying: less than its hour.
    pub token_worth: Duration,
    /// Whether a candidate that is staged stays untried, because proving it takes the live session over.
    pub stage_unverified: bool,
    /// Seed of the back-off's jitter; random in life, fixed in tests.
    pub seed: u64,
    /// A moment that is certainly past: the build time.
    pub time_floor: Timestamp,
}

impl Config {
    /// Sensible settings for a device in the field: a rotation every 30 days, a day of soak.
    pub fn new(serial: SerialNumber) -> Self {
        Self {
            serial,
            has_claim: true,
            has_recovery: false,
            recovery_spacing: Duration::from_secs(24 * 3600),
            schedule: Schedule::default(),
            soak: Duration::from_secs(24 * 3600),
            retire_retry: Duration::from_secs(60),
            verdict: Verdict::default(),
            backoff: BackoffPolicy::default(),
            token_worth: Duration::from_secs(55 * 60),
            stage_unverified: false,
            seed: 0,
            time_floor: Timestamp::default(),
        }
    }

    /// When a committed identity gives way to another one that is accepted: as many refusals as for a candidate, over
    /// a tenth of the time. The device may be off line meanwhile, and the step can be undone; but a certificate
    /// that was accepted a moment ago may only not have reached every server of the broker yet.
    pub fn fall_back(&self) -> Verdict {
        Verdict { refusals: self.verdict.refusals, over: self.verdict.over / 10 }
    }

    /// The thing that this device is.
    pub fn thing(&self) -> ThingName {
        self.serial.thing()
    }
}

/// When a candidate that is not accepted counts as refused: at least `refusals` differential tests over at
/// least `over`. AWS may take ten minutes to make an activation or a policy effective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How many times the broker must refuse the candidate while it accepts the current identity.
    pub refusals: u32,
    /// Over how long at least.
    pub over: Duration,
}

impl Default for Verdict {
    fn default() -> Self {
        Self { refusals: 3, over: Duration::from_secs(600) }
    }
}
