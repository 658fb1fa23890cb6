//! The local CA, for the sidecar's own server certificate alone: `ca.pem` for clients to trust, `ca.key` (mode 0600).
//!
//! Written once. The key is durable before the certificate is made, so that a crash in between leaves nothing that a
//! client could trust and we could not use.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use der::Decode as _;
use der::asn1::{Ia5String, ObjectIdentifier, OctetString};
use der::pem::{LineEnding, encode_string};
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use crate::keys::{Keys as _, P256Keys};
use crate::x509::{Draft, extension};

/// `ecdsa-with-SHA256` (RFC 5758 section 3.2); it takes no parameters.
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// id-kp-serverAuth (RFC 5280 section 4.2.1.12).
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const SUBJECT: &str = "CN=fleetkey sidecar CA";
const KEY_FILE: &str = "ca.key";
const CERTIFICATE_FILE: &str = "ca.pem";
/// Long enough that no client is touched for its sake: twenty years.
const LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// For clients whose clock lags.
const BACKDATE: Duration = Duration::from_secs(24 * 3600);

/// Why there is no local CA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    #[error("the sidecar's CA {}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said, or what is wrong with it.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("the sidecar's certificate cannot be made: {0}")]
    Made(String),
}

/// The CA.
pub(super) struct Authority {
    key: PrivateKeyPem,
    chain: String,
}

impl Authority {
    /// Reads the CA of a directory, or makes it.
    pub(super) fn open(directory: &Path, now: Timestamp) -> Result<Self, AuthorityError> {
        let (key_path, path) = (directory.join(KEY_FILE), directory.join(CERTIFICATE_FILE));
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory).map_err(|error| file(directory, &error))?;
        let key = match read(&key_path)? {
            Some(text) => PrivateKeyPem::new(text.as_str()),
            None => {
                let key = P256Keys.generate().map_err(made)?;
                write(&key_path, key.expose().as_bytes(), 0o600)?;
                key
            }
        };
        let public = P256Keys.public_key(&key).map_err(|error| damaged(&key_path, error))?;
        let chain = match read(&path)? {
            Some(text) => text.to_string(),
            None => {
                let extensions = vec![
                    extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(0) })
                        .map_err(made)?,
                    extension(true, &KeyUsage(KeyUsages::KeyCertSign.into())).map_err(made)?,
                ];
                let der = certificate(&key, SUBJECT, &public, extensions, now)?;
                let pem = encode_string("CERTIFICATE", LineEnding::LF, &der).map_err(made)?;
                write(&path, pem.as_bytes(), 0o644)?;
                pem
            }
        };
        let facts = fleetkey_model::certificate::CertificateFacts::from_pem(&chain)
            .map_err(|error| damaged(&path, error))?;
        if facts.public_key != public {
            return Err(damaged(&path, "it is not for the key beside it"));
        }
        Ok(Self { key, chain })
    }

    /// A certificate for a server of these names, with its chain, and a fresh key for it.
    pub(super) fn server(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), AuthorityError> {
        let key = P256Keys.generate().map_err(made)?;
        let public = P256Keys.public_key(&key).map_err(made)?;
        let alternatives = names.iter().map(|name| alternative(name)).collect::<Result<_, _>>()?;
        let extensions = vec![
            extension(true, &KeyUsage(KeyUsages::DigitalSignature.into())).map_err(made)?,
            extension(false, &ExtendedKeyUsage(vec![SERVER_AUTH])).map_err(made)?,
            extension(false, &SubjectAltName(alternatives)).map_err(made)?,
        ];
        let leaf = certificate(&self.key, "CN=fleetkey sidecar", &public, extensions, now)?;
        let root = CertificateDer::from_pem_slice(self.chain.as_bytes())
            .map_err(|error| made(format!("{error:?}")))?;
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
            .map_err(|_| made("the key does not read"))?;
        Ok((vec![CertificateDer::from(leaf), root], key))
    }
}

fn alternative(name: &str) -> Result<GeneralName, AuthorityError> {
    let octets = |bytes: &[u8]| OctetString::new(bytes).map(GeneralName::IpAddress).map_err(made);
    match name.parse() {
        Ok(std::net::IpAddr::V4(address)) => octets(&address.octets()),
        Ok(std::net::IpAddr::V6(address)) => octets(&address.octets()),
        Err(_) => Ia5String::new(name).map(GeneralName::DnsName).map_err(made),
    }
}

/// Signs a certificate for a public key, DER.
fn certificate(
    issuer: &PrivateKeyPem,
    subject: &str,
    public: &[u8],
    extensions: Extensions,
    now: Timestamp,
) -> Result<Vec<u8>, AuthorityError> {
    let name = |text: &str| text.parse::<Name>().map_err(made);
    let draft = Draft {
        issuer: name(SUBJECT)?,
        subject: name(subject)?,
        public_key: SubjectPublicKeyInfoOwned::from_der(public).map_err(made)?,
        not_before: now - BACKDATE,
        not_after: now + LIFE,
        extensions,
    };
    let key = PrivateKeyDer::from_pem_slice(issuer.expose().as_bytes())
        .map_err(|_| made("the key does not read"))?;
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_der())
        .map_err(made)?;
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None };
    let sign = |body: &[u8]| Some(pair.sign(&SystemRandom::new(), body).ok()?.as_ref().to_vec());
    draft.sign(algorithm, sign).map_err(made)
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, AuthorityError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file(path, &error)),
    }
}

/// Durably, or not at all: temporary file with its final mode, fsync, rename, fsync of the directory.
fn write(path: &Path, contents: &[u8], mode: u32) -> Result<(), AuthorityError> {
    let temporary = path.with_extension("new");
    let written = || -> io::Result<()> {
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |directory| std::fs::File::open(directory)?.sync_all())
    };
    written().map_err(|error| file(path, &error))
}

fn file(path: &Path, error: &io::Error) -> AuthorityError {
    damaged(path, error)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn damaged(path: &Path, reason: impl ToString) -> AuthorityError {
    AuthorityError::File { path: path.to_path_buf(), reason: reason.to_string() }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn made(reason: impl ToString) -> AuthorityError {
    AuthorityError::Made(reason.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_ca_is_made_once_and_read_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("ca");
        let made = Authority::open(&directory, NOW).unwrap();
        let again = Authority::open(&directory, NOW + LIFE).unwrap();
        assert_eq!(made.chain, again.chain);
        assert_eq!(
            [mode(&directory), mode(&directory.join(KEY_FILE)), mode(&directory.join(CERTIFICATE_FILE))],
            [0o700, 0o600, 0o644]
        );
    }

    #[test]
    fn a_crash_between_key_and_certificate_is_made_good_and_a_foreign_certificate_is_refused() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Authority::open(dir.path(), NOW).unwrap();
        std::fs::remove_file(dir.path().join(CERTIFICATE_FILE)).unwrap();
        Authority::open(dir.path(), NOW).unwrap();
        Authority::open(other.path(), NOW).unwrap();
        std::fs::copy(other.path().join(CERTIFICATE_FILE), dir.path().join(CERTIFICATE_FILE)).unwrap();
        let error = Authority::open(dir.path(), NOW).err().unwrap();
        assert!(error.to_string().contains("not for the key"), "{error}");
    }
}
