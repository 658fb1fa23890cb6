//! A run: devices, what strikes between their steps, and what must come about once nothing strikes any more.
//!
//! ```text
//! a device whose rotation is due → the schedule's faults → everything mended → another rotation → one ACTIVE
//! certificate, in use, nothing left behind
//! ```
//!
//! Not here: what must hold at every moment ([`crate::invariants`]).

use std::path::Path;
use std::time::Duration;

use fleetkey_lifecycle::event::Offline;
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::retirement::DeviceCommand;
use fleetkey_model::time::Timestamp;

use crate::cloud::Party;
use crate::device::{Device, Home, Started};
use crate::director::{Dark, Place};
use crate::disk::{Crash, Side};
use crate::env::{Env, News};
use crate::image::Image;
use crate::moment::Moment;
use crate::schedule::{ClockTo, Fault, Whose, Wiped};

pub use ending::{Ending, Outcome, Tally};
pub use stage::{Start, prepared, provisioned, unprovisioned};

mod ending;
mod judge;
mod liveness;
mod stage;
mod thief;

/// How long a service manager waits before it starts a process again.
const RESTART: Duration = Duration::from_secs(5);
/// Steps of a run before it counts as one that never ends.
const MOST_STEPS: usize = 1500;
/// A device that takes so many steps in less than this spins.
const SPIN: Duration = Duration::from_secs(3600);
/// Nothing that is scheduled later than this belongs to the rotation any more.
const FAR: Duration = Duration::from_secs(5 * 24 * 3600);

/// Nor does what the controller does later than this: its daily look is none of the rotation's.
const ROUTINE: Duration = Duration::from_secs(3 * 3600);

/// A device and whether it runs.
#[derive(Debug)]
pub struct Node<D> {
    /// What it keeps.
    pub home: Home,
    /// Its process.
    pub device: Option<D>,
    /// Not started before this.
    up_at: Timestamp,
}

/// A run.
#[derive(Debug)]
pub struct World<D> {
    /// Everything around the devices.
    pub env: Env,
    /// The devices; the first is the rightful one.
    pub nodes: Vec<Node<D>>,
    thief: thief::Thief,
    steps: usize,
    /// Disks and registry as they were when the invariants were last checked.
    checked: Option<[u64; 2]>,
    /// When the rightful device was last connected.
    connected_at: Timestamp,
    /// How much the controller had reported before two parties held the thing's keys.
    reported: usize,
    judge: judge::Judge,
    /// Routine counts until then, too.
    until: Option<Timestamp>,
    never_rested: bool,
    helped: bool,
    released: bool,
    /// An end that leaves nothing more to look at.
    ending: Option<Ending>,
    /// How a quarrel about the identity ended.
    resolution: Option<Ending>,
}

impl<D: Device> World<D> {
    /// A world around one device.
    pub fn new(env: Env, home: Home) -> Self {
        let (node, connected_at) = (Node { home, device: None, up_at: env.now }, env.now);
        let mut world = Self {
            env,
            nodes: vec![node],
            thief: thief::Thief::default(),
            steps: 0,
            checked: None,
            connected_at,
            reported: 0,
            judge: judge::Judge::default(),
            until: None,
            never_rested: false,
            helped: false,
            released: false,
            ending: None,
            resolution: None,
        };
        world.watch_identities();
        world
    }

    /// From here on every change of the first device's disk and of its thing's certificates is judged. Anew for a disk
    /// that was exchanged.
    pub fn watch_identities(&mut self) {
        self.env.director.take_moments();
        self.look_at(0);
        let thing = self.nodes.first().map(|node| node.home.thing.clone());
        let director = self.env.director.clone();
        thing.into_iter().for_each(|thing| self.env.cloud.watch(director.clone(), thing));
    }

    /// Does one thing, or lets time pass to the next; `false` when nothing is left that belongs to a rotation.
    pub fn advance(&mut self) -> bool {
        self.steps += 1;
        self.watch_the_thief();
        self.env.deliver();
        self.env.controller_round();
        for index in 0..self.nodes.len() {
            if self.turn(index) {
                self.check();
                return true;
            }
        }
        self.check();
        self.pass()
    }

    /// Advances until nothing is left to do; `false` if that does not happen.
    fn settle(&mut self) -> bool {
        let (end, since) = (self.steps + MOST_STEPS, self.env.now);
        while self.steps < end && self.env.watch.violation().is_none() && !self.is_told() {
            if !self.advance() {
                if !self.env.director.has_faults() {
                    return true;
                }
                self.env.director.skip_to_next();
                self.between(0);
            }
        }
        if self.steps == end && self.env.now.since(since) < SPIN {
            self.env.watch.fail("bounds", || format!("{MOST_STEPS} steps within an hour"));
        }
        false
    }

    /// Two parties hold the thing's keys and people were told: what they do to each other from here on is theirs.
    fn is_told(&self) -> bool {
        let watch = &self.env.watch;
        self.is_contested() && (watch.alarmed || watch.nothing_accepted || self.has_the_controller_alarmed())
    }

    /// Whether it told people since two parties hold the thing's keys.
    fn has_the_controller_alarmed(&self) -> bool {
        self.env.cloud.controller.has_alarmed_since(self.reported)
    }

    /// From here on two parties hold the thing's keys: what people were told before was about something else, save what
    /// lasts.
    fn begin_a_quarrel(&mut self) {
        self.reported = self.env.cloud.controller.reports.len();
        let complains = self.nodes.iter().filter_map(|node| node.device.as_ref()).any(D::complains);
        self.env.watch.alarmed &= complains;
        self.env.watch.nothing_accepted &= complains;
    }

    fn is_contested(&self) -> bool {
        self.nodes.len() > 1 || self.thief.is_at_work()
    }

    /// A device that is away while somebody with its old key rotates and asks for retirement cannot be told from
    /// one that has rotated: only a second factor could. What becomes of it then is a result of its own. It is away if it
    /// does not come back while the controller waits for it, or if the controller hears neither that it is back nor that
    /// the thief is gone.
    fn watch_the_thief(&mut self) {
        if self.is_connected() {
            self.connected_at = self.env.now;
        }
        let Some(theft) = self.env.watch.theft_attested else { return };
        let waits = self.env.cloud.stage().patience.soak;
        let away = self.connected_at <= theft && self.env.now.since(theft) >= waits;
        self.env.watch.away |= away || self.env.watch.unheard >= 2;
    }

    /// One step of a device; whether it did something.
    fn turn(&mut self, index: usize) -> bool {
        let Some(node) = self.nodes.get_mut(index) else { return false };
        if node.up_at > self.env.now {
            return false;
        }
        let Some(device) = node.device.as_mut() else {
            self.start(index);
            return true;
        };
        let acted = match device.step(&mut self.env, &node.home) {
            Ok(acted) => acted,
            Err(Dark) => {
                self.power_cut(index);
                true
            }
        };
        // Between two steps, not before each look: an idle look is no step.
        if acted {
            self.between(index);
        }
        acted
    }

    fn start(&mut self, index: usize) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        match D::start(&mut self.env, &node.home) {
            Ok(Started::Up(device)) => node.device = Some(device),
            Ok(Started::Failed(why)) => {
                self.env.director.note(|| format!("device {index} does not start: {why}"));
                node.up_at = self.env.now + RESTART;
            }
            Err(Dark) => self.power_cut(index),
        }
    }

    /// The power failed: of the disk only what the crash keeps is left, of the process nothing.
    fn power_cut(&mut self, index: usize) {
        let crash = self.env.director.take_dark().unwrap_or(Crash::LoseAll);
        let Some(node) = self.nodes.get_mut(index) else { return };
        self.env.director.note(|| format!("--- power cut at device {index} ({crash})"));
        node.home.disk.crash(crash);
        let registry = self.env.cloud.epoch();
        let queued = self.env.cloud.has_tidings();
        let pending = self.env.cloud.pending_state();
        self.env.watch.crash_state =
            node.home.disk.fingerprint() ^ registry.rotate_left(32) ^ u64::from(queued) ^ pending;
        node.device = None;
        node.up_at = self.env.now + RESTART;
        self.env.died(index, &node.home.live());
        self.look_at(index);
        self.env.director.happened(Moment::Cut);
    }

    /// What strikes between two steps of a device.
    fn between(&mut self, index: usize) {
        let Some(fault) = self.env.director.step(Place::Between) else { return };
        self.judge();
        let Some(node) = self.nodes.first() else { return };
        let (now, live) = (self.env.now, node.home.live());
        match fault {
            Fault::Cut(_) => self.power_cut(index),
            Fault::Off(seconds) => {
                self.env.director.cut(Crash::KeepAll);
                self.power_cut(0);
                let until = now + Duration::from_secs(seconds.into());
                self.nodes.iter_mut().take(1).for_each(|node| node.up_at = until);
            }
            Fault::Down(seconds) => self.env.cloud.go_down(now, Duration::from_secs(seconds.into())),
            Fault::Closed(seconds) => {
                let until = now + Duration::from_secs(seconds.into());
                self.env.cloud.refuses_until = self.env.cloud.refuses_until.max(until);
            }
            Fault::Drop | Fault::Taken if self.env.cloud.session(&live).is_none() => {
                self.env.director.was_idle();
            }
            Fault::Drop => self.env.cloud.drop_session(now, &live),
            Fault::Taken => self.env.cloud.take_over(now, &live),
            Fault::Clock(to) => self.set_clock(to),
            Fault::Delay(seconds) => self.env.cloud.delay = Duration::from_secs(seconds.into()),
            Fault::Deactivate(part) => self.kill(part, CertificateStatus::Inactive),
            Fault::Revoke(part) => self.kill(part, CertificateStatus::Revoked),
            Fault::ClaimOff => self.env.cloud.deactivate_claim(now),
            Fault::Wipe(what) => self.wipe(what),
            Fault::Rotate => self.env.tell(0, News::Command(DeviceCommand::Rotate { id: String::new() })),
            Fault::Step(step) => {
                if step == Offline::Rollback {
                    self.order_the_staged_away();
                }
                self.env.tell(0, News::Offline(step));
            }
            Fault::Compromise => self.env.tell(0, News::Compromised),
            Fault::Clone => self.copy_the_disk(),
            Fault::Thief(theft) => {
                let was_at_work = self.thief.is_at_work();
                self.thief.act(theft, &mut self.env, &node.home);
                if !was_at_work && self.thief.is_at_work() {
                    self.begin_a_quarrel();
                }
            }
            _ => {}
        }
    }

    fn set_clock(&mut self, to: ClockTo) {
        self.env.watch.clock_sets += 1;
        let at = match to {
            ClockTo::Past => Some(Timestamp::default()),
            ClockTo::Future => Some(Timestamp::from_secs(4_077_734_400)),
            ClockTo::True => None,
        };
        self.env.set_clock(at);
        for index in 0..self.nodes.len() {
            self.env.tell(index, News::ClockSet);
        }
    }

    /// Somebody copies the disk, as it is seen, into a second device.
    fn copy_the_disk(&mut self) {
        let Some(node) = self.nodes.first() else { return };
        let number = self.nodes.len();
        let home = Home::new(number, node.home.serial.clone(), (number as u64) << 20);
        let disk = node.home.disk.clone();
        disk.settle();
        let home = Home { disk, ..home };
        self.nodes.push(Node { home, device: None, up_at: self.env.now + RESTART });
        self.begin_a_quarrel();
        self.look_at(number);
    }

    /// A bad block: of a slot's certificate, or of the record, which is found at a start.
    fn wipe(&mut self, what: Wiped) {
        let Some(node) = self.nodes.first() else { return };
        let path = match what {
            Wiped::Record => {
                self.env.director.cut(Crash::KeepAll);
                self.power_cut(0);
                "/state/state.json".to_owned()
            }
            Wiped::Slot(part) => {
                let id = node.device.as_ref().and_then(|device| device.certificate(part));
                let pairs = Image::of(&node.home.disk.view(Side::Seen)).pairs;
                let Some(pair) = pairs.iter().find(|pair| Some(pair.certificate) == id) else {
                    return self.env.director.was_idle();
                };
                format!("/state/slots/{}/cert.json", pair.slot)
            }
        };
        let Some(node) = self.nodes.first() else { return };
        match node.home.disk.damage(Path::new(&path)) {
            true => {
                self.env.watch.damaged = true;
                self.env.watch.damages += 1;
            }
            false => self.env.director.was_idle(),
        }
        let serves = node.device.as_ref().and_then(|device| device.certificate(Whose::Current));
        self.forgive_the_disk(serves.filter(|_| what == Wiped::Slot(Whose::Current)));
    }

    /// Lets time pass to the next thing that happens; `false` when that is far away.
    fn pass(&mut self) -> bool {
        let now = self.env.now;
        let device = |node: &Node<D>| match &node.device {
            Some(device) => device.deadline(&self.env),
            None => Some(node.up_at),
        };
        let devices = self.nodes.iter().filter_map(device).filter(|at| *at <= now + FAR);
        let routine = self.until.map_or(now + ROUTINE, |until| until.max(now));
        let others = self.env.deadline().filter(|at| *at <= routine);
        let is_over = |at: &Timestamp| self.until.is_some_and(|until| *at > until);
        let Some(next) = devices.chain(others).min().filter(|at| !is_over(at)) else { return false };
        self.env.now = next.max(now + Duration::from_millis(1));
        self.env.director.note(|| format!("time passes to {}", self.env.now));
        self.between(0);
        true
    }

    /// Everything that must hold at every moment.
    fn check(&mut self) {
        self.judge();
        let disks = self.nodes.iter().map(|node| node.home.disk.changes()).sum();
        let now = [disks, self.env.cloud.epoch()];
        if self.checked.replace(now) == Some(now) {
            return;
        }
        let mut committed = Vec::new();
        for node in &mut self.nodes {
            if let Some(device) = &mut node.device {
                device.inspect(&mut self.env, &node.home);
                committed.extend(device.certificate(Whose::Current).map(|_| node.home.number));
            }
        }
        committed.into_iter().for_each(|device| self.holds_one(device));
    }

    /// The outcome so far.
    pub fn outcome(&self) -> Outcome {
        let director = &self.env.director;
        let (planned, effective) = (self.env.schedule.faults.len(), director.effective());
        let violation = self.env.watch.violation().cloned();
        let ending = match (&violation, self.resolution.or(self.ending)) {
            (Some(_), _) => Ending::Broken,
            (None, Some(ending)) => ending,
            (None, None) if planned > 0 && effective == 0 => Ending::Void,
            (None, None) if self.helped => Ending::Helped,
            (None, None) => Ending::Arrived,
        };
        Outcome {
            violation,
            steps: director.ordinal(),
            planned,
            struck: director.struck(),
            effective,
            ending,
            helped: self.helped,
            released: self.released,
            never_rested: self.never_rested,
        }
    }

    /// Whether this connection belongs to the rightful device.
    pub fn is_connected(&self) -> bool {
        let Some(node) = self.nodes.first() else { return false };
        self.env.cloud.session(&node.home.live()).is_some_and(|session| session.party == Party::Device(0))
    }
}
