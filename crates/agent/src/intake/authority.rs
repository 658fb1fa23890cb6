//! A CA of one's own, in two files: signs a PLC's request with the extensions that it demands.
//!
//! AWS IoT takes such a certificate whoever has signed it (RegisterCertificateWithoutCA), or by itself where the CA is
//! registered. Signed is what [`SigningRequest::faults`] has nothing against; key usage, extended key usage and subject
//! alternative name are taken over as they came, and made critical; what else is asked for is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use der::Decode;
use der::asn1::{Any, ObjectIdentifier, OctetString};
use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::time::Timestamp;
use rustls::SignatureScheme;
use rustls::sign::SigningKey;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use super::{Demand, SigningRequest};
use crate::clock::BUILD_TIME;
use crate::private::open_to_others;
use crate::tls::provider;
use crate::x509::{Draft, extension};

/// How far NotBefore lies in the past, as that of AWS's certificates does: for a PLC whose clock is a little behind.
const BACKDATE: Duration = Duration::from_secs(120);
/// No certificate or key file is longer, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// What a CA signs with, by its key: sha256WithRSAEncryption (RFC 8017 appendix A.2.4), ecdsa-with-SHA256, -SHA384,
/// -SHA512 (RFC 5758 section 3.2).
const SCHEMES: [(SignatureScheme, &str); 4] = [
    (SignatureScheme::RSA_PKCS1_SHA256, "1.2.840.113549.1.1.11"),
    (SignatureScheme::ECDSA_NISTP256_SHA256, "1.2.840.10045.4.3.2"),
    (SignatureScheme::ECDSA_NISTP384_SHA384, "1.2.840.10045.4.3.3"),
    (SignatureScheme::ECDSA_NISTP521_SHA512, "1.2.840.10045.4.3.4"),
];

/// Why a CA cannot be used, or signs nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate in PEM or DER: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What the decoder met.
        reason: String,
    },
    /// The certificate may not sign others.
    #[error("the certificate in {} is no CA's: {lacks}", path.display())]
    NoAuthority {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        lacks: &'static str,
    },
    /// Others may read the key.
    #[error("the CA's key {} can be read by other users (mode {mode:o}): chmod 600 it", path.display())]
    KeyOpen {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key wants a passphrase.
    #[error("the CA's key {} is encrypted, and nobody is asked for a passphrase here: decrypt a copy", .0.display())]
    KeyEncrypted(PathBuf),
    /// The key is none that is supported.
    #[error("{} holds no private key in PEM that is supported: RSA, or ECDSA on P-256, P-384 or P-521", .0.display())]
    Key(PathBuf),
    /// Certificate and key are not a pair.
    #[error("the key in {} is not that of the CA's certificate", .0.display())]
    NoMatch(PathBuf),
    /// The CA's certificate is out of its term, by the clock of this computer.
    #[error("the CA is valid from {not_before} to {not_after}, and the clock says {now}; is it right?")]
    NotInTerm {
        /// Start of validity.
        not_before: Timestamp,
        /// End of validity.
        not_after: Timestamp,
        /// The clock.
        now: Timestamp,
    },
    /// The clock is behind what it cannot be behind.
    #[error(
        "the clock says {0}, which was before this program was built: what is signed now would begin then"
    )]
    ClockBehind(Timestamp),
    /// Something cannot be encoded or signed.
    #[error("the certificate cannot be made: {0}")]
    Encoding(String),
}

/// Certificate and key of a CA.
#[derive(Debug)]
pub struct Authority {
    certificate: CertificateFacts,
    name: Name,
    /// Its subject key identifier, by which those who verify find it.
    key_id: Option<OctetString>,
    key: Arc<dyn SigningKey>,
    algorithm: AlgorithmIdentifierOwned,
    scheme: SignatureScheme,
}

impl Authority {
    /// Reads a CA's certificate (PEM or DER) and its key (PEM, not encrypted, its owner's alone).
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, AuthorityError> {
        let facts = read_certificate(certificate)?;
        let read = Certificate::from_der(&facts.der).map_err(encoding)?;
        may_sign(&read, certificate)?;
        let signer = read_key(key)?;
        let public = signer.public_key().ok_or_else(|| AuthorityError::Key(key.to_owned()))?;
        if public.as_ref() != facts.public_key {
            return Err(AuthorityError::NoMatch(key.to_owned()));
        }
        let (scheme, algorithm) =
            signature(signer.as_ref()).ok_or_else(|| AuthorityError::Key(key.to_owned()))?;
        let body = read.tbs_certificate();
        let identifier = body.get_extension::<SubjectKeyIdentifier>().map_err(encoding)?;
        Ok(Self {
            name: body.subject().clone(),
            key_id: identifier.map(|(_, identifier)| identifier.0),
            certificate: facts,
            key: signer,
            algorithm,
            scheme,
        })
    }

    /// The CA's own certificate.
    pub fn certificate(&self) -> &CertificateFacts {
        &self.certificate
    }

    /// Signs a request: for `term` from `now` on, and not beyond the CA's own end. The same request twice gives two
    /// certificates.
    ///
    /// # Errors
    /// When the clock cannot be right, the CA is out of its term, or signing fails.
    pub fn sign(
        &self,
        request: &SigningRequest,
        term: Duration,
        now: Timestamp,
    ) -> Result<CertificateFacts, AuthorityError> {
        let CertificateFacts { not_before, not_after, .. } = self.certificate;
        if now < BUILD_TIME {
            return Err(AuthorityError::ClockBehind(now));
        }
        if now < not_before || now >= not_after {
            return Err(AuthorityError::NotInTerm { not_before, not_after, now });
        }
        let draft = Draft {
            issuer: self.name.clone(),
            subject: request.subject.clone(),
            public_key: request.key.clone(),
            not_before: (now - BACKDATE).max(not_before),
            not_after: (now + term).min(not_after),
            extensions: self.extensions(request).map_err(encoding)?,
        };
        let signed = draft
            .sign(self.algorithm.clone(), |body| self.key.choose_scheme(&[self.scheme])?.sign(body).ok());
        let der = signed.map_err(|error| AuthorityError::Encoding(error.to_string()))?;
        CertificateFacts::from_der(&der).map_err(|error| AuthorityError::Encoding(error.reason))
    }

    fn extensions(&self, request: &SigningRequest) -> Result<Extensions, der::Error> {
        let authority = AuthorityKeyIdentifier {
            key_identifier: self.key_id.clone(),
            authority_cert_issuer: None,
            authority_cert_serial_number: None,
        };
        let mut all = vec![extension(true, &BasicConstraints { ca: false, path_len_constraint: None })?];
        if self.key_id.is_some() {
            all.push(extension(false, &authority)?);
        }
        all.push(extension(false, &SubjectKeyIdentifier(key_identifier(&request.key)?))?);
        let asked = Demand::ALL.into_iter().filter_map(|demand| demand.among(&request.extensions));
        all.extend(asked.map(|asked| Extension { critical: true, ..asked.clone() }));
        Ok(all)
    }
}

fn read_certificate(path: &Path) -> Result<CertificateFacts, AuthorityError> {
    let bytes = read_file(path)?;
    let text = std::str::from_utf8(&bytes).ok().filter(|text| text.contains("-----BEGIN"));
    let read = match text {
        // A file may say in words what it holds, before it does.
        Some(text) => CertificateFacts::from_pem(text.split_at(text.find("-----BEGIN").unwrap_or(0)).1),
        None => CertificateFacts::from_der(&bytes),
    };
    read.map_err(|error| AuthorityError::Certificate { path: path.to_owned(), reason: error.reason })
}

/// A CA's certificate says that it is one (RFC 5280 sections 4.2.1.9 and 4.2.1.3).
fn may_sign(certificate: &Certificate, path: &Path) -> Result<(), AuthorityError> {
    let lacks = |lacks| AuthorityError::NoAuthority { path: path.to_owned(), lacks };
    let body = certificate.tbs_certificate();
    let constraints = body.get_extension::<BasicConstraints>().map_err(encoding)?;
    if !constraints.is_some_and(|(_, constraints)| constraints.ca) {
        return Err(lacks("its basic constraints do not say CA"));
    }
    match body.get_extension::<KeyUsage>().map_err(encoding)? {
        Some((_, usage)) if !usage.key_cert_sign() => {
            Err(lacks("its key usage does not let it sign certificates"))
        }
        _ => Ok(()),
    }
}

fn read_key(path: &Path) -> Result<Arc<dyn SigningKey>, AuthorityError> {
    let failed = |error: std::io::Error| file(path, &error);
    if let Some(mode) = open_to_others(path).map_err(failed)? {
        return Err(AuthorityError::KeyOpen { path: path.to_owned(), mode });
    }
    let bytes = Zeroizing::new(read_file(path)?);
    let holds = |words: &[u8]| bytes.windows(words.len()).any(|found| found == words);
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err(AuthorityError::KeyEncrypted(path.to_owned()));
    }
    let unsupported = || AuthorityError::Key(path.to_owned());
    let der = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| unsupported())?;
    provider().key_provider.load_private_key(der).map_err(|_| unsupported())
}

fn read_file(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    use std::io::Read;
    let failed = |error: std::io::Error| file(path, &error);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn file(path: &Path, error: &std::io::Error) -> AuthorityError {
    AuthorityError::File { path: path.to_owned(), reason: error.to_string() }
}

/// How this key signs, and how a certificate names that.
fn signature(key: &dyn SigningKey) -> Option<(SignatureScheme, AlgorithmIdentifierOwned)> {
    let (scheme, oid) = SCHEMES.into_iter().find(|(scheme, _)| key.choose_scheme(&[*scheme]).is_some())?;
    let parameters = (scheme == SignatureScheme::RSA_PKCS1_SHA256).then(Any::null);
    Some((scheme, AlgorithmIdentifierOwned { oid: ObjectIdentifier::new(oid).ok()?, parameters }))
}

/// The leftmost 160 bits of the SHA-256 of the key's bits (RFC 7093 section 2, method 1).
fn key_identifier(key: &SubjectPublicKeyInfoOwned) -> Result<OctetString, der::Error> {
    let digest = digest::digest(&digest::SHA256, key.subject_public_key.raw_bytes());
    OctetString::new(digest.as_ref().get(..20).unwrap_or_default())
}

fn encoding(error: der::Error) -> AuthorityError {
    AuthorityError::Encoding(error.to_string())
}
