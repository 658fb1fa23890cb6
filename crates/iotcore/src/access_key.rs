//! The account's access key: made at first start, kept in a file of its owner's, what REST requests are signed with.
//!
//! An id looks as AWS's do (`AKIA` and sixteen of A–Z, 2–7), a secret has forty characters. It opens nothing but this
//! local IoT Core.

use std::io;
use std::path::{Path, PathBuf};

use fleetkey_model::secret::SecretAccessKey;
use serde::{Deserialize, Serialize};

use crate::ca::write_private;

/// The file in the data directory, mode 0600.
const FILE: &str = "access-key.json";
/// What ids of long-lived keys begin with (IAM User Guide, "IAM identifiers").
const PREFIX: &str = "AKIA";
/// 32 characters: each takes five bits of randomness.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// 64 characters: each takes six bits.
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// An access key: its id, and the secret half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    /// Twenty characters.
    pub access_key_id: String,
    /// Forty characters.
    pub secret_access_key: SecretAccessKey,
}

/// Why there is no access key.
#[derive(Debug, thiserror::Error)]
pub enum AccessKeyError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds no access key; remove it, and the next start makes another", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

impl AccessKey {
    /// The key of a data directory; `None` before the first start.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn read(directory: &Path) -> Result<Option<Self>, AccessKeyError> {
        let path = directory.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => zeroize::Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(AccessKeyError::File { action: "read", path, source }),
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(key) if !key.access_key_id.is_empty() => Ok(Some(key)),
            // What serde says of a damaged file may quote it.
            _ => Err(AccessKeyError::Damaged { path }),
        }
    }

    /// The key of a data directory, made and kept if there is none.
    ///
    /// # Errors
    /// As [`AccessKey::read`], or when a new key cannot be kept.
    pub(crate) fn open(directory: &Path) -> Result<Self, AccessKeyError> {
        if let Some(key) = Self::read(directory)? {
            return Ok(key);
        }
        let key = Self::random(PREFIX)?;
        let path = directory.join(FILE);
        let text = zeroize::Zeroizing::new(serde_json::to_vec(&key).unwrap_or_default());
        write_private(&path, &text).map_err(|source| AccessKeyError::File {
            action: "write",
            path,
            source,
        })?;
        Ok(key)
    }

    /// A new key whose id begins with `prefix`: `AKIA`, or `ASIA` for temporary credentials.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(crate) fn random(prefix: &str) -> Result<Self, AccessKeyError> {
        let id: String = random_text::<16>(ID_ALPHABET)?;
        Ok(Self {
            access_key_id: format!("{prefix}{id}"),
            secret_access_key: SecretAccessKey::new(random_text::<40>(SECRET_ALPHABET)?),
        })
    }
}

/// A new session token, which goes with temporary credentials.
///
/// # Errors
/// When the system gives no random bytes.
pub(crate) fn session_token() -> Result<SecretAccessKey, AccessKeyError> {
    random_text::<256>(SECRET_ALPHABET).map(SecretAccessKey::new)
}

/// `N` characters of an alphabet whose size is a power of two, so that each is as likely as any other.
fn random_text<const N: usize>(alphabet: &[u8]) -> Result<String, AccessKeyError> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; N]);
    getrandom::fill(bytes.as_mut()).map_err(|error| AccessKeyError::Random(error.to_string()))?;
    let character = |byte: &u8| alphabet.get(usize::from(*byte) % alphabet.len()).copied().map(char::from);
    Ok(bytes.iter().filter_map(character).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(AccessKey::read(directory.path()).unwrap(), None);
        let made = AccessKey::open(directory.path()).unwrap();
        assert_eq!(AccessKey::open(directory.path()).unwrap(), made);
        assert_eq!(made.access_key_id.len(), 20);
        assert!(made.access_key_id.starts_with("AKIA"));
        assert_eq!(made.secret_access_key.expose().len(), 40);
        let mode = std::fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_refused_without_being_quoted() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), "{\"secretAccessKey\":\"hidden\"}").unwrap();
        let error = AccessKey::open(directory.path()).unwrap_err();
        assert!(matches!(error, AccessKeyError::Damaged { .. }));
        assert!(!error.to_string().contains("hidden"));
        assert!(!format!("{:?}", AccessKey::random("AKIA").unwrap()).contains("secret_access_key: \""));
    }
}
