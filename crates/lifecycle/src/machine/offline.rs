//! A rotation in steps that an operator orders: stage, switch, retire, and the way back. Days may lie between them.
//!
//! Nothing here goes another way than a rotation by itself does. A stage only keeps the candidate from its commit; a
//! switch proves it once more and lets the commit come; to retire is to end the soak; and the way back is the commit
//! backwards, as on the ladder, to an identity that passes now and that nobody was asked to retire. Each order is
//! durable before anything follows from it, and ordered again it changes nothing.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;

use super::candidate::MOST_MISREAD;
use super::{Awaiting, Machine, Step, Wait, verify};
use crate::action::Action;
use crate::event::{Event, FailureKind, Offline};
use crate::record::{Hold, Met, Phase, Reason, Record, Rotation, Stage};
use crate::slot::{SlotFacts, SlotId};
use crate::status::{Notice, Staged};

/// What is left to do about an order that makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is to be carried out.
    Open,
    /// It was carried out, or is noted and on its way.
    Noted,
}

impl Machine {
    /// Whether an order makes sense as things stand, and what is left to do about it.
    ///
    /// # Errors
    /// Why it makes none, for people.
    pub fn weigh(&self, order: Offline) -> Result<Standing, String> {
        if self.offline.is_some_and(|noted| noted != order) {
            return Err("another order is being noted; ask again".to_string());
        }
        match order {
            Offline::Stage => self.weigh_stage(),
            Offline::Switch => self.weigh_switch(),
            Offline::Retire => self.weigh_retire(),
            Offline::Rollback => self.weigh_rollback(),
        }
    }

    fn weigh_stage(&self) -> Result<Standing, String> {
        if self.durable.current.is_none() {
            return Err(
                "the device has no identity yet: there is nothing to prepare a successor for".to_string()
            );
        }
        if self.is_compromised() {
            return Err(
                "the key in use may be known to others: its successor waits for no switch".to_string()
            );
        }
        match &self.durable.rotation {
            Some(Rotation { hold: Hold::Held, .. }) => Ok(Standing::Noted),
            Some(Rotation { hold: Hold::Released, .. }) => Err("the switch is ordered already".to_string()),
            Some(rotation) if !can_wait(rotation.reason) => {
                Err(format!("a rotation is under way that waits for nothing ({:?})", rotation.reason))
            }
            None if self.durable.to_stage => Ok(Standing::Noted),
            Some(_) | None => Ok(Standing::Open),
        }
    }

    fn weigh_switch(&self) -> Result<Standing, String> {
        match &self.durable.rotation {
            Some(Rotation { hold: Hold::Held, phase: Phase::Staged { .. }, .. }) => Ok(Standing::Open),
            Some(Rotation { hold: Hold::Held, .. }) => Err(self.not_ready()),
            Some(Rotation { hold: Hold::Released, .. }) => Ok(Standing::Noted),
            None if self.durable.to_stage => Err(self.not_ready()),
            Some(_) | None if self.has_met(Offline::Switch) => Ok(Standing::Noted),
            Some(_) | None => Err("nothing is staged".to_string()),
        }
    }

    fn not_ready(&self) -> String {
        let why = self.blocked.as_deref().unwrap_or("it is on its way");
        format!("what is to be staged is not ready yet: {why}")
    }

    fn weigh_retire(&self) -> Result<Standing, String> {
        match self.durable.aftermath.as_ref().map(|aftermath| aftermath.stage) {
            Some(Stage::Soak { .. }) if self.durable.back_to.is_some() => {
                Err("the device is on its way back to the identity before".to_string())
            }
            Some(Stage::Soak { until }) if until > self.end_of_soak() => Ok(Standing::Open),
            Some(Stage::Soak { .. } | Stage::Retiring | Stage::Retired) => Ok(Standing::Noted),
            None if self.durable.previous.is_some() => Err(
                "the device went back from what is newer: the next switch retires that with all the others"
                    .to_string(),
            ),
            None if self.is_held() => Err("the switch comes first: nothing is superseded yet".to_string()),
            None => Ok(Standing::Noted),
        }
    }

    fn weigh_rollback(&self) -> Result<Standing, String> {
        let record = &self.durable;
        if record.back_to.is_some() {
            return Ok(Standing::Noted);
        }
        match &record.rotation {
            Some(rotation) if rotation.hold != Hold::Never => return Ok(Standing::Open),
            Some(_) => return Err("a rotation is under way that was not staged".to_string()),
            None if record.to_stage => return Ok(Standing::Open),
            None => {}
        }
        match record.aftermath.as_ref().map(|aftermath| aftermath.stage) {
            Some(Stage::Soak { .. }) => match record.previous {
                Some(slot) if self.may_go_back_to(slot) => Ok(Standing::Open),
                _ => Err("the identity before is damaged, or its key may be known to others".to_string()),
            },
            Some(Stage::Retiring | Stage::Retired) => {
                Err("the retirement of the identity before was asked for: there is no way back".to_string())
            }
            None if self.has_met(Offline::Rollback) => Ok(Standing::Noted),
            None => Err("there is nothing to go back from".to_string()),
        }
    }

    fn has_met(&self, order: Offline) -> bool {
        let met = self.durable.met.filter(|met| met.order == order);
        met.is_some_and(|met| Some(met.slot) == self.durable.current)
    }

    pub(super) fn on_offline(&mut self, order: Offline) {
        if self.weigh(order) != Ok(Standing::Open) {
            return;
        }
        self.offline = Some(order);
    }

    /// Makes the order durable. What the operator could not know, because it came between, makes it void.
    pub(super) fn carry_out(&mut self) {
        let Some(order) = self.offline else { return };
        if self.weigh(order) != Ok(Standing::Open) {
            self.offline = None;
            return;
        }
        match order {
            Offline::Stage => {
                self.want(Reason::Command);
                self.stage(Vec::new(), |record| {
                    record.to_stage = true;
                    record.rotation.iter_mut().for_each(|rotation| rotation.hold = Hold::Held);
                });
            }
            Offline::Switch => self.release(),
            Offline::Retire => {
                let until = self.end_of_soak();
                self.stage(Vec::new(), |record| {
                    record.aftermath.iter_mut().for_each(|aftermath| aftermath.stage = Stage::Soak { until });
                });
            }
            Offline::Rollback => self.give_back(),
        }
        self.staged.iter_mut().for_each(|staged| staged.ordered = true);
    }

    /// A soak that ends here has no length: it asks for the committed identity to be in use, and for no more.
    fn end_of_soak(&self) -> Timestamp {
        self.durable.current_since.min(self.now)
    }

    /// Whether the commit of a rotation that begins for this reason waits.
    pub(super) fn hold_for(&self, reason: Reason) -> Hold {
        if self.durable.to_stage && can_wait(reason) { Hold::Held } else { Hold::Never }
    }

    /// Whether the rotation under way waits for a switch. A key that others know waits for nothing.
    pub(super) fn is_held(&self) -> bool {
        let about_to = self.offline == Some(Offline::Stage);
        let held = self.durable.rotation.as_ref().is_some_and(|rotation| match rotation.hold {
            Hold::Held => true,
            // The order is on its way to the disk; it must not be outrun.
            Hold::Never => about_to && can_wait(rotation.reason),
            Hold::Released => false,
        });
        held && !self.is_compromised()
    }

    pub(super) fn staged_candidate(&self) -> Option<Staged> {
        match self.durable.rotation.as_ref()?.phase {
            Phase::Staged { certificate, verified } => {
                Some(Staged { certificate, verified, tried_to_tell: self.tried_to_tell })
            }
            _ => None,
        }
    }

    /// The candidate has proved itself: it is committed, or waits for that.
    pub(super) fn on_candidate_passed(&mut self) {
        let certificate = match self.durable.rotation.as_ref().map(|rotation| &rotation.phase) {
            Some(Phase::Verifying { certificate, .. } | Phase::Registering { certificate, .. }) => {
                *certificate
            }
            _ => return,
        };
        if self.is_held() {
            self.wait_for_the_switch(certificate, Some(self.now));
        } else {
            self.commit();
        }
    }

    pub(super) fn wait_for_the_switch(&mut self, certificate: CertificateId, verified: Option<Timestamp>) {
        let id = self.durable.rotation.as_ref().map(|rotation| rotation.id.clone()).unwrap_or_default();
        let notice = Notice::Staged { id, certificate, verified: verified.is_some() };
        self.tell = Wait::default();
        (self.told, self.tried_to_tell) = (false, false);
        self.stage(vec![notice], |record| {
            record.to_stage = false;
            if let Some(rotation) = &mut record.rotation {
                rotation.hold = Hold::Held;
                rotation.phase = Phase::Staged { certificate, verified };
            }
        });
    }

    /// The controller would take what is newer and unused for a leftover. It believes only the session on the committed
    /// identity, and is told again on each new connection: it may have lost what it was told.
    pub(super) fn tell_staged(&mut self) -> Option<Step> {
        let rotation = self.durable.rotation.as_ref()?;
        let waits = matches!(rotation.phase, Phase::Staged { .. }) && self.doubt.is_none();
        let due = !self.told && self.reached(self.tell.until, self.config.backoff.step_cap);
        if !waits || !self.is_on_current() || !due {
            return None;
        }
        Some((Action::TellStaged { id: rotation.id.clone() }, Awaiting::Tell))
    }

    pub(super) fn on_told(&mut self, outcome: &Event) {
        let policy = self.config.backoff;
        self.tried_to_tell = true;
        self.told = *outcome == Event::Told;
        if !self.told {
            let wait = self.jitter.wait(policy.base, policy.step_cap, self.tell.failures);
            self.tell = Wait { until: Some(self.now + wait), failures: self.tell.failures.saturating_add(1) };
        }
    }

    pub(super) fn release_if_compromised(&mut self) {
        if self.is_compromised() {
            self.release();
        }
    }

    /// The candidate proves itself, once more if it has before: what was accepted days ago need not be now.
    fn release(&mut self) {
        let now = self.now;
        self.stage(Vec::new(), |record| {
            if let Some(rotation) = &mut record.rotation
                && let Phase::Staged { certificate, .. } = rotation.phase
            {
                rotation.hold = Hold::Released;
                rotation.phase = Phase::Verifying { certificate, since: now };
            }
        });
    }

    /// What is staged is given up, or the way back is begun. After either, what only time asks for waits for a day:
    /// the operator has gone back for a reason.
    fn give_back(&mut self) {
        let until = self.now + self.before_the_end(self.durable.current, self.config.backoff.rotation_cap);
        // One that may be registered may be all that is accepted, unless the committed one serves now.
        let keep = self.doubt.is_some() || !self.is_on_current();
        self.wanted = self.wanted.filter(|&reason| reason != Reason::Command);
        let rotation = self.durable.rotation.clone();
        let notices = rotation.iter().map(|rotation| {
            let why = "an operator has given it up".to_string();
            Notice::RolledBack { id: rotation.id.clone(), why }
        });
        self.stage(notices.collect(), |record: &mut Record| {
            if record.rotation.is_none() && !record.to_stage {
                record.back_to = record.previous;
                return;
            }
            let given_up = record.rotation.take().filter(|given| !(keep && given.phase.may_be_registered()));
            record.doomed.extend(given_up.map(|rotation| rotation.slot));
            record.to_stage = false;
            record.not_before = Some(until);
            record.met = record.current.map(|slot| Met { order: Offline::Rollback, slot });
        });
    }

    /// Whether this is the identity before the committed one, and still as good as it was.
    fn may_go_back_to(&self, slot: SlotId) -> bool {
        let record = &self.durable;
        let soaks = record.aftermath.as_ref().map(|aftermath| aftermath.stage);
        let is_known = Some(slot) <= self.compromised;
        matches!(soaks, Some(Stage::Soak { .. }))
            && record.previous == Some(slot)
            && record.rotation.is_none()
            && !is_known
            && self.slots.get(&slot).is_some_and(SlotFacts::is_complete)
    }

    /// The identity before proves itself beside the live session; only then does it serve again. While the committed one
    /// is in doubt the ladder decides, which tries the one before as well.
    pub(super) fn go_back(&mut self) -> Option<Step> {
        let slot = self.durable.back_to?;
        if !self.upkeep_is_due() || self.doubt.is_some() {
            return None;
        }
        if !self.may_go_back_to(slot) {
            self.stay("it is no longer the identity before, or its key may be known to others".to_string());
            return None;
        }
        let due = self.reached(self.back.until, self.config.backoff.step_cap);
        let thing = self.config.thing();
        due.then_some((Action::Verify { slot, thing }, Awaiting::Verify(verify::Purpose::Back(slot))))
    }

    pub(super) fn on_way_back(&mut self, slot: SlotId, outcome: Event) {
        match outcome {
            Event::Verified { .. } if self.durable.back_to == Some(slot) && self.may_go_back_to(slot) => {
                self.step_back(slot);
            }
            Event::VerifyFailed { kind: FailureKind::Refused, why, .. } => {
                self.stay(format!("it is not accepted any more: {why}"));
            }
            // A disk that does not read may come to its senses; the committed identity does not wait for ever to
            // retire it.
            Event::VerifyFailed { kind: FailureKind::Unreadable, why, .. }
                if self.back.failures >= MOST_MISREAD =>
            {
                self.stay(format!("the disk does not give it: {why}"));
            }
            Event::VerifyFailed { why, .. } => {
                self.wait_on_the_way_back(format!("cannot go back yet: {why}"));
            }
            _ => {}
        }
    }

    fn wait_on_the_way_back(&mut self, why: String) {
        let policy = self.config.backoff;
        let until = self.now + self.jitter.wait(policy.base, policy.step_cap, self.back.failures);
        self.back = Wait { until: Some(until), failures: self.back.failures.saturating_add(1) };
        self.notices.push_back(Notice::Waiting { why: why.clone(), until });
        self.blocked = Some(why);
    }

    /// There is no way back: what is committed serves on.
    fn stay(&mut self, why: String) {
        let Some(to) = self.durable.back_to else { return };
        self.back = Wait::default();
        self.stage(vec![Notice::CannotGoBack { to, why }], |record| record.back_to = None);
    }

    /// The commit backwards: one durable change of `current`. What was left is kept as the previous slot.
    fn step_back(&mut self, to: SlotId) {
        let Some(from) = self.durable.current else { return };
        let until = self.now + self.before_the_end(Some(to), self.config.backoff.rotation_cap);
        let since = self.slots.get(&to).and_then(|slot| slot.certificate.as_ref());
        let since = since.map_or(self.now, |certificate| certificate.not_before);
        self.back = Wait::default();
        self.stage(vec![Notice::WentBack { from, to }], |record| {
            record.current = Some(to);
            record.current_since = since;
            record.previous = Some(from);
            record.aftermath = None;
            record.back_to = None;
            record.met = Some(Met { order: Offline::Rollback, slot: to });
            record.not_before = Some(until);
        });
    }
}

/// Whether a rotation for this reason may wait for a switch: one without which the device is lost, or its key known to
/// others, may not.
const fn can_wait(reason: Reason) -> bool {
    matches!(reason, Reason::Age | Reason::Expiry | Reason::Command)
}
