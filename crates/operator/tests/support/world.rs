//! A ledger with an account, a disk and a clock beside it, all in memory, driven one step at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::{Attested, ControllerAnswer, DeviceRequest, RequestOp, RetireStatus};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;
use fleetkey_operator::control_plane::{ApiError, CertificateSummary, Connected};
use fleetkey_operator::controller::{
    Action, Change, Config, Event, FreezeReason, Ledger, PresenceEvent, Record, Report,
};

/// Short spans: soak 10 s, grace 20 s, deletion 30 s, outlast 60 s, asking 90 s, leftovers 100 s.
pub fn config() -> Config {
    Config {
        soak: Duration::from_secs(10),
        grace: Duration::from_secs(20),
        delete_after: Duration::from_secs(30),
        outlast: Duration::from_secs(60),
        ask_within: Duration::from_secs(90),
        leftover_after: Duration::from_secs(100),
        staged_for: Duration::from_secs(1000),
        ..Config::default()
    }
}

pub fn thing() -> ThingName {
    ThingName::new("pump-1").unwrap()
}

/// The certificate of generation `n`.
pub fn generation(n: u8) -> CertificateId {
    CertificateId::of_der(&[n])
}

/// The device's world. Time is in seconds; the broker's clock is the controller's.
pub struct World {
    pub ledger: Ledger,
    pub now: u64,
    pub certificates: BTreeMap<CertificateId, CertificateSummary>,
    pub disk: BTreeMap<ThingName, Record>,
    pub answers: Vec<ControllerAnswer>,
    pub reports: Vec<Report>,
    pub changes: Vec<(u64, CertificateId, Change)>,
    /// How often the account was asked for a list.
    pub listings: usize,
    /// What the account answers to everything, if not the truth.
    pub account_fails: Option<ApiError>,
    /// What it answers to changes alone.
    pub changes_fail: Option<ApiError>,
    /// How often a change was asked for that failed so.
    pub tries: usize,
    pub disk_fails: bool,
    /// What the account says of the thing's client id.
    pub connected: Connected,
    /// How often it was asked that.
    pub asked: usize,
    /// The certificate that the account says came of a recovery and waits for a decision.
    pub recovered: Option<CertificateId>,
    sessions: u64,
}

impl World {
    /// A thing with the ACTIVE certificates of these generations, registered at the second of their number.
    pub fn with(generations: &[u8]) -> Self {
        let mut world = Self {
            ledger: Ledger::new(config(), []),
            now: 100,
            certificates: BTreeMap::new(),
            disk: BTreeMap::new(),
            answers: Vec::new(),
            reports: Vec::new(),
            changes: Vec::new(),
            listings: 0,
            account_fails: None,
            changes_fail: None,
            tries: 0,
            disk_fails: false,
            connected: Connected::Untold,
            asked: 0,
            recovered: None,
            sessions: 0,
        };
        generations.iter().for_each(|n| world.issue(*n));
        world
    }

    pub fn issue(&mut self, n: u8) {
        self.issue_at(n, n.into());
    }

    /// Registers generation `n` now.
    pub fn register(&mut self, n: u8) {
        self.issue_at(n, self.now);
    }

    /// Registers generation `n` at a second.
    pub fn issue_at(&mut self, n: u8, at: u64) {
        let (id, created_at) = (generation(n), Timestamp::from_secs(at));
        let summary = CertificateSummary { id, status: CertificateStatus::Active, created_at };
        self.certificates.insert(id, summary);
    }

    pub fn status(&self, n: u8) -> Option<CertificateStatus> {
        self.certificates.get(&generation(n)).map(|found| found.status)
    }

    pub fn set(&mut self, n: u8, status: CertificateStatus) {
        self.certificates.get_mut(&generation(n)).unwrap().status = status;
    }

    /// A request that the broker attests now.
    pub fn request(&mut self, n: u8, client: &str) {
        let attested = self.attested(n, client);
        self.event(Event::Attested { topic: thing(), attested });
    }

    /// Generation `n` tells that a certificate is held ready.
    pub fn tell_staged(&mut self, n: u8) {
        let mut attested = self.attested(n, "pump-1");
        attested.request.op = RequestOp::Stage;
        self.event(Event::Attested { topic: thing(), attested });
    }

    pub fn attested(&self, n: u8, client: &str) -> Attested {
        let request = DeviceRequest { op: RequestOp::Retire, id: format!("r{n}"), audit: None };
        let (principal, clientid, at) = (generation(n), ClientId::new(client).unwrap(), self.time());
        Attested { request, principal, clientid, thing: thing(), at }
    }

    /// A connection that begins now; its session is returned.
    pub fn connect(&mut self, n: u8, client: &str) -> u64 {
        self.sessions += 1;
        self.presence(PresenceKind::Connected, n, client, self.sessions);
        self.sessions
    }

    pub fn disconnect(&mut self, n: u8, client: &str, session: u64) {
        self.presence(PresenceKind::Disconnected, n, client, session);
    }

    fn presence(&mut self, kind: PresenceKind, n: u8, client: &str, session: u64) {
        let client = ClientId::new(client).unwrap();
        self.told(kind, n, (client, session), self.now);
    }

    /// The word of what happened to a live session at a second comes now.
    pub fn presence_at(&mut self, kind: PresenceKind, n: u8, session: u64, second: u64) {
        self.told(kind, n, (ClientId::live(&thing()), session), second);
    }

    fn told(&mut self, kind: PresenceKind, n: u8, (client, session): (ClientId, u64), second: u64) {
        let event = PresenceEvent {
            timestamp: Timestamp::from_secs(second),
            principal_identifier: generation(n),
            session_identifier: Some(session.to_string().into()),
        };
        self.event(Event::Presence { kind, client, event });
    }

    /// What happened to generation `n`, in order.
    pub fn changes_of(&self, n: u8) -> Vec<Change> {
        let of = self.changes.iter().filter(|(_, id, _)| *id == generation(n));
        of.map(|(_, _, change)| *change).collect()
    }

    /// The live session moves to generation `n`, and the device asks for the older ones to be retired.
    pub fn commit(&mut self, n: u8) {
        self.now += 1;
        self.connect(n, "pump-1");
        self.now += 1;
        self.request(n, "pump-1");
        self.now += 1;
    }

    pub fn event(&mut self, event: Event) {
        let now = self.time();
        self.ledger.handle(now, event);
        self.settle();
    }

    /// Lets time pass, a second at a time.
    pub fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1;
            self.settle();
        }
    }

    /// The controller dies and starts again from its disk.
    pub fn restart(&mut self) {
        self.ledger = Ledger::new(config(), self.disk.values().cloned());
        self.settle();
    }

    /// The same, after one whose disk refused.
    pub fn restart_after_a_gap(&mut self) {
        self.ledger = Ledger::new(config(), self.disk.values().cloned());
        self.event(Event::EvidenceLost);
    }

    pub fn frozen(&self) -> Option<FreezeReason> {
        Some(self.ledger.record(&thing())?.frozen?.reason)
    }

    pub fn last_answer(&self) -> Option<RetireStatus> {
        self.answers.last().map(|answer| answer.status)
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_secs(self.now)
    }

    fn settle(&mut self) {
        for _ in 0..1000 {
            let Some(action) = self.ledger.poll(self.time()) else {
                let next = self.ledger.next_deadline();
                assert!(next.is_none_or(|at| at > self.time()), "due and not done: {next:?}");
                return;
            };
            if let Some(outcome) = self.execute(action) {
                self.ledger.handle(self.time(), outcome);
            }
        }
        panic!("the ledger never comes to rest");
    }

    fn execute(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Persist(record) if self.disk_fails => Some(Event::StorageFailed(record.thing)),
            Action::Persist(record) => {
                let thing = record.thing.clone();
                self.disk.insert(thing.clone(), *record);
                Some(Event::Persisted(thing))
            }
            Action::Forget(thing) => {
                self.disk.remove(&thing);
                Some(Event::Persisted(thing))
            }
            Action::List(thing) => {
                self.listings += 1;
                let certificate = self.recovered;
                let told = Event::Recovered { thing: thing.clone(), certificate };
                self.ledger.handle(self.time(), told);
                let answer = match &self.account_fails {
                    Some(error) => Err(error.clone()),
                    None => Ok(self.certificates.values().copied().collect()),
                };
                Some(Event::Listed { thing, answer })
            }
            Action::Ask(thing) => {
                self.asked += 1;
                Some(Event::Asked {
                    thing,
                    answer: self.account_fails.clone().map_or(Ok(self.connected), Err),
                })
            }
            Action::Change { thing, certificate, change } => {
                let answer = self.change(&certificate, change);
                Some(Event::Changed { thing, certificate, change, answer })
            }
            Action::Answer { answer, .. } => {
                self.answers.push(answer);
                None
            }
            Action::Report(report) => {
                self.reports.push(report);
                None
            }
        }
    }

    fn change(&mut self, id: &CertificateId, change: Change) -> Result<(), ApiError> {
        if let Some(error) = &self.account_fails {
            return Err(error.clone());
        }
        if let Some(error) = &self.changes_fail {
            self.tries += 1;
            return Err(error.clone());
        }
        self.changes.push((self.now, *id, change));
        if !self.certificates.contains_key(id) {
            return Err(ApiError::NotFound(id.to_string()));
        }
        match change {
            Change::Deactivate => self.certificates.get_mut(id).unwrap().status = CertificateStatus::Inactive,
            Change::Revoke => self.certificates.get_mut(id).unwrap().status = CertificateStatus::Revoked,
            Change::Delete => drop(self.certificates.remove(id)),
        }
        Ok(())
    }
}
