//! What presence events mean for a case: who is connected, who was, and what of that must be on disk.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::retirement::RetireStatus;

use super::{Case, WAITING};
use crate::controller::judgement::Sighting;
use crate::controller::presence::{PresenceEvent, Role, Told};

impl Case {
    pub(in crate::controller) fn connected(&mut self, role: Role, event: &PresenceEvent) {
        match self.seen.connected(role, event) {
            Told::News => self.begun(role, event),
            Told::Late => self.was_there(role, event),
            Told::Known => {}
        }
    }

    /// Somebody holds this part from now on.
    fn begun(&mut self, role: Role, event: &PresenceEvent) {
        if role == Role::Live {
            self.pulse.connected(event.principal_identifier, event.timestamp);
            if !self.seen.is_open(role) {
                self.pulse.lost();
            }
        }
        self.heard(role);
        let Some(record) = &self.record else {
            return;
        };
        let principal = event.principal_identifier;
        let calm = record.is_calm() && self.work.sightings.is_empty();
        if !(principal == record.witness.certificate && calm) {
            self.sighted(Sighting { role, principal, at: event.timestamp, over: false });
        }
        self.remember_seen(role, principal);
    }

    /// Somebody else has held this part since: that another than the witness did before is evidence all the same.
    fn was_there(&mut self, role: Role, event: &PresenceEvent) {
        let principal = event.principal_identifier;
        if self.record.as_ref().is_some_and(|record| record.witness.certificate != principal) {
            self.sighted(Sighting { role, principal, at: event.timestamp, over: false });
        }
    }

    pub(in crate::controller) fn disconnected(&mut self, role: Role, event: &PresenceEvent) {
        let principal = event.principal_identifier;
        if self.record.as_ref().is_some_and(|record| !record.knows(&principal)) {
            self.sighted(Sighting { role, principal, at: event.timestamp, over: true });
        }
        if self.seen.disconnected(role, event) {
            if role == Role::Live {
                self.pulse.lost();
            }
            self.remember_seen(role, principal);
        }
    }

    /// It may be known again who is connected.
    pub(super) fn heard(&mut self, role: Role) {
        if role == Role::Live && core::mem::take(&mut self.unheard) {
            self.rest_until = self.rest_before_hold;
        }
    }

    /// Presence may have been missed: an open session is no sign of life any more.
    pub(in crate::controller) const fn presence_missed(&mut self) {
        self.pulse.lost();
    }

    /// It is on the disk before the message that told of it is acknowledged: nobody tells it twice.
    fn sighted(&mut self, sighting: Sighting) {
        if self.work.sightings.len() < WAITING {
            self.work.sightings.push(sighting);
            self.work.drop_plan();
            self.unsaved |= self.record.is_some();
        }
    }

    /// Who is connected must survive a restart if it may hold or freeze something: the witness in the live session
    /// does so only while something soaks.
    fn remember_seen(&mut self, role: Role, principal: CertificateId) {
        self.unsaved |= self.record.as_ref().is_some_and(|record| {
            role == Role::Agent
                || principal != record.witness.certificate
                || record.status() == RetireStatus::Pending
        });
    }
}
