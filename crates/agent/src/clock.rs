//! The one place of this crate that reads the wall clock, and the seam a test puts another clock into.
//!
//! Waiting is tokio's business; this is only "what time is it", for the rotation machine and for TLS.

use core::fmt;

use fleetkey_model::time::Timestamp;

/// Where the agent gets the time of day from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day; it may jump in both directions.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one reading of the wall clock in this crate")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
