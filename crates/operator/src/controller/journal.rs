//! The ledger's records on disk: one JSON file a thing, replaced whole, durable before anything follows from it.
//!
//! A record that cannot be read stops the start: without it a frozen thing would be thawed by a damaged file.

use std::fs::ReadDir;
use std::io;
use std::path::{Path, PathBuf};

use fleetkey_model::name::ThingName;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::record::Record;
use crate::files::{self, FileError, Lock, PRIVATE};

/// The form of the files that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// An empty file beside the records: all that was heard is in them. Its name is changed to [`GAP`] while something is not, for
/// which a full disk needs no room.
const WHOLE: &str = "whole";
/// What it is called then.
const GAP: &str = "gap";

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file that cannot be read or written, or a directory in use.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that holds no record.
    #[error("{path} is damaged ({reason}); restore it, or remove it to treat its thing as never attested", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file of a later version.
    #[error("{path} was written by a newer version (format {format}, this one reads {FORMAT})", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The thread that writes was cut off.
    #[error("writing was interrupted")]
    Interrupted,
}

/// The records that a journal was opened with, each read when it is asked for, in no order. To be read to their end before
/// anything is written: what was torn is removed on the way.
#[derive(Debug)]
#[must_use]
pub struct Records {
    directory: PathBuf,
    entries: ReadDir,
}

/// A directory of records, in use by this process alone.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    has_gap: bool,
    _lock: Lock,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    record: &'a Record,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Deserialize)]
struct Read {
    record: Record,
}

impl Journal {
    /// Opens a directory, made with mode 0700 if need be; the records in it are then read one by one.
    ///
    /// # Errors
    /// When another process uses it, or it cannot be made, listed or written to.
    pub fn open(directory: &Path) -> Result<(Self, Records), JournalError> {
        files::make_directory(directory)?;
        let lock = Lock::take(directory)?;
        let entries = std::fs::read_dir(directory).map_err(|error| unlisted(directory, error))?;
        let has_gap = directory.join(GAP).exists();
        let whole = directory.join(WHOLE);
        if !has_gap && !whole.exists() {
            files::write(&whole, &[], PRIVATE)?;
        }
        let records = Records { directory: directory.to_owned(), entries };
        Ok((Self { directory: directory.to_owned(), has_gap, _lock: lock }, records))
    }

    /// Whether something was heard that is not in the records, by this process or by one that ended before it could be.
    pub const fn has_gap(&self) -> bool {
        self.has_gap
    }

    /// Remembers whether there is a gap. That it cannot be remembered is told, and tried again with the next word.
    pub(super) async fn mark(&mut self, gap: bool) {
        if gap == self.has_gap {
            return;
        }
        let (from, to) = if gap { (WHOLE, GAP) } else { (GAP, WHOLE) };
        let [from, to] = [from, to].map(|name| self.directory.join(name));
        match off_thread(move || Ok(files::rename(&from, &to)?)).await {
            Ok(()) => self.has_gap = gap,
            Err(reason) => {
                warn!(%reason, "whether all that was heard is on disk cannot be marked");
                // It may be called so already, though that is not known to outlive a power cut.
                self.has_gap = self.directory.join(GAP).exists();
            }
        }
    }

    /// Whether a process uses the directory now; one that is not there is used by nobody.
    pub fn is_in_use(directory: &Path) -> bool {
        directory.is_dir() && Lock::take(directory).is_err()
    }

    /// Makes a record durable.
    ///
    /// # Errors
    /// When it cannot be written; the last one is then still there.
    pub async fn persist(&self, record: Record) -> Result<(), JournalError> {
        let path = self.path(&record.thing);
        off_thread(move || {
            let text = serde_json::to_vec(&Written { format: FORMAT, record: &record });
            let text = text.map_err(|error| damaged(&path, &error))?;
            Ok(files::write(&path, &text, PRIVATE)?)
        })
        .await
    }

    /// Removes a thing's record for good.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn forget(&self, thing: &ThingName) -> Result<(), JournalError> {
        let path = self.path(thing);
        off_thread(move || Ok(files::remove(&path)?)).await
    }

    /// A thing name has no character that could leave the directory.
    fn path(&self, thing: &ThingName) -> PathBuf {
        self.directory.join(format!("{thing}.json"))
    }
}

impl Iterator for Records {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let path = match self.entries.next()? {
                Ok(entry) => entry.path(),
                Err(error) => return Some(Err(unlisted(&self.directory, error))),
            };
            let found = match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => read(&path),
                // Torn: it was never renamed.
                Some("tmp") => files::remove(&path).map(|()| None).map_err(JournalError::from),
                _ => continue,
            };
            if let Some(found) = found.transpose() {
                return Some(found);
            }
        }
    }
}

fn unlisted(directory: &Path, error: io::Error) -> JournalError {
    FileError::new("list", directory, error).into()
}

async fn off_thread(
    work: impl FnOnce() -> Result<(), JournalError> + Send + 'static,
) -> Result<(), JournalError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(JournalError::Interrupted))
}

fn read(path: &Path) -> Result<Option<Record>, JournalError> {
    let Some(content) = files::read(path)? else {
        return Ok(None);
    };
    let head: Head = serde_json::from_slice(&content).map_err(|error| damaged(path, &error))?;
    if head.format > FORMAT {
        return Err(JournalError::Newer { path: path.to_owned(), format: head.format });
    }
    let read: Read = serde_json::from_slice(&content).map_err(|error| damaged(path, &error))?;
    Ok(Some(read.record))
}

fn damaged(path: &Path, reason: &serde_json::Error) -> JournalError {
    JournalError::Damaged { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::CertificateSummary;
    use crate::controller::{Config, Ledger};
    use fleetkey_model::certificate::{CertificateId, CertificateStatus};
    use fleetkey_model::retirement::Attested;
    use fleetkey_model::time::Timestamp;

    fn record(thing: &str) -> Record {
        let id = CertificateId::of_der(thing.as_bytes());
        let text = format!(
            r#"{{"op":"retire","id":"r1","principal":"{id}","clientid":"{thing}","thing":"{thing}","at":1}}"#
        );
        let attested: Attested = serde_json::from_str(&text).unwrap();
        let created_at = Timestamp::from_secs(1);
        Record::first(&attested, &CertificateSummary { id, status: CertificateStatus::Active, created_at })
    }

    fn all(records: Records) -> Vec<Record> {
        records.map(Result::unwrap).collect()
    }

    #[tokio::test]
    async fn records_are_read_back_and_forgotten_ones_are_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, mut none) = Journal::open(directory.path()).unwrap();
        assert!(none.next().is_none());
        journal.persist(record("a:b")).await.unwrap();
        journal.persist(record("c")).await.unwrap();
        journal.forget(&ThingName::new("c").unwrap()).await.unwrap();
        std::fs::write(directory.path().join(".d.json.tmp"), "torn").unwrap();
        drop(journal);
        let (_journal, records) = Journal::open(directory.path()).unwrap();
        assert_eq!(all(records), [record("a:b")]);
        assert!(!directory.path().join(".d.json.tmp").exists());
    }

    #[tokio::test]
    async fn a_gap_is_remembered_until_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        for (gap, expected) in [(false, false), (true, true), (true, true), (false, false)] {
            let mut journal = Journal::open(directory.path()).unwrap().0;
            journal.mark(gap).await;
            assert_eq!(journal.has_gap(), expected);
            drop(journal);
            assert_eq!(Journal::open(directory.path()).unwrap().0.has_gap(), expected);
        }
    }

    #[tokio::test]
    async fn a_damaged_or_newer_record_stops_the_start_and_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        for (content, expected) in [("{", "is damaged"), (r#"{"format":2}"#, "newer version")] {
            std::fs::write(&path, content).unwrap();
            let (_journal, records) = Journal::open(directory.path()).unwrap();
            let error = Ledger::read(Config::default(), records).unwrap_err().to_string();
            assert!(error.contains("a.json") && error.contains(expected), "{error}");
        }
    }

    /// Versions before kept these in maps that cannot be read from a sequence.
    #[test]
    fn a_map_without_entries_is_written_as_a_map() {
        let written = serde_json::to_value(record("a")).unwrap();
        for map in ["older", "leftovers", "newcomers"] {
            assert_eq!(written[map], serde_json::json!({}), "{map}");
        }
    }

    #[tokio::test]
    async fn a_mark_that_was_made_by_half_is_what_the_disk_says() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path()).unwrap().0;
        let [whole, gap] = [WHOLE, GAP].map(|name| directory.path().join(name));
        std::fs::rename(&whole, &gap).unwrap();
        journal.mark(true).await;
        assert!(journal.has_gap());
        journal.mark(false).await;
        assert!(!journal.has_gap() && whole.exists() && !gap.exists());
    }

    /// Before the sweep there was one newcomer, and no word of leftovers and audit.
    #[tokio::test]
    async fn a_record_from_before_the_sweep_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let mut old = serde_json::to_value(Written { format: 1, record: &record("a") }).unwrap();
        let fields = old["record"].as_object_mut().unwrap();
        for added in ["begun", "audit", "leftovers", "newcomers"] {
            assert!(fields.remove(added).is_some(), "{added}");
        }
        fields.insert("newcomer".into(), serde_json::Value::Null);
        std::fs::write(directory.path().join("a.json"), old.to_string()).unwrap();
        let (_journal, records) = Journal::open(directory.path()).unwrap();
        assert_eq!(all(records), [Record { begun: None, ..record("a") }]);
    }

    #[test]
    fn two_processes_cannot_share_a_journal() {
        let directory = tempfile::tempdir().unwrap();
        let _first = Journal::open(directory.path()).unwrap();
        assert!(matches!(Journal::open(directory.path()), Err(JournalError::File(_))));
    }
}
