//! The ladder: the broker refuses the committed identity, so what else is here is tried, rung by rung.
//!
//! current → candidate → previous → whatever other complete slot there is → recovery by claim. A rung that is
//! accepted while the committed identity is refused, again and again, becomes the committed one: the same one
//! durable change of `current` as any commit. It destroys nothing, so a short verdict is enough. Only when every
//! rung was refused, often enough and for long enough, is the claim tried, at most once a day. A network that is
//! down is never a refusal, and no slot is given up here. An older identity is not asked with before the committed one
//! was refused three times: a controller that sees both take turns must think of a thief. Nor is a candidate that waits for its switch: for a hiccup it is not committed.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use fleetkey_model::time::Timestamp;

use super::verify::{Evidence, Purpose};
use super::{Awaiting, Machine, Step, Wait};
use crate::action::Action;
use crate::event::{Event, FailureKind};
use crate::record::{Reason, Record, Stage};
use crate::slot::{SlotFacts, SlotId};
use crate::status::Notice;

/// What is known while the committed identity is in doubt. In memory only: a restart doubts again soon enough.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt {
    /// The rungs of this round that are still to be tried, the next one last.
    rungs: Vec<SlotId>,
    /// How often the committed identity was refused.
    refused: u32,
    /// What speaks for a rung other than the committed one: rounds in which it was accepted and that one refused.
    accepted: BTreeMap<SlotId, Evidence>,
    /// Rounds in which everything was refused.
    nothing: Evidence,
    /// They are enough to believe.
    lost: bool,
    /// Whether somebody could not be asked in this round: then the round proves nothing.
    unclear: bool,
    /// The disk did not give the committed slot in this round, and no broker has refused it.
    unread: bool,
    /// The committed identity passed beside the live session in this round.
    passes_beside: bool,
    /// The live session was refused with it since the last round.
    live_refused: bool,
    wait: Wait,
}

impl Doubt {
    /// Whether no identity has been accepted for as long as a verdict takes.
    pub(super) const fn found_nothing(&self) -> bool {
        self.lost
    }

    /// Somebody was accepted, or could not be asked.
    fn hope(&mut self) {
        self.nothing = Evidence::default();
        self.lost = false;
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.wait.until
    }
}

impl Machine {
    /// The broker has refused this slot's identity. Only the committed one is worth doubting.
    pub(super) fn doubt(&mut self, slot: SlotId, why: String) {
        if self.durable.current != Some(slot) || self.doubt.is_some() {
            return;
        }
        self.notices.push_back(Notice::Refused { slot, why });
        self.doubt = Some(Doubt { rungs: self.rungs(), ..Doubt::default() });
    }

    /// As [`Self::doubt`], of the live session itself.
    pub(super) fn doubt_live(&mut self, slot: SlotId, why: String) {
        if self.durable.current == Some(slot) {
            self.live_refusals = self.live_refusals.saturating_add(1);
        }
        self.doubt(slot, why);
        let is_current = self.durable.current == Some(slot);
        self.doubt.iter_mut().for_each(|doubt| doubt.live_refused |= is_current);
    }

    /// The committed identity is accepted after all.
    pub(super) fn trust(&mut self, slot: SlotId) {
        if self.durable.current == Some(slot) {
            self.end_doubt();
        }
    }

    /// A recovery is wished for only while nothing is accepted.
    pub(super) fn end_doubt(&mut self) {
        self.doubt = None;
        self.wanted = self.wanted.filter(|&reason| reason != Reason::Recovery);
    }

    /// One rung further, if the wait is over. A recovery goes on meanwhile: it may be waiting for an operator, who
    /// may as well give an old identity back.
    pub(super) fn climb(&mut self) -> Option<Step> {
        if !self.upkeep_is_due() {
            return None;
        }
        let until = self.doubt.as_ref()?.wait.until;
        if !self.reached(until, self.config.backoff.step_cap) {
            return None;
        }
        while let Some(slot) = self.doubt.as_mut()?.rungs.pop() {
            if self.is_rung(slot) {
                let thing = self.config.thing();
                return Some((Action::Verify { slot, thing }, Awaiting::Verify(Purpose::Rung(slot))));
            }
        }
        self.end_round();
        None
    }

    fn has_another_rung(&self) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| doubt.rungs.iter().any(|&slot| self.is_rung(slot)))
    }

    fn is_rung(&self, slot: SlotId) -> bool {
        self.unread.contains(&slot) || self.slots.get(&slot).is_some_and(SlotFacts::is_complete)
    }

    pub(super) fn on_rung(&mut self, slot: SlotId, outcome: &Event) {
        match outcome {
            Event::Verified { .. } => self.on_rung_accepted(slot),
            Event::VerifyFailed { kind, .. } => {
                let is_current = self.durable.current == Some(slot);
                if is_current && !self.is_refused_in_earnest(*kind) {
                    self.spare_older_rungs();
                }
                if let Some(doubt) = &mut self.doubt {
                    // What the disk does not give serves nobody: the round goes on without it.
                    doubt.unclear |= *kind == FailureKind::Unreachable;
                    doubt.unread |= *kind == FailureKind::Unreadable && is_current;
                    doubt.accepted.remove(&slot);
                }
                // Now, so that a clock that is set before the next step does not date the round.
                if !self.has_another_rung() {
                    self.end_round();
                }
            }
            _ => {}
        }
    }

    /// Whether the committed identity has now been refused as often as makes another one worth trying. A hiccup of
    /// the broker, or of the network, does not.
    fn is_refused_in_earnest(&mut self, kind: FailureKind) -> bool {
        let enough = self.config.fall_back().refusals;
        self.doubt.as_mut().is_some_and(|doubt| {
            doubt.refused = doubt.refused.saturating_add(u32::from(kind != FailureKind::Unreachable));
            kind != FailureKind::Unreachable && doubt.refused >= enough
        })
    }

    /// An older identity that is seen beside the committed one is taken for a thief's, so it is not asked with before
    /// it must be. A candidate, which would be committed, is, unless it waits for its switch. What was not asked proves
    /// nothing of this round.
    fn spare_older_rungs(&mut self) {
        let candidate = self.durable.rotation.as_ref().map(|rotation| rotation.slot);
        let candidate = candidate.filter(|&slot| self.is_candidate(slot) && !self.is_held());
        let Some(doubt) = &mut self.doubt else { return };
        let before = doubt.rungs.len();
        doubt.rungs.retain(|&rung| Some(rung) == candidate);
        doubt.unclear |= doubt.rungs.len() < before;
    }

    fn on_rung_accepted(&mut self, slot: SlotId) {
        if self.durable.current == Some(slot) {
            return self.on_current_accepted(slot);
        }
        if self.is_candidate(slot) {
            // Should the disk refuse the commit, the round has found something all the same.
            self.doubt.iter_mut().for_each(Doubt::hope);
            self.next_round();
            return self.commit();
        }
        if self.is_renewed(slot) {
            self.doubt.iter_mut().for_each(Doubt::hope);
            self.next_round();
            return self.take_back(slot);
        }
        let (now, config) = (self.now, &self.config);
        let Some(doubt) = &mut self.doubt else { return };
        // A disk that does not read may come to its senses, so it gets as long as a candidate.
        let verdict = if doubt.unread { config.verdict } else { config.fall_back() };
        doubt.hope();
        let evidence = doubt.accepted.entry(slot).or_default();
        // Only if the committed identity was refused in the same round was it a test between the two.
        if doubt.unclear {
            *evidence = Evidence::default();
        } else if evidence.is_final(now, verdict) {
            self.next_round();
            return self.fall_back(slot);
        }
        self.next_round();
    }

    /// An identity that passes beside the live session while that session is refused has not proved itself: in its
    /// soak it may still give way to the one before, once. Later there is nothing that would serve better. A refusal of
    /// the session speaks for one round: after it the session has to be refused again.
    fn on_current_accepted(&mut self, slot: SlotId) {
        let soaking = self.durable.aftermath.as_ref();
        let soaking = soaking.is_some_and(|aftermath| matches!(aftermath.stage, Stage::Soak { .. }));
        let refused = self.live_refusals >= self.config.fall_back().refusals;
        match &mut self.doubt {
            Some(doubt) if refused && soaking && doubt.live_refused => {
                (doubt.passes_beside, doubt.live_refused) = (true, false);
            }
            Some(_) if refused && soaking => self.next_round(),
            _ => self.trust(slot),
        }
    }

    /// Every rung was tried and none accepted.
    fn end_round(&mut self) {
        let verdict = self.config.verdict;
        let now = self.now;
        let Some(doubt) = &mut self.doubt else { return };
        if doubt.unclear || doubt.passes_beside {
            doubt.hope();
        } else {
            doubt.lost = doubt.nothing.is_final(now, verdict);
            if doubt.lost && self.may_recover() {
                return self.recover();
            }
        }
        self.next_round();
    }

    fn next_round(&mut self) {
        let policy = self.config.backoff;
        let rungs = self.rungs();
        let Some(doubt) = &mut self.doubt else { return };
        let until = self.now + self.jitter.wait(policy.base, policy.step_cap, doubt.wait.failures);
        doubt.wait = Wait { until: Some(until), failures: doubt.wait.failures.saturating_add(1) };
        doubt.rungs = rungs;
        doubt.unclear = false;
        doubt.unread = false;
        doubt.passes_beside = false;
    }

    /// All there is to try, the committed identity first (it is popped from the end).
    fn rungs(&self) -> Vec<SlotId> {
        let record = &self.durable;
        let candidate =
            record.rotation.as_ref().map(|rotation| rotation.slot).filter(|&slot| self.may_be_accepted(slot));
        let known = [record.current, candidate, record.previous];
        let known: Vec<SlotId> = known.into_iter().flatten().collect();
        let others = self.slots.keys().chain(&self.unread).copied().filter(|slot| {
            let under_way = record.rotation.as_ref().is_some_and(|rotation| rotation.slot == *slot);
            !known.contains(slot) && !under_way && !record.doomed.contains(slot)
        });
        others.chain(known.iter().rev().copied()).collect()
    }

    /// Whether this slot is a candidate that may have been registered.
    fn is_candidate(&self, slot: SlotId) -> bool {
        self.durable
            .rotation
            .as_ref()
            .is_some_and(|rotation| rotation.slot == slot && rotation.phase.may_be_registered())
    }

    fn may_be_accepted(&self, slot: SlotId) -> bool {
        self.is_candidate(slot) || self.is_renewed(slot)
    }

    pub(super) fn is_recovering(&self) -> bool {
        self.durable.rotation.as_ref().is_some_and(|rotation| rotation.reason == Reason::Recovery)
    }

    /// At most once a day. A moment that lies in the future was stamped by a wrong clock and counts as past.
    pub(super) fn may_recover(&self) -> bool {
        let spacing = self.config.recovery_spacing;
        let over = |at: Timestamp| at + spacing <= self.now || at > self.now;
        self.config.has_recovery && self.durable.recovery_at.is_none_or(over)
    }

    /// The rotation under way, if there is one, hangs on an identity that is refused, or was never answered: it
    /// makes room. A recovery that has its certificate is judged by itself.
    fn recover(&mut self) {
        let under_way = self.durable.rotation.as_ref().map(|rotation| &rotation.phase);
        match under_way {
            Some(phase) if self.is_recovering() && phase.has_certificate() => return self.next_round(),
            Some(_) => {
                return self.abandon(String::from("no identity is accepted: recovery by claim comes first"));
            }
            None => {}
        }
        self.wanted = Some(Reason::Recovery);
        self.next_round();
    }

    /// The commit backwards: one durable change of `current`. What was refused is kept as the previous slot.
    fn fall_back(&mut self, to: SlotId) {
        let Some(from) = self.durable.current else { return };
        let failures = self.durable.failures.saturating_add(1);
        let not_before = self.now + self.rotation_wait(failures);
        let since = self.slots.get(&to).and_then(|slot| slot.certificate.as_ref());
        let since = since.map_or(self.now, |certificate| certificate.not_before);
        self.blocked = Some(format!("slot {from} was refused; slot {to} serves"));
        self.stage(alloc::vec![Notice::FellBack { from, to }], |record: &mut Record| {
            record.current = Some(to);
            record.current_since = since;
            record.previous = Some(from);
            let candidate = record.rotation.take().filter(|rotation| !rotation.phase.may_be_registered());
            record.doomed.extend(candidate.map(|rotation| rotation.slot));
            record.aftermath = None;
            record.back_to = None;
            record.failures = failures;
            record.not_before = Some(not_before);
        });
    }
}
