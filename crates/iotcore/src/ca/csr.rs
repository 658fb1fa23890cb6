//! Certificate signing requests: PKCS#10 in PEM, read and verified.
//!
//! Accepted is what AWS accepts (Developer Guide, device-certs-create): RSA of 2048 bits or more, ECDSA on
//! P-256, P-384 or P-521; signed by its own key with SHA-256, SHA-384 or SHA-512.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use der::asn1::{ObjectIdentifier, UintRef};
use der::{AnyRef, Decode, Encode, Sequence};
use x509_cert::name::Name;
use x509_cert::request::CertReq;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

/// The longest request in characters (API Reference, CreateCertificateFromCsr).
pub const MAX_CSR: usize = 4096;
/// The smallest RSA key in bits.
const MIN_RSA_BITS: usize = 2048;
/// The largest that can be verified.
const MAX_RSA_BITS: usize = 8192;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// Why a text is no acceptable certificate signing request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Longer than [`MAX_CSR`].
    #[error("The certificate signing request has {0} characters, at most {MAX_CSR} are allowed.")]
    TooLong(usize),
    /// No PEM of a PKCS#10 request.
    #[error("The certificate signing request is not a PKCS#10 request in PEM: {0}")]
    Unreadable(String),
    /// A kind of key that is not accepted.
    #[error("The key of the certificate signing request must be RSA, or ECDSA on P-256, P-384 or P-521.")]
    KeyType,
    /// An RSA key that is too small (or too large to be verified).
    #[error("The RSA key has {0} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are allowed.")]
    KeySize(usize),
    /// A signature algorithm that is not accepted for the key.
    #[error(
        "The certificate signing request is signed with {0}, which is not accepted for its key: use SHA-256, SHA-384 or SHA-512."
    )]
    Algorithm(String),
    /// The signature is not by the key in the request.
    #[error("The signature of the certificate signing request is not by its own key.")]
    Signature,
}

/// A request whose signature proves that the asker holds the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    pub(super) subject: Name,
    pub(super) public_key: SubjectPublicKeyInfoOwned,
}

/// RSAPublicKey (RFC 8017 appendix A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    #[allow(dead_code, reason = "part of the structure; only the modulus is looked at")]
    exponent: UintRef<'a>,
}

/// CertificationRequest (RFC 2986 §4.2) with its parts unread.
#[derive(Sequence)]
struct RawRequest<'a> {
    info: AnyRef<'a>,
    #[allow(dead_code, reason = "part of the structure")]
    algorithm: AnyRef<'a>,
    #[allow(dead_code, reason = "part of the structure")]
    signature: AnyRef<'a>,
}

impl SigningRequest {
    /// Reads a request and verifies its signature.
    ///
    /// # Errors
    /// See [`CsrError`]; each message can be shown to the asker.
    pub fn parse(pem: &str) -> Result<Self, CsrError> {
        let length = pem.chars().count();
        if length > MAX_CSR {
            return Err(CsrError::TooLong(length));
        }
        let unreadable = |reason: String| CsrError::Unreadable(reason);
        let (label, der) = der::pem::decode_vec(pem.trim_start().as_bytes())
            .map_err(|error| unreadable(error.to_string()))?;
        if !matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(unreadable(format!("the PEM is a {label:.40}")));
        }
        let request = CertReq::from_der(&der).map_err(|error| unreadable(error.to_string()))?;
        verify(&request, &der)?;
        Ok(Self { subject: request.info.subject, public_key: request.info.public_key })
    }
}

#[derive(Clone, Copy)]
enum KeyKind {
    Rsa,
    P256,
    P384,
    P521,
}

/// Verifies the signature over the bytes as they came, not as they would be encoded again.
fn verify(request: &CertReq, der: &[u8]) -> Result<(), CsrError> {
    let key = &request.info.public_key;
    let kind = kind(key)?;
    let algorithm = algorithm(kind, &request.algorithm.oid)
        .ok_or_else(|| CsrError::Algorithm(request.algorithm.oid.to_string()))?;
    let signed = RawRequest::from_der(der)
        .and_then(|raw| raw.info.to_der())
        .map_err(|error| CsrError::Unreadable(error.to_string()))?;
    UnparsedPublicKey::new(algorithm, key.subject_public_key.raw_bytes())
        .verify(&signed, request.signature.raw_bytes())
        .map_err(|_| CsrError::Signature)
}

fn kind(key: &SubjectPublicKeyInfoOwned) -> Result<KeyKind, CsrError> {
    match key.algorithm.oid {
        RSA => {
            let public = RsaPublicKey::from_der(key.subject_public_key.raw_bytes())
                .map_err(|error| CsrError::Unreadable(error.to_string()))?;
            let bits = bit_length(public.modulus.as_bytes());
            match bits {
                MIN_RSA_BITS..=MAX_RSA_BITS => Ok(KeyKind::Rsa),
                _ => Err(CsrError::KeySize(bits)),
            }
        }
        EC => {
            let curve = key.algorithm.parameters.as_ref();
            let curve = curve.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
            match curve {
                Some(P256) => Ok(KeyKind::P256),
                Some(P384) => Ok(KeyKind::P384),
                Some(P521) => Ok(KeyKind::P521),
                _ => Err(CsrError::KeyType),
            }
        }
        _ => Err(CsrError::KeyType),
    }
}

/// The number of bits of a big-endian number without leading zero bytes.
fn bit_length(bytes: &[u8]) -> usize {
    let leading = bytes.first().map_or(0, |byte| byte.leading_zeros());
    (bytes.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0))
}

/// The verifier for a key and a signature algorithm (RFC 8017 appendix A.2.4, RFC 5758 §3.2).
fn algorithm(kind: KeyKind, oid: &ObjectIdentifier) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (kind, oid.to_string().as_str()) {
        (KeyKind::Rsa, "1.2.840.113549.1.1.11") => &RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa, "1.2.840.113549.1.1.12") => &RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa, "1.2.840.113549.1.1.13") => &RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::P256, "1.2.840.10045.4.3.2") => &ECDSA_P256_SHA256_ASN1,
        (KeyKind::P256, "1.2.840.10045.4.3.3") => &ECDSA_P256_SHA384_ASN1,
        (KeyKind::P256, "1.2.840.10045.4.3.4") => &ECDSA_P256_SHA512_ASN1,
        (KeyKind::P384, "1.2.840.10045.4.3.2") => &ECDSA_P384_SHA256_ASN1,
        (KeyKind::P384, "1.2.840.10045.4.3.3") => &ECDSA_P384_SHA384_ASN1,
        (KeyKind::P384, "1.2.840.10045.4.3.4") => &ECDSA_P384_SHA512_ASN1,
        (KeyKind::P521, "1.2.840.10045.4.3.2") => &ECDSA_P521_SHA256_ASN1,
        (KeyKind::P521, "1.2.840.10045.4.3.3") => &ECDSA_P521_SHA384_ASN1,
        (KeyKind::P521, "1.2.840.10045.4.3.4") => &ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! request {
        ($name:literal) => {
            include_str!(concat!("../../fixtures/csr/", $name, ".pem"))
        };
    }

    #[test]
    fn every_key_and_digest_that_aws_takes_is_taken() {
        for pem in [
            request!("rsa2048-sha256"),
            request!("rsa2048-sha384"),
            request!("rsa4096-sha512"),
            request!("p256-sha256"),
            request!("p256-sha512"),
            request!("p384-sha384"),
            request!("p521-sha512"),
        ] {
            let parsed = SigningRequest::parse(pem);
            assert!(parsed.is_ok(), "{parsed:?} {pem}");
        }
    }

    #[test]
    fn weak_keys_and_odd_algorithms_are_refused_each_with_its_own_reason() {
        assert_eq!(SigningRequest::parse(request!("rsa512-sha256")), Err(CsrError::KeySize(512)));
        assert_eq!(SigningRequest::parse(request!("secp256k1-sha256")), Err(CsrError::KeyType));
        assert_eq!(SigningRequest::parse(request!("ed25519")), Err(CsrError::KeyType));
        let sha1 = SigningRequest::parse(request!("rsa2048-sha1"));
        assert_eq!(sha1, Err(CsrError::Algorithm("1.2.840.113549.1.1.5".into())));
    }

    #[test]
    fn a_changed_request_no_longer_proves_anything() {
        let (label, mut der) = der::pem::decode_vec(request!("p256-sha256").as_bytes()).unwrap();
        let name = der.windows(4).position(|window| window == b"Acme").unwrap();
        der[name] = b'B';
        let forged = der::pem::encode_string(label, der::pem::LineEnding::CRLF, &der).unwrap();
        assert_eq!(SigningRequest::parse(&forged), Err(CsrError::Signature));
    }

    #[test]
    fn rubbish_is_refused() {
        let key = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        for rubbish in [
            "",
            "rubbish",
            key,
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        ] {
            let parsed = SigningRequest::parse(rubbish);
            assert!(matches!(parsed, Err(CsrError::Unreadable(_))), "{parsed:?}");
        }
        let long = "x".repeat(MAX_CSR + 1);
        assert_eq!(SigningRequest::parse(&long), Err(CsrError::TooLong(4097)));
    }

    #[test]
    fn any_line_end_is_read() {
        let windows = request!("p384-sha384").replace('\n', "\r\n");
        assert!(SigningRequest::parse(&windows).is_ok());
    }
}
