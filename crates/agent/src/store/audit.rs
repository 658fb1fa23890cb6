//! `audit.log`: what has happened to the device's identity, one JSON line an event, each holding the hash of the
//! line before.
//!
//! ```text
//! {"n":7,"at":"2026-11-21T08:00:00.000Z","id":"<rotation>","event":{"event":"committed",…},"prev":"<sha-256>"}
//! ```
//!
//! The SHA-256 of the last line is the *head*. It travels with each retire request, so that whoever changes the
//! past on the device contradicts what the controller has noted. The chain goes on across files: at 1 MiB
//! `audit.log` becomes `audit.1.log`, and so on up to `audit.4.log`.
//!
//! Best effort throughout, and never read to decide anything: an entry that cannot be written is lost, counted,
//! and the count is the next entry. After a failed write or fsync the file is written anew up to the last entry
//! that was synced ([`super::atomic`] says why). A line that a power cut has torn is cut off, which is an entry
//! too. No secret can be in it: events hold none. Not here: reading the chain back ([`chain`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Filesystem;
use super::atomic::{self, SECRET};
use super::fault::{Attempt, StoreFault};

pub use chain::{AuditEntries, Break, read_entries};

mod chain;
#[cfg(test)]
mod tests;

/// The file that is written to.
const LOG: &str = "audit.log";
/// How large it becomes, in bytes.
const MAX_LOG: u64 = 1024 * 1024;
/// How many older files are kept.
const KEPT: u32 = 4;
/// No file is read beyond this, in bytes; nothing that we write is as long.
const MAX_READ: u64 = 2 * MAX_LOG;
/// Longer texts in an event are cut, in characters: some come from the other side of the network.
const MAX_TEXT: usize = 512;
/// Longer lists in an event are cut.
const MAX_LIST: usize = 32;
/// What the first entry names as its predecessor.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The last entry of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Its number; the first is 1.
    pub n: u64,
    /// The SHA-256 of its line, hex.
    pub hash: String,
}

/// What is to be entered.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// When it happened.
    pub at: Timestamp,
    /// The rotation that it is about.
    pub id: Option<String>,
    /// What happened.
    pub event: Value,
}

/// The log of one state directory.
#[derive(Debug)]
pub struct AuditLog {
    fs: Arc<dyn Filesystem>,
    root: PathBuf,
    tail: Tail,
    /// Entries that could not be written since the last one that could.
    lost: u64,
    /// The event entered last: one that repeats itself is entered once.
    last: Option<Value>,
}

/// What is known of the end of the log.
#[derive(Debug)]
enum Tail {
    /// Nothing yet.
    Unread,
    /// It was written or read up to here.
    Known(End),
    /// What came after this may be visible and is not durable.
    Suspect(End),
}

/// The end of the log.
#[derive(Debug, Clone)]
struct End {
    head: Option<AuditHead>,
    /// The length of `audit.log`, in bytes; `None` when there is no such file.
    length: Option<u64>,
}

#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    at: String,
    id: Option<&'a str>,
    event: &'a Value,
    prev: &'a str,
}

impl AuditLog {
    /// The log below `root`; nothing is read yet.
    pub fn new(fs: Arc<dyn Filesystem>, root: impl Into<PathBuf>) -> Self {
        Self { fs, root: root.into(), tail: Tail::Unread, lost: 0, last: None }
    }

    /// The head, as far as entries have been made or tried.
    pub fn head(&self) -> Option<&AuditHead> {
        match &self.tail {
            Tail::Unread => None,
            Tail::Known(end) | Tail::Suspect(end) => end.head.as_ref(),
        }
    }

    /// Enters an event and syncs it. The same event twice in a row is one entry.
    ///
    /// # Errors
    /// When the disk refuses; the entry is lost then, and the next one says so.
    pub fn append(&mut self, entry: &AuditEntry) -> Result<(), StoreFault> {
        let event = shortened(entry.event.clone());
        if self.last.as_ref() == Some(&event) {
            return Ok(());
        }
        let written = self.enter(&AuditEntry { event: event.clone(), ..entry.clone() });
        match written {
            Ok(()) => self.last = Some(event),
            Err(_) => self.lost = self.lost.saturating_add(1),
        }
        written
    }

    fn enter(&mut self, entry: &AuditEntry) -> Result<(), StoreFault> {
        let (end, torn) = self.settle()?;
        let end = if end.length.is_some_and(|length| length >= MAX_LOG) {
            // Where it stops if it fails is found out by reading.
            self.tail = Tail::Unread;
            self.roll(end)?
        } else {
            end
        };
        let note = |event: Value| AuditEntry { at: entry.at, id: None, event };
        let cut = (torn > 0).then(|| note(json!({"event": "audit_cut", "bytes": torn})));
        let lost = (self.lost > 0).then(|| note(json!({"event": "audit_lost", "entries": self.lost})));
        let mut lines = String::new();
        let mut head = end.head.clone();
        for entry in cut.iter().chain(&lost).chain([entry]) {
            head = Some(self.add_line(&mut lines, head.as_ref(), entry)?);
        }
        self.write(&lines, &end)?;
        let length = end.length.unwrap_or(0).saturating_add(lines.len() as u64);
        self.tail = Tail::Known(End { head, length: Some(length) });
        self.lost = 0;
        Ok(())
    }

    fn add_line(
        &self,
        lines: &mut String,
        head: Option<&AuditHead>,
        entry: &AuditEntry,
    ) -> Result<AuditHead, StoreFault> {
        let n = head.map_or(1, |head| head.n.saturating_add(1));
        let prev = head.map_or(GENESIS, |head| head.hash.as_str());
        let (at, id) = (entry.at.to_string(), entry.id.as_deref());
        let line = serde_json::to_string(&Line { n, at, id, event: &entry.event, prev });
        let line =
            line.map_err(|error| StoreFault::content("encode", &self.root.join(LOG), error.to_string()))?;
        let head = AuditHead { n, hash: chain::hash(line.as_bytes()) };
        lines.push_str(&line);
        lines.push('\n');
        Ok(head)
    }

    fn write(&mut self, lines: &str, end: &End) -> Result<(), StoreFault> {
        let path = self.root.join(LOG);
        let mut file = self.fs.append(&path, SECRET).attempt("open", &path)?;
        self.tail = Tail::Suspect(end.clone());
        file.write_all(lines.as_bytes()).attempt("append to", &path)?;
        file.sync().attempt("fsync", &path)?;
        if end.length.is_none() { atomic::sync_dir(&*self.fs, &self.root) } else { Ok(()) }
    }

    /// The end of a log that ends with a whole line, and how many bytes were cut off for that.
    fn settle(&mut self) -> Result<(End, u64), StoreFault> {
        match &self.tail {
            Tail::Known(end) => Ok((end.clone(), 0)),
            Tail::Suspect(end) => {
                let end = end.clone();
                self.cut_to(end.length)?;
                Ok((end, 0))
            }
            Tail::Unread => {
                let (end, torn) = read_end(&*self.fs, &self.root)?;
                if torn > 0 {
                    self.cut_to(end.length)?;
                }
                self.tail = Tail::Known(end.clone());
                Ok((end, torn))
            }
        }
    }

    /// Writes the log anew with its first `length` bytes only.
    fn cut_to(&self, length: Option<u64>) -> Result<(), StoreFault> {
        let path = self.root.join(LOG);
        let Some(length) = length else {
            return atomic::remove_file(&*self.fs, &path);
        };
        let mut bytes = atomic::read_optional(&*self.fs, &path, MAX_READ)?.unwrap_or_default();
        bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        atomic::replace(&*self.fs, &self.root, LOG, SECRET, &bytes)
    }

    /// Makes room for a new file; the oldest goes only if there is no gap to move the others into.
    fn roll(&self, end: End) -> Result<End, StoreFault> {
        let entries = self.fs.list(&self.root).attempt("list", &self.root)?;
        let exists = |number: &u32| {
            let name = file_name(*number);
            entries.iter().any(|entry| entry.name.to_str() == Some(&name))
        };
        let free = (1..KEPT).find(|number| !exists(number)).unwrap_or(KEPT);
        for number in (0..free).rev() {
            let (from, to) = (self.root.join(file_name(number)), self.root.join(file_name(number + 1)));
            self.fs.rename(&from, &to).attempt("rename into", &to)?;
        }
        atomic::sync_dir(&*self.fs, &self.root)?;
        Ok(End { length: None, ..end })
    }
}

/// The head of any state directory's log, without owning it; `None` when there is none that reads.
pub fn read_audit_head(fs: &dyn Filesystem, root: &Path) -> Option<AuditHead> {
    read_end(fs, root).ok()?.0.head
}

/// The end of the log, and how many bytes follow its last whole line.
fn read_end(fs: &dyn Filesystem, root: &Path) -> Result<(End, u64), StoreFault> {
    let log = atomic::read_optional(fs, &root.join(LOG), MAX_READ)?;
    let (whole, torn) = chain::split_torn(log.as_deref().unwrap_or_default());
    let length = log.is_some().then_some(whole.len() as u64);
    let torn = torn.len() as u64;
    if let Some(head) = chain::last_head(whole) {
        return Ok((End { head: Some(head), length }, torn));
    }
    for number in 1..=KEPT {
        let older = atomic::read_optional(fs, &root.join(file_name(number)), MAX_READ)?.unwrap_or_default();
        if let Some(head) = chain::last_head(chain::split_torn(&older).0) {
            return Ok((End { head: Some(head), length }, torn));
        }
    }
    Ok((End { head: None, length }, torn))
}

/// The name of the log's `number`th file; 0 is the one that is written to.
fn file_name(number: u32) -> String {
    if number == 0 { LOG.to_owned() } else { format!("audit.{number}.log") }
}

/// An event whose texts and lists have a bounded length.
fn shortened(event: Value) -> Value {
    match event {
        Value::String(text) => Value::String(text.chars().take(MAX_TEXT).collect()),
        Value::Array(list) => list.into_iter().take(MAX_LIST).map(shortened).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, shortened(value))).collect(),
        other => other,
    }
}
