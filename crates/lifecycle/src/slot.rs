//! Slots: immutable homes of one key and its certificate, and what a scan finds in them.

use core::fmt;

use alloc::vec::Vec;

use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The number of a slot. While the record is there numbers rise for ever, and none is used for a second key; when
/// it is lost they go on after the highest that is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotId(pub u64);

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The certificate in a slot, as far as the machine cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotCertificate {
    /// SHA-256 of the DER.
    pub id: CertificateId,
    /// DER of the SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

impl From<&CertificateFacts> for SlotCertificate {
    fn from(facts: &CertificateFacts) -> Self {
        Self {
            id: facts.id,
            public_key: facts.public_key.clone(),
            not_before: facts.not_before,
            not_after: facts.not_after,
        }
    }
}

/// What a scan of the store found in one slot, read and parsed, never inferred from names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotFacts {
    /// Which slot.
    pub id: SlotId,
    /// DER of the SubjectPublicKeyInfo of the private key, when the key is there, parses, and its CSR is durable.
    pub public_key: Option<Vec<u8>>,
    /// The certificate, when there is one that parses.
    pub certificate: Option<SlotCertificate>,
    /// Whether an ownership token is still there: the certificate was not known to be registered.
    pub has_token: bool,
}

impl SlotFacts {
    /// A slot with nothing in it.
    pub fn empty(id: SlotId) -> Self {
        Self { id, public_key: None, certificate: None, has_token: false }
    }

    /// Whether key and certificate are both there and belong together.
    pub fn is_complete(&self) -> bool {
        match (&self.public_key, &self.certificate) {
            (Some(key), Some(certificate)) => *key == certificate.public_key,
            _ => false,
        }
    }
}
