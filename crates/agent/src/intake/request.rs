//! A signing request (PKCS#10, RFC 2986) as somebody hands it in: in DER, as a PLC writes it, or in PEM.

use std::path::Path;

use der::oid::AssociatedOid;
use der::pem::{LineEnding, encode_string};
use der::{Decode, Encode};
use fleetkey_model::certificate::CertificateFacts;
use x509_cert::Certificate;
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, ExtensionReq};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::extension::{self, Fault, Loss};
use super::verify::verify;

/// No file with a request is longer, in bytes.
const MAX_FILE: u64 = 64 * 1024;
/// The longest request in characters of PEM that AWS takes (API Reference, CreateCertificateFromCsr).
const MAX_PEM: usize = 4096;

/// Why a file is no signing request that could be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(String),
    /// It is neither DER nor PEM of a request.
    #[error("it is no signing request (PKCS#10) in DER or PEM: {0}")]
    Unreadable(String),
    /// It is longer than AWS takes.
    #[error("it has {0} characters in PEM, AWS IoT takes {MAX_PEM} at most")]
    TooLong(usize),
    /// A kind of key that AWS does not take.
    #[error("its key is neither RSA nor ECDSA on P-256, P-384 or P-521: AWS IoT takes no other")]
    KeyType,
    /// An RSA key that is too small, or too large to be verified.
    #[error("its RSA key has {0} bits, and 2048 to 8192 are taken: cert-createcsr has keylen= for it")]
    KeySize(usize),
    /// A signature algorithm that AWS does not take.
    #[error("it is signed with {0}, and SHA-256, SHA-384 or SHA-512 with its kind of key is taken")]
    Algorithm(String),
    /// It was changed on its way, or the asker has not the key.
    #[error("its signature is not by its own key: it was changed, or made with another key")]
    Signature,
}

/// A request whose signature proves that whoever asks has the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    der: Vec<u8>,
    pub(super) subject: Name,
    pub(super) key: SubjectPublicKeyInfoOwned,
    pub(super) extensions: Extensions,
}

impl SigningRequest {
    /// Reads the request in a file.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn open(path: &Path) -> Result<Self, RequestError> {
        use std::io::Read;
        let failed = |error: std::io::Error| RequestError::File(error.to_string());
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
        Self::read(&bytes)
    }

    /// Reads a request, in DER or PEM, and verifies its signature and the kind of its key.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn read(bytes: &[u8]) -> Result<Self, RequestError> {
        let unreadable = |error: der::Error| RequestError::Unreadable(error.to_string());
        let der = der_of(bytes)?;
        let request = CertReq::from_der(&der).map_err(unreadable)?;
        verify(&request, &der)?;
        let extensions = demanded(&request).map_err(unreadable)?;
        let (subject, key) = (request.info.subject, request.info.public_key);
        let read = Self { der, subject, key, extensions };
        match read.pem().chars().count() {
            length if length > MAX_PEM => Err(RequestError::TooLong(length)),
            _ => Ok(read),
        }
    }

    /// The request in PEM, as AWS takes it.
    pub fn pem(&self) -> String {
        // Only a length beyond all memory does not encode.
        encode_string("CERTIFICATE REQUEST", LineEnding::LF, &self.der).unwrap_or_default()
    }

    /// The common name that it asks for, if there is one that reads as text.
    pub fn common_name(&self) -> Option<String> {
        Some(self.subject.common_name().ok()??.value().into_owned())
    }

    /// The SubjectPublicKeyInfo of its key, DER.
    pub fn public_key(&self) -> Vec<u8> {
        self.key.to_der().unwrap_or_default()
    }

    /// What is wrong with it for a PLC that will look for `common_name`; nothing if it may be signed.
    pub fn faults(&self, common_name: &str) -> Vec<Fault> {
        let found = self.common_name().unwrap_or_default();
        let other =
            (found != common_name).then(|| Fault::CommonName { found, wanted: common_name.to_owned() });
        other.into_iter().chain(extension::faults(&self.extensions)).collect()
    }

    /// What of it a certificate has not kept; nothing if the PLC can use it.
    pub fn losses(&self, certificate: &CertificateFacts) -> Vec<Loss> {
        let Ok(read) = Certificate::from_der(&certificate.der) else {
            return vec![Loss::Key];
        };
        let body = read.tbs_certificate();
        let key = (certificate.public_key != self.public_key()).then_some(Loss::Key);
        let subject = (*body.subject() != self.subject).then_some(Loss::Subject);
        let kept = body.extensions().map(Vec::as_slice).unwrap_or_default();
        key.into_iter().chain(subject).chain(extension::losses(&self.extensions, kept)).collect()
    }
}

fn der_of(bytes: &[u8]) -> Result<Vec<u8>, RequestError> {
    let begins = bytes.trim_ascii_start();
    if !begins.starts_with(b"-----BEGIN") {
        return Ok(bytes.to_vec());
    }
    let unreadable = |error: der::pem::Error| RequestError::Unreadable(error.to_string());
    match der::pem::decode_vec(begins).map_err(unreadable)? {
        ("CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST", der) => Ok(der),
        (label, _) => Err(RequestError::Unreadable(format!("the PEM is a {label:.40}"))),
    }
}

/// The extensions that it demands (RFC 2985 section 5.4.2, extensionRequest).
fn demanded(request: &CertReq) -> Result<Extensions, der::Error> {
    let asked = request.info.attributes.iter().filter(|attribute| attribute.oid == ExtensionReq::OID);
    let mut all: Vec<Extension> = Vec::new();
    for value in asked.flat_map(|attribute| attribute.values.iter()) {
        all.extend(value.decode_as::<Extensions>()?);
    }
    Ok(all)
}
