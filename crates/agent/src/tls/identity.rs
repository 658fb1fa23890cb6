//! A key and its chain in memory, from a slot or from the claim files.

use std::path::{Path, PathBuf};

use fleetkey_model::secret::PrivateKeyPem;
use zeroize::Zeroizing;

/// Who a connection claims to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The private key, PEM.
    pub key: PrivateKeyPem,
    /// The certificate chain, leaf first, PEM.
    pub chain: String,
}

/// A claim file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the {what} {}: {reason}", path.display())]
pub struct IdentityError {
    /// `claim certificate` or `claim key`.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the operating system said.
    pub reason: String,
}

impl ClientIdentity {
    /// Reads the claim certificate and its key.
    ///
    /// # Errors
    /// When one of the files cannot be read.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let chain = read("claim certificate", certificate)?;
        let key = Zeroizing::new(read("claim key", key)?);
        Ok(Self { key: PrivateKeyPem::new(key.as_str()), chain })
    }
}

fn read(what: &'static str, path: &Path) -> Result<String, IdentityError> {
    std::fs::read_to_string(path).map_err(|error| IdentityError {
        what,
        path: path.to_path_buf(),
        reason: error.to_string(),
    })
}
