//! Why the registry file cannot be opened, or a commit not be made.

use std::path::PathBuf;

/// Why the registry cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made or read.
    #[error("cannot open {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("the data directory is in use by another process; stop it, or choose another directory")]
    InUse,
    /// A later version of this program wrote it.
    #[error(
        "the data directory has format {found}, this program knows up to {known}; use the newer program, or \
         choose another directory"
    )]
    TooNew {
        /// The format of the file.
        found: String,
        /// The newest format that this program reads.
        known: u32,
    },
    /// A row is not what this program wrote.
    #[error("the registry file is damaged at {table}/{key}: {reason}; restore it from a copy")]
    Damaged {
        /// The table.
        table: &'static str,
        /// The row.
        key: String,
        /// What the parser met.
        reason: String,
    },
    /// The database itself fails.
    #[error("cannot open the registry file")]
    Storage(#[from] StorageError),
}

/// The disk failed. After one, every commit fails until the program is started again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the registry cannot be written: {reason}")]
pub struct StorageError {
    reason: String,
}

impl StorageError {
    pub(super) fn new(error: impl Into<redb::Error>) -> Self {
        Self::because(error.into().to_string())
    }

    pub(super) fn because(reason: String) -> Self {
        Self { reason }
    }
}

/// Why a commit was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError<E> {
    /// The plan was refused; nothing was written.
    #[error(transparent)]
    Refused(E),
    /// The disk failed; nothing is visible.
    #[error(transparent)]
    Storage(StorageError),
}
