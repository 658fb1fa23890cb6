//! Reading the audit log back: its entries in order, and where the chain does not hold.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use serde::Deserialize;

use super::{AuditHead, GENESIS, KEPT, MAX_READ, file_name};
use crate::store::atomic;
use crate::store::fault::StoreFault;
use crate::store::fs::Filesystem;

/// One place where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The file.
    pub path: PathBuf,
    /// The line in it, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// A whole log, oldest entry first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditEntries {
    /// The lines, as they stand.
    pub lines: Vec<String>,
    /// The last one that reads.
    pub head: Option<AuditHead>,
    /// Where the chain does not hold.
    pub breaks: Vec<Break>,
    /// Whether the last line is torn, as after a power cut; the agent cuts it off when it starts.
    pub torn: bool,
}

#[derive(Deserialize)]
struct Link {
    n: u64,
    prev: String,
}

/// Reads the log of any state directory and checks its chain, without owning the directory.
///
/// # Errors
/// When the disk refuses to be read.
pub fn read_entries(fs: &dyn Filesystem, root: &Path) -> Result<AuditEntries, StoreFault> {
    let mut entries = AuditEntries::default();
    for number in (0..=KEPT).rev() {
        let path = root.join(file_name(number));
        let bytes = atomic::read_optional(fs, &path, MAX_READ)?.unwrap_or_default();
        let (whole, torn) = split_torn(&bytes);
        for (index, line) in lines(whole).enumerate() {
            if let Err(reason) = entries.take(line) {
                entries.breaks.push(Break { path: path.clone(), line: index + 1, reason });
            }
        }
        if number == 0 {
            entries.torn = !torn.is_empty();
        } else if !torn.is_empty() {
            let (line, reason) = (lines(whole).count() + 1, "the line is cut off".to_owned());
            entries.breaks.push(Break { path, line, reason });
        }
    }
    Ok(entries)
}

impl AuditEntries {
    /// Adds a line; fails where it is not the successor of the one before. Whatever it is, the next is held
    /// against it.
    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(line).into_owned();
        let read: Result<Link, _> = serde_json::from_str(&text);
        self.lines.push(text);
        let before = self.head.take();
        let expected = before.as_ref().map_or(1, |head| head.n.saturating_add(1));
        let n = read.as_ref().map_or(expected, |link| link.n);
        self.head = Some(AuditHead { n, hash: hash(line) });
        let link = read.map_err(|error| format!("it is no entry: {error}"))?;
        match before {
            // What is older than the oldest file is not here to be compared.
            None if link.n > 1 => Ok(()),
            None if link.prev != GENESIS => Err("the first entry names a predecessor".to_owned()),
            None => Ok(()),
            Some(before) if link.prev != before.hash => {
                Err(format!("entry {} does not follow on the line before it", link.n))
            }
            Some(_) if link.n != expected => Err(format!("entry {} stands where {expected} should", link.n)),
            Some(_) => Ok(()),
        }
    }
}

/// The whole lines, and what follows the last of them.
pub(super) fn split_torn(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    bytes.split_at(end)
}

/// The head that whole lines end in, `None` without a line. A last line that is no entry counts by its position.
pub(super) fn last_head(whole: &[u8]) -> Option<AuditHead> {
    let last = lines(whole).last()?;
    let number = serde_json::from_slice(last).map(|link: Link| link.n);
    let n = number.unwrap_or_else(|_| lines(whole).count() as u64);
    Some(AuditHead { n, hash: hash(last) })
}

fn lines(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    whole.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// SHA-256 in hex.
pub(super) fn hash(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
