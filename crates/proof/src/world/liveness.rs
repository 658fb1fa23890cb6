//! What must come about once nothing strikes any more: one committed, accepted identity in use; and after the next
//! rotation no other ACTIVE certificate, no slot that nothing refers to.

use std::time::Duration;

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::retirement::DeviceCommand;

use super::{Outcome, World};
use crate::device::Device;
use crate::env::News;
use crate::image::Image;
use crate::schedule::Whose;

/// How long an operator waits before looking at a device again.
const LOOK_AGAIN: Duration = Duration::from_secs(2 * 24 * 3600);
/// So many looks are enough.
const LOOKS: usize = 6;

impl<D: Device> World<D> {
    /// The whole run: the schedule's faults, then peace, then another rotation.
    pub fn run(&mut self) -> Outcome {
        self.settle();
        // Which of two copies of a device is to live is for people to say.
        if self.env.watch.violation().is_none() && self.nodes.len() == 1 {
            self.make_peace();
            self.come_to_rest("liveness");
            self.rotate_again();
        }
        self.outcome()
    }

    /// Only the schedule's faults, and what follows by itself.
    pub fn run_faulty(&mut self) {
        self.settle();
    }

    /// Everything that a fault left broken is mended, as people would: not more.
    fn make_peace(&mut self) {
        self.env.director.note(|| "=== peace: everything is mended".into());
        self.env.director.calm();
        let now = self.env.now;
        let contested = self.is_contested();
        if self.is_told() {
            self.give_back();
        }
        self.env.set_clock(None);
        self.env.tell(0, News::ClockSet);
        self.env.cloud.delay = Duration::ZERO;
        self.env.cloud.down_until = self.env.cloud.down_until.min(now);
        self.env.flush_mail();
        let killed: Vec<_> = self.env.cloud.killed.iter().copied().collect();
        for id in killed {
            // One that is revoked stays so: for that there is recovery.
            let _ = self.env.cloud.set_status(now, &id, CertificateStatus::Active);
        }
        if contested {
            // Whoever asked for what: the operator begins with the rightful device afresh.
            self.env.watch.retired_by.clear();
        }
        self.thief.is_caught(&mut self.env);
        for node in &self.nodes {
            node.home.disk.lift();
            if self.env.cloud.controller.is_frozen(&node.home.thing) {
                self.env.cloud.controller.release(now, &node.home.thing);
            }
        }
    }

    /// Whoever was told of a thief counts as lost what the thief had retired, and makes ACTIVE again what is only
    /// INACTIVE. For what is REVOKED there is recovery.
    fn give_back(&mut self) {
        let Some(node) = self.nodes.first() else { return };
        let own = Image::of(&node.home.disk).pairs;
        self.env.cloud.killed.extend(own.iter().map(|pair| pair.certificate));
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
            self.help();
            self.env.now = self.env.now + LOOK_AGAIN;
        }
        let doing = self.nodes.first().and_then(|node| node.device.as_ref()).map(D::doing);
        self.env.watch.fail(invariant, || format!("the device never comes to rest: {doing:?}"));
    }

    /// What an operator does for a device that does not come back: opens a window for recovery.
    fn help(&mut self) {
        let now = self.env.now;
        self.env.cloud.open_recovery(now, true);
        if let Some(node) = self.nodes.first()
            && self.env.cloud.controller.is_frozen(&node.home.thing)
        {
            self.env.cloud.controller.release(now, &node.home.thing);
        }
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

    fn current(&self) -> Option<fleetkey_model::certificate::CertificateId> {
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
        let image = Image::of(&node.home.disk);
        if image.slots > 1 {
            self.env.watch.fail("clean disk", || format!("{} slots are left", image.slots));
        }
    }
}
