//! Taking over a device that another program has provisioned: its certificate and key become its first identity here.
//!
//! What was found is checked before anything is written: the certificate is for the key, for this device, and within
//! its term; the key is of a supported kind, not encrypted, and its owner's alone. The files stay as they are. Not here:
//! how they become a slot (`store::import`), and whether the broker takes them, which the first connection tells.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use der::pem::{LineEnding, encode_string};
use fleetkey_lifecycle::SlotId;
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use zeroize::Zeroizing;

use crate::keys::{Keys, P256Keys};
use crate::private::open_to_others;
use crate::store::{
    AuditEntry, AuditLog, CERTIFICATE_FILE, Foreign, KEY_FILE, Lock, LockError, RealFs, RecordError, Store,
    StoreFault, Unfit,
};

/// No certificate or key is longer, in bytes.
const MAX_FILE: u64 = 64 * 1024;
/// The subject of certificates that AWS makes without a request (Developer Guide, device-certs-create).
const AWS_COMMON_NAME: &str = "AWS IoT Certificate";

/// Where a certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

impl Pair {
    /// The pair of a device in a directory: `device.cert.pem` and `device.key.pem`, there or in `device_<serial>/`, or
    /// `<serial>-certificate.pem` and `<serial>-private.key`.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(dir: &Path, serial: &SerialNumber) -> Result<Self, ImportError> {
        let below = dir.join(format!("device_{serial}"));
        let named = |what: &str| dir.join(format!("{serial}-{what}"));
        let pairs = [
            Self { certificate: dir.join(CERTIFICATE_FILE), key: dir.join(KEY_FILE) },
            Self { certificate: below.join(CERTIFICATE_FILE), key: below.join(KEY_FILE) },
            Self { certificate: named("certificate.pem"), key: named("private.key") },
        ];
        let mut found = pairs.into_iter().filter(|pair| pair.certificate.is_file() && pair.key.is_file());
        match (found.next(), found.next()) {
            (Some(pair), None) => Ok(pair),
            (Some(one), Some(other)) => Err(ImportError::Ambiguous(one.certificate, other.certificate)),
            (None, _) => Err(ImportError::NoPair { dir: dir.to_path_buf(), serial: serial.clone() }),
        }
    }
}

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The slot that it is in.
    pub slot: SlotId,
    /// The certificate.
    pub certificate: CertificateId,
    /// Its end.
    pub not_after: Timestamp,
    /// It was there before; nothing was done.
    pub already: bool,
    /// The certificate does not say whose it is, as those that AWS makes without a request do not.
    pub nameless: bool,
}

/// Why nothing was taken over. What was on the disk is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The directory holds no pair under a name that is known.
    #[error(
        "{} holds no {CERTIFICATE_FILE} with {KEY_FILE}, itself or in device_{serial}/, and no \
         {serial}-certificate.pem with {serial}-private.key; name the files with --certificate and --key",
        dir.display()
    )]
    NoPair {
        /// The directory.
        dir: PathBuf,
        /// Whose pair was looked for.
        serial: SerialNumber,
    },
    /// The directory holds two.
    #[error("{} and {} could both be meant; name one with --certificate and --key", .0.display(), .1.display())]
    Ambiguous(PathBuf, PathBuf),
    /// Others may read the key.
    #[error(
        "{} can be read by other users (mode {mode:o}); if none has, run: chmod 600 {}, else rotate with \
         `compromised` after the import", path.display(), path.display()
    )]
    KeyOpen {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key wants a passphrase.
    #[error(
        "the key {} is encrypted, and the agent has nobody to ask for a passphrase; decrypt a copy first: \
         openssl pkey -in {} -out device.key.pem, then chmod 600 device.key.pem", path.display(), path.display()
    )]
    KeyEncrypted {
        /// The key file.
        path: PathBuf,
    },
    /// The key is none that is supported.
    #[error("{} holds no private key that is supported: PEM, ECDSA P-256 or RSA of 2048 bits and more", .0.display())]
    KeyUnsupported(PathBuf),
    /// The certificate file holds none.
    #[error("{} holds no certificate in PEM{hint}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What may help.
        hint: &'static str,
    },
    /// Certificate and key are not a pair.
    #[error("no certificate in {} is for the key in {}", .0.certificate.display(), .0.key.display())]
    NoMatch(Pair),
    /// The certificate is another device's, by its name.
    #[error(
        "the certificate's common name is {found:?}, the device is {serial}; is it this device's? With \
         --any-common-name it is taken all the same"
    )]
    CommonName {
        /// The name in it.
        found: String,
        /// The device.
        serial: SerialNumber,
    },
    /// The certificate is out of its term, by the clock of this computer.
    #[error(
        "the certificate is valid from {not_before} to {not_after}, and the clock says {now}; is it right?"
    )]
    NotInTerm {
        /// Start of validity.
        not_before: Timestamp,
        /// End of validity.
        not_after: Timestamp,
        /// The clock.
        now: Timestamp,
    },
    /// An agent runs there, or the directory is not private.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The directory has another identity.
    #[error(
        "{} has an identity already{}; another one needs another state directory, or `rotate` renews this one",
        path.display(), certificate.map_or_else(String::new, |id| format!(" (certificate {id})"))
    )]
    Taken {
        /// The state directory.
        path: PathBuf,
        /// The certificate there, where it reads.
        certificate: Option<CertificateId>,
    },
    /// A first identity is being asked for by claim.
    #[error(
        "{} is about to get an identity by claim; let that end, or empty the directory first", .0.display()
    )]
    UnderWay(PathBuf),
    /// There is a record that does not read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The disk refuses.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Makes `pair` the identity of the device `serial`, whose state directory this is; made if need be. The same pair again
/// changes nothing. With `any_name` the certificate may name somebody else.
///
/// # Errors
/// See [`ImportError`].
pub fn import(
    state_dir: &Path,
    serial: &SerialNumber,
    pair: &Pair,
    any_name: bool,
    now: Timestamp,
) -> Result<Imported, ImportError> {
    let foreign = read(pair)?;
    let nameless = check(&foreign.facts, serial, any_name, now)?;
    let _lock = Lock::acquire(state_dir)?;
    let fs = Arc::new(RealFs);
    let store = Store::open(fs.clone(), Arc::new(P256Keys), state_dir, serial.clone())?;
    let adopted = store.adopt(&foreign).map_err(|unfit| refusal(unfit, state_dir))?;
    let certificate = foreign.facts.id;
    if !adopted.already {
        let event = json!({"event": "imported", "certificate": certificate, "slot": adopted.slot});
        let noted = AuditLog::new(fs, state_dir).append(&AuditEntry { at: now, id: None, event });
        noted.unwrap_or_else(|fault| tracing::warn!(%fault, "an entry of the audit log is lost"));
    }
    store.export(adopted.slot)?;
    let (not_after, already) = (foreign.facts.not_after, adopted.already);
    Ok(Imported { slot: adopted.slot, certificate, not_after, already, nameless })
}

fn refusal(unfit: Unfit, state_dir: &Path) -> ImportError {
    let path = state_dir.to_path_buf();
    match unfit {
        Unfit::Taken(certificate) => ImportError::Taken { path, certificate },
        Unfit::UnderWay => ImportError::UnderWay(path),
        Unfit::Record(error) => error.into(),
        Unfit::Fault(fault) => fault.into(),
    }
}

/// The pair, each file read once and parsed; of a chain the certificate that is for the key. AWS knows a device by that
/// one alone.
fn read(pair: &Pair) -> Result<Foreign, ImportError> {
    let key = read_key(&pair.key)?;
    let unsupported = || ImportError::KeyUnsupported(pair.key.clone());
    let public = P256Keys.public_key(&key).map_err(|_| unsupported())?;
    let chain = read_chain(&pair.certificate)?;
    let facts = chain.into_iter().find(|facts| facts.public_key == public);
    let facts = facts.ok_or_else(|| ImportError::NoMatch(pair.clone()))?;
    let pem = encode_string("CERTIFICATE", LineEnding::LF, &facts.der);
    let pem = pem.map_err(|_| no_certificate(&pair.certificate, ""))?;
    Ok(Foreign { key, pem, facts })
}

/// The key alone, whatever else the file holds, in the encoding that it has.
fn read_key(path: &Path) -> Result<PrivateKeyPem, ImportError> {
    if let Some(mode) = open_to_others(path).map_err(|error| unreadable(path, &error))? {
        return Err(ImportError::KeyOpen { path: path.to_path_buf(), mode });
    }
    let bytes = Zeroizing::new(read_file(path)?);
    let holds = |words: &[u8]| bytes.windows(words.len()).any(|found| found == words);
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err(ImportError::KeyEncrypted { path: path.to_path_buf() });
    }
    let unsupported = || ImportError::KeyUnsupported(path.to_path_buf());
    let der = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| unsupported())?;
    let label = match der {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let pem = encode_string(label, LineEnding::LF, der.secret_der()).map_err(|_| unsupported())?;
    Ok(PrivateKeyPem::new(pem))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateFacts>, ImportError> {
    let bytes = read_file(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .map_while(Result::ok)
        .filter_map(|certificate| CertificateFacts::from_der(&certificate).ok())
        .collect();
    if chain.is_empty() {
        let is_der = CertificateFacts::from_der(&bytes).is_ok();
        let hint = if is_der { ", but one in DER; convert it: openssl x509 -inform der" } else { "" };
        return Err(no_certificate(path, hint));
    }
    Ok(chain)
}

fn read_file(path: &Path) -> Result<Vec<u8>, ImportError> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    Ok(bytes)
}

/// Whose the certificate is and when; whether it does not say whose.
fn check(
    facts: &CertificateFacts,
    serial: &SerialNumber,
    any_name: bool,
    now: Timestamp,
) -> Result<bool, ImportError> {
    let (not_before, not_after) = (facts.not_before, facts.not_after);
    if now < not_before || now >= not_after {
        return Err(ImportError::NotInTerm { not_before, not_after, now });
    }
    let found = facts.common_name().unwrap_or_default();
    if found.is_empty() || found == AWS_COMMON_NAME {
        return Ok(true);
    }
    if found != serial.as_str() && !any_name {
        return Err(ImportError::CommonName { found, serial: serial.clone() });
    }
    Ok(false)
}

fn unreadable(path: &Path, error: &std::io::Error) -> ImportError {
    ImportError::Unreadable { path: path.to_path_buf(), reason: error.to_string() }
}

fn no_certificate(path: &Path, hint: &'static str) -> ImportError {
    ImportError::NoCertificate { path: path.to_path_buf(), hint }
}

#[cfg(test)]
mod tests;
