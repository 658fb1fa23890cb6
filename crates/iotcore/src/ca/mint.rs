//! Puts an X.509 v3 certificate together and signs it (RFC 5280).

use der::asn1::{
    Any, BitString, GeneralizedTime, Ia5String, ObjectIdentifier, OctetString, SetOfVec, UtcTime,
    Utf8StringRef,
};
use der::oid::AssociatedOid;
use der::{AnyRef, Decode, Encode, Sequence};
use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::time::Timestamp;
use sha2::{Digest, Sha256};
use x509_cert::Version;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use super::error::CaError;
use super::key::SigningKey;

/// commonName (RFC 5280 appendix A)
pub(super) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// organizationName
pub(super) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// organizationalUnitName
pub(super) const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");

/// TBSCertificate without the unique identifiers that nobody uses (RFC 5280 §4.1).
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

/// Certificate (RFC 5280 §4.1).
#[derive(Sequence)]
struct Signed {
    body: Body,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// Who signs.
pub(super) struct Issuer<'a> {
    pub(super) name: Name,
    pub(super) key: &'a SigningKey,
}

/// What is to be certified.
pub(super) struct Request {
    pub(super) subject: Name,
    pub(super) public_key: SubjectPublicKeyInfoOwned,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Twenty random bytes.
    pub(super) serial: [u8; 20],
    /// What the holder may do; key identifiers are added to these.
    pub(super) extensions: Extensions,
}

/// Signs a certificate and reads it back.
pub(super) fn mint(issuer: &Issuer<'_>, request: Request) -> Result<CertificateFacts, CaError> {
    let mut extensions = vec![authority_key(&issuer.key.public_key()?)?, subject_key(&request.public_key)?];
    extensions.extend(request.extensions);
    let body = Body {
        version: Version::V3,
        serial_number: serial(request.serial)?,
        signature: issuer.key.algorithm(),
        issuer: issuer.name.clone(),
        validity: Validity::new(moment(request.not_before)?, moment(request.not_after)?),
        subject: request.subject,
        subject_public_key_info: request.public_key,
        extensions: Some(extensions),
    };
    let signature = issuer.key.sign(&body.to_der()?)?;
    let signed =
        Signed { body, algorithm: issuer.key.algorithm(), signature: BitString::from_bytes(&signature)? };
    CertificateFacts::from_der(&signed.to_der()?).map_err(|error| CaError::Encoding(error.to_string()))
}

/// The certificate in PEM, with the line ends that AWS uses.
pub(super) fn certificate_pem(der: &[u8]) -> Result<String, CaError> {
    pem("CERTIFICATE", der)
}

pub(super) fn pem(label: &str, der: &[u8]) -> Result<String, CaError> {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der)
        .map_err(|error| CaError::Encoding(error.to_string()))
}

/// A distinguished name of UTF-8 attributes, one to an RDN.
pub(super) fn name(attributes: &[(ObjectIdentifier, &str)]) -> Result<Name, CaError> {
    let mut names = RdnSequence::default();
    for (oid, value) in attributes {
        let value = Any::from(AnyRef::from(Utf8StringRef::new(value)?));
        let attribute = AttributeTypeAndValue { oid: *oid, value };
        let rdn = SetOfVec::try_from(vec![attribute])?;
        names.push(RelativeDistinguishedName::from(rdn));
    }
    Ok(Name::from_der(&names.to_der()?)?)
}

pub(super) fn basic_constraints(ca: bool) -> Result<Extension, CaError> {
    let path_len_constraint = ca.then_some(0);
    extension(true, &BasicConstraints { ca, path_len_constraint })
}

pub(super) fn key_usage(usage: KeyUsage) -> Result<Extension, CaError> {
    extension(true, &usage)
}

/// id-kp-serverAuth only.
pub(super) fn server_auth() -> Result<Extension, CaError> {
    let server = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
    extension(false, &ExtendedKeyUsage(vec![server]))
}

/// DNS names and addresses that the certificate speaks for.
pub(super) fn alternative_names(hosts: &[String]) -> Result<Extension, CaError> {
    let names = hosts.iter().map(|host| match host.parse() {
        Ok(std::net::IpAddr::V4(address)) => octets(&address.octets()),
        Ok(std::net::IpAddr::V6(address)) => octets(&address.octets()),
        Err(_) => Ok(GeneralName::DnsName(Ia5String::new(host)?)),
    });
    let names: Result<Vec<GeneralName>, CaError> = names.collect();
    extension(false, &SubjectAltName(names?))
}

fn octets(bytes: &[u8]) -> Result<GeneralName, CaError> {
    Ok(GeneralName::IpAddress(OctetString::new(bytes)?))
}

pub(super) fn authority_key(key: &SubjectPublicKeyInfoOwned) -> Result<Extension, CaError> {
    let identifier = AuthorityKeyIdentifier {
        key_identifier: Some(key_identifier(key)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    extension(false, &identifier)
}

fn subject_key(key: &SubjectPublicKeyInfoOwned) -> Result<Extension, CaError> {
    extension(false, &SubjectKeyIdentifier(key_identifier(key)?))
}

/// The leftmost 160 bits of the SHA-256 of the key's bits (RFC 7093 §2, method 1).
fn key_identifier(key: &SubjectPublicKeyInfoOwned) -> Result<OctetString, CaError> {
    let digest = Sha256::digest(key.subject_public_key.raw_bytes());
    let head: Vec<u8> = digest.iter().take(20).copied().collect();
    Ok(OctetString::new(head)?)
}

fn extension(critical: bool, value: &(impl Encode + AssociatedOid)) -> Result<Extension, CaError> {
    fn build<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension, CaError> {
        Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
    }
    build(critical, value)
}

/// Positive, and of exactly 160 bits less the sign, whatever the random bytes are.
fn serial(mut bytes: [u8; 20]) -> Result<SerialNumber, CaError> {
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(SerialNumber::new(&bytes)?)
}

/// UTCTime to the end of 2049, GeneralizedTime after it (RFC 5280 §4.1.2.5).
fn moment(at: Timestamp) -> Result<Time, CaError> {
    let since_epoch = std::time::Duration::from_secs(at.as_secs());
    if at <= Timestamp::AWS_CERTIFICATE_END {
        return Ok(Time::UtcTime(UtcTime::from_unix_duration(since_epoch)?));
    }
    let time = GeneralizedTime::from_unix_duration(since_epoch)?;
    Ok(Time::GeneralTime(time))
}
