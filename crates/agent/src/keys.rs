//! Key pairs and signing requests. A trait, so that a PKCS#11 token or a TPM can make and hold them later.
//!
//! Not here: where keys are kept ([`crate::store`]).

use core::fmt;

use aws_lc_rs::digest;

use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::name::SerialNumber;
use fleetkey_model::secret::PrivateKeyPem;

pub use csr::{requested_key, signing_request};
pub use p256::P256Keys;
pub use pkcs12::pkcs12;

mod csr;
mod p256;
mod pkcs12;
#[cfg(test)]
pub(crate) mod testing;

/// SHA-256 of a public key's SubjectPublicKeyInfo in DER: two keys are one key exactly if these are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a SubjectPublicKeyInfo in DER.
    pub fn of_spki(spki: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, spki);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// The fingerprint of the key that a certificate binds.
    pub fn of_certificate(facts: &CertificateFacts) -> Self {
        Self::of_spki(&facts.public_key)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a key cannot be made, read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The cryptographic library refused to make one.
    #[error("the cryptographic library could not make a key")]
    Generate,
    /// The text is not a private key of a kind that is supported.
    #[error("not a private key that is supported here (PKCS#8 PEM, ECDSA P-256 or RSA)")]
    Unreadable,
    /// The signing request could not be encoded, signed or read.
    #[error("the signing request does not encode or read: {0}")]
    Request(String),
    /// What holds the key does not answer now, as a token that is not plugged in yet: nothing is known of the key.
    #[error("what holds the key does not answer: {0}")]
    Absent(String),
}

/// A key source: what makes key pairs, tells public keys and signs requests.
pub trait Keys: fmt::Debug + Send + Sync {
    /// Makes a key pair.
    ///
    /// # Errors
    /// [`KeyError::Generate`].
    fn generate(&self) -> Result<PrivateKeyPem, KeyError>;

    /// The SubjectPublicKeyInfo, DER, that belongs to `key`.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`] of what is no key, which is put aside and never used again; [`KeyError::Absent`] where
    /// trying again may help.
    fn public_key(&self, key: &PrivateKeyPem) -> Result<Vec<u8>, KeyError>;

    /// A PKCS#10 request in PEM for `key`, with the serial as its common name.
    ///
    /// # Errors
    /// When the key cannot be read or the request not be built.
    fn request(&self, key: &PrivateKeyPem, serial: &SerialNumber) -> Result<String, KeyError>;
}
