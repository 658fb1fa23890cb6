//! What can go wrong on disk, as a value that the rotation machine can act on.

use std::io;
use std::path::{Path, PathBuf};

use crate::keys::KeyError;

/// The class of a fault; what to do about it follows from this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// No space, or no quota, left (ENOSPC, EDQUOT).
    Full,
    /// The file system is mounted read-only (EROFS).
    ReadOnly,
    /// Anything else that the operating system reports: EIO, EACCES, …; and a key that cannot be asked now.
    Io,
    /// The disk holds something that it should not: a key that is no key, a pair that does not match.
    Content,
}

/// One failed file operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {op} {}: {reason}", path.display())]
pub struct StoreFault {
    /// The class.
    pub kind: FaultKind,
    /// The operation in words, for example `write`.
    pub op: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the operating system, or the check, said.
    pub reason: String,
}

impl StoreFault {
    pub(crate) fn io(op: &'static str, path: &Path, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultKind::Full,
            io::ErrorKind::ReadOnlyFilesystem => FaultKind::ReadOnly,
            _ => FaultKind::Io,
        };
        Self { kind, op, path: path.to_path_buf(), reason: error.to_string() }
    }

    /// Whether the disk takes no writes at the moment, while it can be read.
    pub(crate) const fn refuses_writes(&self) -> bool {
        matches!(self.kind, FaultKind::Full | FaultKind::ReadOnly)
    }

    pub(crate) fn content(op: &'static str, path: &Path, reason: impl Into<String>) -> Self {
        Self { kind: FaultKind::Content, op, path: path.to_path_buf(), reason: reason.into() }
    }

    /// A key that cannot be used: for good, or, like a block that does not read, for now.
    pub(crate) fn key(path: &Path, error: &KeyError) -> Self {
        let kind = match error {
            KeyError::Absent(_) => FaultKind::Io,
            KeyError::Generate | KeyError::Unreadable | KeyError::Request(_) => FaultKind::Content,
        };
        Self { kind, op: "use", path: path.to_path_buf(), reason: error.to_string() }
    }
}

/// Turns an I/O result into a store result that knows what was tried on which path.
pub(crate) trait Attempt<T> {
    /// Names the operation and the path of a failure.
    fn attempt(self, op: &'static str, path: &Path) -> Result<T, StoreFault>;
}

impl<T> Attempt<T> for io::Result<T> {
    fn attempt(self, op: &'static str, path: &Path) -> Result<T, StoreFault> {
        self.map_err(|error| StoreFault::io(op, path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_read_only_one_are_told_apart() {
        let of = |kind| StoreFault::io("write", Path::new("/x"), &io::Error::from(kind)).kind;
        assert_eq!(of(io::ErrorKind::StorageFull), FaultKind::Full);
        assert_eq!(of(io::ErrorKind::QuotaExceeded), FaultKind::Full);
        assert_eq!(of(io::ErrorKind::ReadOnlyFilesystem), FaultKind::ReadOnly);
        assert_eq!(of(io::ErrorKind::PermissionDenied), FaultKind::Io);
    }
}
