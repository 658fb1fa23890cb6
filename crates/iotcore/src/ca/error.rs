//! Why an authority cannot be opened or cannot issue.

use std::path::PathBuf;

/// Why an authority cannot be opened or cannot issue.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not what this program wrote.
    #[error("{} is damaged: {reason}; restore it from a copy, or remove it to start with a new CA", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A host is neither a DNS name nor an IP address.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    Host(String),
    /// The system gives no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// A key could not be made or used.
    #[error("cryptography failed: {0}")]
    Crypto(&'static str),
    /// A certificate could not be put together.
    #[error("the certificate cannot be encoded: {0}")]
    Encoding(String),
    /// The thread that minted ended before its time.
    #[error("minting was interrupted: {0}")]
    Interrupted(String),
}

impl From<der::Error> for CaError {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}
