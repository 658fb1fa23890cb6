//! The ledger of all things: evidence in, actions out; no I/O, no clock.
//!
//! `handle` everything that happens, then `poll` until nothing is left, then wait for `next_deadline`.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::Attested;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;

use super::action::{Action, Change, Event, Ignored, Report};
use super::agenda::{Agenda, Moments, Planned};
use super::case::{Case, Gates};
use super::config::Config;
use super::presence::{PresenceEvent, Role};
use super::record::Record;
use crate::control_plane::{ApiError, CertificateSummary, Connected};

/// How many things wait to be looked at because the registry told of them. What is beyond, the account's next list tells.
const MOST_NEWS: usize = 1024;

/// A way to something that may be closed for a while: the account after a throttle, the disk after a failure.
#[derive(Debug, Default)]
struct Gate {
    closed_until: Timestamp,
    failures: u32,
    /// Whether a change was what failed last: that the account can be read opens the way then, and forgives nothing.
    by_change: bool,
}

/// What the controller knows and decides; see the module above it.
#[derive(Debug)]
pub struct Ledger {
    config: Config,
    // Boxed: a tree of nodes that are half empty holds places for them, not for the cases.
    cases: BTreeMap<ThingName, Box<Case>>,
    /// Things that have steps to take.
    ready: BTreeSet<ThingName>,
    /// When to list which thing.
    agenda: Moments,
    /// When to list which thing only to look for leftovers: all in good time.
    patrol: Moments,
    /// Things that the registry told of, in the order of its first word: looked at no faster than those of the patrol.
    news: Agenda,
    /// Whether the patrol's next look is the news'.
    news_next: bool,
    /// No look of the patrol before this.
    next_patrol: Timestamp,
    storage: Gate,
    control: Gate,
}

impl Ledger {
    /// A ledger that goes on where these records left off.
    pub fn new(config: Config, records: impl IntoIterator<Item = Record>) -> Self {
        match Self::read(config, records.into_iter().map(Ok::<_, Infallible>)) {
            Ok(ledger) => ledger,
            Err(never) => match never {},
        }
    }

    /// The same with records that are read one by one: the next when there is a case of the last, so that no more than one is
    /// in memory beside the cases.
    ///
    /// # Errors
    /// The first that reading comes to.
    pub fn read<E>(config: Config, records: impl IntoIterator<Item = Result<Record, E>>) -> Result<Self, E> {
        let mut ledger = Self {
            config,
            cases: BTreeMap::new(),
            ready: BTreeSet::new(),
            agenda: Moments::default(),
            patrol: Moments::default(),
            news: Agenda::default(),
            news_next: true,
            next_patrol: Timestamp::default(),
            storage: Gate::default(),
            control: Gate::default(),
        };
        let case =
            |record: Record| (record.thing.clone(), Box::new(Case::new(record.thing.clone(), Some(record))));
        let cases = records.into_iter().map(|record| record.map(case));
        ledger.cases = cases.collect::<Result<_, E>>()?;
        let things: Vec<_> = ledger.cases.keys().cloned().collect();
        things.iter().for_each(|thing| ledger.settle(thing));
        Ok(ledger)
    }

    /// What is known of a thing; `None` before its first attestation.
    pub fn record(&self, thing: &ThingName) -> Option<&Record> {
        self.cases.get(thing)?.record()
    }

    /// Whether what is known of a thing is on the disk: a failure there is tried again by and by.
    pub fn is_durable(&self, thing: &ThingName) -> bool {
        self.cases.get(thing).is_none_or(|case| case.is_saved())
    }

    /// Whether everything that is known is on the disk.
    pub fn is_whole(&self) -> bool {
        // What is not has a step to take.
        self.ready.iter().all(|thing| self.is_durable(thing))
    }

    /// The records of all things.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.cases.values().filter_map(|case| case.record())
    }

    /// Takes in what happened at `now`, by the controller's clock.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Attested { topic, attested } => self.attested(&topic, attested),
            Event::Presence { kind, client, event } => self.presence(kind, &client, &event),
            Event::Registry { thing, .. } => self.told_of(now, &thing),
            Event::Persisted(thing) => {
                self.storage = Gate::default();
                self.with(&thing, Case::persisted);
            }
            Event::StorageFailed(_) => self.storage.close(now, &self.config),
            Event::Recovered { thing, certificate } => self.recovered(&thing, certificate),
            Event::Listed { thing, answer } => self.listed(now, &thing, answer),
            Event::Asked { thing, answer } => self.asked(now, &thing, answer),
            Event::Changed { thing, certificate, change, answer } => {
                self.changed(now, &thing, certificate, change, answer);
            }
            Event::EvidenceLost => self.evidence_lost(now),
            Event::PresenceMissed => self.cases.values_mut().for_each(|case| case.presence_missed()),
            Event::Release(thing) => self.with(&thing, Case::release),
            Event::Hold(thing) => self.with(&thing, |case| case.hold(now)),
        }
    }

    fn gates(&self, now: Timestamp) -> Gates {
        Gates { storage: self.storage.is_open(now), control: self.control.is_open(now) }
    }

    /// The next thing to do at `now` before what was last heard of this thing counts as taken in: to look at its certificates, to
    /// make the conclusions durable, and to tell them. What is to be changed in the account is left to [`Self::poll`].
    pub fn poll_of(&mut self, now: Timestamp, thing: &ThingName) -> Option<Action> {
        let gates = self.gates(now);
        let case = self.cases.get_mut(thing)?;
        if let Some(action) = case.next(Gates { control: false, ..gates }) {
            self.settle(thing);
            return Some(action);
        }
        let is_due = case.is_unjudged() && case.look_at(&self.config).is_some_and(|at| at <= now);
        (gates.control && is_due).then(|| self.list(thing.clone()))
    }

    /// The next thing to do at `now`; call until there is none.
    pub fn poll(&mut self, now: Timestamp) -> Option<Action> {
        let gates = self.gates(now);
        let found = self.ready.iter().find_map(|thing| {
            let action = self.cases.get_mut(thing)?.next(gates)?;
            Some((thing.clone(), action))
        });
        if let Some((thing, action)) = found {
            // A barrier keeps its case ready until it is answered.
            self.settle(&thing);
            return Some(action);
        }
        if !gates.control {
            return None;
        }
        let thing = self.agenda.take_due(now).or_else(|| self.take_patrol(now))?;
        Some(self.list(thing))
    }

    fn list(&mut self, thing: ThingName) -> Action {
        self.unplan(&thing);
        self.news.plan(&thing, None);
        Action::List(thing)
    }

    /// The next thing to look at for leftovers, or because the registry told of it, by turns, at the pace of the patrol.
    fn take_patrol(&mut self, now: Timestamp) -> Option<ThingName> {
        if now < self.next_patrol {
            return None;
        }
        let thing = match self.news_next {
            true => self.take_news(now).or_else(|| self.patrol.take_due(now)),
            false => self.patrol.take_due(now).or_else(|| self.take_news(now)),
        }?;
        self.news_next = !self.news_next;
        self.next_patrol = now + self.config.look_again;
        Some(thing)
    }

    /// The next thing that the registry told of. One that has steps to take comes after them.
    fn take_news(&mut self, now: Timestamp) -> Option<ThingName> {
        loop {
            let thing = self.news.take_due(now)?;
            if !self.ready.contains(&thing) {
                return Some(thing);
            }
            self.news.plan(&thing, Some(now + self.config.look_again));
        }
    }

    /// The registry tells of a thing. However often it does, it is looked at once for it.
    fn told_of(&mut self, now: Timestamp, thing: &ThingName) {
        if !self.news.has(thing) && self.news.len() < MOST_NEWS {
            self.news.plan(thing, Some(now));
        }
    }

    /// When to poll again if nothing happens before.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let patrol = self.patrol.first().into_iter().chain(self.news.first()).min();
        let patrol = patrol.map(|at| at.max(self.next_patrol));
        let looks = self.agenda.first().into_iter().chain(patrol).min();
        let looks = looks.map(|at| at.max(self.control.closed_until));
        let blocked = self.ready.first().map(|_| self.storage.closed_until.max(self.control.closed_until));
        looks.into_iter().chain(blocked).min()
    }

    fn attested(&mut self, topic: &ThingName, attested: Attested) {
        let wrong = if attested.thing != *topic {
            Some(Ignored::OtherTopic)
        } else if attested.clientid != ClientId::live(topic) {
            Some(Ignored::OtherClient)
        } else {
            None
        };
        self.with(topic, |case| match wrong {
            Some(why) => case.ignore(&attested, why),
            None => case.attested(attested),
        });
    }

    fn presence(&mut self, kind: PresenceKind, client: &ClientId, event: &PresenceEvent) {
        let Some((thing, role)) = Role::of(client) else {
            return;
        };
        match kind {
            PresenceKind::Connected => self.with(&thing, |case| case.connected(role, event)),
            PresenceKind::Disconnected => self.with(&thing, |case| case.disconnected(role, event)),
            PresenceKind::ConnectFailed => {}
        }
    }

    fn evidence_lost(&mut self, now: Timestamp) {
        let things: Vec<_> = self.cases.keys().cloned().collect();
        things.iter().for_each(|thing| self.with(thing, |case| case.evidence_lost(now)));
    }

    /// Its listing follows: only then is anything concluded.
    fn recovered(&mut self, thing: &ThingName, certificate: Option<CertificateId>) {
        if let Some(case) = self.cases.get_mut(thing) {
            case.recovered(certificate);
        }
    }

    fn listed(
        &mut self,
        now: Timestamp,
        thing: &ThingName,
        answer: Result<Vec<CertificateSummary>, ApiError>,
    ) {
        let certificates = match answer {
            Ok(certificates) => certificates,
            Err(ApiError::NotFound(_)) => Vec::new(),
            Err(error) => return self.failed(now, thing, error, false),
        };
        self.control.was_read();
        let config = self.config.clone();
        self.with(thing, |case| case.listed(now, &config, &certificates));
    }

    fn asked(&mut self, now: Timestamp, thing: &ThingName, answer: Result<Connected, ApiError>) {
        match answer {
            Ok(connected) => {
                let config = self.config.clone();
                self.with(thing, |case| case.asked(now, &config, connected));
            }
            Err(error) => self.failed(now, thing, error, false),
        }
    }

    fn changed(
        &mut self,
        now: Timestamp,
        thing: &ThingName,
        certificate: CertificateId,
        change: Change,
        answer: Result<(), ApiError>,
    ) {
        match answer {
            Ok(()) => {
                self.control = Gate::default();
                self.with(thing, |case| case.changed(now, certificate, change));
            }
            // Deleted before, and the answer was lost: what was wanted is so.
            Err(ApiError::NotFound(_)) if change == Change::Delete => {
                self.with(thing, |case| case.changed(now, certificate, change));
            }
            Err(error) => self.failed(now, thing, error, true),
        }
    }

    /// A throttle concerns every call of the account, any other failure its thing alone.
    fn failed(&mut self, now: Timestamp, thing: &ThingName, error: ApiError, by_change: bool) {
        if error == ApiError::Throttled {
            self.control.close(now, &self.config);
            self.control.by_change |= by_change;
        }
        let config = self.config.clone();
        self.with(thing, |case| {
            if case.failed(now, &config) || !error.retryable() {
                case.report(Report::Failing { thing: thing.clone(), error });
            }
        });
    }

    /// Lets a case, made if need be, take something in, and brings the agenda up to date.
    fn with(&mut self, thing: &ThingName, act: impl FnOnce(&mut Case)) {
        let case =
            self.cases.entry(thing.clone()).or_insert_with(|| Box::new(Case::new(thing.clone(), None)));
        act(case);
        self.settle(thing);
    }

    /// Brings what is planned for a case up to date, under the case's own name: that of the message that came would be in
    /// memory a second time.
    fn settle(&mut self, thing: &ThingName) {
        let Some(case) = self.cases.get_mut(thing) else {
            return;
        };
        case.rest();
        let planned = Planned { look: case.look_at(&self.config), patrol: case.patrol_at(&self.config) };
        let (thing, has_steps, is_blank) = (case.thing().clone(), case.has_steps(), case.is_blank());
        self.plan(&thing, planned);
        if has_steps {
            self.ready.insert(thing);
            return;
        }
        self.ready.remove(&thing);
        if is_blank {
            self.cases.remove(&thing);
        }
    }

    fn unplan(&mut self, thing: &ThingName) {
        self.plan(thing, Planned::default());
    }

    fn plan(&mut self, thing: &ThingName, planned: Planned) {
        if let Some(case) = self.cases.get_mut(thing) {
            let before = core::mem::replace(&mut case.planned, planned);
            self.agenda.shift(thing, before.look, planned.look);
            self.patrol.shift(thing, before.patrol, planned.patrol);
        }
    }
}

impl Gate {
    fn is_open(&self, now: Timestamp) -> bool {
        now >= self.closed_until
    }

    /// A reading call has gone through.
    fn was_read(&mut self) {
        if !self.by_change {
            *self = Self::default();
        }
    }

    fn close(&mut self, now: Timestamp, config: &Config) {
        self.closed_until = now + config.pause(self.failures);
        self.failures = self.failures.saturating_add(1);
    }
}
