//! That a request is signed by its own key, and that the key is one that AWS IoT takes.
//!
//! Taken is what AWS takes (Developer Guide, device-certs-create): RSA of 2048 bits or more, ECDSA on P-256, P-384 or
//! P-521; signed with SHA-256, SHA-384 or SHA-512.

use der::asn1::{ObjectIdentifier, UintRef};
use der::{AnyRef, Decode, Encode, Reader, SliceReader};
use rustls_pki_types::{AlgorithmIdentifier, SignatureVerificationAlgorithm};
use x509_cert::request::CertReq;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::request::RequestError;
use crate::tls::provider;

/// Bits of an RSA key: the least that AWS takes, and the most that can be verified here.
const RSA_BITS: core::ops::RangeInclusive<usize> = 2048..=8192;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// P-256, P-384, P-521 (RFC 5480 section 2.1.1.1), and their bits.
const CURVES: [(ObjectIdentifier, usize); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), 256),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), 384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), 521),
];

/// Verifies the signature over the bytes as they came, not as they would be encoded again.
pub(super) fn verify(request: &CertReq, der: &[u8]) -> Result<(), RequestError> {
    let key = &request.info.public_key;
    check_key(key)?;
    let unreadable = |error: der::Error| RequestError::Unreadable(error.to_string());
    let (bound, used) = (inner(&key.algorithm), inner(&request.algorithm));
    let (bound, used) = (bound.map_err(unreadable)?, used.map_err(unreadable)?);
    let signed = first_part(der).map_err(unreadable)?;
    let all = provider().signature_verification_algorithms.all;
    let fits = |known: &&&dyn SignatureVerificationAlgorithm| {
        is(known.public_key_alg_id(), &bound) && is(known.signature_alg_id(), &used)
    };
    let mut fitting = all.iter().filter(fits).peekable();
    if fitting.peek().is_none() {
        return Err(RequestError::Algorithm(request.algorithm.oid.to_string()));
    }
    let (key, signature) = (key.subject_public_key.raw_bytes(), request.signature.raw_bytes());
    let is_signed = fitting.any(|known| known.verify_signature(key, signed, signature).is_ok());
    if is_signed { Ok(()) } else { Err(RequestError::Signature) }
}

/// What a public key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// RSA, with so many bits.
    Rsa(usize),
    /// ECDSA on one of the curves, with so many bits.
    Ec(usize),
}

/// What this key is.
pub(super) fn kind_of(key: &SubjectPublicKeyInfoOwned) -> Result<Kind, RequestError> {
    match key.algorithm.oid {
        RSA => {
            let bits = rsa_bits(key.subject_public_key.raw_bytes());
            bits.map(Kind::Rsa).map_err(|error| RequestError::Unreadable(error.to_string()))
        }
        EC => {
            let curve = key.algorithm.parameters.as_ref();
            let curve = curve.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
            let known = CURVES.iter().find(|(oid, _)| Some(*oid) == curve);
            known.map(|(_, bits)| Kind::Ec(*bits)).ok_or(RequestError::KeyType)
        }
        _ => Err(RequestError::KeyType),
    }
}

fn check_key(key: &SubjectPublicKeyInfoOwned) -> Result<(), RequestError> {
    match kind_of(key)? {
        Kind::Rsa(bits) if !RSA_BITS.contains(&bits) => Err(RequestError::KeySize(bits)),
        Kind::Rsa(_) | Kind::Ec(_) => Ok(()),
    }
}

/// The bits of the modulus of an RSAPublicKey (RFC 8017 appendix A.1.1).
fn rsa_bits(der: &[u8]) -> Result<usize, der::Error> {
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|key| {
        let modulus = UintRef::decode(key)?;
        UintRef::decode(key)?;
        let digits = modulus.as_bytes();
        let leading = digits.first().map_or(0, |byte| byte.leading_zeros());
        Ok((digits.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0)))
    })
}

/// The first of the three parts of a request (RFC 2986 section 4.2), which is what is signed.
fn first_part(der: &[u8]) -> Result<&[u8], der::Error> {
    let mut parts = SliceReader::new(AnyRef::from_der(der)?.value())?;
    parts.tlv_bytes()
}

fn is(known: AlgorithmIdentifier, wanted: &[u8]) -> bool {
    AsRef::<[u8]>::as_ref(&known) == wanted
}

/// An AlgorithmIdentifier without its tag and length, as the verifiers name theirs.
fn inner(algorithm: &AlgorithmIdentifierOwned) -> Result<Vec<u8>, der::Error> {
    let der = algorithm.to_der()?;
    Ok(AnyRef::from_der(&der)?.value().to_vec())
}
