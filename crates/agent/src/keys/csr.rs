//! A PKCS#10 certificate signing request (RFC 2986) with ECDSA P-256 and SHA-256.

use core::str::FromStr;

use der::asn1::{BitString, ObjectIdentifier};
use der::pem::LineEnding;
use der::{Decode, DecodePem, Encode, EncodePem};
use x509_cert::attr::Attributes;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use fleetkey_model::name::SerialNumber;

use super::KeyError;

/// `ecdsa-with-SHA256` (RFC 5758 section 3.2); it takes no parameters.
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Builds the request for the key with this SubjectPublicKeyInfo; `sign` returns an ASN.1 ECDSA signature.
///
/// # Errors
/// [`KeyError::Request`] when something cannot be encoded, and whatever `sign` fails with.
pub fn signing_request(
    spki: &[u8],
    serial: &SerialNumber,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, KeyError>,
) -> Result<String, KeyError> {
    let info = CertReqInfo {
        version: Version::V1,
        // A serial has no character that would need escaping in a distinguished name (RFC 4514).
        subject: Name::from_str(&format!("CN={serial}")).map_err(refuse)?,
        public_key: SubjectPublicKeyInfoOwned::from_der(spki).map_err(refuse)?,
        attributes: Attributes::default(),
    };
    let signature = sign(&info.to_der().map_err(refuse)?)?;
    let request = CertReq {
        info,
        algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
        signature: BitString::from_bytes(&signature).map_err(refuse)?,
    };
    request.to_pem(LineEnding::LF).map_err(refuse)
}

/// The SubjectPublicKeyInfo, DER, that a request in PEM is for.
///
/// # Errors
/// [`KeyError::Request`] when it is no request.
pub fn requested_key(pem: &[u8]) -> Result<Vec<u8>, KeyError> {
    let request = CertReq::from_pem(pem).map_err(refuse)?;
    request.info.public_key.to_der().map_err(refuse)
}

fn refuse(error: der::Error) -> KeyError {
    KeyError::Request(error.to_string())
}
