//! A world for one machine: a disk that keeps what was persisted, a cloud that remembers, faults by ordinal.
//!
//! Not the proof's simulator: the disk here loses nothing that was reported durable, and the cloud is a table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleetkey_lifecycle::event::{Event, FailureKind, StorageFault, Tier};
use fleetkey_lifecycle::graph::edges;
use fleetkey_lifecycle::record::Record;
use fleetkey_lifecycle::slot::SlotCertificate;
use fleetkey_lifecycle::status::StateName;
use fleetkey_lifecycle::{Action, Config, Found, Machine, Notice, SlotFacts, SlotId};
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::name::{SerialNumber, ThingName};
use fleetkey_model::provisioning::{CertificateIssued, Rejection};
use fleetkey_model::retirement::{ControllerAnswer, RequestOp, RetireStatus};
use fleetkey_model::secret::OwnershipToken;
use fleetkey_model::time::Timestamp;

/// A self-signed P-256 certificate; each slot gets a copy with a key of its own written into it.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBkjCCATmgAwIBAgIUKLVupKFSv7WERh5jcIpWHHyUTXcwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTQVdTIElvVCBDZXJ0aWZpY2F0ZTAgFw0yNjExMjEyMTQzMDZa
GA8yMDUxMDcxMzIxNDMwNlowHjEcMBoGA1UEAwwTQVdTIElvVCBDZXJ0aWZpY2F0
ZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHTRC2jiMtKOLLjEI3xp3atEDhK+
8sECsx0o1cVE5CJvxC1rvDBK7s7Cg+jB2axnzFxLHjsVHQGIRku/nPDP8eijUzBR
MB0GA1UdDgQWBBTAKYZ8EIKndfMTFRU1VeftztNTDDAfBgNVHSMEGDAWgBTAKYZ8
EIKndfMTFRU1VeftztNTDDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cA
MEQCIGDc9X37kVnGQXUKg6ytiWHhJ8NynSo4cGyS6xyHyYLgAiBjJJLEpVPSOO4i
szIOXMD4neAmHsGt15yF0GTxRoefrw==
-----END CERTIFICATE-----
";

/// What happens to the next action of a kind instead of its ordinary outcome.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Storage(StorageFault),
    NoAnswer,
    /// The cloud does it, and the answer is lost.
    AnswerLost,
    Rejected(u16, &'static str),
    Refused,
    Unreachable,
    /// The certificate that comes is for the key of another slot.
    ForeignCertificate,
    /// What comes is no certificate.
    NoCertificate,
    /// The template has registered another thing.
    OtherThing,
}

pub(crate) struct World {
    pub(crate) machine: Machine,
    pub(crate) now: Timestamp,
    pub(crate) record: Option<Record>,
    pub(crate) slots: BTreeMap<SlotId, SlotFacts>,
    /// Certificates that the broker accepts.
    pub(crate) registered: BTreeSet<CertificateId>,
    pub(crate) retired: BTreeSet<CertificateId>,
    pub(crate) trace: Vec<String>,
    pub(crate) notices: Vec<Notice>,
    /// By the name of an action: faults for its next runs, in order.
    pub(crate) faults: BTreeMap<&'static str, Vec<Fault>>,
    pub(crate) retire_answers: Vec<RetireStatus>,
    /// The changes of state that were seen.
    pub(crate) walked: BTreeSet<(StateName, StateName)>,
    /// What the broker refuses on purpose, so that a lost identity is no failure of the machine.
    pub(crate) revoked: BTreeSet<SlotId>,
    /// What the broker accepts beside the live session only.
    pub(crate) live_refused: BTreeSet<SlotId>,
    /// Slots whose files read as no identity any more.
    pub(crate) damaged: BTreeSet<SlotId>,
    /// Slots whose files the disk does not give.
    pub(crate) unread: BTreeSet<SlotId>,
    /// Whose identity the broker was asked with, in order.
    pub(crate) asked: Vec<SlotId>,
    config: Config,
}

pub(crate) fn config() -> Config {
    let mut config = Config::new(SerialNumber::new("sensor-1").unwrap());
    config.soak = Duration::from_secs(60);
    config
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let now = Timestamp::from_secs(1_800_000_000);
        Self {
            machine: Machine::new(config.clone(), Found::default(), now),
            now,
            record: None,
            slots: BTreeMap::new(),
            registered: BTreeSet::new(),
            retired: BTreeSet::new(),
            trace: Vec::new(),
            notices: Vec::new(),
            faults: BTreeMap::new(),
            retire_answers: Vec::new(),
            walked: BTreeSet::new(),
            revoked: BTreeSet::new(),
            live_refused: BTreeSet::new(),
            damaged: BTreeSet::new(),
            unread: BTreeSet::new(),
            asked: Vec::new(),
            config,
        }
    }

    /// A provisioned device that is live on its first identity, with an empty trace.
    pub(crate) fn provisioned() -> Self {
        let mut world = Self::new();
        world.settle();
        assert!(world.machine.status().current.is_some(), "{:?}", world.trace);
        world.trace.clear();
        world.notices.clear();
        world.asked.clear();
        world
    }

    /// Runs actions until none is left at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..200 {
            if !self.step() {
                return;
            }
        }
        panic!("the machine spins: {:?}", self.trace);
    }

    /// Runs one action; whether there was one.
    pub(crate) fn step(&mut self) -> bool {
        let before = self.machine.status().state;
        let polled = self.machine.poll();
        self.walk(before);
        let Some(action) = polled else {
            return false;
        };
        let outcome = self.run(action);
        self.give(outcome);
        self.assert_invariants();
        true
    }

    pub(crate) fn give(&mut self, event: Event) {
        let before = self.machine.status().state;
        self.machine.handle(self.now, event);
        self.walk(before);
        while let Some(notice) = self.machine.poll_notice() {
            self.notices.push(notice);
        }
    }

    /// Lets time pass to each deadline in turn, for at most `span`.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.settle();
            match self.machine.next_deadline() {
                Some(at) if at <= end => self.now = at,
                _ => break,
            }
            self.give(Event::Tick);
        }
        self.now = end;
        self.give(Event::Tick);
        self.settle();
    }

    /// The process dies and starts again on what the disk holds; the link is down until the machine asks.
    pub(crate) fn crash(&mut self) {
        let reads = |slot: &&SlotFacts| !self.unread.contains(&slot.id);
        let slots = self.slots.values().filter(reads).cloned().collect();
        let unread = self.unread.iter().copied().collect();
        let found = Found { record: self.record.clone(), slots, unread };
        self.machine = Machine::new(self.config.clone(), found, self.now);
    }

    /// The operator, or a thief, has taken a slot's certificate away; the live session goes down with it.
    pub(crate) fn revoke(&mut self, slot: SlotId) {
        self.revoked.insert(slot);
        if self.machine.status().connected {
            self.give(Event::LinkDown);
        }
        self.give(Event::LinkRefused { slot, why: "revoked".into() });
    }

    pub(crate) fn fault(&mut self, action: &'static str, fault: Fault) {
        self.faults.entry(action).or_default().push(fault);
    }

    pub(crate) fn certificate_of(&self, slot: SlotId) -> Option<CertificateId> {
        self.slots.get(&slot)?.certificate.as_ref().map(|certificate| certificate.id)
    }

    pub(crate) fn accepts(&self, slot: SlotId) -> bool {
        let complete = self.slots.get(&slot).is_some_and(SlotFacts::is_complete);
        let accepted = |id: CertificateId| self.registered.contains(&id) && !self.retired.contains(&id);
        complete && !self.revoked.contains(&slot) && self.certificate_of(slot).is_some_and(accepted)
    }

    pub(crate) fn count(&self, action: &str) -> usize {
        self.trace.iter().filter(|name| *name == action).count()
    }

    /// Every change of state is in the graph.
    fn walk(&mut self, before: StateName) {
        let after = self.machine.status().state;
        if before != after {
            let known = edges(before, after).next().is_some();
            assert!(known, "{before:?} → {after:?} is in no graph; {:?}", self.trace);
            self.walked.insert((before, after));
        }
    }

    /// I1: once there was a commit, the committed identity is complete and accepted.
    fn assert_invariants(&self) {
        let Some(current) = self.record.as_ref().and_then(|record| record.current) else {
            return;
        };
        assert!(
            self.accepts(current) || self.revoked.contains(&current),
            "slot {current} is lost after {:?}",
            self.trace
        );
    }

    pub(crate) fn run(&mut self, action: Action) -> Event {
        let name = name_of(&action);
        self.trace.push(name.to_string());
        if let Action::Verify { slot, .. } = action {
            self.asked.push(slot);
        }
        let fault = self.faults.get_mut(name).filter(|queue| !queue.is_empty()).map(|queue| queue.remove(0));
        match fault {
            Some(Fault::AnswerLost) => {
                self.perform(action);
                Event::NoAnswer { why: "lost".into() }
            }
            Some(fault) => self.fail(&action, fault),
            None => self.misread(&action).unwrap_or_else(|| self.perform(action)),
        }
    }

    /// What comes of an action that reads a damaged slot.
    fn misread(&self, action: &Action) -> Option<Event> {
        let read = match action {
            Action::Verify { slot, .. } | Action::Export { slot } | Action::GoLive { slot } => Some(*slot),
            Action::RequestRetire { .. } => self.record.as_ref().and_then(|record| record.current),
            _ => None,
        };
        let slot = read.filter(|slot| self.damaged.contains(slot) || self.unread.contains(slot))?;
        let is_unread = self.unread.contains(&slot);
        let kind = if is_unread { FailureKind::Unreadable } else { FailureKind::Refused };
        let why = String::from("damaged");
        Some(match action {
            Action::Verify { .. } => Event::VerifyFailed { slot, tier: Tier::Tls, kind, why },
            Action::GoLive { .. } => Event::LiveFailed { slot, kind, why },
            Action::Export { .. } if is_unread => Event::StorageFailed(StorageFault::Io),
            _ if is_unread => Event::NoAnswer { why },
            _ => Event::SlotDamaged { slot, why },
        })
    }

    fn fail(&mut self, action: &Action, fault: Fault) -> Event {
        let verify = |slot, kind| Event::VerifyFailed { slot, tier: Tier::Connack, kind, why: "test".into() };
        match (fault, action) {
            (Fault::Storage(fault), _) => Event::StorageFailed(fault),
            (Fault::Rejected(status_code, error_code), _) => Event::Rejected(Rejection {
                status_code,
                error_code: error_code.into(),
                error_message: "test".into(),
            }),
            (Fault::Refused, Action::Verify { slot, .. }) => verify(*slot, FailureKind::Refused),
            (Fault::Unreachable, Action::Verify { slot, .. }) => verify(*slot, FailureKind::Unreachable),
            (Fault::Unreachable, Action::GoLive { slot }) => {
                Event::LiveFailed { slot: *slot, kind: FailureKind::Unreachable, why: "test".into() }
            }
            (Fault::ForeignCertificate, Action::RequestCertificate { slot, .. }) => {
                Event::Issued { slot: *slot, issued: issue(SlotId(slot.0 + 1000)) }
            }
            (Fault::NoCertificate, Action::RequestCertificate { slot, .. }) => {
                let issued = CertificateIssued { certificate_pem: "no PEM".into(), ..issue(*slot) };
                Event::Issued { slot: *slot, issued }
            }
            (Fault::OtherThing, Action::RegisterThing { slot, .. }) => {
                Event::Registered { slot: *slot, thing: ThingName::new("another").ok() }
            }
            (Fault::NoAnswer, _) => Event::NoAnswer { why: "test".into() },
            (fault, action) => panic!("{fault:?} does not fit {action:?}"),
        }
    }

    fn perform(&mut self, action: Action) -> Event {
        match action {
            Action::Persist(record) => {
                self.record = Some(record);
                Event::Persisted
            }
            Action::Preflight => Event::Ready,
            Action::MakeKey { slot } => {
                let public_key = facts_of(slot).public_key;
                let facts = SlotFacts { public_key: Some(public_key.clone()), ..SlotFacts::empty(slot) };
                self.slots.insert(slot, facts);
                Event::KeyMade { slot, public_key }
            }
            Action::RequestCertificate { slot, .. } => Event::Issued { slot, issued: issue(slot) },
            Action::StoreCertificate { slot, issued } => {
                let facts = CertificateFacts::from_pem(&issued.certificate_pem).unwrap();
                let certificate = SlotCertificate::from(&facts);
                let entry = self.slots.get_mut(&slot).unwrap();
                entry.certificate = Some(certificate.clone());
                entry.has_token = true;
                Event::CertificateStored { slot, certificate }
            }
            Action::RegisterThing { slot, .. } => {
                self.registered.insert(self.certificate_of(slot).unwrap());
                Event::Registered { slot, thing: Some(self.config.thing()) }
            }
            Action::Verify { slot, .. } if self.accepts(slot) => Event::Verified { slot },
            Action::Verify { slot, .. } => Event::VerifyFailed {
                slot,
                tier: Tier::Connack,
                kind: FailureKind::Refused,
                why: "not registered".into(),
            },
            Action::Export { slot } => {
                self.slots.get_mut(&slot).unwrap().has_token = false;
                exported(slot)
            }
            Action::GoLive { slot } if self.accepts(slot) && !self.live_refused.contains(&slot) => {
                Event::Live { slot }
            }
            Action::GoLive { slot } => {
                Event::LiveFailed { slot, kind: FailureKind::Refused, why: "not accepted".into() }
            }
            Action::RequestRetire { id } => self.retire(id),
            Action::TellStaged { .. } => Event::Told,
            Action::DestroySlot { slot } => {
                self.slots.remove(&slot);
                Event::Destroyed { slot }
            }
        }
    }

    fn retire(&mut self, id: String) -> Event {
        let status = if self.retire_answers.is_empty() {
            RetireStatus::Retired
        } else {
            self.retire_answers.remove(0)
        };
        let current = self.record.as_ref().and_then(|record| record.current).unwrap();
        let keep = self.certificate_of(current).unwrap();
        if status == RetireStatus::Retired {
            self.retired.extend(self.registered.iter().copied().filter(|&id| id != keep));
        }
        Event::RetireAnswered(ControllerAnswer {
            op: RequestOp::Retire,
            id,
            status,
            witness: Some(keep),
            retired: Vec::new(),
            message: None,
        })
    }
}

/// The certificate for the key of this slot.
pub(crate) fn issue(slot: SlotId) -> CertificateIssued {
    let facts = facts_of(slot);
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &facts.der).unwrap();
    CertificateIssued {
        certificate_id: facts.id,
        certificate_pem: pem,
        private_key: None,
        certificate_ownership_token: OwnershipToken::new("token"),
    }
}

/// The outcome of an export of this slot.
pub(crate) fn exported(slot: SlotId) -> Event {
    Event::Exported { certificate: SlotCertificate::from(&facts_of(slot)) }
}

fn facts_of(slot: SlotId) -> CertificateFacts {
    let mut der = CertificateFacts::from_pem(CERTIFICATE).unwrap().der;
    let point = der.windows(3).position(|window| window == [0x00, 0x04, 0x74]).unwrap() + 2;
    der[point..point + 8].copy_from_slice(&slot.0.to_be_bytes());
    CertificateFacts::from_der(&der).unwrap()
}

pub(crate) fn name_of(action: &Action) -> &'static str {
    match action {
        Action::Persist(_) => "Persist",
        Action::Preflight => "Preflight",
        Action::MakeKey { .. } => "MakeKey",
        Action::RequestCertificate { .. } => "RequestCertificate",
        Action::StoreCertificate { .. } => "StoreCertificate",
        Action::RegisterThing { .. } => "RegisterThing",
        Action::Verify { .. } => "Verify",
        Action::Export { .. } => "Export",
        Action::GoLive { .. } => "GoLive",
        Action::RequestRetire { .. } => "RequestRetire",
        Action::TellStaged { .. } => "TellStaged",
        Action::DestroySlot { .. } => "DestroySlot",
    }
}
