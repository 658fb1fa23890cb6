//! Which call fails, with what, and whether it goes on failing: a value that prints and parses.

use core::fmt;
use core::str::FromStr;

use super::errno::Errno;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// A new file.
    Create,
    /// A file opened to be appended to.
    Append,
    /// Content for a file.
    Write,
    /// fsync of a file.
    Sync,
    /// A new directory.
    CreateDir,
    /// A new symbolic link.
    Symlink,
    /// A rename.
    Rename,
    /// fsync of a directory.
    SyncDir,
    /// A file or link removed.
    RemoveFile,
    /// A directory removed.
    RemoveDir,
    /// The content of a file.
    Read,
    /// The target of a link.
    ReadLink,
    /// The entries of a directory.
    List,
}

const OPS: [(Op, &str); 13] = [
    (Op::Create, "create"),
    (Op::Append, "append"),
    (Op::Write, "write"),
    (Op::Sync, "fsync"),
    (Op::CreateDir, "mkdir"),
    (Op::Symlink, "symlink"),
    (Op::Rename, "rename"),
    (Op::SyncDir, "fsyncdir"),
    (Op::RemoveFile, "unlink"),
    (Op::RemoveDir, "rmdir"),
    (Op::Read, "read"),
    (Op::ReadLink, "readlink"),
    (Op::List, "list"),
];

impl Op {
    /// Whether the call changes the disk, or makes a change durable. Only these are counted.
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Read | Self::ReadLink | Self::List)
    }

    /// Whether the call needs room: on a full disk names can still be removed and directories synced.
    const fn allocates(self) -> bool {
        self.changes() && !matches!(self, Self::SyncDir | Self::RemoveFile | Self::RemoveDir)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(OPS.iter().find(|(op, _)| op == self).map_or("?", |(_, name)| name))
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = OPS.iter().find(|(_, name)| *name == text).map(|(op, _)| *op);
        found.ok_or_else(|| format!("{text:?} is no call of this disk"))
    }
}

/// A call that fails: printed as `EIO@3`, `ENOSPC:write@0+` (the `+`: and all like it after it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// What the call fails with.
    pub errno: Errno,
    /// Only calls of this kind count and fail; `None`: all that change the disk.
    pub op: Option<Op>,
    /// So many such calls still succeed.
    pub after: u64,
    /// Whether it goes on until [`lift`](super::SimDisk::lift).
    pub lasting: bool,
}

impl Fault {
    /// Fails the one call that comes after `after` others that change the disk.
    pub const fn once(after: u64, errno: Errno) -> Self {
        Self { errno, op: None, after, lasting: false }
    }

    /// Fails that call and all after it, as a full disk ([`Errno::NoSpace`]: only what needs room), one that
    /// was remounted read-only ([`Errno::ReadOnly`]: the read-only switch is thrown) or a dead one does.
    pub const fn lasting(after: u64, errno: Errno) -> Self {
        Self { errno, op: None, after, lasting: true }
    }

    /// The same for calls of one kind.
    pub const fn of(self, op: Op) -> Self {
        Self { op: Some(op), ..self }
    }

    fn concerns(&self, op: Op) -> bool {
        match self.op {
            Some(only) => only == op,
            None if self.lasting && matches!(self.errno, Errno::NoSpace | Errno::Quota) => op.allocates(),
            None => op.changes(),
        }
    }

    /// Counts a call; whether it is to fail.
    pub(super) fn strikes(&mut self, op: Op) -> bool {
        if !self.concerns(op) {
            return false;
        }
        let strikes = self.after == 0;
        self.after = self.after.saturating_sub(1);
        strikes
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.errno)?;
        if let Some(op) = self.op {
            write!(f, ":{op}")?;
        }
        write!(f, "@{}{}", self.after, if self.lasting { "+" } else { "" })
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (what, when) =
            text.split_once('@').ok_or_else(|| format!("{text:?} is no fault; write ERRNO[:CALL]@N[+]"))?;
        let (errno, op) = match what.split_once(':') {
            Some((errno, op)) => (errno, Some(op.parse()?)),
            None => (what, None),
        };
        let (after, lasting) = match when.strip_suffix('+') {
            Some(after) => (after, true),
            None => (when, false),
        };
        let after = after.parse().map_err(|_| format!("{after:?} is no number of calls"))?;
        Ok(Self { errno: errno.parse()?, op, after, lasting })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_reads_back_as_it_prints() {
        for text in ["EIO@3", "ENOSPC:write@0+", "EROFS@12+", "EIO:fsyncdir@1", "EIO:read@0"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for text in ["EIO", "EIO@x", "EWHAT@1", "EIO:chmod@1", "@", ""] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_full_disk_still_removes() {
        let full = Fault::lasting(0, Errno::NoSpace);
        assert!(full.concerns(Op::Write) && full.concerns(Op::Create) && full.concerns(Op::Sync));
        assert!(!full.concerns(Op::RemoveFile) && !full.concerns(Op::SyncDir) && !full.concerns(Op::Read));
    }
}
