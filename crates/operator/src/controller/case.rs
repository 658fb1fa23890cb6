//! One thing: evidence comes in, a listing of its certificates is asked for, and steps come out.
//!
//! Steps are derived in one order: first the record is made durable, then people and device are told, then
//! certificates are changed. New evidence drops the changes that were planned on the old.

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::{Attested, ControllerAnswer, RequestOp, RetireStatus};
use fleetkey_model::time::Timestamp;

use super::action::{Action, Change, Ignored, Report};
use super::agenda::Planned;
use super::config::Config;
use super::judgement::{Listing, Sighting};
use super::presence::{Role, Seen};
use super::pulse::Pulse;
use super::record::{Freeze, FreezeReason, Older, Record, Stage};
use super::work::Work;
use crate::control_plane::{CertificateSummary, Connected};

mod heard;

/// How many requests and sightings wait for a listing; what is beyond is dropped: devices repeat, and presence tells
/// the latest anyway.
const WAITING: usize = 16;
/// After how many attempts in a row people are told of a failure that may pass: about a minute.
const TOLD_EVERY: u32 = 7;

/// Which steps may be taken at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gates {
    pub(super) storage: bool,
    pub(super) control: bool,
}

#[derive(Debug)]
pub(super) struct Case {
    thing: ThingName,
    record: Option<Record>,
    /// The record differs from the disk.
    unsaved: bool,
    seen: Seen,
    pulse: Pulse,
    work: Work,
    /// Whoever is connected now, as the account says, is one that was heard of: the plan may be carried out.
    cleared: bool,
    /// Somebody is connected, as the account says, whom nobody told of.
    unheard: bool,
    /// The status that the device was last told for its latest request.
    answered: Option<RetireStatus>,
    attempts: u32,
    /// No listing before this.
    rest_until: Timestamp,
    /// The same as it was before it had to be waited for word of who is connected.
    rest_before_hold: Timestamp,
    /// There is a certificate of a recovery on which nobody has decided, as the account said with the last listing.
    pub(super) recovered: bool,
    pub(super) planned: Planned,
    /// When the certificates were last listed, since the controller's start.
    listed_at: Option<Timestamp>,
    /// When the next newer and unused certificate will have had its time.
    ripe_at: Option<Timestamp>,
}

impl Case {
    pub(super) fn new(thing: ThingName, record: Option<Record>) -> Self {
        let mut record = record.map(Record::shrunk);
        let (seen, sightings) = record.as_mut().map(Record::take_seen).unwrap_or_default();
        let mut work = Work::default();
        work.sightings = sightings;
        work.rest();
        Self {
            seen,
            answered: record.as_ref().map(Record::status),
            thing,
            record,
            unsaved: false,
            pulse: Pulse::default(),
            work,
            cleared: false,
            unheard: false,
            attempts: 0,
            rest_until: Timestamp::default(),
            rest_before_hold: Timestamp::default(),
            recovered: false,
            planned: Planned::default(),
            listed_at: None,
            ripe_at: None,
        }
    }

    pub(super) const fn thing(&self) -> &ThingName {
        &self.thing
    }

    pub(super) const fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    pub(super) const fn record_mut(&mut self) -> Option<&mut Record> {
        self.record.as_mut()
    }

    /// Gives back the room for what was in hand.
    pub(super) fn rest(&mut self) {
        self.work.rest();
    }

    /// What the account says of a recovery; its listing follows.
    pub(super) const fn recovered(&mut self, certificate: Option<CertificateId>) {
        self.recovered = certificate.is_some();
    }

    pub(super) const fn listed_at(&self) -> Option<Timestamp> {
        self.listed_at
    }

    /// Whether the case can be dropped: nothing is known that the next event would not tell again.
    pub(super) fn is_blank(&self) -> bool {
        let waiting = self.work.requests.len() + self.work.sightings.len() + self.work.told.len();
        self.record.is_none() && !self.unsaved && waiting == 0 && self.seen.open().next().is_none()
    }

    /// A request whose thing and client id are in order.
    pub(super) fn attested(&mut self, attested: Attested) {
        self.work.drop_plan();
        self.seen.attested(attested.principal, attested.at);
        self.pulse.attested(attested.principal, attested.at);
        self.heard(Role::Live);
        if attested.request.op == RequestOp::Stage {
            return self.staged(&attested);
        }
        if let Some(record) = self.answerable(&attested) {
            let before = (record.request.clone(), record.audit.clone());
            record.request.clone_from(&attested.request.id);
            if record.frozen.is_none() {
                record.audit.take(attested.request.audit.as_deref());
            }
            self.unsaved |= before != (record.request.clone(), record.audit.clone());
            self.answer();
        } else if self.work.requests.len() < WAITING {
            self.work.requests.push(attested);
        }
    }

    /// Only the witness is believed; where there is none, nothing is swept.
    fn staged(&mut self, attested: &Attested) {
        if let Some(record) = &mut self.record
            && record.witness.certificate == attested.principal
        {
            self.unsaved |= record.hold_staged(attested.at);
        }
    }

    /// The record, when it answers the request by itself: the witness asks again, and nothing came back meanwhile. A
    /// device in quarantine that asks again has the account looked at: it may have been approved.
    fn answerable(&mut self, attested: &Attested) -> Option<&mut Record> {
        let record = self.record.as_mut()?;
        let same = record.witness.certificate == attested.principal;
        (same && record.is_calm() && !record.is_quarantined()).then_some(record)
    }

    /// What was heard of it may be forgotten.
    pub(super) fn evidence_lost(&mut self, now: Timestamp) {
        if let Some(record) = &mut self.record {
            record.evidence_lost(now);
            self.unsaved = true;
        }
    }

    /// The account's word on the live client id, before a certificate is made INACTIVE. It does not say by which
    /// certificate: whom nobody told of may be the rightful owner on the very one that is to go.
    pub(super) fn asked(&mut self, now: Timestamp, config: &Config, connected: Connected) {
        let Connected::Since(since) = connected else {
            self.cleared = true;
            return;
        };
        self.cleared = self.seen.knows_live(since) || self.pulse.heard_since(since);
        if self.cleared {
            return;
        }
        self.work.drop_plan();
        self.rest_before_hold = self.rest_until;
        self.rest_until = now + config.longest_pause;
        if !core::mem::replace(&mut self.unheard, true) {
            self.report(Report::Unheard { thing: self.thing.clone(), since });
        }
    }

    /// The account's list; an empty one means that the thing is gone.
    pub(super) fn listed(&mut self, now: Timestamp, config: &Config, certificates: &[CertificateSummary]) {
        let listing: Listing = certificates.iter().map(|found| (found.id, *found)).collect();
        let before = self.record.clone();
        self.rest_until = now + config.look_again;
        self.listed_at = Some(now);
        let asked = !self.work.requests.is_empty();
        self.end_quarantine();
        for attested in self.work.take_requests() {
            self.judge(now, config, &attested, &listing);
        }
        if listing.is_empty() {
            self.record = None;
        }
        self.quarantine(now);
        self.weigh(now, config, &listing);
        // That it can be listed says nothing of a change that is refused: what fails again and again rests longer and longer.
        if self.work.plan.is_empty() {
            self.attempts = 0;
        }
        self.unsaved |= self.record != before;
        self.tell_changes(before.as_ref());
        if asked || self.answered != self.record().map(Record::status) {
            self.answer();
        }
    }

    /// Judges one request by the list.
    fn judge(&mut self, now: Timestamp, config: &Config, attested: &Attested, listing: &Listing) {
        let verdict = match listing.get(&attested.principal) {
            None => Err(Ignored::NotAttached),
            Some(found) if found.status != CertificateStatus::Active => Err(Ignored::NotActive),
            Some(principal) => match &mut self.record {
                Some(record) => record.attest(now, config, attested, principal),
                None => {
                    let thing = self.thing.clone();
                    self.record = Some(Record { thing, ..Record::first(attested, principal) });
                    Ok(())
                }
            },
        };
        if let Err(why) = verdict {
            self.ignore(attested, why);
        }
    }

    /// Draws every conclusion from list, sightings and time, and plans what is due.
    fn weigh(&mut self, now: Timestamp, config: &Config, listing: &Listing) {
        let mut sightings = self.work.take_sightings();
        self.work.drop_plan();
        self.cleared = false;
        self.ripe_at = None;
        let Some(record) = &mut self.record else {
            return;
        };
        self.unsaved |= !sightings.is_empty();
        if record.frozen.is_none() {
            record.reconcile(now, config, listing);
            let open = self.seen.open().filter(|(_, open)| open.principal != record.witness.certificate);
            sightings.extend(open.map(Sighting::of));
            sightings.iter().for_each(|sighting| record.sight(now, config, sighting, listing));
            record.expire(now, config, &self.seen);
            record.expire_newcomers(now, config, listing, &self.seen, &self.pulse);
            self.ripe_at = record.sweep(now, config, listing, &self.pulse);
        }
        self.work.plan.extend(record.due(now, config, listing, &self.seen, &self.pulse));
        // Something is due that the account is not ready for: do not ask it every second.
        let stuck = self.work.plan.is_empty()
            && record.look_at(config, &self.seen, &self.pulse).is_some_and(|at| at <= now);
        if stuck {
            self.rest_until = now + config.longest_pause;
        }
    }

    /// A call for this thing failed; another attempt is made after a pause. Whether it has failed for so long that somebody
    /// should know, also of what another attempt may mend.
    pub(super) fn failed(&mut self, now: Timestamp, config: &Config) -> bool {
        self.work.drop_plan();
        self.rest_until = now + config.pause(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.attempts.is_multiple_of(TOLD_EVERY)
    }

    /// Whether evidence waits for a listing.
    pub(super) fn is_unjudged(&self) -> bool {
        !self.work.requests.is_empty() || !self.work.sightings.is_empty()
    }

    /// A certificate was changed as planned.
    pub(super) fn changed(&mut self, now: Timestamp, certificate: CertificateId, change: Change) {
        self.attempts = 0;
        let Some(record) = &mut self.record else {
            return;
        };
        let leftover = record.leftovers.contains_key(&certificate);
        let outgoing = if leftover { &mut record.leftovers } else { &mut record.older };
        if let Some(older) = outgoing.get_mut(&certificate) {
            let returns = older.returns;
            match change {
                Change::Deactivate => *older = Older { returns, ..Older::new(Stage::Inactive, now) },
                Change::Revoke => *older = Older { returns, ..Older::new(Stage::Revoked, now) },
                Change::Delete => drop(outgoing.remove(&certificate)),
            }
        }
        self.unsaved = true;
        let thing = self.thing.clone();
        self.work.told.push_back(Action::Report(match leftover {
            true => Report::LeftoverChanged { thing, certificate, change },
            false => Report::Changed { thing, certificate, change },
        }));
        if self.answered != self.record().map(Record::status) {
            self.answer();
        }
    }

    /// Nothing more is retired until somebody releases the thing. What was frozen already stays so, for its own reason.
    pub(super) fn hold(&mut self, now: Timestamp) {
        let reason = FreezeReason::TakenBack;
        let Some(record) = self.record.as_mut().filter(|record| record.frozen.is_none()) else {
            return;
        };
        record.freeze(reason, now);
        self.unsaved = true;
        self.work.drop_plan();
        self.report(Report::Frozen { thing: self.thing.clone(), reason });
        self.answer();
    }

    /// Whether what is known is on the disk.
    pub(super) const fn is_saved(&self) -> bool {
        !self.unsaved
    }

    /// Forgets everything but who is connected.
    pub(super) fn release(&mut self) {
        self.unsaved |= self.record.take().is_some();
        self.answered = None;
        self.work.drop_plan();
    }

    /// Reports are for people; while none can be given, the first few say enough.
    pub(super) fn report(&mut self, report: Report) {
        if self.work.told.len() < 2 * WAITING {
            self.work.told.push_back(Action::Report(report));
        }
    }

    pub(super) fn ignore(&mut self, attested: &Attested, why: Ignored) {
        self.report(Report::Ignored {
            thing: self.thing.clone(),
            client: attested.clientid.clone(),
            principal: attested.principal,
            why,
        });
    }

    fn tell_changes(&mut self, before: Option<&Record>) {
        let Some(record) = &self.record else {
            return;
        };
        let thing = || self.thing.clone();
        let mut news = Vec::new();
        if before.map(|before| before.witness) != Some(record.witness) {
            let certificate = record.witness.certificate;
            news.push(Report::Witnessed { thing: thing(), certificate });
        }
        news.extend(record.news_of_newer(before));
        if let (Some(Freeze { reason, .. }), None) = (record.frozen, before.and_then(|before| before.frozen))
        {
            news.push(Report::Frozen { thing: thing(), reason });
        }
        news.into_iter().for_each(|report| self.report(report));
    }

    /// Tells the device how far its latest request is.
    fn answer(&mut self) {
        self.answered = self.record().map(Record::status);
        let Some(record) = &self.record else {
            return;
        };
        let answer = ControllerAnswer {
            op: RequestOp::Retire,
            id: record.request.clone(),
            status: record.status(),
            witness: Some(record.witness.certificate),
            retired: record.retired(),
            message: record.frozen.map(|freeze| freeze.reason.to_string()),
        };
        // While the record cannot be written nothing is told: only the latest answer is worth keeping.
        self.work.told.retain(|told| !matches!(told, Action::Answer { .. }));
        self.work.told.push_back(Action::Answer { thing: self.thing.clone(), answer });
    }

    /// The next step that the gates let through.
    pub(super) fn next(&mut self, gates: Gates) -> Option<Action> {
        if self.unsaved {
            return gates.storage.then(|| match &self.record {
                Some(record) => Action::Persist(Box::new(record.with_seen(&self.seen, &self.work.sightings))),
                None => Action::Forget(self.thing.clone()),
            });
        }
        if let Some(told) = self.work.next_told() {
            return Some(told);
        }
        if !gates.control {
            return None;
        }
        if !self.cleared && self.work.plan.front()?.1 == Change::Deactivate {
            return Some(Action::Ask(self.thing.clone()));
        }
        let (certificate, change) = self.work.plan.pop_front()?;
        Some(Action::Change { thing: self.thing.clone(), certificate, change })
    }

    /// Whether [`Self::next`] has something once its gate is open.
    pub(super) fn has_steps(&self) -> bool {
        self.unsaved || !self.work.told.is_empty() || !self.work.plan.is_empty()
    }

    pub(super) const fn persisted(&mut self) {
        self.unsaved = false;
    }

    /// When to list the thing's certificates; `None` while steps are left or nothing is to come.
    pub(super) fn look_at(&self, config: &Config) -> Option<Timestamp> {
        if self.has_steps() {
            return None;
        }
        if !self.work.requests.is_empty() || !self.work.sightings.is_empty() {
            return Some(self.rest_until);
        }
        let due = self.record.as_ref()?.look_at(config, &self.seen, &self.pulse)?;
        Some(due.max(self.rest_until))
    }

    /// When to look for leftovers, or whether a recovery was decided on. For leftovers only while the witness shows life: without that none may be swept.
    pub(super) fn patrol_at(&self, config: &Config) -> Option<Timestamp> {
        if let Some(decision) = self.decision_at(config) {
            return (!self.has_steps()).then(|| decision.max(self.rest_until));
        }
        let record = self.record.as_ref().filter(|record| record.frozen.is_none())?;
        let routine = self.listed_at.map_or_else(Timestamp::default, |at| at + config.leftover_after);
        let next = self.ripe_at.map_or(routine, |ripe| ripe.min(routine));
        let alive = !self.has_steps() && self.pulse.shows(&record.witness.certificate, next);
        alive.then(|| next.max(self.rest_until))
    }
}
