//! The agent's memory on disk: one small state file, immutable slot directories, an export for other programs.
//!
//! ```text
//! STATE/            0700
//!   lock            held while the agent runs
//!   state.json      the rotation machine's record; the only commit point
//!   ballast         64 KiB to be given up when a disk is full and a write must succeed
//!   slots/N/        key.pem 0600 · csr.pem · token 0600 · cert.json      each written once, whole or not at all
//!   slots/aside-…   what did not match; never used, never deleted by the agent
//!   export          → export.N/ device.cert.pem device.key.pem bundle.pem
//!   hooks.json      which hooks have run, where any are configured
//!   audit.log       what has happened, in a chain of hashes; audit.1.log is older, up to audit.4.log
//!   agent.sock      the status socket
//! ```
//!
//! All of it is synchronous: a call returns when its effect is durable, and an agent makes its calls on one
//! thread (`crate::disk`), so that the order on disk is the order in the code. What may and may not be trusted
//! after a failed fsync stands in `atomic`. Not here: when to do what (`fleetkey-lifecycle`).
//!
//! # A disk that takes no writes
//! What can be read is served: a state directory that is read-only or full opens, and every write into it is a
//! fault that the machine waits out with the identity that it has. A directory of a newer version is served like
//! that (`ReadOnly`). Only a disk that cannot be *read* where it says who the device is stops the agent.
//!
//! # What is destroyed
//! A key loses its name, is overwritten with zeros where it lies, and then removed. Copies in earlier exports are
//! removed as they are: a program may be reading them, and must not be handed half a key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetkey_lifecycle::SlotId;
use fleetkey_model::name::SerialNumber;

use crate::keys::Keys;

pub(crate) use atomic::{replace as write_private, replace_all};
pub use audit::{AuditEntries, AuditEntry, AuditHead, AuditLog, Break, read_audit_head, read_entries};
use ballast::Ballast;
pub(crate) use ballast::has_ballast;
pub use check::{Checked, Finding, Severity, check};
pub use export::{BUNDLE_FILE, CERTIFICATE_FILE, EXPORT_LINK, KEY_FILE};
pub use fault::{FaultKind, StoreFault};
pub use fs::{Entry, Filesystem, NewFile, RealFs};
pub(crate) use hooks::HookNote;
pub(crate) use import::{Foreign, Unfit};
pub use lock::{Lock, LockError};
pub use previous::read_previous;
pub(crate) use read_only::ReadOnly;
pub use record::{RecordError, read_record};
pub use scan::{Aside, Scan, Unread};
pub use slot::{CertificateSummary, SlotIdentity, read_certificate};

mod atomic;
mod audit;
mod ballast;
mod check;
mod export;
mod fault;
mod fs;
mod hooks;
mod import;
mod lock;
mod previous;
mod read_only;
mod record;
mod scan;
mod slot;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

/// The directory of slots, below the state directory.
const SLOTS: &str = "slots";

/// A state directory that this process owns. Holding the [`Lock`] is the caller's duty.
#[derive(Debug, Clone)]
pub struct Store {
    fs: Arc<dyn Filesystem>,
    keys: Arc<dyn Keys>,
    root: PathBuf,
    serial: SerialNumber,
    ballast: Arc<Ballast>,
}

impl Store {
    /// Opens the state directory `root`: makes what is missing, the ballast included, and removes what an
    /// interrupted write left, as far as the disk takes writes.
    ///
    /// # Errors
    /// When the disk refuses to be read.
    pub fn open(
        fs: Arc<dyn Filesystem>,
        keys: Arc<dyn Keys>,
        root: impl Into<PathBuf>,
        serial: SerialNumber,
    ) -> Result<Self, StoreFault> {
        let store = Self { fs, keys, root: root.into(), serial, ballast: Arc::default() };
        let made = atomic::ensure_dir(&*store.fs, &store.root, SLOTS);
        store.remove_leftovers();
        store.entries(&store.slots())?;
        if let Err(fault) = made.and_then(|()| store.keep_ballast()) {
            tracing::warn!(%fault, "the state directory takes no writes; what is in it serves");
        }
        Ok(store)
    }

    /// The state directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn slots(&self) -> PathBuf {
        self.root.join(SLOTS)
    }

    fn slot_dir(&self, slot: SlotId) -> PathBuf {
        self.slots().join(slot.to_string())
    }
}
