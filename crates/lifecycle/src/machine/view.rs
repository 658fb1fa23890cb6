//! The machine seen from outside: deadline and status. Changes nothing.

use alloc::string::String;

use fleetkey_model::time::Timestamp;

use super::Machine;
use crate::config::Config;
use crate::record::{Phase, Record, Stage};
use crate::slot::SlotFacts;
use crate::status::{StateName, Status};

impl Machine {
    /// When `handle(now, Event::Tick)` is due at the latest; `None` while an action runs or nothing waits.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.awaiting.is_some() {
            return None;
        }
        let record = &self.durable;
        let due = match (&record.rotation, &record.aftermath) {
            _ if self.held => None,
            (Some(_), _) => None,
            (None, None) => self.due().map(|(due, _)| due),
            // Only a certificate that ends does not wait for the last retirement.
            (None, Some(_)) => self.expiry(),
        };
        let due = due.map(|due| due.max(record.not_before.unwrap_or_default()));
        let retries = record.rotation.is_none()
            && (record.current.is_none() || self.is_compromised() || self.is_asked() || record.to_stage);
        let retry = record.not_before.filter(|_| retries);
        let disk = [self.upkeep, self.export, self.destroy, self.preflight];
        let waits = [self.step, self.golive, self.retire, self.back, self.tell].into_iter().chain(disk);
        let recovery = record.recovery_at.filter(|_| record.current.is_none() && self.config.has_recovery);
        let recovery = recovery.map(|at| at + self.config.recovery_spacing);
        let ladder = self.doubt.as_ref().and_then(super::ladder::Doubt::deadline);
        (waits.map(|wait| wait.until))
            .chain([self.soak_deadline(), due, retry, recovery, ladder, self.double_until()])
            .flatten()
            .filter(|&at| at > self.now)
            .min()
    }

    /// A snapshot for people.
    pub fn status(&self) -> Status {
        let record = &self.durable;
        let certificate =
            record.current.and_then(|slot| self.slots.get(&slot)).and_then(|slot| slot.certificate.as_ref());
        let rotation = record.rotation.as_ref().map(|rotation| &rotation.id);
        let retiring = record.aftermath.as_ref().map(|aftermath| &aftermath.id);
        Status {
            state: self.state(),
            thing: self.config.thing(),
            current: record.current,
            certificate: certificate.map(|certificate| certificate.id),
            not_after: certificate.map(|certificate| certificate.not_after),
            previous: record.previous,
            candidate: record.rotation.as_ref().map(|rotation| rotation.slot),
            rotation: rotation.or(retiring).cloned(),
            reason: record.rotation.as_ref().map(|rotation| rotation.reason),
            held: self.is_held() || record.to_stage,
            staged: self.staged_candidate(),
            going_back: record.back_to.is_some(),
            met: record.met,
            due: self.due().map(|(due, _)| due),
            connected: self.link.is_some(),
            exported: record.current.is_some() && self.exported == record.current,
            blocked: self.blocked.clone().or_else(|| self.unretired()),
            failures: record.failures,
            alarms: self.alarms(),
        }
    }

    /// The machine's settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The record that is on disk, as far as the machine was told.
    pub fn record(&self) -> &Record {
        &self.durable
    }

    /// What is known of a slot.
    pub fn slot(&self, slot: crate::slot::SlotId) -> Option<&SlotFacts> {
        self.slots.get(&slot)
    }

    /// Whether every command and compromise that was taken in would be known after a crash: what makes it right to
    /// acknowledge one.
    pub fn wishes_are_durable(&self) -> bool {
        let noted = self.asked == self.durable.asked && self.compromised <= self.durable.compromised;
        noted && self.offline.is_none()
    }

    /// Why the superseded identity is not retired yet, while that is all that is under way.
    fn unretired(&self) -> Option<String> {
        self.unretired.clone().filter(|_| self.state() == StateName::Retiring)
    }

    fn state(&self) -> StateName {
        let record = &self.durable;
        if self.doubt.is_some() && !self.is_recovering() && self.starting.is_none() {
            return StateName::Ladder;
        }
        if let Some(rotation) = &record.rotation {
            return match rotation.phase {
                Phase::MakingKey => StateName::MakingKey,
                Phase::KeyReady => StateName::KeyReady,
                Phase::Requested => StateName::Requested,
                Phase::CertStored { .. } => StateName::CertStored,
                Phase::Registering { .. } => StateName::Registering,
                Phase::Verifying { .. } => StateName::Verifying,
                Phase::Staged { .. } => StateName::Staged,
            };
        }
        if self.starting.is_some() {
            return StateName::Preflight;
        }
        match record.aftermath.as_ref().map(|aftermath| aftermath.stage) {
            Some(Stage::Soak { .. }) => StateName::Soak,
            Some(Stage::Retiring) => StateName::Retiring,
            Some(Stage::Retired) => StateName::Retired,
            None if record.current.is_none() => StateName::Unprovisioned,
            None if self.blocked.is_some() && self.is_due() => StateName::Deferred,
            None => StateName::Idle,
        }
    }

    fn is_due(&self) -> bool {
        self.wanted.is_some() || self.due().is_some_and(|(due, _)| due <= self.now)
    }
}

impl Machine {
    /// The moment the machine goes by: the clock's, or the floor if the clock is behind it.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}
