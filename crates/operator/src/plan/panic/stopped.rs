//! What a panic has stopped, as it was before: `operator/panic.json`. No file is no panic.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{PolicyName, TemplateName};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError, PRIVATE};

/// The name of the file in the operator's directory.
pub const PANIC_FILE: &str = "panic.json";
/// The form that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// What is stopped, and what it was before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    format: u32,
    /// When it began.
    pub since: Option<Timestamp>,
    /// Why it was last ordered.
    pub why: String,
    /// Claim certificates, and what they were.
    pub claims: BTreeMap<CertificateId, CertificateStatus>,
    /// Templates that were enabled.
    pub templates: BTreeSet<TemplateName>,
    /// Policies, and the number of the version that counted.
    pub policies: BTreeMap<PolicyName, String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoppedError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It holds something else.
    #[error("{path} is damaged ({reason}); the journal has the same: fleetkey journal show", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A later version wrote it.
    #[error("{path} was written by a newer version (format {format}, this one reads {FORMAT})", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Stopped {
    /// What is stopped; nothing where there is no file.
    ///
    /// # Errors
    /// When the file is there and cannot be understood.
    pub fn read(directory: &Path) -> Result<Self, StoppedError> {
        let path = directory.join(PANIC_FILE);
        let Some(text) = files::read(&path)? else {
            return Ok(Self::default());
        };
        let damaged = |error: serde_json::Error| StoppedError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        };
        let head: Head = serde_json::from_slice(&text).map_err(damaged)?;
        if head.format > FORMAT {
            return Err(StoppedError::Newer { path, format: head.format });
        }
        serde_json::from_slice(&text).map_err(damaged)
    }

    /// Puts it on disk, durably; without anything stopped the file goes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), StoppedError> {
        let path = directory.join(PANIC_FILE);
        if self.is_empty() {
            return Ok(files::remove(&path)?);
        }
        let text = serde_json::to_vec_pretty(&Self { format: FORMAT, ..self.clone() });
        let text =
            text.map_err(|error| StoppedError::Damaged { path: path.clone(), reason: error.to_string() })?;
        Ok(files::write(&path, &text, PRIVATE)?)
    }

    /// Whether nothing is stopped.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.templates.is_empty() && self.policies.is_empty()
    }

    /// Whether a template was disabled by it.
    pub fn holds_template(&self, name: &TemplateName) -> bool {
        self.templates.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stopped_is_read_back_and_nothing_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Stopped::read(directory.path()).unwrap().is_empty());
        let mut stopped = Stopped::default();
        stopped.claims.insert(CertificateId::of_der(b"claim"), CertificateStatus::Active);
        stopped.policies.insert(PolicyName::new("DevicePolicy").unwrap(), "3".to_owned());
        stopped.templates.insert(TemplateName::new("T").unwrap());
        stopped.write(directory.path()).unwrap();
        let read = Stopped::read(directory.path()).unwrap();
        assert_eq!((&read.claims, &read.policies), (&stopped.claims, &stopped.policies));
        assert!(read.holds_template(&TemplateName::new("T").unwrap()));
        Stopped::default().write(directory.path()).unwrap();
        assert!(!directory.path().join(PANIC_FILE).exists());
    }

    #[test]
    fn a_damaged_or_newer_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        for (text, expected) in [("{", "is damaged"), (r#"{"format":2}"#, "newer version")] {
            std::fs::write(directory.path().join(PANIC_FILE), text).unwrap();
            let error = Stopped::read(directory.path()).unwrap_err().to_string();
            assert!(error.contains("panic.json") && error.contains(expected), "{error}");
        }
    }
}
