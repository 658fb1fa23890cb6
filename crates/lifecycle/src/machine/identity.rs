//! The committed identity: its files for other programs, and the live session on it.

use alloc::format;
use alloc::string::String;

use super::{Awaiting, Machine, Step, Wait};
use crate::action::Action;
use crate::event::{Event, FailureKind, StorageFault};
use crate::slot::{SlotCertificate, SlotFacts, SlotId};
use crate::status::Notice;

impl Machine {
    /// Both are repeated at every start: they are idempotent, and a crash may have come between.
    pub(super) fn serve_identity(&mut self) -> Option<Step> {
        let slot = self.durable.current?;
        if self.live != Some(slot) && self.reached(self.golive.until, self.config.backoff.step_cap) {
            return Some((Action::GoLive { slot }, Awaiting::GoLive(slot)));
        }
        let due = self.reached(self.export.until, self.config.backoff.step_cap);
        if self.exported != Some(slot) && due {
            return Some((Action::Export { slot }, Awaiting::Export(slot)));
        }
        None
    }

    pub(super) fn on_live(&mut self, slot: SlotId, outcome: Event) {
        match outcome {
            Event::Live { .. } => {
                self.live = Some(slot);
                self.link = Some(slot);
                self.golive = Wait::default();
                self.live_refusals = 0;
                self.trust(slot);
                self.notices.push_back(Notice::WentLive { slot });
            }
            Event::LiveFailed { why, kind, .. } => {
                match kind {
                    FailureKind::Refused => self.doubt_live(slot, why.clone()),
                    FailureKind::Unreadable => self.doubt(slot, why.clone()),
                    FailureKind::Unreachable => {}
                }
                self.wait_golive(format!("not live: {kind:?}: {why}"));
            }
            _ => {}
        }
    }

    pub(super) fn on_export(&mut self, slot: SlotId, outcome: Event) {
        match outcome {
            Event::Exported { certificate } => {
                self.read_at_last(slot, certificate);
                self.exported = Some(slot);
                self.export = Wait::default();
            }
            Event::StorageFailed(fault) => {
                self.export = self.put_off(self.export, "the export cannot be written", fault);
            }
            Event::SlotDamaged { slot, why } => {
                self.on_slot_damaged(slot, why);
                let fault = StorageFault::Io;
                self.export = self.put_off(self.export, "the committed slot cannot be exported", fault);
            }
            _ => {}
        }
    }

    /// What the disk did not give at the start it has given now.
    fn read_at_last(&mut self, slot: SlotId, certificate: SlotCertificate) {
        if self.unread.remove(&slot) {
            let public_key = Some(certificate.public_key.clone());
            let facts = SlotFacts { public_key, certificate: Some(certificate), ..SlotFacts::empty(slot) };
            self.slots.insert(slot, facts);
        }
    }

    /// The session goes on from memory and would not come back after a restart: what else is here is tried while it
    /// still can be.
    pub(super) fn on_slot_damaged(&mut self, slot: SlotId, why: String) {
        self.exported = None;
        self.doubt(slot, why);
    }

    fn wait_golive(&mut self, why: String) {
        let policy = self.config.backoff;
        let wait = self.jitter.wait(policy.base, policy.step_cap, self.golive.failures);
        let until = self.now + wait;
        self.golive = Wait { until: Some(until), failures: self.golive.failures.saturating_add(1) };
        self.notices.push_back(Notice::Waiting { why, until });
    }

    /// A session that is refused with an identity that is not the committed one has no business there.
    pub(super) fn on_link_refused(&mut self, slot: SlotId, why: String) {
        if self.durable.current != Some(slot) {
            self.live = None;
        }
        self.doubt_live(slot, why);
    }

    pub(super) fn on_link_up(&mut self, slot: SlotId) {
        // A verification by takeover may have left the session on a candidate whose commit then failed.
        self.live = Some(slot);
        self.link = Some(slot);
        self.live_refusals = 0;
        self.trust(slot);
        // What waited for the connection need not wait longer. What was throttled or refused must: a whole fleet
        // comes back at once after an outage.
        if core::mem::take(&mut self.step_wants_link) {
            self.step.until = None;
        }
        self.retire.until = None;
        self.tell.until = None;
        self.told = false;
    }
}
