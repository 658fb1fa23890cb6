//! How long the new identity has been in use: what a soak is for.
//!
//! The wall clock alone would let a device soak that is off line, and one step of its clock end the soak at once.
//! So a part of the soak must be spent on the connection, counted in small steps, of which a leap is but one. A run of
//! the process that begins when the time is over already, as on a device that wakes for minutes, asks for less.

use core::time::Duration;

use fleetkey_model::time::Timestamp;

use super::Machine;
use crate::record::Stage;

/// This part of the soak must be spent on the connection, in one run of the process: an hour of a day.
const SHARE: u32 = 24;
/// And this, in a run that began after its end: a minute of a day.
const LATE_SHARE: u32 = 24 * 60;
/// A step of the count is at most this part of what is asked for.
const STEPS: u32 = 4;

/// The time on the connection since the soak began, or since the process did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Soaked {
    /// When this run of the process began, if the soak had begun before.
    resumed_at: Option<Timestamp>,
    spent: Duration,
    counted_at: Option<Timestamp>,
}

impl Soaked {
    /// A soak that an earlier run of the process may have begun.
    pub(super) fn resumed(at: Timestamp) -> Self {
        Self { resumed_at: Some(at), ..Self::default() }
    }
}

impl Machine {
    /// Counts the time since the last event, if the committed identity was in use; before the event is taken in.
    pub(super) fn count_soak(&mut self) {
        let (now, asked) = (self.now, self.asked_of_soak());
        let last = self.soaked.counted_at.replace(now);
        if let Some(last) = last.filter(|_| self.is_on_current()) {
            self.soaked.spent = asked.min(self.soaked.spent + now.since(last).min(asked / STEPS));
        }
    }

    /// Whether the soak is over: its time has passed, and enough of it on the connection.
    pub(super) fn has_soaked(&self, until: Timestamp) -> bool {
        self.is_on_current() && self.reached(Some(until), self.config.soak) && self.soak_left().is_zero()
    }

    /// When to look at the soak again.
    pub(super) fn soak_deadline(&self) -> Option<Timestamp> {
        let Some(Stage::Soak { until }) = self.durable.aftermath.as_ref().map(|aftermath| aftermath.stage)
        else {
            return None;
        };
        let left = self.soak_left();
        if !self.is_on_current() || left.is_zero() {
            return Some(until);
        }
        Some(self.now + left.min(self.asked_of_soak() / STEPS).max(Duration::from_millis(1)))
    }

    fn soak_left(&self) -> Duration {
        self.asked_of_soak().saturating_sub(self.soaked.spent)
    }

    /// How long the connection must have been there. A soak of no length, as after a compromise, asks for nothing.
    fn asked_of_soak(&self) -> Duration {
        match self.durable.aftermath.as_ref().map(|aftermath| aftermath.stage) {
            Some(Stage::Soak { until }) => {
                let is_late = self.soaked.resumed_at.is_some_and(|at| at >= until);
                let share = if is_late { LATE_SHARE } else { SHARE };
                until.since(self.durable.current_since).min(self.config.soak) / share
            }
            _ => Duration::ZERO,
        }
    }
}
