//! `verify`: whether a state directory is whole and in agreement with itself, by reading alone.
//!
//! Offline and without the lock, so that it can be asked of a device that runs, of one that does not start, and
//! of a copy. While an agent writes, a finding may be the moment between two of its steps: ask again. Not here:
//! whether the broker accepts what is found (`run` finds out).

use core::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetkey_lifecycle::record::Phase;
use fleetkey_lifecycle::{Record, SlotFacts, SlotId};
use fleetkey_model::name::SerialNumber;
use serde::Serialize;
use serde_json::{Value, json};

use super::atomic::TEMPORARY;
use super::audit::{AuditHead, read_entries};
use super::ballast::{BALLAST, has_ballast};
use super::export::{EXPORT_LINK, directory_name};
use super::fs::RealFs;
use super::record::{RecordError, STATE};
use super::scan::slot_number;
use super::{Ballast, Store, StoreFault, slot};
use crate::keys::Keys;

mod modes;
#[cfg(test)]
mod tests;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is not as it must be.
    Fault,
    /// Worth knowing; the agent deals with it by itself.
    Note,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Where.
    pub path: PathBuf,
    /// What.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// All findings, in the order in which they were come upon.
    pub findings: Vec<Finding>,
    /// The slots that were looked at.
    pub slots: usize,
    /// The entries of the audit log that were looked at.
    pub entries: usize,
    /// The last of them.
    pub audit: Option<AuditHead>,
}

impl Checked {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(|finding| finding.severity == Severity::Fault)
    }

    /// As `verify --json` shows it.
    pub fn json(&self) -> Value {
        json!({
            "sound": self.is_sound(),
            "findings": self.findings,
            "slots": self.slots,
            "entries": self.entries,
            "audit": self.audit,
        })
    }
}

/// One line a finding, and one of what was looked at.
impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let verdict = if self.is_sound() { "sound" } else { "not sound" };
        write!(f, "{verdict}: {} slots, {} audit entries", self.slots, self.entries)?;
        match &self.audit {
            Some(head) => write!(f, ", head {} {}", head.n, head.hash),
            None => Ok(()),
        }
    }
}

/// `fault: PATH: what; what to do`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Fault => "fault",
            Severity::Note => "note",
        };
        write!(f, "{severity}: {}: {}; {}", self.path.display(), self.what, self.remedy)
    }
}

/// Checks the state directory `root` of the device `serial`.
pub fn check(root: &Path, keys: Arc<dyn Keys>, serial: SerialNumber) -> Checked {
    let store = Store {
        fs: Arc::new(RealFs),
        keys,
        root: root.into(),
        serial,
        ballast: Arc::new(Ballast::default()),
    };
    let mut check = Check { store, found: Checked::default() };
    if check.root_is_there() {
        check.run();
    }
    check.found
}

struct Check {
    store: Store,
    found: Checked,
}

impl Check {
    fn run(&mut self) {
        self.modes();
        let slots = self.slots();
        if let Some(record) = self.record(&slots) {
            self.references(&record, &slots);
            self.export(&record);
        }
        self.leftovers();
        self.audit();
    }

    fn root_is_there(&mut self) -> bool {
        let root = self.store.root.clone();
        match std::fs::metadata(&root) {
            Ok(facts) if facts.is_dir() => return true,
            Ok(_) => self.fault(&root, "it is no directory", "name the state directory in the configuration"),
            Err(error) => {
                self.fault(&root, format!("cannot be read: {error}"), "is this the right directory?");
            }
        }
        false
    }

    /// The record; without one there must be nothing that it would have to explain.
    fn record(&mut self, slots: &[SlotFacts]) -> Option<Record> {
        let path = self.store.root.join(STATE);
        match self.store.read_record() {
            Ok(Some(record)) => return Some(record),
            Ok(None) if slots.is_empty() => {
                self.note(&path, "there is no record and no slot", "the agent provisions the device");
            }
            Ok(None) => {
                self.fault(&path, "there is no record", "the agent takes the identity from the slots");
            }
            Err(RecordError::Newer { found, .. }) => {
                let what = format!("its version is {found}, newer than this program");
                self.fault(&path, what, "install the newer fleetkey-agent again");
            }
            Err(RecordError::Damaged { reason, .. }) => {
                let what = format!("it is damaged ({reason})");
                self.fault(&path, what, "the agent takes the identity from the slots");
            }
            Err(RecordError::Fault(fault)) => self.unreadable(&fault),
        }
        None
    }

    /// All slots that are consistent.
    fn slots(&mut self) -> Vec<SlotFacts> {
        let dir = self.store.slots();
        let entries = self.store.entries(&dir).unwrap_or_else(|fault| {
            self.unreadable(&fault);
            Vec::new()
        });
        let mut slots = Vec::new();
        for entry in entries {
            let path = dir.join(&entry.name);
            match slot_number(&entry.name) {
                Some(id) => slots.extend(self.slot(id, &path)),
                None if entry.name.to_str().is_some_and(|name| name.starts_with("aside-")) => {
                    self.note(
                        &path,
                        "a slot that did not match was put aside",
                        "look into it, then delete it",
                    );
                }
                None => {}
            }
        }
        slots
    }

    fn slot(&mut self, id: SlotId, path: &Path) -> Option<SlotFacts> {
        self.found.slots += 1;
        let contents = self.store.inspect(id);
        let checked = contents.and_then(|facts| self.store.check_request(id).map(|()| facts));
        checked.map_err(|fault| self.inconsistent(path, &fault)).ok()
    }

    /// What the record refers to is there, and as complete as the record says.
    fn references(&mut self, record: &Record, slots: &[SlotFacts]) {
        let is_complete = |id: SlotId| slots.iter().any(|slot| slot.id == id && slot.is_complete());
        let has_key = |id: SlotId| slots.iter().any(|slot| slot.id == id && slot.public_key.is_some());
        let lost = "start the agent with a claim into an open recovery window, or restore the directory";
        for (id, role) in [(record.current, "current"), (record.previous, "previous")] {
            if let Some(id) = id.filter(|&id| !is_complete(id)) {
                let what = format!("the {role} identity is not complete");
                self.fault(&self.store.slot_dir(id), what, lost);
            }
        }
        if let Some(rotation) = &record.rotation {
            let holds = match rotation.phase {
                Phase::MakingKey => true,
                Phase::KeyReady | Phase::Requested => has_key(rotation.slot),
                Phase::CertStored { .. }
                | Phase::Registering { .. }
                | Phase::Verifying { .. }
                | Phase::Staged { .. } => is_complete(rotation.slot),
            };
            if !holds {
                let what = "the candidate holds less than the record says";
                self.fault(&self.store.slot_dir(rotation.slot), what, "the agent begins the candidate again");
            }
        }
        for slot in slots {
            if !record.refers_to(slot.id) && !record.doomed.contains(&slot.id) {
                let what = "no record explains this slot";
                self.note(
                    &self.store.slot_dir(slot.id),
                    what,
                    "keep it until the device works, then delete it",
                );
            }
        }
    }

    /// Other programs see the current identity.
    fn export(&mut self, record: &Record) {
        let Some(current) = record.current else { return };
        let Ok(identity) = self.store.identity(current) else { return };
        if !self.store.is_exported(&identity, &directory_name(current)) {
            let what = "it is not the current identity's";
            self.fault(&self.store.root.join(EXPORT_LINK), what, "the agent exports again when it starts");
        }
    }

    fn leftovers(&mut self) {
        let root = self.store.root.clone();
        for entry in self.store.entries(&root).unwrap_or_default() {
            if entry.name.to_str().is_some_and(|name| name.starts_with(TEMPORARY)) {
                let what = "an interrupted write left it";
                self.note(&root.join(&entry.name), what, "the agent removes it when it starts");
            }
        }
        if !has_ballast(&RealFs, &root) {
            let what = "there is no ballast for a full disk";
            self.note(&root.join(BALLAST), what, "make room; the agent makes it before the next rotation");
        }
    }

    fn audit(&mut self) {
        let root = self.store.root.clone();
        let read = match read_entries(&RealFs, &root) {
            Ok(read) => read,
            Err(fault) => return self.unreadable(&fault),
        };
        self.found.entries = read.lines.len();
        self.found.audit = read.head;
        for found in read.breaks {
            let what = format!("line {}: {}", found.line, found.reason);
            let remedy = "somebody changed the log: compare the head with the controller's";
            self.fault(&found.path, what, remedy);
        }
        if read.torn {
            let what = "its last line is torn";
            self.note(&root.join("audit.log"), what, "the agent cuts it off when it starts");
        }
    }

    fn inconsistent(&mut self, path: &Path, fault: &StoreFault) {
        let remedy = "the agent puts it aside; restore it from a backup if it was in use";
        self.fault(path, fault.to_string(), remedy);
    }

    fn unreadable(&mut self, fault: &StoreFault) {
        let what = format!("cannot {}: {}", fault.op, fault.reason);
        self.fault(&fault.path, what, "run this as the agent's user; else the disk is failing");
    }

    fn fault(&mut self, path: &Path, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Fault, path, what.into(), remedy.into());
    }

    fn note(&mut self, path: &Path, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Note, path, what.into(), remedy.into());
    }

    fn add(&mut self, severity: Severity, path: &Path, what: String, remedy: String) {
        self.found.findings.push(Finding { severity, path: path.to_path_buf(), what, remedy });
    }
}

impl Store {
    /// Proves that a signing request, if there is one, is for the slot's key.
    fn check_request(&self, id: SlotId) -> Result<(), StoreFault> {
        let path = self.slot_dir(id).join(slot::CSR);
        let (Some(key), Some(request)) =
            (self.key(id)?, super::atomic::read_optional(&*self.fs, &path, slot::MAX_FILE)?)
        else {
            return Ok(());
        };
        let public = self.keys.public_key(&key).ok();
        match crate::keys::requested_key(&request) {
            Ok(requested) if Some(&requested) == public.as_ref() => Ok(()),
            Ok(_) => Err(StoreFault::content("use", &path, "the request is not for the slot's key")),
            Err(error) => Err(StoreFault::content("use", &path, error.to_string())),
        }
    }
}
