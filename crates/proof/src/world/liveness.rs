//! What must come about once nothing strikes any more: one committed, accepted identity in use; what rotations left
//! behind swept away; and after the next rotation no other ACTIVE certificate, no slot that nothing refers to.

use std::time::Duration;

use fleetkey_lifecycle::event::Offline;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::retirement::DeviceCommand;

use super::ending::{Ending, Outcome};
use super::{MOST_STEPS, World};
use crate::device::Device;
use crate::disk::{Crash, Errno, Side};
use crate::env::News;
use crate::image::Image;
use crate::schedule::{Fault, Whose};

/// How long an operator waits before looking at a device again.
const LOOK_AGAIN: Duration = Duration::from_secs(2 * 24 * 3600);
/// So many looks are enough.
const LOOKS: usize = 6;

impl<D: Device> World<D> {
    /// The whole run: the schedule's faults, then peace, then another rotation.
    pub fn run(&mut self) -> Outcome {
        self.never_rested = !self.settle() && !self.is_told() && self.env.watch.violation().is_none();
        if self.nodes.len() > 1 {
            // Which of two copies of a device is to live is for people to say.
            self.judge_copies();
        } else if self.env.watch.violation().is_none() {
            self.make_peace();
            self.come_to_rest("liveness");
            if self.ending.is_none() {
                self.wait_for_the_sweep();
                self.rotate_again();
            }
        }
        self.outcome()
    }

    /// Only the schedule's faults, and what follows by itself.
    pub fn run_faulty(&mut self) {
        self.settle();
        self.judge();
        self.judge_identities();
    }

    /// Everything that a fault left broken is mended, as people would: not more. What was deactivated stays so while
    /// the disk holds another identity that is accepted.
    fn make_peace(&mut self) {
        self.env.director.note(|| "=== peace: everything is mended".into());
        self.env.director.calm();
        let now = self.env.now;
        let quarrel = match (self.is_told(), self.env.watch.away) {
            (true, _) => Some(Ending::Told),
            (false, true) => Some(Ending::LostWhileAway),
            (false, false) => None,
        };
        if quarrel.is_some() {
            self.give_back();
            self.forgive_the_loss();
        }
        self.resolution = quarrel;
        self.env.set_clock(None);
        self.env.tell(0, News::ClockSet);
        self.env.cloud.delay = Duration::ZERO;
        self.env.cloud.down_until = self.env.cloud.down_until.min(now);
        self.env.cloud.refuses_until = self.env.cloud.refuses_until.min(now);
        self.env.cloud.restore_claim(now);
        self.env.flush_mail();
        self.judge();
        if self.survivors(None).is_empty() && self.is_taken_from_outside() {
            self.reactivate();
        }
        if self.is_contested() {
            // Whoever asked for what: the operator begins with the rightful device afresh.
            self.env.cloud.retired_by.clear();
        }
        self.thief.is_caught(&mut self.env);
        for node in &self.nodes {
            node.home.disk.lift();
        }
        self.release();
        if self.env.watch.damaged {
            // What serves from memory is found out at a start.
            self.env.director.note(|| "=== a person restarts a device whose disk complains".into());
            self.env.director.cut(Crash::KeepAll);
            self.power_cut(0);
        }
    }

    /// Whoever was told of a thief counts as lost what the thief had retired.
    fn give_back(&mut self) {
        let Some(node) = self.nodes.first() else { return };
        let own = Image::of(&node.home.disk.view(Side::Seen)).pairs;
        let attached = self.env.cloud.registry.principals_of(&node.home.thing);
        let own = own.iter().map(|pair| pair.certificate).filter(|id| attached.contains(id));
        let own: Vec<CertificateId> = own.collect();
        self.env.cloud.killed.extend(own.iter().copied());
        self.env.cloud.waive(own);
    }

    /// Makes ACTIVE again what is only INACTIVE and still on the disk. For what is REVOKED there is recovery.
    fn reactivate(&mut self) {
        let Some(node) = self.nodes.first() else { return };
        let own = D::identities(&node.home.disk.view(Side::Seen));
        let (now, cloud) = (self.env.now, &mut self.env.cloud);
        let killed: Vec<CertificateId> = own.into_iter().filter(|id| cloud.killed.contains(id)).collect();
        for id in killed {
            if cloud.set_status(now, &id, CertificateStatus::Active).is_ok() {
                self.helped = true;
                cloud.forget_waived(&id);
            }
        }
        if self.helped {
            self.has_given_back();
        }
    }

    fn release(&mut self) {
        let Some(node) = self.nodes.first() else { return };
        if self.env.cloud.controller.is_frozen(&node.home.thing) {
            self.released = true;
            if !self.is_freezing_earned() {
                self.env
                    .watch
                    .fail("freeze", || "the controller froze a thing that nobody has touched".into());
            }
            // Its record is forgotten: it begins to watch anew.
            self.env.cloud.first_attested = None;
            self.env.cloud.controller.release(self.env.now, &node.home.thing);
        }
    }

    /// Whether something happened that a controller cannot tell from two parties with one identity: somebody else's
    /// hand, or a device whose disk took it back to the identity before.
    fn is_freezing_earned(&self) -> bool {
        let watch = &self.env.watch;
        let took = |fault: Fault| matches!(fault, Fault::Taken | Fault::Disk(Errno::Io, _));
        // In a takeover an older identity is tried in the thing's own name: after a broker that let nobody in the new one
        // may be refused last, and the older one let in first.
        let shut = |fault: Fault| self.env.schedule.takeover && matches!(fault, Fault::Closed(_));
        self.is_contested()
            || watch.theft_attested.is_some()
            || watch.damaged
            || !self.env.cloud.killed.is_empty()
            || self.env.schedule.faults.iter().any(|planned| took(planned.fault) || shut(planned.fault))
    }

    /// Runs on until the device is settled.
    fn come_to_rest(&mut self, invariant: &'static str) {
        for _ in 0..LOOKS {
            let ended = self.settle();
            if self.env.watch.violation().is_some() {
                return;
            }
            let Some(node) = self.nodes.first() else { return };
            if ended && node.device.as_ref().is_some_and(D::is_settled) {
                return self.check_settled(invariant);
            }
            if node.device.as_ref().is_some_and(D::is_held) {
                // What is staged waits for the window, which comes some day; until then nothing older goes.
                self.env.director.note(|| "=== an operator switches to what is staged".into());
                self.env.tell(0, News::Offline(Offline::Switch));
            }
            // Whatever nobody took it must come to by itself.
            if !self.holds_an_accepted_identity() && self.is_taken_from_outside() {
                if self.env.schedule.sealed {
                    self.ending = Some(Ending::BeyondHelp);
                    return;
                }
                self.help();
            }
            self.release();
            self.env.now = self.env.now + LOOK_AGAIN;
        }
        let doing = self.nodes.first().and_then(|node| node.device.as_ref()).map(D::doing);
        self.env.watch.fail(invariant, || format!("the device never comes to rest: {doing:?}"));
    }

    /// Whether the disk holds something that the broker would take now.
    fn holds_an_accepted_identity(&mut self) -> bool {
        (0..self.nodes.len()).any(|index| self.holds_accepted(index))
    }

    fn holds_accepted(&mut self, index: usize) -> bool {
        let Some(node) = self.nodes.get(index) else { return false };
        let (now, live) = (self.env.now, node.home.live());
        let found = D::identities(&node.home.disk.view(Side::Seen));
        found.into_iter().any(|id| self.env.cloud.admit(now, &live, id).is_ok())
    }

    /// Whether an operator, the disk itself, or a thief that people know of took what the device had: without any of
    /// them, I1 would be broken.
    fn is_taken_from_outside(&self) -> bool {
        self.lost_everything() || self.resolution.is_some()
    }

    /// What an operator does for a device that holds nothing that is accepted: opens a window for recovery.
    fn help(&mut self) {
        self.env.director.note(|| "=== a person opens a window for recovery".into());
        self.helped = true;
        self.env.cloud.open_recovery(self.env.now, true);
    }

    fn check_settled(&mut self, invariant: &'static str) {
        let Some(node) = self.nodes.first() else { return };
        let current = node.device.as_ref().and_then(|device| device.certificate(Whose::Current));
        let (now, live) = (self.env.now, node.home.live());
        let accepted = current.is_some_and(|id| self.env.cloud.admit(now, &live, id).is_ok());
        if !accepted || !self.is_connected() {
            self.env.watch.fail(invariant, || format!("the identity in use is not accepted: {current:?}"));
        }
    }

    /// What rotations left behind and was never in use is swept while the device only lives on, without another
    /// rotation; where there is a witness, and nobody froze the thing.
    fn wait_for_the_sweep(&mut self) {
        let Some(node) = self.nodes.first() else { return };
        let thing = node.home.thing.clone();
        if self.env.cloud.controller.record(&thing).is_none() || self.env.watch.violation().is_some() {
            return;
        }
        self.env.director.note(|| "=== long enough for the sweep".into());
        let patience = &self.env.cloud.stage().patience;
        let told = patience.staged_for + patience.leftover_after;
        let span = told + patience.leftover_after + patience.soak + patience.grace + patience.look_again;
        self.live_on(self.env.now + span);
        let current = self.current();
        let frozen = self.env.cloud.controller.is_frozen(&thing);
        let Some(current) = current.filter(|_| !frozen && self.env.watch.violation().is_none()) else {
            return;
        };
        let cloud = &self.env.cloud;
        let witnessed = cloud.controller.record(&thing).map(|record| record.witness.created_at);
        // By takeover every candidate that was tried was in use, on the thing's own client id: it is held to the next
        // commit alone. What the controller cannot know to be unused, it leaves to that too: what is not newer than its
        // witness, or than the first request that it has heard. The account counts in seconds.
        let known = witnessed.max(cloud.first_attested).map(|at| at.as_secs());
        let is_leftover = |id: &CertificateId| {
            let created = cloud.registry.certificate(id).map(|record| record.created_at.as_secs());
            let touched = cloud.lived.contains(id) || cloud.killed.contains(id);
            *id != current && !touched && created > known
        };
        let left = cloud.active(&thing).into_iter().filter(is_leftover);
        let left: Vec<String> = left.map(|id| id.short()).collect();
        if !left.is_empty() {
            self.env.watch.fail("sweep", || format!("ACTIVE and never in use: {left:?}"));
        }
    }

    /// Lets everything go its way until then.
    fn live_on(&mut self, until: fleetkey_model::time::Timestamp) {
        self.until = Some(until);
        let end = self.steps + MOST_STEPS;
        while self.steps < end && self.env.watch.violation().is_none() && self.advance() {}
        self.until = None;
        self.env.now = self.env.now.max(until);
        self.advance();
    }

    /// A rotation in peace: afterwards nothing else is left.
    fn rotate_again(&mut self) {
        if self.env.watch.violation().is_some() {
            return;
        }
        self.env.director.note(|| "=== the next rotation".into());
        self.env.cloud.open_recovery(self.env.now, false);
        let before = self.current();
        // The account counts in seconds: of two certificates of one second neither is the older.
        self.env.spend(Duration::from_secs(5));
        self.env.tell(0, News::Command(DeviceCommand::Rotate { id: String::new() }));
        self.come_to_rest("liveness of the next rotation");
        if self.env.watch.violation().is_some() {
            return;
        }
        if self.current() == before {
            self.env.watch.fail("liveness of the next rotation", || "it has not come about".into());
        }
        self.check_clean();
    }

    fn current(&self) -> Option<CertificateId> {
        self.nodes.first()?.device.as_ref()?.certificate(Whose::Current)
    }

    /// Nothing is left behind, in the account or on the disk.
    fn check_clean(&mut self) {
        let Some(node) = self.nodes.first() else { return };
        let active = self.env.cloud.active(&node.home.thing);
        if active.len() != 1 || active.first() != self.current().as_ref() {
            let shown: Vec<String> = active.iter().map(|id| id.short()).collect();
            let current = self.current().map(|id| id.short());
            self.env.watch.fail("clean account", || format!("ACTIVE {shown:?}, in use {current:?}"));
        }
        let image = Image::of(&node.home.disk.view(Side::Seen));
        if image.slots > 1 {
            self.env.watch.fail("clean disk", || format!("{} slots are left", image.slots));
        }
    }

    /// How many of the devices have had an identity and hold none that is accepted.
    fn lost_copies(&mut self) -> usize {
        let had: Vec<usize> = (0..self.nodes.len()).filter(|index| self.has_held(*index)).collect();
        had.into_iter().filter(|index| !self.holds_accepted(*index)).count()
    }

    /// Two devices with one disk: each still holds an identity that is accepted, or people were told.
    fn judge_copies(&mut self) {
        self.judge();
        if self.lost_copies() > 0 && !self.env.watch.alarmed {
            // One that waits before it connects again has not heard yet what became of its identity.
            self.live_on(self.env.now + LOOK_AGAIN);
        }
        let lost = self.lost_copies();
        let lost_everything = self.lost_everything();
        let told_in_time = self.env.watch.alarmed || self.has_the_controller_alarmed();
        let watch = &mut self.env.watch;
        self.resolution = Some(match lost {
            _ if told_in_time => Ending::Told,
            0 => Ending::Shared,
            _ if watch.nothing_accepted => Ending::LostWhileAway,
            _ if lost_everything || watch.damaged => Ending::BeyondHelp,
            _ => {
                watch.fail("clone", || format!("{lost} of two lost their identity and nobody was told"));
                Ending::Broken
            }
        });
    }
}
