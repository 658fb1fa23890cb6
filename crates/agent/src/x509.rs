//! A certificate made and signed: its frame, which those who sign here share.
//!
//! Not here: what it is to say, and whose key signs it ([`crate::intake`] for a PLC's request, the sidecar for its own
//! server).

use std::time::Duration;

use aws_lc_rs::rand;
use der::asn1::{BitString, GeneralizedTime, OctetString, UtcTime};
use der::oid::AssociatedOid;
use der::{Encode, Sequence};
use fleetkey_model::time::Timestamp;
use x509_cert::Version;
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmade {
    /// The operating system gave none.
    #[error("there is no randomness")]
    NoRandomness,
    /// The issuer's key gave no signature.
    #[error("the CA's key does not sign")]
    Unsigned,
    /// Something does not encode.
    #[error(transparent)]
    Encoding(#[from] der::Error),
}

/// What a certificate is to say.
pub(crate) struct Draft {
    pub(crate) issuer: Name,
    pub(crate) subject: Name,
    pub(crate) public_key: SubjectPublicKeyInfoOwned,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) extensions: Extensions,
}

/// TBSCertificate without the unique identifiers that nobody uses (RFC 5280 section 4.1).
#[derive(Sequence)]
struct Body {
    #[asn1(context_specific = "0", default = "Default::default")]
    version: Version,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    subject_public_key_info: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

/// Certificate (RFC 5280 section 4.1).
#[derive(Sequence)]
struct Signed {
    body: Body,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

impl Draft {
    /// Signs it under a random serial number; DER.
    ///
    /// # Errors
    /// See [`Unmade`]; `sign` gives `None` when the key does not sign.
    pub(crate) fn sign(
        self,
        algorithm: AlgorithmIdentifierOwned,
        sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Unmade> {
        let body = Body {
            version: Version::V3,
            serial_number: serial()?,
            signature: algorithm.clone(),
            issuer: self.issuer,
            validity: Validity::new(moment(self.not_before)?, moment(self.not_after)?),
            subject: self.subject,
            subject_public_key_info: self.public_key,
            extensions: Some(self.extensions),
        };
        let signature = sign(&body.to_der()?).ok_or(Unmade::Unsigned)?;
        let signature = BitString::from_bytes(&signature)?;
        Ok(Signed { body, algorithm, signature }.to_der()?)
    }
}

/// An extension of a certificate.
///
/// # Errors
/// When the value does not encode.
pub(crate) fn extension<T: AssociatedOid + Encode>(
    critical: bool,
    value: &T,
) -> Result<Extension, der::Error> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// Positive, random, and of 159 bits.
fn serial() -> Result<SerialNumber, Unmade> {
    let mut bytes = [0; 20];
    rand::fill(&mut bytes).map_err(|_| Unmade::NoRandomness)?;
    let [first, ..] = &mut bytes;
    *first = *first & 0x7f | 0x40;
    Ok(SerialNumber::new(&bytes)?)
}

/// UTCTime to the end of 2049, GeneralizedTime after it (RFC 5280 section 4.1.2.5).
fn moment(at: Timestamp) -> Result<Time, der::Error> {
    let since_epoch = Duration::from_secs(at.as_secs());
    if at <= Timestamp::AWS_CERTIFICATE_END {
        return Ok(Time::UtcTime(UtcTime::from_unix_duration(since_epoch)?));
    }
    Ok(Time::GeneralTime(GeneralizedTime::from_unix_duration(since_epoch)?))
}
