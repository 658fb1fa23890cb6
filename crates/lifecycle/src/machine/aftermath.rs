//! After the commit: soak, ask the controller to retire what is older, destroy the previous key.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use fleetkey_model::retirement::{ControllerAnswer, RetireStatus};
use fleetkey_model::time::Timestamp;

use super::start::MOST_DOOMED;
use super::{Awaiting, Machine, Step, Wait};
use crate::action::Action;
use crate::event::Event;
use crate::record::Stage;
use crate::slot::SlotId;
use crate::status::Notice;

impl Machine {
    /// Takes the previous identity one stage further. A rotation under way comes first: it is more urgent.
    pub(super) fn settle_previous(&mut self) -> Option<Step> {
        if self.durable.rotation.is_some() || !self.upkeep_is_due() {
            return None;
        }
        let aftermath = self.durable.aftermath.clone()?;
        match aftermath.stage {
            // What an operator may be on the way back to is not asked to be retired.
            Stage::Soak { until } if self.has_soaked(until) && self.durable.back_to.is_none() => {
                self.set_stage(Stage::Retiring);
                None
            }
            Stage::Soak { .. } => None,
            Stage::Retiring => self.ask_to_retire(aftermath.id),
            Stage::Retired => {
                self.stage(Vec::new(), |record| {
                    record.doomed.extend(record.previous.take());
                    record.aftermath = None;
                });
                None
            }
        }
    }

    /// Only the live session on the committed identity may ask: the broker's word on it is what counts.
    fn ask_to_retire(&mut self, id: String) -> Option<Step> {
        let on_current = self.is_on_current();
        let due = self.reached(self.retire.until, self.config.retire_retry.saturating_mul(16));
        (on_current && due).then_some((Action::RequestRetire { id }, Awaiting::Retire))
    }

    /// Whether the live session runs on the committed identity.
    pub(super) fn is_on_current(&self) -> bool {
        self.link.is_some() && self.link == self.durable.current
    }

    fn set_stage(&mut self, stage: Stage) {
        self.stage(Vec::new(), |record| {
            if let Some(aftermath) = &mut record.aftermath {
                aftermath.stage = stage;
            }
        });
    }

    /// An answer may be the outcome of our request or come later by itself; its id tells whether it is ours.
    pub(super) fn on_retire_answered(&mut self, answer: ControllerAnswer) {
        if self.awaiting == Some(Awaiting::Retire) {
            self.awaiting = None;
        }
        let ours = self
            .durable
            .aftermath
            .as_ref()
            .is_some_and(|aftermath| aftermath.id == answer.id && aftermath.stage == Stage::Retiring);
        if !ours || self.staged.is_some() {
            return;
        }
        match answer.status {
            RetireStatus::Retired if !self.vouches_for_current(&answer) => self.on_retired_beside(),
            RetireStatus::Retired => self.on_retired(answer),
            RetireStatus::Pending => {
                self.frozen = false;
                self.unretired =
                    Some("the controller has the request, and retires it in its own time".to_string());
                self.wait_retire(1);
            }
            RetireStatus::Frozen => {
                let why = answer.message.unwrap_or_else(|| "held by the controller".to_string());
                self.frozen = true;
                self.unretired = Some(format!("the controller holds it until an operator decides: {why}"));
                self.notices.push_back(Notice::Frozen { id: answer.id, why });
                self.wait_retire(10);
            }
        }
    }

    /// Whether it was the committed certificate that asked, as far as the answer says who did.
    fn vouches_for_current(&self, answer: &ControllerAnswer) -> bool {
        let current = self.durable.current.and_then(|slot| self.slots.get(&slot)?.certificate.as_ref());
        answer.witness.is_none_or(|witness| current.is_some_and(|current| current.id == witness))
    }

    /// A program that has the thing's session asked while it was on another certificate: what that one superseded is
    /// retired, and what ours superseded is not.
    fn on_retired_beside(&mut self) {
        self.frozen = false;
        self.wait_retire(1);
        let until = self.retire.until.unwrap_or(self.now);
        self.not_retired(
            "the thing's session asked for it on another certificate than the one in use",
            until,
        );
    }

    fn on_retired(&mut self, answer: ControllerAnswer) {
        self.unretired = None;
        let notice = Notice::Retired { id: answer.id, certificates: answer.retired };
        self.stage(vec![notice], |record| {
            if let Some(aftermath) = &mut record.aftermath {
                aftermath.stage = Stage::Retired;
            }
        });
    }

    pub(super) fn on_retire_unanswered(&mut self, outcome: Event) {
        let why = match outcome {
            Event::SlotDamaged { slot, why } => {
                self.on_slot_damaged(slot, why.clone());
                why
            }
            Event::NoAnswer { why } => why,
            _ => return self.wait_retire(1),
        };
        self.wait_retire(1);
        let until = self.retire.until.unwrap_or(self.now);
        self.not_retired(&why, until);
    }

    fn not_retired(&mut self, why: &str, until: Timestamp) {
        self.unretired = Some(why.to_string());
        self.notices.push_back(Notice::Waiting { why: format!("not retired yet: {why}"), until });
    }

    /// No answer is no refusal: the request is repeated until there is one.
    pub(super) fn wait_retire(&mut self, times: u32) {
        let longest = self.config.retire_retry.saturating_mul(times);
        let wait = self.jitter.spread(longest, longest, 0);
        self.retire = Wait { until: Some(self.now + wait), failures: self.retire.failures.saturating_add(1) };
    }

    pub(super) fn destroy_doomed(&mut self) -> Option<Step> {
        // While the committed identity is in doubt nothing is destroyed that might still be of use to somebody,
        // until there is no room for another recovery.
        let may_be_of_use = self.doubt.is_some() && self.durable.doomed.len() < MOST_DOOMED;
        let waits = may_be_of_use || !self.upkeep_is_due();
        if waits || !self.reached(self.destroy.until, self.config.backoff.step_cap) {
            return None;
        }
        let slot = self.durable.doomed.first().copied()?;
        if self.durable.refers_to(slot) {
            // Never reached by design; a slot in use is not destroyed whatever the list says.
            self.forget_doomed(slot);
            return None;
        }
        Some((Action::DestroySlot { slot }, Awaiting::Destroy(slot)))
    }

    pub(super) fn on_destroy(&mut self, slot: SlotId, outcome: &Event) {
        match outcome {
            Event::Destroyed { .. } => {
                self.slots.remove(&slot);
                self.unread.remove(&slot);
                self.destroy = Wait::default();
                self.forget_doomed(slot);
            }
            Event::StorageFailed(fault) => {
                self.destroy = self.put_off(self.destroy, "an old slot cannot be destroyed", *fault);
            }
            _ => {}
        }
    }

    fn forget_doomed(&mut self, slot: SlotId) {
        self.stage(Vec::new(), |record| {
            record.doomed.retain(|&doomed| doomed != slot);
        });
    }
}
