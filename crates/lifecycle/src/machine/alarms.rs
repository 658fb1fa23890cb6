//! What somebody should look at: follows from the machine's state, and is told once each time it begins.

use alloc::vec::Vec;

use super::Machine;
use crate::status::{Alarm, Notice};

impl Machine {
    pub(super) fn alarms(&self) -> Vec<Alarm> {
        let storage = self.upkeep.failures > 0 || self.preflight.failures > 0;
        let lost = self.doubt.as_ref().is_some_and(super::ladder::Doubt::found_nothing);
        let all = [
            (storage, Alarm::Storage),
            (self.has_double(), Alarm::DuplicateClientId),
            (lost, Alarm::NoIdentityAccepted),
            (self.frozen && self.durable.aftermath.is_some(), Alarm::Frozen),
        ];
        all.into_iter().filter_map(|(is_on, alarm)| is_on.then_some(alarm)).collect()
    }

    /// Tells of what is new.
    pub(super) fn raise_alarms(&mut self) {
        let now = self.alarms();
        let new = now.iter().filter(|alarm| !self.raised.contains(alarm));
        self.notices.extend(new.map(|&alarm| Notice::Alarm(alarm)));
        self.raised = now;
    }
}
