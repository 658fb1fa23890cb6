//! What is on disk when the agent starts: slots tell what they are by their content, never by a name or a date.

use std::io;
use std::path::{Path, PathBuf};

use fleetkey_lifecycle::slot::SlotCertificate;
use fleetkey_lifecycle::{SlotFacts, SlotId};

use super::atomic::{self, TEMPORARY};
use super::fault::{Attempt, FaultKind, StoreFault};
use super::fs::Entry;
use super::{Store, slot};

/// Something that did not match: it was moved out of the way and is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Where it is now.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// A slot that the disk does not give, and nobody knows what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Which slot.
    pub slot: SlotId,
    /// Where it is.
    pub path: PathBuf,
    /// What the disk said.
    pub reason: String,
}

/// All slots, in rising order, and what was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// The usable slots.
    pub slots: Vec<SlotFacts>,
    /// The others.
    pub aside: Vec<Aside>,
    /// What the disk does not read: left as it is, because that may pass.
    pub unread: Vec<Unread>,
}

impl Store {
    /// Reads all slots. One that does not match is moved aside; a disk that cannot be read is an error, not a
    /// verdict on the slot.
    ///
    /// # Errors
    /// When the disk refuses to be read.
    pub fn scan(&self) -> Result<Scan, StoreFault> {
        self.scan_for(None)
    }

    /// The same for a device whose record names its `current` slot: one that cannot be read is told apart, since none
    /// may keep the device off line while another, or the claim, could bring it back. Without a record each of them
    /// counts: the one that does not read may be who the device is, and its number must not be given to another.
    ///
    /// # Errors
    /// When the disk refuses to be read where it must be.
    pub fn scan_for(&self, current: Option<SlotId>) -> Result<Scan, StoreFault> {
        let slots = self.slots();
        let mut found = Scan::default();
        for entry in self.entries(&slots)? {
            let Some(id) = slot_number(&entry.name) else {
                continue;
            };
            match self.inspect(id) {
                Ok(contents) => found.slots.push(contents),
                Err(fault) if fault.kind == FaultKind::Content => {
                    found.aside.push(self.put_aside(id, &fault)?);
                }
                Err(fault) if current.is_some() => {
                    let (path, reason) = (self.slot_dir(id), fault.to_string());
                    found.unread.push(Unread { slot: id, path, reason });
                }
                Err(fault) => return Err(fault),
            }
        }
        found.slots.sort_by_key(|slot| slot.id);
        Ok(found)
    }

    /// What a slot holds, checked by content; changes nothing.
    pub(super) fn inspect(&self, id: SlotId) -> Result<SlotFacts, StoreFault> {
        let dir = self.slot_dir(id);
        let key = self.key(id)?;
        let file = self.certificate(&dir)?;
        let spki = key.as_ref().map(|key| self.keys.public_key(key)).transpose();
        let spki = spki.map_err(|error| StoreFault::key(&dir.join(slot::KEY), &error))?;
        let certificate = match (&key, &file) {
            (Some(key), Some(file)) => Some(SlotCertificate::from(&self.check_pair(&dir, key, file)?)),
            _ => None,
        };
        // A key counts once something came of it: before its request is durable it may not be asked about.
        let counts = certificate.is_some() || self.has_request(&dir)?;
        Ok(SlotFacts {
            id,
            public_key: spki.filter(|_| counts),
            has_token: certificate.is_some() && self.token(id)?.is_some(),
            certificate,
        })
    }

    fn has_request(&self, dir: &Path) -> Result<bool, StoreFault> {
        let request = atomic::read_optional(&*self.fs, &dir.join(slot::CSR), slot::MAX_FILE)?;
        Ok(request.is_some())
    }

    fn put_aside(&self, id: SlotId, fault: &StoreFault) -> Result<Aside, StoreFault> {
        let slots = self.slots();
        let path = slots.join(format!("aside-{}-{}", id, atomic::random_suffix()?));
        let reason = fault.to_string();
        match self.fs.rename(&self.slot_dir(id), &path) {
            Ok(()) => {
                // A name that comes back after a power cut is put aside again.
                if let Err(fault) = atomic::sync_dir(&*self.fs, &slots) {
                    tracing::warn!(%fault, "a slot was put aside");
                }
                Ok(Aside { path, reason })
            }
            // A read-only disk: it stays where it is, and is not used all the same.
            Err(_) => Ok(Aside { path: self.slot_dir(id), reason }),
        }
    }

    /// Removes unfinished files of an interrupted write, in every directory that the store writes to. What cannot be
    /// listed or removed is harmless where it lies: nothing that is left over must stop the device.
    pub(super) fn remove_leftovers(&self) {
        let slots = self.slots();
        let numbered = self.entries(&slots).unwrap_or_default().into_iter();
        let numbered = numbered.filter(|entry| entry.is_dir && slot_number(&entry.name).is_some());
        let mut dirs = vec![self.root.clone(), slots.clone()];
        dirs.extend(numbered.map(|entry| slots.join(entry.name)));
        // There they may hold a key.
        dirs.extend(self.exports().unwrap_or_default());
        for dir in dirs {
            if let Err(fault) = self.remove_leftovers_in(&dir) {
                tracing::warn!(%fault, "what an interrupted write left stays");
            }
        }
    }

    fn remove_leftovers_in(&self, dir: &Path) -> Result<(), StoreFault> {
        let entries = self.entries(dir)?.into_iter();
        let is_leftover = |entry: &Entry| {
            !entry.is_dir && entry.name.to_str().is_some_and(|name| name.starts_with(TEMPORARY))
        };
        let mut outcome = Ok(());
        for entry in entries.filter(is_leftover) {
            let path = dir.join(&entry.name);
            if slot::is_unnamed_key(&entry.name) {
                self.wipe(&path);
            }
            let removed = atomic::remove_file(&*self.fs, &path);
            outcome = outcome.and(removed);
        }
        outcome
    }

    /// The entries of a directory; one that is not there has none.
    pub(super) fn entries(&self, dir: &Path) -> Result<Vec<Entry>, StoreFault> {
        match self.fs.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.attempt("list", dir),
        }
    }
}

/// The slot that a directory name stands for: digits without leading zeros.
pub(super) fn slot_number(name: &std::ffi::OsStr) -> Option<SlotId> {
    let text = name.to_str()?;
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(SlotId(number))
}
