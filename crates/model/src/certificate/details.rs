//! What a certificate says of itself, in words for people, and the chain that a PEM text holds.
//!
//! Nothing here is checked: whoever made a certificate chose what stands in it, and a signature is not looked at.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode, Encode, Reader, SliceReader};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints};

use super::{BadCertificate, CertificateFacts};

/// Algorithms and curves that certificates of devices have (RFC 3279, RFC 5480, RFC 5758, RFC 8410, SEC 2).
const NAMES: [(&str, &str); 13] = [
    ("1.2.840.113549.1.1.1", "RSA"),
    ("1.2.840.113549.1.1.5", "RSA with SHA-1"),
    ("1.2.840.113549.1.1.11", "RSA with SHA-256"),
    ("1.2.840.113549.1.1.12", "RSA with SHA-384"),
    ("1.2.840.113549.1.1.13", "RSA with SHA-512"),
    ("1.2.840.10045.2.1", "EC"),
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
    ("1.2.840.10045.4.3.2", "ECDSA with SHA-256"),
    ("1.2.840.10045.4.3.3", "ECDSA with SHA-384"),
    ("1.2.840.10045.4.3.4", "ECDSA with SHA-512"),
    ("1.3.101.112", "Ed25519"),
];

const RSA: &str = "1.2.840.113549.1.1.1";

/// One certificate in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Id, validity and key.
    pub facts: CertificateFacts,
    /// Whose it is (RFC 4514).
    pub subject: String,
    /// Who says so (RFC 4514).
    pub issuer: String,
    /// The serial number, hexadecimal, a colon between octets.
    pub serial: String,
    /// The public key's algorithm, with its curve or size: `EC P-256`, `RSA 2048`.
    pub key: String,
    /// The SHA-256 of the SubjectPublicKeyInfo, hexadecimal: equal for equal keys.
    pub key_hash: String,
    /// How the issuer has signed.
    pub signature: String,
    /// Which key the issuer has signed with, by its own word (RFC 5280, 4.2.1.1), hexadecimal.
    pub issuer_key: Option<String>,
    /// The hosts and addresses that it speaks for.
    pub names: Vec<String>,
    /// Whether it may sign others (RFC 5280, 4.2.1.9).
    pub authority: bool,
    /// Whether subject and issuer are one: a root, or one that is signed by itself.
    pub self_issued: bool,
}

impl Details {
    /// All certificates of a PEM text, in its order: the device's first, then who signed it, where the text goes on so.
    ///
    /// # Errors
    /// When it holds none, or something else.
    pub fn chain_from_pem(pem: &str) -> Result<Vec<Self>, BadCertificate> {
        let found = Certificate::load_pem_chain(pem.trim().as_bytes()).map_err(bad)?;
        if found.is_empty() {
            return Err(BadCertificate { reason: "the text is empty".to_string() });
        }
        found.iter().map(Self::of).collect()
    }

    fn of(certificate: &Certificate) -> Result<Self, BadCertificate> {
        let facts = CertificateFacts::of(certificate, certificate.to_der().map_err(bad)?)?;
        let body = certificate.tbs_certificate();
        let key = body.subject_public_key_info();
        let authority_key = body.get_extension::<AuthorityKeyIdentifier>().ok().flatten();
        let constraints = body.get_extension::<BasicConstraints>().ok().flatten();
        Ok(Self {
            subject: body.subject().to_string(),
            issuer: body.issuer().to_string(),
            serial: hex(body.serial_number().as_bytes()),
            key: named_key(
                &key.algorithm.oid,
                key.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as().ok()),
                key.subject_public_key.raw_bytes(),
            ),
            key_hash: hex(&Sha256::digest(&facts.public_key)).replace(':', ""),
            signature: name(&certificate.signature_algorithm().oid),
            issuer_key: authority_key.and_then(|(_, key)| Some(hex(key.key_identifier?.as_bytes()))),
            names: facts.alternative_names(),
            authority: constraints.is_some_and(|(_, found)| found.ca),
            self_issued: body.subject() == body.issuer(),
            facts,
        })
    }
}

fn bad(error: der::Error) -> BadCertificate {
    BadCertificate { reason: error.to_string() }
}

/// Algorithms without a name here go by their number.
fn name(oid: &ObjectIdentifier) -> String {
    let number = oid.to_string();
    let known = NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_string());
    known.unwrap_or(number)
}

fn named_key(algorithm: &ObjectIdentifier, curve: Option<ObjectIdentifier>, key: &[u8]) -> String {
    let detail = if algorithm.to_string() == RSA {
        modulus_bits(key).map(|bits| bits.to_string())
    } else {
        curve.as_ref().map(name)
    };
    match detail {
        Some(detail) => format!("{} {detail}", name(algorithm)),
        None => name(algorithm),
    }
}

/// The size of an RSA key (RFC 8017, A.1.1).
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(key).ok()?;
    let bits = reader.sequence(|inner: &mut SliceReader<'_>| {
        let modulus = UintRef::decode(inner)?;
        UintRef::decode(inner)?;
        let spare = modulus.as_bytes().first().map_or(0, |first| first.leading_zeros());
        Ok::<_, der::Error>(modulus.as_bytes().len() * 8 - spare as usize)
    });
    bits.ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &str = include_str!("../../fixtures/chain-ec.pem");
    const RSA_ROOT: &str = include_str!("../../fixtures/root-rsa.pem");

    #[test]
    fn a_chain_is_read_in_its_order_and_every_part_in_words() {
        let chain = Details::chain_from_pem(EC).unwrap();
        let [device, issuer] = chain.as_slice() else { panic!("{chain:?}") };
        assert_eq!((device.subject.as_str(), device.issuer.as_str()), ("CN=press-1", "CN=Plant CA"));
        assert_eq!((issuer.subject.as_str(), issuer.issuer.as_str()), ("CN=Plant CA", "CN=Plant CA"));
        assert_eq!((device.key.as_str(), device.signature.as_str()), ("EC P-256", "ECDSA with SHA-256"));
        assert_eq!(device.names, ["press-1.plant.example", "192.0.2.7"]);
        assert_eq!(device.serial, "01:a2:03");
        assert!(!device.authority && !device.self_issued && issuer.authority && issuer.self_issued);
        assert_ne!(device.key_hash, issuer.key_hash);
        assert_eq!(device.key_hash.len(), 64);
        assert_eq!(device.issuer_key.as_ref().map(String::len), Some(59), "20 octets and their colons");
    }

    #[test]
    fn an_rsa_key_is_told_with_its_size() {
        let root = Details::chain_from_pem(RSA_ROOT).unwrap();
        assert_eq!((root[0].key.as_str(), root[0].signature.as_str()), ("RSA 2048", "RSA with SHA-256"));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for text in ["", "words", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(Details::chain_from_pem(text).is_err(), "{text}");
        }
        let key = EC.replace("CERTIFICATE", "PRIVATE KEY");
        assert!(Details::chain_from_pem(&key).is_err());
    }
}
