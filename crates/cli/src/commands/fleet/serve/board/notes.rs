//! What nobody else remembers: what happened, and rotations as the controller saw them. Bounded; a restart keeps of it
//! what the ledger knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fleetkey_dashboard::fleet::{Incident, Outcome, Phase, Rotation, Step, Tone};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::RetireStatus;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;
use fleetkey_operator::controller::{Change, Record, Report};

use super::words;

/// News for the whole fleet.
const NEWS: usize = 200;
/// All that happened, whomever to.
const INCIDENTS: usize = 5000;
/// Of one device, on its page.
const TIMELINE: usize = 40;
/// Rotations that are over.
const PAST: usize = 500;

/// The notes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    news: VecDeque<Incident>,
    incidents: VecDeque<Incident>,
    under_way: BTreeMap<ThingName, Rotation>,
    past: VecDeque<Rotation>,
    /// Told to rotate from here, and not yet seen to have.
    ordered: BTreeSet<ThingName>,
    /// The last request that was heard: its id names the rotation.
    request: Option<(ThingName, String)>,
    rotated: u64,
}

impl Notes {
    /// With the rotations whose retirement the ledger has in hand.
    pub(super) fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        let mut notes = Self::default();
        let mut known: Vec<_> = records.filter(|record| !record.older.is_empty()).collect();
        known.sort_by_key(|record| record.witness.at);
        known.into_iter().for_each(|record| notes.keep(recalled(record)));
        notes
    }

    /// A client came or went.
    pub(super) fn presence(&mut self, kind: PresenceKind, thing: &ThingName, at: Timestamp) {
        let (tone, words) = match kind {
            PresenceKind::Connected => (Tone::Good, "connected"),
            PresenceKind::Disconnected => (Tone::Quiet, "disconnected"),
            PresenceKind::ConnectFailed => (Tone::Warn, "a connection was refused"),
        };
        self.note(thing, at, tone, words.to_owned(), false);
    }

    /// A device has asked for its older certificates to be retired.
    pub(super) fn asked(&mut self, thing: &ThingName, id: &str) {
        self.request = Some((thing.clone(), id.to_owned()));
    }

    /// Somebody has told a device to rotate.
    pub(super) fn ordered(&mut self, thing: &ThingName, at: Timestamp, by: &str) {
        self.ordered.insert(thing.clone());
        self.note(thing, at, Tone::Busy, format!("rotation ordered by {by}"), true);
    }

    /// A person has released a frozen thing.
    pub(super) fn released(&mut self, thing: &ThingName, at: Timestamp) {
        self.note(thing, at, Tone::Busy, "released by an operator".to_owned(), true);
        if let Some(rotation) = self.under_way.get_mut(thing) {
            rotation.outcome = Outcome::UnderWay;
        }
    }

    /// A person has decided of a certificate.
    pub(super) fn decided(&mut self, thing: &ThingName, at: Timestamp, words: String) {
        self.note(thing, at, Tone::Warn, words, true);
    }

    /// Takes in what the controller tells; with [`Report::Witnessed`], the certificate before and when the new one was
    /// registered.
    pub(super) fn told(
        &mut self,
        now: Timestamp,
        report: &Report,
        (old, registered): (Option<CertificateId>, Option<Timestamp>),
    ) {
        let (tone, words, news) = words::incident(report);
        self.note(words::thing(report), now, tone, words, news);
        match report {
            Report::Witnessed { thing, certificate } => {
                self.begin(thing, *certificate, old, registered, now);
            }
            Report::Changed { thing, certificate, change: Change::Deactivate } => {
                self.retired(thing, certificate, now);
            }
            Report::Frozen { thing, reason } => {
                if let Some(rotation) = self.under_way.get_mut(thing) {
                    rotation.outcome = Outcome::Frozen(reason.to_string());
                }
            }
            _ => {}
        }
    }

    /// Of each rotation under way, or of that of one thing, the certificate whose end is its end. A frozen one waits for a
    /// person, whatever becomes of its certificates.
    pub(super) fn old(&self, only: Option<&ThingName>) -> Vec<(ThingName, CertificateId)> {
        let of_one = only.map(|thing| self.under_way.get(thing));
        let all = only.is_none().then(|| self.under_way.values());
        let looked_at = of_one.flatten().into_iter().chain(all.into_iter().flatten());
        let waiting = looked_at.filter(|rotation| rotation.outcome == Outcome::UnderWay);
        waiting.filter_map(|rotation| Some((rotation.thing.clone(), rotation.old?))).collect()
    }

    /// The rotations under way and those that are over, newest first.
    pub(super) fn rotations(&self, limit: usize) -> Vec<Rotation> {
        let mut all: Vec<&Rotation> = self.under_way.values().chain(&self.past).collect();
        all.sort_by_key(|rotation| std::cmp::Reverse(rotation.latest()));
        all.into_iter().take(limit).cloned().collect()
    }

    /// A thing's rotation under way or its last one.
    pub(super) fn rotation(&self, thing: &ThingName) -> Option<Rotation> {
        let past = || self.past.iter().find(|rotation| rotation.thing == *thing);
        self.under_way.get(thing).or_else(past).cloned()
    }

    /// The things with a rotation under way.
    pub(super) fn rotating(&self) -> BTreeSet<ThingName> {
        self.under_way.keys().cloned().collect()
    }

    /// Whether a device is at one.
    pub(super) fn is_rotating(&self, thing: &ThingName) -> bool {
        self.under_way.contains_key(thing)
    }

    /// How many rotations were seen since the start.
    pub(super) const fn rotated(&self) -> u64 {
        self.rotated
    }

    /// News, newest first.
    pub(super) fn news(&self, limit: usize) -> Vec<Incident> {
        self.news.iter().take(limit).cloned().collect()
    }

    /// What happened to a thing, newest first.
    pub(super) fn timeline(&self, thing: &ThingName) -> Vec<Incident> {
        let of_it = self.incidents.iter().filter(|incident| incident.thing.as_ref() == Some(thing));
        of_it.take(TIMELINE).cloned().collect()
    }

    fn begin(
        &mut self,
        thing: &ThingName,
        new: CertificateId,
        old: Option<CertificateId>,
        registered: Option<Timestamp>,
        now: Timestamp,
    ) {
        let asked = self.request.take().filter(|(asked, _)| asked == thing);
        let reason = if self.ordered.remove(thing) { "command" } else { "the device's own" };
        if let Some(before) = self.under_way.remove(thing) {
            push(&mut self.past, before, PAST);
        }
        self.rotated += u64::from(old.is_some());
        let outcome = if old.is_some() { Outcome::UnderWay } else { Outcome::Done };
        self.keep(Rotation {
            thing: thing.clone(),
            id: asked.map_or_else(|| new.short(), |(_, id)| id),
            reason: reason.to_owned(),
            old,
            new: Some(new),
            steps: steps(registered.unwrap_or(now), now),
            outcome,
        });
    }

    /// The old certificate of a rotation can no longer connect: that was its last phase.
    pub(super) fn retired(&mut self, thing: &ThingName, certificate: &CertificateId, now: Timestamp) {
        let is_its =
            |rotation: &&mut Rotation| rotation.thing == *thing && rotation.old == Some(*certificate);
        if let Some(rotation) = self.under_way.get_mut(thing).filter(is_its) {
            rotation.reach(Phase::Retired, now);
            if let Some(over) = self.under_way.remove(thing) {
                push(&mut self.past, over, PAST);
            }
        } else if let Some(rotation) = self.past.iter_mut().find(is_its) {
            // The device had rotated again meanwhile.
            rotation.reach(Phase::Retired, now);
        }
    }

    fn keep(&mut self, rotation: Rotation) {
        if rotation.outcome.is_over() {
            push(&mut self.past, rotation, PAST);
        } else {
            self.under_way.insert(rotation.thing.clone(), rotation);
        }
    }

    fn note(&mut self, thing: &ThingName, at: Timestamp, tone: Tone, words: String, news: bool) {
        let incident = Incident { at, thing: Some(thing.clone()), words, tone };
        if news {
            push(&mut self.news, incident.clone(), NEWS);
        }
        push(&mut self.incidents, incident, INCIDENTS);
    }
}

/// The device asks once its traffic runs on the new certificate, so all phases up to there are passed.
fn steps(registered: Timestamp, attested: Timestamp) -> Vec<Step> {
    [(Phase::Issued, registered.min(attested)), (Phase::Soak, attested)]
        .map(|(phase, at)| Step { phase, at })
        .into()
}

fn recalled(record: &Record) -> Rotation {
    let newest = record.older.iter().max_by_key(|(_, older)| older.since);
    let mut rotation = Rotation {
        thing: record.thing.clone(),
        id: record.request.clone(),
        reason: "before this start".to_owned(),
        old: newest.map(|(id, _)| *id),
        new: Some(record.witness.certificate),
        steps: steps(record.witness.created_at, record.witness.at),
        outcome: Outcome::UnderWay,
    };
    match (record.status(), &record.frozen) {
        (_, Some(freeze)) => rotation.outcome = Outcome::Frozen(freeze.reason.to_string()),
        (RetireStatus::Retired, None) => {
            rotation.reach(Phase::Retired, newest.map_or(record.witness.at, |(_, older)| older.since));
        }
        _ => {}
    }
    rotation
}

/// The newest in front, and no more than `most`.
fn push<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    list.push_front(item);
    list.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_operator::controller::FreezeReason;

    const OLD: &[u8] = b"old";
    const NEW: &[u8] = b"new";

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    fn press() -> ThingName {
        ThingName::new("press-1").unwrap()
    }

    fn witnessed() -> Notes {
        let (mut notes, certificate) = (Notes::default(), CertificateId::of_der(NEW));
        notes.ordered(&press(), at(1), "somebody");
        notes.asked(&press(), "r7");
        let report = Report::Witnessed { thing: press(), certificate };
        notes.told(at(9), &report, (Some(CertificateId::of_der(OLD)), Some(at(5))));
        notes
    }

    fn deactivated(of: &[u8]) -> Report {
        let certificate = CertificateId::of_der(of);
        Report::Changed { thing: press(), certificate, change: Change::Deactivate }
    }

    #[test]
    fn a_rotation_is_under_way_from_its_attestation_until_its_old_certificate_is_deactivated() {
        let mut notes = witnessed();
        let rotation = notes.rotation(&press()).unwrap();
        assert_eq!((rotation.id.as_str(), rotation.reason.as_str()), ("r7", "command"));
        assert_eq!((rotation.at(Phase::Issued), rotation.reached()), (Some(at(5)), Phase::Soak));
        notes.told(at(10), &deactivated(b"another"), (None, None));
        assert_eq!(notes.rotating(), BTreeSet::from([press()]));
        notes.told(at(11), &deactivated(OLD), (None, None));
        assert!(notes.rotating().is_empty());
        assert_eq!(notes.rotation(&press()).unwrap().outcome, Outcome::Done);
        assert_eq!((notes.rotated(), notes.rotations(9).len()), (1, 1));
        assert_eq!(notes.timeline(&press()).len(), 4);
    }

    #[test]
    fn a_rotation_ends_with_its_old_certificate_whoever_ended_that_but_a_frozen_one_waits() {
        let mut notes = witnessed();
        let another = ThingName::new("press-2").unwrap();
        assert_eq!(notes.old(Some(&another)), []);
        assert_eq!(notes.old(Some(&press())), [(press(), CertificateId::of_der(OLD))]);
        assert_eq!(notes.old(None).len(), 1);
        notes.retired(&press(), &CertificateId::of_der(OLD), at(12));
        assert!(!notes.is_rotating(&press()) && notes.old(None).is_empty());
        assert_eq!(notes.rotation(&press()).unwrap().at(Phase::Retired), Some(at(12)));
        let mut frozen = witnessed();
        let report = Report::Frozen { thing: press(), reason: FreezeReason::OlderStays };
        frozen.told(at(10), &report, (None, None));
        assert_eq!(frozen.old(None), []);
    }

    #[test]
    fn a_first_certificate_is_no_rotation_and_a_frozen_one_waits() {
        let mut first = Notes::default();
        let report = Report::Witnessed { thing: press(), certificate: CertificateId::of_der(NEW) };
        first.told(at(9), &report, (None, None));
        assert_eq!((first.rotated(), first.rotation(&press()).unwrap().outcome), (0, Outcome::Done));
        let mut frozen = witnessed();
        let report = Report::Frozen { thing: press(), reason: FreezeReason::OlderStays };
        frozen.told(at(10), &report, (None, None));
        assert!(matches!(frozen.rotation(&press()).unwrap().outcome, Outcome::Frozen(_)));
        frozen.released(&press(), at(11));
        assert_eq!(frozen.rotation(&press()).unwrap().outcome, Outcome::UnderWay);
    }

    #[test]
    fn what_happened_is_bounded() {
        let mut notes = Notes::default();
        for second in 0..6000 {
            notes.presence(PresenceKind::Connected, &press(), at(second));
        }
        assert_eq!((notes.incidents.len(), notes.timeline(&press()).len()), (INCIDENTS, TIMELINE));
        assert!(notes.news(10).is_empty());
    }
}
