//! Proving the candidate, and the differential verdict: a certificate is refused only if the broker refuses it
//! again and again while it accepts the identity in use, from here, now.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use fleetkey_model::time::Timestamp;

use super::start::MOST_DOOMED;
use super::{Awaiting, Machine, Step};
use crate::action::Action;
use crate::config::Verdict;
use crate::event::{Event, FailureKind, Offline};
use crate::record::{Aftermath, Hold, Met, Phase, Reason, Record, Rotation, Stage};
use crate::slot::SlotId;
use crate::status::Notice;

/// So many refusals, with the back-off between them, take longer than the ten minutes that AWS may take to make a
/// registration effective, whatever the clock says.
pub(super) const PERSISTENT: u32 = 24;

/// Of the time between two refusals in a row only so much counts: a device that was off line was not refused, and a
/// leap of its clock is not the time that an activation takes.
const LONGEST_STEP: Duration = Duration::from_secs(3600);

/// What a verification is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The candidate must prove itself.
    Candidate,
    /// Was the candidate registered, though no answer said so?
    Probe,
    /// Is the certificate that a new one is to replace accepted after all?
    Displaced,
    /// Does the identity in use still pass, now that the candidate did not?
    Control,
    /// Is this identity, which no record tells of, accepted?
    Found(SlotId),
    /// Is this identity accepted, now that the committed one is refused?
    Rung(SlotId),
    /// Is the identity before still accepted, now that an operator wants it back?
    Back(SlotId),
}

/// What speaks against the candidate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence {
    /// Refusals while the control passed.
    refusals: u32,
    /// When the last was.
    last: Option<Timestamp>,
    /// How long it has been refused, by steps from one refusal to the next.
    lasted: Duration,
    /// The same, of which no step counts for more than half of a verdict.
    span: Duration,
    /// The candidate was refused just now; the control is still out.
    control_is_due: bool,
}

impl Evidence {
    pub(super) const fn refusals(&self) -> u32 {
        self.refusals
    }

    /// Counts one more refusal; whether they are now enough, over long enough, to believe.
    pub(super) fn is_final(&mut self, now: Timestamp, verdict: Verdict) -> bool {
        // A last refusal that lies in the future was stamped by a wrong clock: the time counts from now.
        let step = self.last.map_or(Duration::ZERO, |last| now.since(last));
        self.lasted += step.min(LONGEST_STEP);
        // A clock that leaps once is not enough to condemn an identity.
        self.span += step.min(verdict.over / 2);
        self.last = Some(now);
        self.refusals = self.refusals.saturating_add(1);
        self.control_is_due = false;
        self.refusals >= verdict.refusals && self.span >= verdict.over
    }
}

impl Machine {
    pub(super) fn advance_verification(&mut self, candidate: SlotId) -> Option<Step> {
        let thing = self.config.thing();
        match self.durable.current {
            Some(current) if self.verdict.control_is_due => {
                Some((Action::Verify { slot: current, thing }, Awaiting::Verify(Purpose::Control)))
            }
            _ => Some((Action::Verify { slot: candidate, thing }, Awaiting::Verify(Purpose::Candidate))),
        }
    }

    pub(super) fn on_verify(&mut self, purpose: Purpose, outcome: Event) {
        match purpose {
            Purpose::Rung(slot) => return self.on_rung(slot, &outcome),
            Purpose::Back(slot) => return self.on_way_back(slot, outcome),
            Purpose::Found(slot) => return self.on_another(slot, &outcome),
            _ => {}
        }
        match outcome {
            Event::Verified { .. } if purpose == Purpose::Control => self.on_refusal(),
            Event::Verified { .. } if purpose == Purpose::Displaced => self.on_displaced_accepted(),
            Event::Verified { .. } => self.on_candidate_passed(),
            Event::VerifyFailed { tier, kind, why, .. } => {
                let why = format!("{tier:?} {kind:?}: {why}");
                match (purpose, kind) {
                    (Purpose::Candidate, FailureKind::Refused) => self.on_candidate_refused(why),
                    (Purpose::Probe, FailureKind::Refused) => self.on_probe_refused(),
                    (Purpose::Displaced, FailureKind::Refused) => self.on_displaced_refused(),
                    (Purpose::Control, kind) => self.on_control_failed(kind, &why),
                    (_, FailureKind::Unreadable) => self.on_candidate_unreadable(why),
                    (_, FailureKind::Unreachable)
                    | (Purpose::Rung(_) | Purpose::Back(_) | Purpose::Found(_), _) => {
                        self.wait_step(why);
                    }
                }
            }
            _ => {}
        }
    }

    /// With an identity in use the control decides. Without one nothing tells a refusal from trouble on the way,
    /// and a first identity that is given up cannot be had again: the claim refuses a thing that exists. So it is
    /// given up only for a recovery, and only after as long as two of those lie apart.
    fn on_candidate_refused(&mut self, why: String) {
        if self.durable.current.is_some() {
            self.verdict.control_is_due = true;
            self.blocked = Some(why);
        } else if self.verdict.is_final(self.now, self.config.verdict)
            && self.has_tried_long_enough(self.verdict)
            && self.may_recover()
        {
            self.roll_back(format!("refused since it was registered: {why}"));
        } else {
            self.wait_step(format!("not accepted yet: {why}"));
        }
    }

    /// Refused for as long as two recoveries lie apart, and often. It counts from the first refusal in this run of the
    /// process: what a device was not told while it lay in a box, or had no network, was no refusal.
    pub(super) fn has_tried_long_enough(&self, evidence: Evidence) -> bool {
        evidence.refusals >= PERSISTENT && evidence.lasted >= self.config.recovery_spacing
    }

    /// The disk does not give the candidate, which may pass. If it does not, the candidate is of no use to anybody, and
    /// makes room: where an identity is in use after a while, else as late as one that is refused.
    fn on_candidate_unreadable(&mut self, why: String) {
        let final_here = self.misread.is_final(self.now, self.config.verdict);
        let often = final_here && self.misread.refusals >= PERSISTENT;
        let alone = self.durable.current.is_none() || self.is_recovering();
        if often && (!alone || (self.has_tried_long_enough(self.misread) && self.may_recover())) {
            return self.roll_back(format!("its slot cannot be read: {why}"));
        }
        self.wait_step(why);
    }

    /// Both fail: that says nothing about the candidate. A recovery begins where the identity in use is refused, so
    /// there the same holds as for a first identity: only the next recovery can tell, and it is a day away.
    fn on_control_failed(&mut self, kind: FailureKind, why: &str) {
        self.verdict = Evidence::default();
        if kind != FailureKind::Refused {
            self.hopeless = Evidence::default();
        } else if self.is_recovering()
            && self.hopeless.is_final(self.now, self.config.verdict)
            && self.has_tried_long_enough(self.hopeless)
            && self.may_recover()
        {
            return self.roll_back(format!("refused since the recovery: {why}"));
        }
        self.wait_step(format!("neither identity passes: {why}"));
    }

    fn on_refusal(&mut self) {
        if self.verdict.is_final(self.now, self.config.verdict) {
            self.roll_back(format!("the broker refused the new certificate {} times", self.verdict.refusals));
        } else {
            self.wait_step(format!("refused {} times so far", self.verdict.refusals));
        }
    }

    /// The commit: one durable change of `current`. Everything after it only follows.
    pub(super) fn commit(&mut self) {
        let Some(rotation) = self.durable.rotation.clone() else {
            return;
        };
        let (Phase::Verifying { certificate, .. }
        | Phase::Registering { certificate, .. }
        | Phase::Staged { certificate, .. }) = rotation.phase
        else {
            return;
        };
        let Rotation { id, reason, .. } = rotation.clone();
        // A key that others know is not kept in reserve any longer than it must.
        let soak = if reason == Reason::Compromise { Duration::ZERO } else { self.config.soak };
        let now = self.now;
        let unexplained: Vec<SlotId> = self.unexplained().collect();
        let notices = alloc::vec![
            Notice::Verified { id: id.clone(), certificate },
            Notice::Committed { id, reason, certificate },
        ];
        let asked = self.asked.clone();
        self.stage(notices, |record| {
            commit_to(record, rotation, now, now + soak);
            if record.asked == asked {
                record.asked.iter_mut().for_each(|asked| asked.open = false);
            }
            record.doomed.extend(unexplained);
        });
    }

    /// Slots that no record explains: kept while they might be all there is, until an identity is committed.
    fn unexplained(&self) -> impl Iterator<Item = SlotId> {
        let record = &self.durable;
        let room = MOST_DOOMED.saturating_sub(record.doomed.len().saturating_add(1));
        let slots = self.slots.keys().chain(&self.unread).copied();
        slots.filter(|&slot| !record.refers_to(slot) && !record.doomed.contains(&slot)).take(room)
    }
}

fn commit_to(record: &mut Record, rotation: Rotation, now: Timestamp, soak_until: Timestamp) {
    let switched = rotation.hold == Hold::Released;
    record.met = switched.then_some(Met { order: Offline::Switch, slot: rotation.slot });
    record.to_stage = false;
    record.back_to = None;
    record.doomed.extend(record.previous);
    record.previous = record.current;
    record.current = Some(rotation.slot);
    record.current_since = now;
    record.rotation = None;
    record.failures = 0;
    record.not_before = None;
    record.aftermath =
        record.previous.map(|_| Aftermath { id: rotation.id, stage: Stage::Soak { until: soak_until } });
}
