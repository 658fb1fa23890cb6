//! Others on this device's client id: now and then a broker's afterthought, again and again a copy of its disk.
//!
//! Two devices with one identity throw each other off line. Rotating would not help: whichever rotates first takes
//! the other's identity away. So rotations that can wait do, and somebody is told.

use core::time::Duration;

use fleetkey_model::time::Timestamp;

use super::Machine;

/// So many displacements within [`WINDOW`] are no accident.
const MANY: u32 = 3;
/// What lies longer apart is not one story, and after so long without another it is over.
const WINDOW: Duration = Duration::from_secs(600);

/// How often, and when last, the live session was taken over by others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Displaced {
    last: Option<Timestamp>,
    times: u32,
}

impl Displaced {
    fn note(&mut self, now: Timestamp) {
        self.times = if self.is_recent(now) { self.times.saturating_add(1) } else { 1 };
        self.last = Some(now);
    }

    /// A last time that lies in the future was stamped by a wrong clock.
    fn is_recent(&self, now: Timestamp) -> bool {
        self.last.is_some_and(|last| last <= now && now.since(last) < WINDOW)
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.last.filter(|_| self.times >= MANY).map(|last| last + WINDOW)
    }
}

impl Machine {
    pub(super) fn on_displaced(&mut self) {
        self.displaced.note(self.now);
    }

    /// Whether another device seems to live on this identity.
    pub(super) fn has_double(&self) -> bool {
        self.displaced.times >= MANY && self.displaced.is_recent(self.now)
    }

    /// When the alarm is over if nothing more happens.
    pub(super) fn double_until(&self) -> Option<Timestamp> {
        self.displaced.deadline()
    }
}
