//! `journal.jsonl`: a line for every change to the account, each holding the hash of the line before; mode 0600.
//!
//! ```text
//! {"n":3,"at":"2026-11-22T04:00:00.000Z","who":"arn:…","phase":"done","action":"create","what":"policy DevicePolicy",
//!  "before":null,"after":{…},"calls":[{"call":"iot:CreatePolicy","request":"…","succeeded":true}],"prev":"<sha-256>"}
//! ```
//!
//! A change is entered as `begun` before its first call, so that a run that was killed has left word of what it was
//! about. Unlike a device's audit log nothing here is best effort: what cannot be entered is not done. No secret can be
//! in it: specs hold none.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fleetkey_model::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cloud::CallRecord;
use crate::files::{self, FileError, PRIVATE};

/// The name of the file.
pub const JOURNAL_FILE: &str = "journal.jsonl";

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// Its first call follows.
    Begun,
    /// The account has confirmed it.
    Done,
    /// The account has refused it, or did not answer.
    Failed,
}

/// One entry.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry<'a> {
    /// When.
    pub(super) at: Timestamp,
    /// The caller's ARN.
    pub(super) who: &'a str,
    /// How far it has come.
    pub(super) phase: Phase,
    /// `create`, `change`, `adopt`, `delete`.
    pub(super) action: &'a str,
    /// The resource, for people.
    pub(super) what: &'a str,
    /// What was there.
    pub(super) before: Option<&'a Value>,
    /// What is to be there.
    pub(super) after: Option<&'a Value>,
    /// The calls that were made, with the service's ids of the requests.
    pub(super) calls: Vec<CallRecord>,
}

#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
    time: String,
    prev: &'a str,
}

/// The open file, with the end of its chain.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    n: u64,
    head: String,
}

/// Why a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} does not continue the one before: the journal was changed")]
pub struct Broken {
    /// Counted from 1.
    pub line: usize,
}

impl Journal {
    /// Opens the journal in `directory`, made if need be. A last line that a power cut has torn is ended; it stays, and
    /// the chain goes on over it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(super) fn open(directory: &Path) -> Result<Self, FileError> {
        let path = directory.join(JOURNAL_FILE);
        let failed = |error| FileError::new("open", &path, error);
        let text = files::read(&path)?.unwrap_or_default();
        let mut file =
            OpenOptions::new().append(true).create(true).mode(PRIVATE).open(&path).map_err(failed)?;
        if !text.is_empty() && !text.ends_with(b"\n") {
            file.write_all(b"\n").map_err(failed)?;
        }
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let (n, head) = lines.fold((0, genesis()), |(n, _), line| (n + 1, hash(line)));
        Ok(Self { path, file, n, head })
    }

    /// Enters a line and waits until it is on disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn enter(&mut self, entry: &Entry<'_>) -> Result<(), FileError> {
        let time = entry.at.to_string();
        let line = Line { n: self.n + 1, entry, time, prev: &self.head };
        let written = serde_json::to_vec(&line).map_err(io::Error::other).and_then(|mut text| {
            let head = hash(&text);
            text.push(b'\n');
            self.file.write_all(&text)?;
            self.file.sync_data()?;
            Ok(head)
        });
        self.head = written.map_err(|error| FileError::new("write", &self.path, error))?;
        self.n += 1;
        Ok(())
    }
}

/// Follows the chain of a journal from its beginning.
///
/// # Errors
/// The first line that does not name the hash of the one before.
pub fn verify(text: &str) -> Result<usize, Broken> {
    let mut head = genesis();
    let mut count = 0;
    for (at, line) in text.lines().filter(|line| !line.is_empty()).enumerate() {
        // A torn line names nothing; the next one names it.
        if let Ok(Value::Object(entry)) = serde_json::from_str(line)
            && entry.get("prev").and_then(Value::as_str) != Some(&head)
        {
            return Err(Broken { line: at + 1 });
        }
        head = hash(line.as_bytes());
        count = at + 1;
    }
    Ok(count)
}

fn genesis() -> String {
    "0".repeat(64)
}

fn hash(line: &[u8]) -> String {
    Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn entry(what: &str) -> Entry<'_> {
        Entry {
            at: Timestamp::from_secs(1),
            who: "arn:aws:iam::1:user/a",
            phase: Phase::Begun,
            action: "create",
            what,
            before: None,
            after: None,
            calls: Vec::new(),
        }
    }

    #[test]
    fn lines_form_a_chain_across_runs_and_torn_lines_and_a_change_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(JOURNAL_FILE);
        for what in ["one", "two"] {
            Journal::open(directory.path()).unwrap().enter(&entry(what)).unwrap();
        }
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"n\":3,\"tor");
        std::fs::write(&path, &text).unwrap();
        Journal::open(directory.path()).unwrap().enter(&entry("three")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(verify(&text), Ok(4));
        assert_eq!(verify(&text.replace("one", "ten")), Err(Broken { line: 2 }));
        assert_eq!(verify(&text.replace("tor", "tow")), Err(Broken { line: 4 }), "a torn line is held too");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
