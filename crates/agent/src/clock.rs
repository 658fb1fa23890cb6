//! The one place of this crate that reads the wall clock, and the seam a test puts another clock into.
//!
//! Waiting is tokio's business; this is only "what time is it", for the rotation machine and for TLS.

use core::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetkey_model::time::Timestamp;
use tokio::time::Instant;

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

/// When this program was built (`build.rs`): time was at least that.
pub const BUILD_TIME: Timestamp = Timestamp::from_secs(parse(env!("FLEETKEY_BUILD_SECONDS")));

/// A clock that never shows less than its floor, for a device that wakes in 1970. From the floor time goes on as it
/// passes, so that waits end though the wall clock is decades behind. Clones share the floor, which only rises: by the
/// build time, and by NotBefore of certificates that came over a validated link.
#[derive(Debug, Clone)]
pub struct FlooredClock {
    clock: Arc<dyn Clock>,
    floor: Arc<Mutex<Floor>>,
}

/// It was `at` least then, `since` that moment.
#[derive(Debug, Clone, Copy)]
struct Floor {
    at: Timestamp,
    since: Instant,
}

impl Floor {
    fn from_now(at: Timestamp) -> Self {
        Self { at, since: Instant::now() }
    }

    fn now(self) -> Timestamp {
        self.at + self.since.elapsed()
    }
}

impl FlooredClock {
    /// `clock`, from the build time on.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, floor: Arc::new(Mutex::new(Floor::from_now(BUILD_TIME))) }
    }

    /// Raises the floor; one that lies lower changes nothing.
    pub fn raise(&self, at: Timestamp) {
        let mut floor = self.floor();
        if floor.now() < at {
            *floor = Floor::from_now(at);
        }
    }

    fn floor(&self) -> MutexGuard<'_, Floor> {
        self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for FlooredClock {
    fn now(&self) -> Timestamp {
        self.clock.now().max(self.floor().now())
    }
}

/// A decimal number; anything else ends the build.
#[allow(clippy::panic, reason = "evaluated by the compiler alone")]
const fn parse(decimal: &str) -> u64 {
    match u64::from_str_radix(decimal, 10) {
        Ok(number) => number,
        Err(_) => panic!("the build time is no number of seconds"),
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct Stuck(Timestamp);

    impl Clock for Stuck {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_lags_shows_the_floor_and_one_that_leads_is_left_alone() {
        let lagging = FlooredClock::new(Arc::new(Stuck(Timestamp::default())));
        assert_eq!(lagging.now(), BUILD_TIME);
        let seen = lagging.clone();
        let later = BUILD_TIME + Duration::from_secs(60);
        lagging.raise(later);
        lagging.raise(BUILD_TIME);
        assert_eq!(seen.now(), later);
        let leading = FlooredClock::new(Arc::new(Stuck(later)));
        assert_eq!(leading.now(), later);
    }

    #[tokio::test(start_paused = true)]
    async fn time_passes_though_the_wall_clock_is_decades_behind() {
        let clock = FlooredClock::new(Arc::new(Stuck(Timestamp::default())));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), BUILD_TIME + Duration::from_secs(5));
        clock.raise(BUILD_TIME + Duration::from_secs(1));
        assert_eq!(clock.now(), BUILD_TIME + Duration::from_secs(5), "that is past by now");
    }

    #[test]
    fn the_build_time_is_past_and_not_that_of_another_age() {
        assert!(BUILD_TIME <= SystemClock.now() && BUILD_TIME > Timestamp::from_secs(1_577_836_800));
    }
}
