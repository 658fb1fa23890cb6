//! The hash of an ownership token: the registry recognises a token without being able to tell it.

use std::fmt;

use fleetkey_model::secret::OwnershipToken;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// SHA-256 of an ownership token's text. A token is 256 random bits, so no salt is needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of `token`.
    pub fn of(token: &OwnershipToken) -> Self {
        Self(Sha256::digest(token.expose().as_bytes()).into())
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hex(&hash.0)
    }
}

impl TryFrom<String> for TokenHash {
    type Error = fleetkey_model::certificate::BadCertificateId;

    /// Sixty-four hex digits, exactly as a certificate id is written.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digest: fleetkey_model::certificate::CertificateId = text.parse()?;
        Ok(Self(*digest.as_bytes()))
    }
}
