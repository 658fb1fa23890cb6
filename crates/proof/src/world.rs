//! A run: devices, what strikes between their steps, and what must come about once nothing strikes any more.
//!
//! ```text
//! a device whose rotation is due → the schedule's faults → everything mended → another rotation → one ACTIVE
//! certificate, in use, nothing left behind
//! ```
//!
//! Not here: what must hold at every moment ([`crate::invariants`]).

use std::time::Duration;

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::retirement::DeviceCommand;
use fleetkey_model::time::Timestamp;

use crate::cloud::Party;
use crate::device::{Device, Home, Started};
use crate::director::{Dark, Place};
use crate::disk::{Crash, SimDisk};
use crate::env::{Env, News};
use crate::invariants;
use crate::schedule::{ClockTo, Fault};
use crate::watch::Violation;

pub use stage::{Start, prepared, provisioned, unprovisioned};

mod liveness;
mod stage;
mod thief;

/// How long a service manager waits before it starts a process again.
const RESTART: Duration = Duration::from_secs(5);
/// Steps of a run before it counts as one that never ends.
const MOST_STEPS: usize = 6000;
/// Nothing that is scheduled later than this belongs to the rotation any more.
const FAR: Duration = Duration::from_secs(5 * 24 * 3600);

/// Nor does what the controller does later than this: its daily look is none of the rotation's.
const ROUTINE: Duration = Duration::from_secs(3 * 3600);

/// A device that was not connected for so long is away.
const AWAY: Duration = Duration::from_secs(60);

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
    /// Disks, registry and requests as they were when the invariants were last checked.
    checked: Option<[u64; 3]>,
    /// When the rightful device was last connected.
    connected_at: Timestamp,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was broken, if anything.
    pub violation: Option<Violation>,
    /// Steps that the director counted.
    pub steps: u64,
    /// Faults that struck.
    pub struck: usize,
}

impl<D: Device> World<D> {
    /// A world around one device.
    pub fn new(env: Env, home: Home) -> Self {
        let (node, connected_at) = (Node { home, device: None, up_at: env.now }, env.now);
        Self { env, nodes: vec![node], thief: thief::Thief::default(), steps: 0, checked: None, connected_at }
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
        let end = self.steps + MOST_STEPS;
        while self.steps < end && self.env.watch.violation().is_none() && !self.is_told() {
            if !self.advance() {
                if !self.env.director.has_faults() {
                    return true;
                }
                self.env.director.skip_to_next();
                self.between(0);
            }
        }
        false
    }

    /// Two parties hold the thing's keys and people were told: what they do to each other from here on is theirs.
    fn is_told(&self) -> bool {
        self.is_contested() && (self.env.watch.alarmed || self.env.cloud.controller.has_alarmed())
    }

    fn is_contested(&self) -> bool {
        self.nodes.len() > 1 || self.thief.is_at_work()
    }

    /// A device that is away while somebody with its old key rotates and asks for retirement cannot be told from
    /// one that has rotated: only a second factor could. What becomes of it then is not held against anybody.
    fn watch_the_thief(&mut self) {
        if self.is_connected() {
            self.connected_at = self.env.now;
        }
        let away = self.env.now.since(self.connected_at) >= AWAY;
        self.env.watch.alarmed |= self.thief.is_at_work() && away;
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
        self.env.watch.crash_state =
            node.home.disk.fingerprint() ^ registry.rotate_left(32) ^ u64::from(queued);
        node.device = None;
        node.up_at = self.env.now + RESTART;
        self.env.died(index, &node.home.live());
    }

    /// What strikes between two steps of a device.
    fn between(&mut self, index: usize) {
        let Some(fault) = self.env.director.step(Place::Between) else { return };
        let Some(node) = self.nodes.first_mut() else { return };
        let now = self.env.now;
        match fault {
            Fault::Cut(_) => self.power_cut(index),
            Fault::Off(seconds) => {
                self.env.director.cut(Crash::KeepAll);
                self.power_cut(0);
                let until = now + Duration::from_secs(seconds.into());
                self.nodes.iter_mut().take(1).for_each(|node| node.up_at = until);
            }
            Fault::Down(seconds) => self.env.cloud.go_down(now, Duration::from_secs(seconds.into())),
            Fault::Drop => self.env.cloud.drop_session(now, &node.home.live()),
            Fault::Taken => self.env.cloud.take_over(now, &node.home.live()),
            Fault::Clock(to) => self.set_clock(to),
            Fault::Delay(seconds) => self.env.cloud.delay = Duration::from_secs(seconds.into()),
            Fault::Deactivate(whose) => {
                let id = node.device.as_ref().and_then(|device| device.certificate(whose));
                id.iter().for_each(|id| self.env.cloud.kill(now, id, CertificateStatus::Inactive));
            }
            Fault::Revoke(whose) => {
                let id = node.device.as_ref().and_then(|device| device.certificate(whose));
                id.iter().for_each(|id| self.env.cloud.kill(now, id, CertificateStatus::Revoked));
            }
            Fault::Rotate => self.env.tell(0, News::Command(DeviceCommand::Rotate { id: String::new() })),
            Fault::Compromise => self.env.tell(0, News::Compromised),
            Fault::Clone => self.copy_the_disk(),
            Fault::Thief(theft) => self.thief.act(theft, &mut self.env, &node.home),
            _ => {}
        }
    }

    fn set_clock(&mut self, to: ClockTo) {
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
    }

    /// Lets time pass to the next thing that happens; `false` when that is far away.
    fn pass(&mut self) -> bool {
        let now = self.env.now;
        let device = |node: &Node<D>| match &node.device {
            Some(device) => device.deadline(&self.env),
            None => Some(node.up_at),
        };
        let devices = self.nodes.iter().filter_map(device).filter(|at| *at <= now + FAR);
        let others = self.env.deadline().filter(|at| *at <= now + ROUTINE);
        let Some(next) = devices.chain(others).min() else { return false };
        self.env.now = next.max(now + Duration::from_millis(1));
        self.env.director.note(|| format!("time passes to {}", self.env.now));
        self.between(0);
        true
    }

    /// Everything that must hold at every moment.
    fn check(&mut self) {
        let disks = self.nodes.iter().map(|node| node.home.disk.changes()).sum();
        let now = [disks, self.env.cloud.epoch(), self.env.watch.retired_by.len() as u64];
        if self.checked.replace(now) == Some(now) {
            return;
        }
        for node in &mut self.nodes {
            if let Some(device) = &mut node.device {
                device.inspect(&mut self.env, &node.home);
                self.env.watch.provisioned |= device.certificate(crate::schedule::Whose::Current).is_some();
            }
        }
        self.check_identities();
    }

    /// I1, for a device that is alone. Of two with one identity, or beside a thief, one may lose it: then
    /// somebody must have been told.
    fn check_identities(&mut self) {
        if !self.env.watch.provisioned || self.env.watch.violation().is_some() {
            return;
        }
        let contested = self.is_contested();
        let Some(node) = self.nodes.first().filter(|_| !self.is_told()) else { return };
        for crash in [Crash::LoseAll, Crash::KeepAll] {
            let mut identities = Vec::new();
            let homes = if contested { self.nodes.as_slice() } else { core::slice::from_ref(node) };
            for node in homes {
                match crash {
                    // What is seen is what would be kept.
                    Crash::KeepAll => identities.extend(D::identities(&node.home.disk)),
                    _ => identities.extend(D::identities(&crashed(&node.home.disk, crash))),
                }
            }
            let Env { cloud, watch, .. } = &mut self.env;
            invariants::i1_an_accepted_identity_survives(crash, &identities, cloud, &node.home, watch);
            if node.home.disk.pending() == 0 {
                // Nothing is pending, so there is nothing that a crash could lose.
                return;
            }
        }
    }

    /// The outcome so far.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            violation: self.env.watch.violation().cloned(),
            steps: self.env.director.ordinal(),
            struck: self.env.director.struck(),
        }
    }

    /// Whether this connection belongs to the rightful device.
    pub fn is_connected(&self) -> bool {
        let Some(node) = self.nodes.first() else { return false };
        self.env.cloud.session(&node.home.live()).is_some_and(|session| session.party == Party::Device(0))
    }
}

fn crashed(disk: &SimDisk, crash: Crash) -> SimDisk {
    let copy = disk.clone();
    copy.lift();
    copy.crash(crash);
    copy
}
