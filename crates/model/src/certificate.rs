//! Certificates as AWS IoT sees them: an id that is the SHA-256 of the DER, a status, and the facts in the DER.
//!
//! Not here: minting and signature checks (iotcore), private keys ([`crate::secret`]).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use der::pem::PemLabel;
use der::{Decode, Document, Encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::time::Timestamp;

pub use details::Details;

mod details;

/// A certificate id: the SHA-256 of the DER certificate, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateId([u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a certificate id is 64 hexadecimal digits, not {0:?}")]
pub struct BadCertificateId(pub String);

impl CertificateId {
    /// The id of the certificate with this DER encoding.
    pub fn of_der(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// The id with these digest bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hex digits, for people.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::str::FromStr for CertificateId {
    type Err = BadCertificateId;

    fn from_str(text: &str) -> Result<Self, BadCertificateId> {
        let bad = || BadCertificateId(text.chars().take(80).collect());
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0u8; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = core::str::from_utf8(digits).map_err(|_| bad())?;
            if digits.starts_with('+') {
                return Err(bad());
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for CertificateId {
    type Error = BadCertificateId;

    fn try_from(text: String) -> Result<Self, BadCertificateId> {
        text.parse()
    }
}

impl From<CertificateId> for String {
    fn from(id: CertificateId) -> Self {
        id.to_string()
    }
}

/// The status of a registered certificate (API Reference, UpdateCertificate).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateStatus {
    /// May connect.
    Active,
    /// May not connect; can become ACTIVE again.
    Inactive,
    /// May never connect again: the status is terminal.
    Revoked,
    /// Made over MQTT and not yet registered by RegisterThing; deleted when its token expires.
    PendingActivation,
    /// On its way to another account.
    PendingTransfer,
}

impl CertificateStatus {
    /// The name that AWS gives it, for example `PENDING_ACTIVATION`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Revoked => "REVOKED",
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::PendingTransfer => "PENDING_TRANSFER",
        }
    }

    /// Whether UpdateCertificate may move a certificate from this status to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        match next {
            Self::PendingActivation | Self::PendingTransfer => false,
            Self::Revoked => !matches!(self, Self::PendingTransfer),
            Self::Active | Self::Inactive => !matches!(self, Self::Revoked | Self::PendingTransfer),
        }
    }
}

impl fmt::Display for CertificateStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a certificate may be attached to one thing only (Developer Guide, exclusive-thing).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ThingPrincipalType {
    /// The certificate belongs to this thing alone; thing policy variables resolve for any client id.
    ExclusiveThing,
    /// AWS's default: the certificate may be attached to more things.
    #[default]
    NonExclusiveThing,
}

/// Why bytes are not a certificate that we can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate: {reason}")]
pub struct BadCertificate {
    /// What the decoder met.
    pub reason: String,
}

/// What everybody needs to know of a certificate, read from its DER once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-256 of the DER.
    pub id: CertificateId,
    /// The DER itself.
    pub der: Vec<u8>,
    /// The start of validity.
    pub not_before: Timestamp,
    /// The end of validity.
    pub not_after: Timestamp,
    /// The DER of the SubjectPublicKeyInfo; equal keys are equal bytes.
    pub public_key: Vec<u8>,
}

impl CertificateFacts {
    /// Reads a DER certificate of any version, v1 included.
    ///
    /// # Errors
    /// When the bytes are not one X.509 certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, BadCertificate> {
        let bad = |error: der::Error| BadCertificate { reason: error.to_string() };
        let certificate = Certificate::from_der(der).map_err(bad)?;
        Self::of(&certificate, der.to_vec())
    }

    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// When the text does not begin with one PEM certificate.
    pub fn from_pem(pem: &str) -> Result<Self, BadCertificate> {
        let bad = |error: der::Error| BadCertificate { reason: error.to_string() };
        let (label, document) = Document::from_pem(pem).map_err(bad)?;
        Certificate::validate_pem_label(label).map_err(|error| bad(error.into()))?;
        Self::from_der(document.as_bytes())
    }

    /// The common name of the subject, if there is one that reads as text.
    pub fn common_name(&self) -> Option<String> {
        let certificate = Certificate::from_der(&self.der).ok()?;
        let name = certificate.tbs_certificate().subject().common_name().ok()??;
        Some(name.value().into_owned())
    }

    /// The subject as text (RFC 4514), for people: whoever made the certificate chose what stands in it.
    pub fn subject(&self) -> String {
        Certificate::from_der(&self.der)
            .map(|certificate| certificate.tbs_certificate().subject().to_string())
            .unwrap_or_default()
    }

    /// The issuer, as [`Self::subject`].
    pub fn issuer(&self) -> String {
        Certificate::from_der(&self.der)
            .map(|certificate| certificate.tbs_certificate().issuer().to_string())
            .unwrap_or_default()
    }

    /// The hosts and addresses that it speaks for (RFC 5280, 4.2.1.6), in lower case; other kinds of names are left out.
    pub fn alternative_names(&self) -> Vec<String> {
        let Ok(certificate) = Certificate::from_der(&self.der) else {
            return Vec::new();
        };
        let found = certificate.tbs_certificate().get_extension::<SubjectAltName>();
        let Ok(Some((_, names))) = found else {
            return Vec::new();
        };
        names.0.iter().filter_map(host).collect()
    }

    fn of(certificate: &Certificate, der: Vec<u8>) -> Result<Self, BadCertificate> {
        let body = certificate.tbs_certificate();
        let moment = |time: x509_cert::time::Time| {
            let millis = time.to_unix_duration().as_millis();
            Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
        };
        let public_key = body
            .subject_public_key_info()
            .to_der()
            .map_err(|error| BadCertificate { reason: error.to_string() })?;
        Ok(Self {
            id: CertificateId::of_der(&der),
            der,
            not_before: moment(body.validity().not_before),
            not_after: moment(body.validity().not_after),
            public_key,
        })
    }
}

fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        GeneralName::IpAddress(octets) => match octets.as_bytes() {
            [a, b, c, d] => Some(Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            octets => <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_sha_256_of_the_der_in_lower_case_hex() {
        let id = CertificateId::of_der(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(id.short(), "e3b0c442");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in ["", "e3b0", &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert!(bad.parse::<CertificateId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn revoked_is_terminal_and_inactive_is_not() {
        use CertificateStatus::{Active, Inactive, PendingActivation, Revoked};
        assert!(Active.may_become(Inactive) && Inactive.may_become(Active));
        assert!(Inactive.may_become(Revoked) && PendingActivation.may_become(Active));
        assert!(!Revoked.may_become(Active) && !Active.may_become(PendingActivation));
    }

    #[test]
    fn rubbish_is_no_certificate() {
        assert!(CertificateFacts::from_der(&[0x30, 0x80, 0]).is_err());
        assert!(CertificateFacts::from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END").is_err());
    }
}
