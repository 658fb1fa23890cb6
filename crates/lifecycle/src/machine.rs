//! The machine: decides from the last durable record what to do next.
//!
//! It holds nothing that a crash could lose and that matters: everything besides the record is either a cache
//! of the store (slot facts) or a wait. What each phase does stands in its own module below; here is the frame:
//! one action at a time, records staged until they are durable, time held at the floor.

mod aftermath;
mod alarms;
mod awaiting;
mod candidate;
mod displaced;
mod identity;
mod ladder;
mod offline;
mod recover;
mod register;
mod soak;
mod start;
mod verify;
mod view;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use fleetkey_model::time::Timestamp;

use crate::action::Action;
use crate::backoff::Jitter;
use crate::config::Config;
use crate::event::{Event, Offline};
use crate::record::{Asked, Phase, Reason, Record};
use crate::slot::{SlotFacts, SlotId};
use crate::status::{Alarm, Notice};

use awaiting::Awaiting;

pub use offline::Standing;

/// What the driver found on disk at its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The record, when there is one that reads.
    pub record: Option<Record>,
    /// Every slot that reads, scanned and parsed.
    pub slots: Vec<SlotFacts>,
    /// The others: what they hold is not known, and they are not empty.
    pub unread: Vec<SlotId>,
}

/// The rotation machine of one device. See the crate's documentation for the contract.
#[derive(Debug, Clone)]
pub struct Machine {
    config: Config,
    now: Timestamp,
    /// What the clock is known to be behind at least.
    behind: Duration,
    jitter: Jitter,
    durable: Record,
    staged: Option<Staged>,
    slots: BTreeMap<SlotId, SlotFacts>,
    /// Slots that the disk did not give at the start. They are tried like complete ones, and destroyed like any.
    unread: BTreeSet<SlotId>,
    awaiting: Option<Awaiting>,
    notices: VecDeque<Notice>,
    /// The slot that the live session is connected with.
    link: Option<SlotId>,
    /// The slot that the live session was last moved to.
    live: Option<SlotId>,
    /// The slot whose files other programs have.
    exported: Option<SlotId>,
    step: Wait,
    /// The step waits for an answer that a new connection may bring; otherwise a new connection changes nothing.
    step_wants_link: bool,
    golive: Wait,
    retire: Wait,
    upkeep: Wait,
    export: Wait,
    destroy: Wait,
    preflight: Wait,
    back: Wait,
    tell: Wait,
    /// The controller was told of what is staged, on this connection.
    told: bool,
    /// Telling the controller of what is staged was tried, in this run of the process.
    tried_to_tell: bool,
    /// The committed identity is refused: what is known meanwhile.
    doubt: Option<ladder::Doubt>,
    /// How often in a row the live session was refused with the committed identity.
    live_refusals: u32,
    displaced: displaced::Displaced,
    soaked: soak::Soaked,
    /// The controller holds the last retirement.
    frozen: bool,
    /// Why the superseded identity is not retired yet, as the last request for it has come out.
    unretired: Option<String>,
    /// The alarms that were told of and still last.
    raised: Vec<Alarm>,
    /// The rotation that is about to begin: its preflight runs, or its first record is on its way to the disk.
    starting: Option<Reason>,
    /// What the disk holds is not known for certain: the record was taken up from the slots, or a write has failed.
    unsaved: bool,
    /// A rotation that somebody asked for and that has not begun.
    wanted: Option<Reason>,
    /// The keys up to this slot are known to others; durable as soon as the disk takes it.
    compromised: Option<SlotId>,
    /// The last command to rotate; durable as soon as the disk takes it.
    asked: Option<Asked>,
    /// An operator's order; durable as soon as the disk takes it.
    offline: Option<Offline>,
    /// Rotations that only time asks for are held back.
    held: bool,
    /// A certificate between its answer and the disk.
    issued: Option<candidate::Fresh>,
    register: register::Approach,
    /// RegisterThing may have been carried out although no answer said so.
    maybe_registered: bool,
    /// Slots that no record tells of, to be tried before the candidate of a device without an identity is again.
    others: Vec<SlotId>,
    verdict: verify::Evidence,
    /// Rounds in which the broker refused the candidate of a recovery and the committed identity alike.
    hopeless: verify::Evidence,
    /// Attempts in which the disk did not give the candidate.
    misread: verify::Evidence,
    blocked: Option<String>,
}

/// An action and what its outcome is awaited as.
type Step = (Action, Awaiting);

/// A record on its way to the disk, and what will be said once it is there.
#[derive(Debug, Clone)]
struct Staged {
    record: Record,
    notices: Vec<Notice>,
    /// It carries out what an operator has ordered.
    ordered: bool,
}

/// A wait after failures of one kind of step.
#[derive(Debug, Clone, Copy, Default)]
struct Wait {
    until: Option<Timestamp>,
    failures: u32,
}

impl Machine {
    /// Takes up what the disk holds: the same state whether the process was stopped, killed or never ran.
    pub fn new(config: Config, found: Found, now: Timestamp) -> Self {
        let slots: BTreeMap<SlotId, SlotFacts> =
            found.slots.into_iter().map(|slot| (slot.id, slot)).collect();
        let unread: BTreeSet<SlotId> = found.unread.into_iter().collect();
        let (durable, unsaved) = recover::record(found.record, &slots, &unread, config.time_floor);
        let (compromised, asked) = (durable.compromised, durable.asked.clone());
        let mut machine = Self {
            now,
            behind: Duration::ZERO,
            jitter: Jitter::new(config.seed),
            config,
            durable,
            staged: None,
            slots,
            unread,
            awaiting: None,
            notices: VecDeque::new(),
            link: None,
            live: None,
            exported: None,
            step: Wait::default(),
            step_wants_link: false,
            golive: Wait::default(),
            retire: Wait::default(),
            upkeep: Wait::default(),
            export: Wait::default(),
            destroy: Wait::default(),
            preflight: Wait::default(),
            back: Wait::default(),
            tell: Wait::default(),
            told: false,
            tried_to_tell: false,
            doubt: None,
            live_refusals: 0,
            displaced: displaced::Displaced::default(),
            soaked: soak::Soaked::resumed(now),
            frozen: false,
            unretired: None,
            raised: Vec::new(),
            starting: None,
            unsaved,
            wanted: None,
            compromised,
            asked,
            offline: None,
            held: false,
            issued: None,
            register: register::Approach::Ask,
            maybe_registered: false,
            others: Vec::new(),
            verdict: verify::Evidence::default(),
            hopeless: verify::Evidence::default(),
            misread: verify::Evidence::default(),
            blocked: None,
        };
        machine.tell_time(now);
        if unsaved {
            machine.stage(Vec::new(), |_| {});
        }
        if machine.phase_is_registering() {
            // RegisterThing may have been carried out before the crash: find out before asking again.
            machine.register = register::Approach::ProbeFirst;
            machine.maybe_registered = true;
        }
        machine.doubt_what_is_not_there();
        machine
    }

    /// A committed slot that is missing, damaged or does not read cannot serve, and no broker has to say so.
    fn doubt_what_is_not_there(&mut self) {
        let Some(current) = self.durable.current else { return };
        if !self.slots.get(&current).is_some_and(SlotFacts::is_complete) {
            self.doubt(current, String::from("the slot is not complete"));
        }
    }

    /// Takes in one event. An outcome that no running action awaits is ignored: it is late or a duplicate.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        self.tell_time(now);
        match event {
            Event::Tick => {}
            Event::Command(command) => self.on_command(&command),
            Event::Compromised => self.want(Reason::Compromise),
            Event::Hold(held) => self.held = held,
            Event::Offline(order) => self.on_offline(order),
            Event::LinkUp { slot } => self.on_link_up(slot),
            Event::LinkDown => self.link = None,
            Event::LinkRefused { slot, why } => self.on_link_refused(slot, why),
            Event::Displaced => self.on_displaced(),
            Event::RetireAnswered(answer) => self.on_retire_answered(answer),
            outcome => {
                if let Some(awaiting) = self.awaiting.take_if(|awaiting| awaiting.takes(&outcome)) {
                    self.on_outcome(awaiting, outcome);
                }
            }
        }
        self.raise_alarms();
    }

    /// A clock that is behind the floor is wrong by an unknown span; it counts from the floor on until it is put
    /// right. It must go on, or no wait would ever end on a device without a clock.
    fn tell_time(&mut self, clock: Timestamp) {
        let floor = self.durable.time_floor;
        if clock >= floor {
            self.behind = Duration::ZERO;
        } else if clock + self.behind < floor {
            self.behind = floor.since(clock);
        }
        self.now = clock + self.behind;
        self.count_soak();
    }

    /// The next action, or `None` while one runs or nothing is to be done before [`Self::next_deadline`].
    pub fn poll(&mut self) -> Option<Action> {
        if self.awaiting.is_some() {
            return None;
        }
        let (action, awaiting) = self.persist().or_else(|| self.decide()).or_else(|| self.persist())?;
        self.awaiting = Some(awaiting);
        Some(action)
    }

    /// What has happened since the last call, for logs and events.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    fn persist(&mut self) -> Option<Step> {
        let staged = self.staged.as_ref()?;
        Some((Action::Persist(staged.record.clone()), Awaiting::Persist))
    }

    /// Picks what to do, or stages a record. The committed identity comes before the candidate: serving the
    /// device matters more than renewing it.
    fn decide(&mut self) -> Option<Step> {
        const STEPS: [fn(&mut Machine) -> Option<Step>; 7] = [
            Machine::climb,
            Machine::go_back,
            Machine::advance_candidate,
            Machine::tell_staged,
            Machine::settle_previous,
            Machine::destroy_doomed,
            Machine::start_if_due,
        ];
        self.note_wishes();
        if self.staged.is_some() {
            return None;
        }
        if let Some(step) = self.serve_identity() {
            return Some(step);
        }
        if self.unsaved {
            self.save_recovered();
            return None;
        }
        for step in STEPS {
            let next = step(self);
            if next.is_some() || self.staged.is_some() {
                return next;
            }
        }
        None
    }

    fn on_outcome(&mut self, awaiting: Awaiting, outcome: Event) {
        match (awaiting, outcome) {
            (Awaiting::Persist, Event::Persisted) => self.on_persisted(),
            (Awaiting::Persist, Event::StorageFailed(fault)) => self.on_persist_failed(fault),
            (Awaiting::Preflight(reason), outcome) => self.on_preflight(reason, &outcome),
            (Awaiting::Verify(purpose), outcome) => self.on_verify(purpose, outcome),
            (Awaiting::GoLive(slot), outcome) => self.on_live(slot, outcome),
            (Awaiting::Export(slot), outcome) => self.on_export(slot, outcome),
            (Awaiting::Destroy(slot), outcome) => self.on_destroy(slot, &outcome),
            (Awaiting::Retire, outcome) => self.on_retire_unanswered(outcome),
            (Awaiting::Tell, outcome) => self.on_told(&outcome),
            (Awaiting::Register, outcome) => self.on_register(outcome),
            (Awaiting::Request, outcome) => self.on_request(outcome),
            (Awaiting::MakeKey, Event::StorageFailed(fault)) => self.on_no_key(fault),
            (_, Event::KeyMade { slot, public_key }) => self.on_key_made(slot, public_key),
            (_, Event::CertificateStored { slot, certificate }) => self.on_stored(slot, certificate),
            (Awaiting::Store, Event::StorageFailed(fault)) => self.on_store_failed(fault),
            _ => {}
        }
    }

    /// Stages a change of the durable record; nothing else runs until it is on disk.
    fn stage(&mut self, notices: Vec<Notice>, change: impl FnOnce(&mut Record)) {
        let mut record = self.durable.clone();
        change(&mut record);
        self.staged = Some(Staged { record, notices, ordered: false });
    }

    /// Until the record is known to be on disk, the identity in it serves and no more.
    fn save_recovered(&mut self) {
        if self.upkeep_is_due() {
            self.stage(Vec::new(), |_| {});
        }
    }

    fn on_persisted(&mut self) {
        let Some(staged) = self.staged.take() else { return };
        self.unsaved = false;
        self.starting = None;
        if self.durable.current != staged.record.current {
            self.live_refusals = 0;
            self.end_doubt();
        }
        if self.asked == self.durable.asked {
            // A commit has met it.
            self.asked.clone_from(&staged.record.asked);
        }
        self.offline = self.offline.filter(|_| !staged.ordered);
        let moved_on = !same_phase(&self.durable, &staged.record);
        self.durable = staged.record;
        if self.durable.rotation.is_some() {
            self.wanted = None;
        }
        self.notices.extend(staged.notices);
        self.upkeep = Wait::default();
        if moved_on {
            self.enter_phase();
        }
    }

    /// The record on disk is the old one or, unknowably, the new one. What is asked of the cloud next must be
    /// recognised after a crash, so the old one is made certain first.
    fn on_persist_failed(&mut self, fault: crate::event::StorageFault) {
        self.staged = None;
        self.starting = None;
        self.unsaved = true;
        if self.phase_is_registering() {
            self.register = register::Approach::ProbeFirst;
            self.maybe_registered = true;
        }
        self.wait_for_disk(fault);
        if self.wanted.is_some()
            && self.durable.rotation.is_none()
            && let (Some(until), Some(why)) = (self.upkeep.until, self.blocked.clone())
        {
            self.notices.push_back(Notice::Deferred { why, until });
        }
    }

    /// A new phase starts without the waits and the evidence of the last one.
    fn enter_phase(&mut self) {
        self.step = Wait::default();
        self.step_wants_link = false;
        self.retire = Wait::default();
        self.issued = None;
        self.register = register::Approach::Ask;
        self.maybe_registered = false;
        self.others.clear();
        self.verdict = verify::Evidence::default();
        self.hopeless = verify::Evidence::default();
        self.misread = verify::Evidence::default();
        self.soaked = soak::Soaked::default();
        self.frozen = false;
        self.unretired = None;
        self.blocked = None;
    }

    fn phase_is_registering(&self) -> bool {
        matches!(
            self.durable.rotation.as_ref().map(|rotation| &rotation.phase),
            Some(Phase::Registering { .. })
        )
    }

    /// Whether a wait is over. One that ends further away than it can ever have been set was set by a clock
    /// that has since been put right, and is over too.
    fn reached(&self, until: Option<Timestamp>, longest: Duration) -> bool {
        until.is_none_or(|until| until <= self.now || until > self.now + longest + longest)
    }

    /// Puts off the step that failed, and says so.
    fn wait_step(&mut self, why: String) {
        let policy = self.config.backoff;
        let until = self.now + self.jitter.wait(policy.base, policy.step_cap, self.step.failures);
        self.put_off_step(why, until);
    }

    /// As [`Self::wait_step`], for an answer that did not come: a new connection is worth another try at once.
    fn wait_for_answer(&mut self, why: String) {
        self.wait_step(why);
        self.step_wants_link = true;
    }

    /// Puts off the step that somebody has forbidden for now, longer than one that merely failed.
    fn wait_out(&mut self, why: String) {
        let longest = self.config.backoff.step_cap;
        let until = self.now + self.jitter.spread(longest, longest, 0);
        self.put_off_step(why, until);
    }

    fn put_off_step(&mut self, why: String, until: Timestamp) {
        self.step = Wait { until: Some(until), failures: self.step.failures.saturating_add(1) };
        self.step_wants_link = false;
        self.notices.push_back(Notice::Waiting { why: why.clone(), until });
        self.blocked = Some(why);
    }

    /// The disk does not take writes: nothing is asked of the cloud, the identity in use serves on.
    fn wait_for_disk(&mut self, fault: crate::event::StorageFault) {
        let policy = self.config.backoff;
        let wait = self.jitter.wait(policy.base, policy.step_cap, self.upkeep.failures);
        let failures = self.upkeep.failures.saturating_add(1);
        self.upkeep = Wait { until: Some(self.now + wait), failures };
        self.step.until = self.upkeep.until;
        let why = alloc::format!("the state directory cannot be written ({fault:?})");
        self.notices.push_back(Notice::Waiting { why: why.clone(), until: self.now + wait });
        self.blocked = Some(why);
    }

    /// The wait after a failed write that only tidies up or serves other programs: it holds up no rotation.
    fn put_off(&mut self, last: Wait, what: &str, fault: crate::event::StorageFault) -> Wait {
        let policy = self.config.backoff;
        let until = self.now + self.jitter.wait(policy.base, policy.step_cap, last.failures);
        self.notices.push_back(Notice::Waiting { why: alloc::format!("{what} ({fault:?})"), until });
        Wait { until: Some(until), failures: last.failures.saturating_add(1) }
    }

    fn step_is_due(&self) -> bool {
        self.reached(self.step.until, self.config.backoff.step_cap)
    }

    fn upkeep_is_due(&self) -> bool {
        self.reached(self.upkeep.until, self.config.backoff.step_cap)
    }
}

fn same_phase(old: &Record, new: &Record) -> bool {
    let stage = |record: &Record| record.aftermath.as_ref().map(|aftermath| aftermath.stage);
    let phase = |record: &Record| {
        record.rotation.as_ref().map(|rotation| (rotation.slot, core::mem::discriminant(&rotation.phase)))
    };
    phase(old) == phase(new) && stage(old) == stage(new) && old.current == new.current
}
