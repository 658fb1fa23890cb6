//! Journals: a line for every change to an account, each holding the hash of the line before; mode 0600.
//!
//! ```text
//! {"n":3,"at":"2026-11-22T04:00:00.000Z","who":"arn:…","phase":"done","action":"create","what":"policy DevicePolicy",
//!  "before":null,"after":{…},"calls":[{"call":"iot:CreatePolicy","request":"…","succeeded":true}],"prev":"<sha-256>"}
//! ```
//!
//! A change is entered as `begun` before its first call, so that a run that was killed has left word of what it was
//! about. Unlike a device's audit log nothing here is best effort: what cannot be entered is not done. No secret can be
//! in it: specs hold none.
//!
//! Beside it stands `NAME.head`: how many lines there were, how many bytes, and the hash of the last. So a tail that was
//! cut off is noticed, and a long journal is not read again at each start. It is written after the line is durable and
//! not waited for: after a power cut it may be some lines behind, never ahead. Where it is gone, the next line says
//! `"headless":true`: nobody knows what stood before it. Whoever can write both files can rewrite both; who wants more
//! keeps heads elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::control_plane::CallRecord;
use crate::files::{self, FileError};

/// The name of set-up's journal in the operator's directory.
pub const JOURNAL_FILE: &str = "journal.jsonl";
/// The name of the controller's.
pub const CONTROLLER_JOURNAL_FILE: &str = "controller.jsonl";

/// Bytes of the head's file before its newline.
const HEAD_WIDTH: usize = 191;

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its first call follows.
    Begun,
    /// The account has confirmed it.
    Done,
    /// The account has refused it, or did not answer.
    Failed,
}

/// One entry.
#[derive(Debug, Clone, Serialize)]
pub struct Entry<'a> {
    /// When.
    pub at: Timestamp,
    /// The caller's ARN.
    pub who: &'a str,
    /// How far it has come.
    pub phase: Phase,
    /// `create`, `change`, `adopt`, `delete`; of the controller `deactivate`, `revoke`, `delete`.
    pub action: &'a str,
    /// The resource, for people.
    pub what: &'a str,
    /// What the change rests on, where it is more than somebody's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'a str>,
    /// What was there.
    pub before: Option<&'a Value>,
    /// What is to be there.
    pub after: Option<&'a Value>,
    /// The calls that were made, with the service's ids of the requests.
    pub calls: Vec<CallRecord>,
}

#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
    time: String,
    prev: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    headless: bool,
}

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// How many lines there are.
    pub lines: u64,
    /// How many bytes they have, newlines included.
    pub bytes: u64,
    /// SHA-256 of the last line, hexadecimal; zeros when there is none.
    pub hash: String,
}

/// The open file, with the end of its chain.
#[derive(Debug)]
pub struct Chain {
    path: PathBuf,
    file: File,
    head_file: File,
    head: Head,
    /// No line has been entered since the head was found gone.
    headless: bool,
}

/// Why a chain does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A line was changed, put in or taken out.
    #[error("line {line} does not continue the one before: the journal was changed")]
    Line {
        /// Counted from 1.
        line: u64,
    },
    /// Lines are missing at the end, or the last ones are others.
    #[error(
        "the journal had {lines} lines, the last with the hash {hash}; it does not any more: its end was cut or changed"
    )]
    Cut {
        /// How many there were.
        lines: u64,
        /// The hash of the last.
        hash: String,
    },
    /// What holds its end is not there.
    #[error("the journal has {lines} lines, and {path} is gone, which holds the hash of the last: its end may have been cut", path = path.display())]
    Headless {
        /// How many lines there are.
        lines: u64,
        /// What is gone.
        path: PathBuf,
    },
    /// What holds its end was not there when this line was entered.
    #[error(
        "line {line} was entered when the journal's head was gone, which holds its end: lines before it may have been cut. Compare with what was exported; a new journal begins when this one and its head are put elsewhere while nothing runs that writes it"
    )]
    Resumed {
        /// Counted from 1.
        line: u64,
    },
    /// It, or what stands beside it, cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Default for Head {
    fn default() -> Self {
        Self { lines: 0, bytes: 0, hash: "0".repeat(64) }
    }
}

impl Head {
    /// The head after one more line, given without its newline.
    fn after(&self, line: &[u8], newline: bool) -> Self {
        let bytes = self.bytes + line.len() as u64 + u64::from(newline);
        Self { lines: self.lines + 1, bytes, hash: hash(line) }
    }

    fn follow(mut self, text: &[u8]) -> Self {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => self = self.after(line, true),
                None => self = self.after(line, false),
            }
        }
        self
    }
}

impl Chain {
    /// Opens a journal, made if need be. A last line that a power cut has torn is ended; it stays, and the chain goes on
    /// over it.
    ///
    /// # Errors
    /// When it cannot be read or written, or is shorter than it was.
    pub fn open(path: &Path) -> Result<Self, Broken> {
        let failed = |error| FileError::new("open", path, error);
        let opened = files::open_or_make(OpenOptions::new().read(true).append(true), path);
        let mut file = opened.map_err(failed)?;
        let head_path = head_path(path);
        let beside = files::open_or_make(OpenOptions::new().write(true), &head_path);
        let head_file = beside.map_err(|error| FileError::new("open", &head_path, error))?;
        let noted = read_head(path)?;
        let is_new = noted.is_none();
        let known = noted.unwrap_or_default();
        if file.metadata().map_err(failed)?.len() < known.bytes {
            return Err(Broken::Cut { lines: known.lines, hash: known.hash });
        }
        let mut rest = Vec::new();
        file.seek(SeekFrom::Start(known.bytes)).and_then(|_| file.read_to_end(&mut rest)).map_err(failed)?;
        let mut head = known.follow(&rest);
        if !rest.is_empty() && !rest.ends_with(b"\n") {
            file.write_all(b"\n").map_err(failed)?;
            head.bytes += 1;
        }
        let headless = is_new && head.lines > 0;
        let chain = Self { path: path.to_owned(), file, head_file, head, headless };
        // One that is gone stays so until a line tells of it.
        if !headless {
            chain.note_head()?;
        }
        if is_new && !headless {
            // Written in its place from now on, it outlives a power cut: one that is gone was taken.
            chain.head_file.sync_all().map_err(|error| FileError::new("write", &head_path, error))?;
            files::sync_parent(&head_path)?;
        }
        Ok(chain)
    }

    /// Enters a line and waits until it is on disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enter(&mut self, entry: &Entry<'_>) -> Result<(), FileError> {
        let time = entry.at.to_string();
        let line =
            Line { n: self.head.lines + 1, entry, time, prev: &self.head.hash, headless: self.headless };
        let written = serde_json::to_vec(&line).map_err(io::Error::other).and_then(|mut text| {
            let head = self.head.after(&text, true);
            text.push(b'\n');
            self.file.write_all(&text)?;
            self.file.sync_data()?;
            Ok(head)
        });
        self.head = written.map_err(|error| {
            // Half a line would be in the way of the next one; if it cannot be taken back, the next start ends it.
            let _kept = self.file.set_len(self.head.bytes);
            FileError::new("write", &self.path, error)
        })?;
        if self.headless {
            // What stood in it may be longer than a head.
            let emptied = self.head_file.set_len(0);
            emptied.map_err(|error| FileError::new("write", &head_path(&self.path), error))?;
        }
        self.note_head()?;
        self.headless = false;
        Ok(())
    }

    /// Writes the head in its place: always as long, within one sector.
    fn note_head(&self) -> Result<(), FileError> {
        let text = serde_json::to_string(&self.head).unwrap_or_default();
        let written = self.head_file.write_all_at(format!("{text:HEAD_WIDTH$}\n").as_bytes(), 0);
        written.map_err(|error| FileError::new("write", &head_path(&self.path), error))
    }

    /// The end of the chain.
    pub const fn head(&self) -> &Head {
        &self.head
    }
}

/// Follows the chain of a journal from its beginning, and holds its end to what stands beside it.
///
/// # Errors
/// See [`Broken`].
pub fn verify(path: &Path) -> Result<Head, Broken> {
    // Before the journal, which may be written meanwhile.
    let known = read_head(path)?.unwrap_or_default();
    let failed = |error| FileError::new("read", path, error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && known.lines > 0 => {
            return Err(Broken::Cut { lines: known.lines, hash: known.hash });
        }
        // A power cut has left a head of no lines alone.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_there(path) => return Ok(known),
        file => file.map_err(failed)?,
    };
    let mut reader = BufReader::new(file);
    let mut head = Head::default();
    let (mut holds, mut resumed) = (known.lines == 0, None);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let (text, ended) = line.strip_suffix(b"\n").map_or((line.as_slice(), false), |text| (text, true));
        // A torn line names nothing; the next one names it.
        if let Ok(Value::Object(entry)) = serde_json::from_slice(text) {
            let line = head.lines + 1;
            if entry.get("prev").and_then(Value::as_str) != Some(&head.hash) {
                return Err(Broken::Line { line });
            }
            if entry.contains_key("headless") {
                resumed.get_or_insert(line);
            }
        }
        head = head.after(text, ended);
        holds |= head == known;
    }
    if !holds {
        return Err(Broken::Cut { lines: known.lines, hash: known.hash });
    }
    // The head comes before the first line: where both have come since it was read, it is there now.
    if head.lines > 0 && read_head(path)?.is_none() {
        return Err(Broken::Headless { lines: head.lines, path: head_path(path) });
    }
    resumed.map_or(Ok(head), |line| Err(Broken::Resumed { line }))
}

/// Whether there is a journal, or was one: its head is there.
pub fn is_there(path: &Path) -> bool {
    path.exists() || head_path(path).exists()
}

/// What stands beside a journal.
fn read_head(path: &Path) -> Result<Option<Head>, FileError> {
    let path = head_path(path);
    let Some(text) = files::read(&path)? else {
        return Ok(None);
    };
    // One that cannot be understood tells no more than none.
    Ok(serde_json::from_slice(&text).ok())
}

/// `NAME.head` beside the journal.
fn head_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".head");
    path.with_file_name(name)
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
            why: None,
            before: None,
            after: None,
            calls: Vec::new(),
        }
    }

    fn three_lines(path: &Path) -> String {
        for what in ["one", "two", "three"] {
            Chain::open(path).unwrap().enter(&entry(what)).unwrap();
        }
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_form_a_chain_across_runs_and_torn_lines_and_a_change_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(JOURNAL_FILE);
        for what in ["one", "two"] {
            Chain::open(&path).unwrap().enter(&entry(what)).unwrap();
        }
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"n\":3,\"tor");
        std::fs::write(&path, &text).unwrap();
        let mut chain = Chain::open(&path).unwrap();
        chain.enter(&entry("three")).unwrap();
        assert_eq!(verify(&path).unwrap(), *chain.head());
        assert_eq!(chain.head().lines, 4);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("one", "ten")).unwrap();
        assert!(matches!(verify(&path), Err(Broken::Line { line: 2 })));
        std::fs::write(&path, text.replace("tor", "tow")).unwrap();
        assert!(matches!(verify(&path), Err(Broken::Line { line: 4 })), "a torn line is held too");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_tail_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(JOURNAL_FILE);
        let text = three_lines(&path).into_bytes();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert!(verify(&path).is_err(), "byte {at}");
            std::fs::write(&path, &text[..at]).unwrap();
            assert!(verify(&path).is_err(), "cut at {at}");
        }
        std::fs::write(&path, &text).unwrap();
        assert_eq!(verify(&path).unwrap().lines, 3);
    }

    #[test]
    fn a_journal_or_a_head_that_is_gone_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(JOURNAL_FILE);
        assert!(!is_there(&path));
        three_lines(&path);
        let head = std::fs::read(head_path(&path)).unwrap();
        std::fs::remove_file(head_path(&path)).unwrap();
        assert!(is_there(&path) && matches!(verify(&path), Err(Broken::Headless { lines: 3, .. })));
        // A start alone does not hide it.
        drop(Chain::open(&path).unwrap());
        assert!(matches!(verify(&path), Err(Broken::Headless { lines: 3, .. })));
        std::fs::write(head_path(&path), head).unwrap();
        assert!(verify(&path).is_ok());
        std::fs::remove_file(&path).unwrap();
        assert!(is_there(&path) && matches!(verify(&path), Err(Broken::Cut { lines: 3, .. })));
        std::fs::remove_file(head_path(&path)).unwrap();
        drop(Chain::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(verify(&path).unwrap().lines, 0, "a head of no lines");
        Chain::open(&path).unwrap().enter(&entry("one")).unwrap();
        std::fs::remove_file(head_path(&path)).unwrap();
        assert!(matches!(verify(&path), Err(Broken::Headless { lines: 1, .. })));
    }

    #[test]
    fn a_head_that_was_gone_is_noticed_also_when_lines_were_entered_since() {
        let directory = tempfile::tempdir().unwrap();
        for torn in ["", "{\"lines\":3,\"by", &"long".repeat(HEAD_WIDTH)] {
            let path = directory.path().join(JOURNAL_FILE);
            let text = three_lines(&path);
            let two = text.match_indices('\n').nth(1).unwrap().0 + 1;
            std::fs::write(&path, &text[..two]).unwrap();
            std::fs::write(head_path(&path), torn).unwrap();
            drop(Chain::open(&path).unwrap());
            assert!(matches!(verify(&path), Err(Broken::Headless { lines: 2, .. })), "{torn}");
            let mut chain = Chain::open(&path).unwrap();
            for what in ["another", "one more"] {
                chain.enter(&entry(what)).unwrap();
                assert!(matches!(verify(&path), Err(Broken::Resumed { line: 3 })), "{torn}");
            }
            let head = chain.head().clone();
            assert_eq!(*Chain::open(&path).unwrap().head(), head);
            assert_eq!(read_head(&path).unwrap(), Some(head));
            assert_eq!(std::fs::read_to_string(&path).unwrap().matches("headless").count(), 1);
            std::fs::remove_file(head_path(&path)).unwrap();
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_journal_that_was_cut_is_not_written_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(JOURNAL_FILE);
        let text = three_lines(&path);
        std::fs::write(&path, &text[..text.len() - 1]).unwrap();
        assert!(matches!(Chain::open(&path), Err(Broken::Cut { lines: 3, .. })));
    }

    /// Who owns the directory may put links in it, and root writes there: neither the journal nor its head leads elsewhere.
    #[test]
    fn what_a_link_leads_to_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (journal, other) = (at(JOURNAL_FILE), at("other"));
        for replaced in [head_path(&journal), journal.clone()] {
            three_lines(&journal);
            std::fs::write(&other, "kept").unwrap();
            std::fs::remove_file(&replaced).unwrap();
            std::os::unix::fs::symlink(&other, &replaced).unwrap();
            let refused = Chain::open(&journal).unwrap_err().to_string();
            assert!(refused.contains(&format!("{}: it is a link", replaced.display())), "{refused}");
            assert_eq!(std::fs::read(&other).unwrap(), b"kept");
            std::fs::remove_file(&replaced).unwrap();
            // Nor is a pipe or a socket waited for.
            let _socket = std::os::unix::net::UnixListener::bind(&replaced).unwrap();
            let refused = Chain::open(&journal).unwrap_err().to_string();
            assert!(refused.contains("no regular file"), "{refused}");
            std::fs::remove_file(&replaced).unwrap();
            let _gone = std::fs::remove_file(head_path(&journal));
            let _gone = std::fs::remove_file(&journal);
        }
    }

    #[test]
    fn a_head_that_is_a_line_behind_is_made_good_by_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(JOURNAL_FILE);
        let mut chain = Chain::open(&path).unwrap();
        chain.enter(&entry("one")).unwrap();
        let behind = std::fs::read(head_path(&path)).unwrap();
        chain.enter(&entry("two")).unwrap();
        let head = chain.head().clone();
        std::fs::write(head_path(&path), behind).unwrap();
        assert_eq!(verify(&path).unwrap(), head);
        assert_eq!(*Chain::open(&path).unwrap().head(), head);
    }
}
