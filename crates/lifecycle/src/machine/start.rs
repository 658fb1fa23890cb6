//! Beginning: when a rotation or the first provisioning is due, and what must hold before it starts.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use fleetkey_model::retirement::DeviceCommand;
use fleetkey_model::time::Timestamp;
use sha2::{Digest, Sha256};

use super::{Awaiting, Machine, Step, Wait};
use crate::action::Action;
use crate::event::{Event, StorageFault};
use crate::record::{Asked, Authority, Phase, Reason, Record, Rotation};
use crate::slot::{SlotCertificate, SlotId};
use crate::status::Notice;

/// So many slots that cannot be destroyed mean a broken disk; more would outgrow the record.
pub(super) const MOST_DOOMED: usize = 16;

impl Machine {
    pub(super) fn on_command(&mut self, command: &DeviceCommand) {
        match command {
            DeviceCommand::Rotate { id } => self.on_asked(id),
        }
    }

    /// A broker may deliver a command twice, and a retained one comes with every subscription.
    fn on_asked(&mut self, id: &str) {
        let mark = first_half_of_sha256(id);
        let repeated = !id.is_empty() && self.asked.as_ref().is_some_and(|asked| asked.mark == mark);
        if !repeated {
            self.asked = Some(Asked { mark, open: true });
            self.want(Reason::Command);
        }
    }

    /// Notes a wish; a compromise outranks a command. A wish during a rotation is met by that rotation, but a
    /// compromise lasts until a commit: if the rotation is given up, another follows after its wait.
    pub(super) fn want(&mut self, reason: Reason) {
        if reason == Reason::Compromise {
            // Whoever has seen the key in use may have seen the candidate's beside it.
            let candidate = self.durable.rotation.as_ref().map(|rotation| rotation.slot);
            self.compromised = self.compromised.max(self.durable.current).max(candidate);
        }
        if self.durable.rotation.is_none() && self.wanted != Some(Reason::Compromise) {
            self.wanted = Some(reason);
        }
    }

    /// What was asked for is made durable before anything else is done: a crash must not forget it.
    pub(super) fn note_wishes(&mut self) {
        let (compromised, asked) = (self.compromised, self.asked.clone());
        let new = compromised > self.durable.compromised || asked != self.durable.asked;
        if !self.upkeep_is_due() {
            return;
        }
        if new {
            self.stage(Vec::new(), |record| {
                record.compromised = record.compromised.max(compromised);
                record.asked = asked;
            });
        } else {
            self.carry_out();
        }
    }

    /// Whether a command to rotate waits for a commit.
    pub(super) fn is_asked(&self) -> bool {
        self.durable.asked.as_ref().is_some_and(|asked| asked.open)
    }

    /// Whether the key in use is known to others.
    pub(super) fn is_compromised(&self) -> bool {
        self.durable.current.is_some() && self.durable.current <= self.compromised
    }

    pub(super) fn start_if_due(&mut self) -> Option<Step> {
        if self.durable.rotation.is_some() || !self.upkeep_is_due() {
            return None;
        }
        let mut obstacle = None;
        for reason in self.reasons_now().into_iter().flatten() {
            match self.obstacle(reason) {
                None => return self.preflight(reason),
                found => obstacle = obstacle.or(found),
            }
        }
        if obstacle.is_some() {
            self.blocked = obstacle;
        }
        None
    }

    /// Why a rotation should start now. What stands in the way of one reason need not stop the next: a wish or
    /// an age that waits for the last retirement must not hide that the certificate ends.
    fn reasons_now(&self) -> [Option<Reason>; 6] {
        if self.doubt.is_some() {
            // Any other rotation would be asked for with an identity that is refused.
            let recovery = self.wanted == Some(Reason::Recovery) && self.may_recover();
            return [recovery.then_some(Reason::Recovery), None, None, None, None, None];
        }
        if self.durable.current.is_none() {
            return [self.first_reason(), None, None, None, None, None];
        }
        let waited = self.reached(self.durable.not_before, self.config.backoff.rotation_cap);
        let again = (self.is_compromised() && waited).then_some(Reason::Compromise);
        let asked = (self.is_asked() && waited).then_some(Reason::Command);
        let staged = (self.durable.to_stage && waited).then_some(Reason::Command);
        let reached = |due: Timestamp| due <= self.now && !self.held;
        let due = self.due().filter(|(due, _)| reached(*due)).map(|(_, reason)| reason);
        let expiry = self.expiry().filter(|due| reached(*due)).map(|_| Reason::Expiry);
        [self.wanted.filter(|&reason| reason != Reason::Recovery), again, asked, staged, due, expiry]
    }

    /// A claim that was refused for good most likely met a thing that exists: this device under an earlier disk.
    /// Then a recovery is due, as seldom as any.
    fn first_reason(&self) -> Option<Reason> {
        let recovery = self.durable.failures > 0 && self.may_recover();
        let reason = if recovery { Reason::Recovery } else { Reason::Provision };
        (recovery || self.config.has_claim).then_some(reason)
    }

    /// When the committed identity is due, and why. A commit that seems to lie in the future was stamped by a
    /// wrong clock; the certificate's own start, which the cloud wrote, stands in for it.
    pub(super) fn due(&self) -> Option<(Timestamp, Reason)> {
        let (since, certificate) = self.committed()?;
        Some(self.config.schedule.due(&self.config.thing(), since, certificate))
    }

    /// When the committed certificate is to be renewed because it ends.
    pub(super) fn expiry(&self) -> Option<Timestamp> {
        let (since, certificate) = self.committed()?;
        Some(self.config.schedule.expiry(&self.config.thing(), since, certificate?))
    }

    fn committed(&self) -> Option<(Timestamp, Option<&SlotCertificate>)> {
        let current = self.durable.current?;
        let certificate = self.slots.get(&current).and_then(|slot| slot.certificate.as_ref());
        let since = match certificate {
            Some(certificate) if self.durable.current_since > self.now => certificate.not_before,
            _ => self.durable.current_since,
        };
        Some((since, certificate))
    }

    /// What stands in the way of a start; a compromise is stopped by nothing, expiry by nothing but back-off.
    fn obstacle(&self, reason: Reason) -> Option<String> {
        let urgent = !matches!(reason, Reason::Age | Reason::Command);
        if self.has_double() && !urgent {
            return Some("another device connects with this identity: is its disk a copy?".to_string());
        }
        if self.durable.aftermath.is_some() && !urgent {
            let why = self.unretired.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            return Some(format!("the previous identity is not retired yet{why}"));
        }
        if self.durable.doomed.len() >= MOST_DOOMED {
            return Some("old slots cannot be destroyed: the state directory needs attention".to_string());
        }
        let waits = matches!(reason, Reason::Age | Reason::Expiry | Reason::Provision)
            || self.durable.current.is_none();
        let over = self.reached(self.durable.not_before, self.config.backoff.rotation_cap);
        if waits && !over {
            return Some(match self.durable.failures {
                0 => "waiting since an operator went back".to_string(),
                failures => format!("waiting after {failures} failed rotations in a row"),
            });
        }
        None
    }

    /// Nothing is asked of the cloud that the disk could not hold the answer to.
    fn preflight(&mut self, reason: Reason) -> Option<Step> {
        if !self.reached(self.preflight.until, self.config.backoff.step_cap) {
            return None;
        }
        self.starting = Some(reason);
        Some((Action::Preflight, Awaiting::Preflight(reason)))
    }

    pub(super) fn on_preflight(&mut self, reason: Reason, outcome: &Event) {
        match outcome {
            Event::Ready => {
                self.preflight = Wait::default();
                self.begin(reason);
            }
            Event::StorageFailed(fault) => self.defer(*fault),
            _ => {}
        }
    }

    fn defer(&mut self, fault: StorageFault) {
        let policy = self.config.backoff;
        let until = self.now + self.jitter.wait(policy.base, policy.step_cap, self.preflight.failures);
        let failures = self.preflight.failures.saturating_add(1);
        self.preflight = Wait { until: Some(until), failures };
        self.starting = None;
        let why = format!("the state directory does not take a rotation ({fault:?})");
        self.notices.push_back(Notice::Deferred { why: why.clone(), until });
        self.blocked = Some(why);
    }

    fn begin(&mut self, reason: Reason) {
        let slot = SlotId(self.durable.next_slot);
        let recovery = reason == Reason::Recovery;
        let authority = match self.durable.current {
            _ if recovery => Authority::Recovery,
            Some(current) => Authority::Current(current),
            None => Authority::Claim,
        };
        let recovery_at = if recovery { Some(self.now) } else { self.durable.recovery_at };
        let id = self.rotation_id(slot);
        let rotation = Rotation {
            id: id.clone(),
            reason,
            slot,
            authority,
            started_at: self.now,
            hold: self.hold_for(reason),
            phase: Phase::MakingKey,
        };
        self.stage(alloc::vec![Notice::Started { id, reason }], |record| {
            record.next_slot = slot.0.saturating_add(1);
            record.rotation = Some(rotation);
            record.recovery_at = recovery_at;
        });
    }

    /// One id a rotation, without randomness: serial, slot and moment make it unique.
    fn rotation_id(&self, slot: SlotId) -> String {
        let seed = format!("{}/{slot}/{}", self.config.serial, self.now.as_millis());
        first_half_of_sha256(&seed).chars().take(16).collect()
    }

    /// Gives the rotation up: the committed identity serves on, the candidate is doomed, and the next try waits.
    pub(super) fn abandon(&mut self, why: String) {
        self.give_up(|id, why| Notice::Abandoned { id, why }, why);
    }

    /// The same, of a candidate that was registered and that the broker refuses.
    pub(super) fn roll_back(&mut self, why: String) {
        self.give_up(|id, why| Notice::RolledBack { id, why }, why);
    }

    /// A wait that leaves room for three more before the certificate of this slot ends, where it ends at all soon. Of
    /// one that has ended nothing is left to be in time for.
    pub(super) fn before_the_end(&self, slot: Option<SlotId>, wait: Duration) -> Duration {
        let certificate = slot.and_then(|slot| self.slots.get(&slot)?.certificate.as_ref());
        let left = certificate.map(|certificate| certificate.not_after.since(self.now));
        match left {
            Some(left) if !left.is_zero() => wait.min((left / 4).max(self.config.backoff.base * 60)),
            _ => wait,
        }
    }

    /// How long to wait after so many rotations that failed in a row.
    pub(super) fn rotation_wait(&mut self, failures: u32) -> Duration {
        let policy = self.config.backoff;
        self.jitter.spread(policy.base.saturating_mul(60), policy.rotation_cap, failures)
    }

    fn give_up(&mut self, notice: fn(String, String) -> Notice, why: String) {
        let Some(rotation) = self.durable.rotation.clone() else {
            return;
        };
        let failures = self.durable.failures.saturating_add(1);
        let wait = self.rotation_wait(failures);
        let until = self.now + self.before_the_end(self.durable.current, wait);
        let notice = notice(rotation.id.clone(), why.clone());
        // One that may be registered and was never judged stays on the ladder; the next commit takes it away.
        let may_be = rotation.phase.may_be_registered() || self.is_renewed(rotation.slot);
        let keep = self.doubt.is_some() && !self.is_recovering() && may_be;
        self.stage(alloc::vec![notice], |record: &mut Record| {
            record.rotation = None;
            record.failures = failures;
            record.not_before = Some(until);
            record.doomed.extend((!keep).then_some(rotation.slot));
        });
        self.blocked = Some(why);
    }
}

fn first_half_of_sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
