//! The shipping device: `lifecycle::Machine` on `agent::store::Store`, run by the twin of the agent's driver.
//!
//! Not here: how an action is done ([`super::execute`]), what must hold ([`crate::invariants`]).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_agent::store::{FaultKind, RecordError, Store, read_record};
use fleetkey_lifecycle::event::{FailureKind, Offline, StorageFault};
use fleetkey_lifecycle::record::{Phase, Reason};
use fleetkey_lifecycle::status::{Alarm, StateName};
use fleetkey_lifecycle::{Action, Config, Event, Found, Machine, Notice, Record, SlotId};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;

use super::{Device, Home, Started};
use crate::cloud::{Answer, NotConnected};
use crate::director::{Dark, Wired};
use crate::disk::{SimDisk, View};
use crate::env::{Env, News};
use crate::image::Image;
use crate::invariants;
use crate::mint::ISSUED_AT;
use crate::schedule::{Schedule, Whose};

/// The agent's process.
#[derive(Debug)]
pub struct Ship {
    number: usize,
    pub(super) machine: Machine,
    pub(super) store: Store,
    pub(super) link: Link,
    pub(super) claim: Option<u64>,
    state: Option<StateName>,
    /// What the invariants know of this process.
    pub facts: Facts,
}

/// The live session.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The identity that it connects with.
    pub(super) target: Option<(SlotId, CertificateId)>,
    /// The connection.
    pub(super) up: Option<u64>,
    pub(super) retry_at: Timestamp,
    pub(super) failures: u32,
}

/// The longest wait between two attempts of the live session: long, so that runs of days have few steps.
const RECONNECT_CAP: Duration = Duration::from_secs(600);

/// What was seen of a process, for the invariants.
#[derive(Debug, Default)]
pub struct Facts {
    /// Slots that passed a verification.
    pub verified: BTreeSet<SlotId>,
    /// Why a rotation may be given up.
    pub grounds: Option<String>,
    /// An operator has given up what is staged, or is to be.
    pub given_back: bool,
    /// The committed identity was accepted while a recovery had no certificate yet: it need not go on.
    pub reconsidered: bool,
    /// A refusal of the candidate that no control has answered yet.
    pub refused: bool,
    /// Refusals of the candidate that a control has confirmed, by the device's clock.
    pub refusals: Vec<Timestamp>,
    /// Refusals of the committed identity in a row, by the device's clock.
    pub current_refused: Vec<Timestamp>,
    /// Those of them since when no other identity was accepted either.
    pub nothing_accepted: Vec<Timestamp>,
    /// Attempts in which the disk did not give the candidate, by the device's clock.
    pub misread: Vec<Timestamp>,
    /// How often the disk did not give or take the candidate's key.
    pub no_key: u32,
    /// The committed slot cannot be read any more: nobody can be asked with it.
    pub unreadable: bool,
    /// The committed slot when last looked at.
    pub current: Option<Option<SlotId>>,
    /// What may stand on the disk: what was durable last, and what was tried to be written since.
    pub on_disk: Vec<Option<Record>>,
    /// The record that was confirmed durable last, or taken up at the start.
    pub confirmed: Option<Record>,
    /// The record that is being written.
    writing: Option<Record>,
    /// The answer that the running action waits for.
    awaited: Option<Awaited>,
}

/// What the cloud was asked for by the running action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Certificate,
    Registration,
}

impl Awaited {
    const fn of(action: &Action) -> Option<Self> {
        match action {
            Action::RequestCertificate { .. } => Some(Self::Certificate),
            Action::RegisterThing { .. } => Some(Self::Registration),
            _ => None,
        }
    }

    const fn takes(self, event: &Event) -> bool {
        match event {
            Event::Rejected(_) | Event::NoAnswer { .. } => true,
            Event::Issued { .. } => matches!(self, Self::Certificate),
            Event::Registered { .. } => matches!(self, Self::Registration),
            _ => false,
        }
    }
}

/// The machine's settings in the model: a soak of a minute, and everything else as it ships.
pub fn config(serial: SerialNumber, schedule: &Schedule) -> Config {
    Config {
        soak: Duration::from_secs(60),
        has_recovery: !schedule.sealed,
        seed: schedule.seed,
        stage_unverified: schedule.takeover,
        time_floor: ISSUED_AT - Duration::from_secs(24 * 3600),
        ..Config::new(serial)
    }
}

impl Device for Ship {
    const NAME: &'static str = "fleetkey-agent";

    /// As `agent::open_blocking`: the record, the store, its slots, the machine.
    fn start(env: &mut Env, home: &Home) -> Result<Started<Self>, Dark> {
        let fs = Arc::new(Wired::new(home, &env.director, Self::identities));
        let root = Path::new(SimDisk::HOME);
        let started = open(fs, home, root);
        env.director.powered()?;
        let (found, store) = match started {
            Ok(opened) => opened,
            Err(why) => return Ok(Started::Failed(why)),
        };
        let on_disk = vec![found.record.clone()];
        let mut config = config(home.serial.clone(), &env.schedule);
        config.schedule.jitter = env.window.unwrap_or(config.schedule.jitter);
        let machine = Machine::new(config, found, env.clock());
        let confirmed = Some(machine.record().clone());
        let mut ship = Self {
            number: home.number,
            machine,
            store,
            link: Link::default(),
            claim: None,
            state: None,
            facts: Facts { on_disk, confirmed, ..Facts::default() },
        };
        *env.watch.starts.entry(home.number).or_default() += 1;
        invariants::i5_identity_at_start(&ship.machine, home, &mut env.watch);
        ship.look(env);
        Ok(Started::Up(ship))
    }

    fn step(&mut self, env: &mut Env, home: &Home) -> Result<bool, Dark> {
        if self.hear(env, home) {
            return Ok(true);
        }
        if self.reconnect(env, home)? {
            return Ok(true);
        }
        self.handle(env, Event::Tick);
        let Some(action) = self.machine.poll() else {
            self.look(env);
            return Ok(false);
        };
        env.director.note(|| shorten(&action));
        env.spend(Duration::from_millis(5));
        if let Action::Persist(record) = &action {
            invariants::the_record_is_small(record, &mut env.watch);
            invariants::i3_given_up_for_a_reason(&self.facts, record, self.machine.config(), &mut env.watch);
            self.facts.on_disk.push(Some(record.clone()));
            self.facts.writing = Some(record.clone());
        }
        self.facts.awaited = Awaited::of(&action);
        let outcome = self.execute(env, home, action)?;
        // The link, commands and late answers are handed over as they come, also while an action runs.
        self.hear(env, home);
        self.outcome(env, outcome);
        Ok(true)
    }

    fn deadline(&self, env: &Env) -> Option<Timestamp> {
        let now = self.machine.now().max(env.clock());
        let machine = self.machine.next_deadline().map(|at| env.now + at.since(now));
        let link = (self.link.target.is_some() && self.link.up.is_none()).then_some(self.link.retry_at);
        machine.into_iter().chain(link).min()
    }

    fn is_settled(&self) -> bool {
        self.machine.status().state == StateName::Idle
            && self.link.up.is_some()
            && self.link.target.map(|(slot, _)| slot) == self.machine.record().current
            && self.machine.record().doomed.is_empty()
    }

    fn is_held(&self) -> bool {
        self.machine.status().held
    }

    fn is_in_steps(&self) -> bool {
        self.machine.record().is_in_steps()
    }

    fn doing(&self) -> String {
        let status = self.machine.status();
        format!("{:?}, {}", status.state, status.blocked.as_deref().unwrap_or("nothing in the way"))
    }

    fn certificate(&self, whose: Whose) -> Option<CertificateId> {
        let record = self.machine.record();
        let slot = match whose {
            Whose::Current => record.current,
            Whose::Candidate => record.rotation.as_ref().map(|rotation| rotation.slot),
            Whose::Previous => record.previous,
        };
        Some(self.machine.slot(slot?)?.certificate.as_ref()?.id)
    }

    fn identities(disk: &View<'_>) -> Vec<CertificateId> {
        Image::of(disk).usable().collect()
    }

    fn complains(&self) -> bool {
        let alarms = self.machine.status().alarms;
        [Alarm::DuplicateClientId, Alarm::NoIdentityAccepted].iter().any(|alarm| alarms.contains(alarm))
    }

    fn inspect(&mut self, env: &mut Env, home: &Home) {
        invariants::after_every_event(self, env, home);
    }
}

type Opened = (Found, Store);

fn open(fs: Arc<Wired>, home: &Home, root: &Path) -> Result<Opened, String> {
    let record = match read_record(&*fs, root) {
        Ok(record) => record,
        Err(RecordError::Damaged { .. }) => None,
        Err(error) => return Err(error.to_string()),
    };
    let store = Store::open(fs, home.keys.clone(), root, home.serial.clone());
    let store = store.map_err(|fault| fault.to_string())?;
    let current = record.as_ref().and_then(|record| record.current);
    let scan = store.scan_for(current).map_err(|fault| fault.to_string())?;
    let unread = scan.unread.iter().map(|unread| unread.slot).collect();
    Ok((Found { record, slots: scan.slots, unread }, store))
}

impl Ship {
    /// The machine, for invariants and reports.
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Hands the machine an event, and looks at what came of it.
    pub(super) fn handle(&mut self, env: &mut Env, event: Event) {
        // Spans are measured as the machine measures them, whose time goes on from its floor.
        self.machine.handle(env.clock(), Event::Tick);
        self.weigh(&event, self.machine.now());
        self.machine.handle(env.clock(), event);
        while let Some(notice) = self.machine.poll_notice() {
            self.on_notice(env, &notice);
        }
        self.look(env);
    }

    /// Takes in what came by itself; whether anything did.
    pub(super) fn hear(&mut self, env: &mut Env, home: &Home) -> bool {
        let mut heard = false;
        while let Some(news) = env.next_news(home.number) {
            heard = true;
            env.director.note(|| format!("device {} hears {}", home.number, shorten(&news)));
            match news {
                News::Ended { number, taken } => self.on_ended(env, number, taken),
                News::Controller(answer) => self.handle(env, Event::RetireAnswered(answer)),
                News::Late(answer) => self.on_late(env, answer),
                News::Command(command) => self.handle(env, Event::Command(command)),
                News::Compromised => self.handle(env, Event::Compromised),
                News::Offline(step) => self.handle(env, Event::Offline(step)),
                News::ClockSet => self.handle(env, Event::Tick),
            }
        }
        heard
    }

    fn on_ended(&mut self, env: &mut Env, number: u64, taken: bool) {
        if self.link.up != Some(number) {
            return;
        }
        self.link.up = None;
        self.link.retry_at = env.now + Duration::from_secs(1);
        if taken {
            self.handle(env, Event::Displaced);
        }
        self.handle(env, Event::LinkDown);
    }

    /// An answer to a request that nobody waits for any more: whatever slot it is for, nothing may come of it.
    fn on_late(&mut self, env: &mut Env, answer: Answer) {
        let slot = self.machine.record().rotation.as_ref().map_or(SlotId(0), |rotation| rotation.slot);
        let event = match answer {
            Answer::Issued(issued) => Event::Issued { slot, issued },
            Answer::Registered(thing) => Event::Registered { slot, thing },
            Answer::Rejected(rejection) => Event::Rejected(rejection),
        };
        self.handle(env, event);
    }

    /// The live session's task connects again by itself, with the identity that it was last moved to.
    fn reconnect(&mut self, env: &mut Env, home: &Home) -> Result<bool, Dark> {
        let Some((slot, certificate)) = self.link.target.filter(|_| self.link.up.is_none()) else {
            return Ok(false);
        };
        if env.now < self.link.retry_at {
            return Ok(false);
        }
        match env.connect(home.number, &home.live(), certificate)? {
            Ok(number) => {
                invariants::i4_traffic_only_with_a_durable_slot(
                    slot,
                    false,
                    home,
                    &self.facts,
                    &mut env.watch,
                );
                self.link.up = Some(number);
                self.link.failures = 0;
                self.handle(env, Event::LinkUp { slot });
            }
            Err(why) => {
                let wait = Duration::from_secs(1 << self.link.failures.min(10));
                self.link.retry_at = env.now + wait.min(RECONNECT_CAP);
                self.link.failures += 1;
                if let NotConnected::Refused(why) = why {
                    self.handle(env, Event::LinkRefused { slot, why: why.to_owned() });
                }
            }
        }
        Ok(true)
    }

    /// Hands over the outcome of an action.
    fn outcome(&mut self, env: &mut Env, outcome: Event) {
        env.director.note(|| format!("   → {}", shorten(&outcome)));
        if outcome == Event::Persisted {
            self.confirm();
        }
        self.handle(env, outcome);
    }

    /// What was being written is durable: what was given up with it was given up then.
    fn confirm(&mut self) {
        let Some(record) = self.facts.writing.take() else { return };
        let slot = |record: &Record| record.rotation.as_ref().map(|rotation| rotation.slot);
        if self.facts.confirmed.as_ref().is_some_and(|before| slot(before) != slot(&record)) {
            self.facts.refusals.clear();
            self.facts.misread.clear();
            self.facts.no_key = 0;
            self.facts.grounds = None;
            self.facts.reconsidered = false;
        }
        self.facts.given_back &= record.is_in_steps();
        // A recovery that has to begin again is not wanted any more where the committed identity serves.
        let begins_again = record
            .rotation
            .as_ref()
            .is_some_and(|rotation| rotation.reason == Reason::Recovery && !rotation.phase.has_certificate());
        let serves = self.link.up.and(self.link.target).map(|(slot, _)| slot);
        self.facts.reconsidered |= begins_again && serves.is_some() && serves == record.current;
        self.facts.unreadable &=
            self.facts.confirmed.as_ref().is_some_and(|before| before.current == record.current);
        self.facts.on_disk = vec![Some(record.clone())];
        self.facts.confirmed = Some(record);
    }

    /// Notes what the invariants must know of an event.
    fn weigh(&mut self, event: &Event, clock: Timestamp) {
        let candidate = self.machine.record().rotation.as_ref().map(|rotation| rotation.slot);
        let current = self.machine.record().current;
        let rotation = self.machine.record().rotation.as_ref();
        let recovering = rotation.is_some_and(|rotation| rotation.reason == Reason::Recovery);
        let phase = rotation.map(|rotation| &rotation.phase);
        let asking_to_recover = recovering && phase.is_some_and(|phase| !phase.has_certificate());
        let registering = matches!(phase, Some(Phase::Registering { .. }));
        let making_key = matches!(phase, Some(Phase::MakingKey));
        let facts = &mut self.facts;
        // An answer that nobody waits for is no reason for anything.
        let awaited = facts.awaited.take_if(|awaited| awaited.takes(event)).is_some();
        if matches!(event, Event::VerifyFailed { slot, kind: FailureKind::Refused | FailureKind::Unreadable, .. }
            if Some(*slot) != current)
        {
            // A round lasts until its last refusal, whatever somebody does to the clock meanwhile.
            facts.nothing_accepted.last_mut().into_iter().for_each(|last| *last = clock);
        }
        match event {
            Event::Verified { slot } => {
                facts.verified.insert(*slot);
                if Some(*slot) == current {
                    if facts.refused {
                        facts.refusals.push(clock);
                    }
                    facts.current_refused.clear();
                }
                facts.refused = false;
                facts.nothing_accepted.clear();
            }
            Event::VerifyFailed { slot, kind: FailureKind::Refused | FailureKind::Unreadable, .. }
                if Some(*slot) == current =>
            {
                facts.current_refused.push(clock);
                facts.nothing_accepted.push(clock);
            }
            Event::VerifyFailed { slot, kind: FailureKind::Refused, .. } if Some(*slot) == candidate => {
                // Without an identity in use there is no control: only how often, and for how long.
                match current {
                    Some(_) => facts.refused = true,
                    None => facts.refusals.push(clock),
                }
            }
            Event::VerifyFailed { slot, kind: FailureKind::Unreadable, .. } if Some(*slot) == candidate => {
                facts.misread.push(clock);
            }
            Event::StorageFailed(_) if making_key => facts.no_key += 1,
            Event::CertificateStored { .. } => {
                facts.reconsidered = false;
                facts.grounds = None;
            }
            Event::Rejected(_) if !awaited => {}
            // Whoever staged it may give it up, also while its first record is on the way to the disk.
            Event::Offline(Offline::Rollback) => facts.given_back |= self.machine.record().is_in_steps(),
            // A token that is spent says nothing of the certificate: it may have been registered.
            Event::Rejected(no) if registering && no.error_code == "InvalidCertificateOwnershipToken" => {}
            // A recovery does not insist on the hook: its window is closed, and tomorrow is another day.
            Event::Rejected(no) if no.status_code == 403 && recovering => {
                facts.grounds = Some("the recovery window is closed".to_owned());
            }
            Event::Rejected(no) if !matches!(no.status_code, 403 | 429 | 500..) => {
                facts.grounds = Some(format!("{} {}", no.status_code, no.error_code));
            }
            // What a recovery is for has come about by itself, while there was no certificate of its own.
            Event::Live { slot } | Event::LinkUp { slot } if Some(*slot) == current && asking_to_recover => {
                facts.reconsidered = true;
            }
            _ => {}
        }
    }

    fn on_notice(&mut self, env: &mut Env, notice: &Notice) {
        env.director.note(|| format!("   notice {notice:?}"));
        invariants::secrets_stay_secret(notice, &env.cloud, &mut env.watch);
        match notice {
            Notice::Alarm(Alarm::DuplicateClientId) => env.watch.alarmed = true,
            Notice::Alarm(Alarm::NoIdentityAccepted) => env.watch.nothing_accepted = true,
            Notice::Abandoned { .. } | Notice::RolledBack { .. } => env.watch.given_up += 1,
            Notice::Committed { .. } => env.watch.commits += 1,
            Notice::Started { reason: Reason::Recovery, .. } => {
                let spacing = self.machine.config().recovery_spacing;
                // A device that sleeps between the decision and its record has decided before it slept.
                let decided = self.machine.record().recovery_at.unwrap_or(env.now);
                invariants::recoveries_are_a_day_apart(self.number, decided, spacing, &mut env.watch);
                invariants::recoveries_are_few(self.number, env.now, spacing, &mut env.watch);
            }
            _ => {}
        }
    }

    /// Notes a step from one state to another.
    fn look(&mut self, env: &mut Env) {
        let state = self.machine.status().state;
        if let Some(before) = self.state.replace(state)
            && before != state
        {
            env.watch.observed.insert((before, state));
            env.director.note(|| format!("   {before:?} → {state:?}"));
        }
    }

    /// What a store's answer means for the machine.
    pub(super) fn storage_fault(kind: FaultKind) -> StorageFault {
        match kind {
            FaultKind::Full => StorageFault::Full,
            FaultKind::ReadOnly => StorageFault::ReadOnly,
            FaultKind::Io | FaultKind::Content => StorageFault::Io,
        }
    }
}

fn shorten(what: &impl core::fmt::Debug) -> String {
    format!("{what:?}").chars().take(160).collect()
}
