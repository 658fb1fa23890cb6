//! The identity in use as other programs want it: file names, encodings, permissions, and what to configure.
//!
//! For programs that this agent cannot move by itself. What is written is a copy of one moment: after each commit it is
//! written anew, by a hook or by a person, and `docs/offline.md` says what each program then needs to take it up. Not
//! here: the sidecar, which spares a program all of this.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use der::pem::{LineEnding, encode_string};
use fleetkey_lifecycle::record::Stage;
use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::name::SerialNumber;
use fleetkey_model::secret::PrivateKeyPem;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::config::AgentConfig;
use crate::keys::{KeyError, pkcs12};
use crate::private::open_to_others;
use crate::store::{BUNDLE_FILE, EXPORT_LINK, RealFs, StoreFault, read_record, replace_all, write_private};

mod codesys;
mod gateways;
mod plain;
mod retirement;
#[cfg(test)]
mod tests;

/// Readable by the owner alone, and by everybody.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
/// Passphrases have so many characters, of which there are 32: 120 bits.
const PASSPHRASE: usize = 24;
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// For which program. Both binaries take these names on their command line, and their help is what stands here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Client {
    /// A bridge of mosquitto.
    Mosquitto,
    /// libmosquitto, and mosquitto_pub and mosquitto_sub, which are made with it.
    Libmosquitto,
    /// Paho C.
    Paho,
    /// Paho for Python.
    PahoPython,
    /// AWS IoT Device SDK v2 for Python, C++ and Java.
    AwsSdk,
    /// An output of Telegraf.
    Telegraf,
    /// A bridge of NanoMQ.
    Nanomq,
    /// EMQX Neuron: files, and the parameters of its REST API.
    Neuron,
    /// Ignition with Cirrus Link's modules, and Chariot, which go by file names.
    Ignition,
    /// CODESYS: PKCS#12, roots, sums, and a sheet of steps.
    Codesys,
}

/// What was written, and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The files, in the order in which they were written.
    pub files: Vec<PathBuf>,
    /// For people: configuration, or the steps.
    pub sheet: String,
}

/// A certificate for a key that a PLC keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The certificate.
    pub certificate: CertificateFacts,
    /// The certificate of the CA that has signed it, where that is known.
    pub issuer: Option<CertificateFacts>,
    /// Whether the account knows it: registered, ACTIVE, attached to its thing.
    pub registered: bool,
}

impl Signed {
    /// The certificate in PEM, alone.
    pub fn pem(&self) -> String {
        pem(&self.certificate.der)
    }
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The device has no exported identity.
    #[error("{} has no identity to export: {reason}", dir.display())]
    NoIdentity {
        /// The state directory.
        dir: PathBuf,
        /// Why.
        reason: String,
    },
    /// The roots that the device trusts cannot be read.
    #[error("cannot read the root certificates in {}: {reason}", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file with the passphrase does not do.
    #[error("the passphrase file {} {reason}", path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key cannot be encoded.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file cannot be written.
    #[error(transparent)]
    Fault(#[from] StoreFault),
    /// The directory, or a file in it, cannot be made.
    #[error("cannot make {}: {reason}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What a bundle is made of, besides the key.
struct Material {
    serial: SerialNumber,
    host: String,
    port: u16,
    topic_root: String,
    certificate: CertificateFacts,
    /// The trusted roots, DER.
    roots: Vec<Vec<u8>>,
    /// The rotation that led to the certificate, while what is older waits for its retirement.
    retires: Option<String>,
    to: PathBuf,
}

/// One file of a bundle.
struct File {
    name: String,
    mode: u32,
    content: Zeroizing<Vec<u8>>,
}

impl File {
    fn public(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), mode: PUBLIC, content: Zeroizing::new(content.into()) }
    }

    fn secret(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { mode: SECRET, ..Self::public(name, content) }
    }
}

/// Writes the identity in use of a device into the directory `to`, made with mode 0700 if need be. For CODESYS the
/// passphrase is read from `passphrase`, or made and kept there; by default beside `to`, never in it.
///
/// # Errors
/// See [`BundleError`]. What was written before stays.
pub fn write(
    config: &AgentConfig,
    client: Client,
    to: &Path,
    passphrase: Option<&Path>,
) -> Result<Bundle, BundleError> {
    let to = std::path::absolute(to).map_err(|error| directory(to, &error))?;
    let (key, material) = in_use(config, &to)?;
    make_private(&to)?;
    let made = match client {
        Client::Codesys => {
            let beside = passphrase.map_or_else(|| beside(&to), Path::to_path_buf);
            codesys::bundle(&material, &key, &secret_in(&beside)?, &beside)?
        }
        Client::Mosquitto => gateways::mosquitto(&material, &key),
        Client::Libmosquitto => plain::libmosquitto(&material, &key),
        Client::Paho => plain::paho(&material, &key),
        Client::PahoPython => plain::paho_python(&material, &key),
        Client::AwsSdk => plain::aws_sdk(&material, &key),
        Client::Telegraf => gateways::telegraf(&material, &key),
        Client::Nanomq => gateways::nanomq(&material, &key),
        Client::Neuron => gateways::neuron(&material, &key),
        Client::Ignition => gateways::ignition(&material, &key),
    };
    put(&to, made)
}

/// Writes a certificate that was signed for a key of the PLC's own into the directory `to`, made with mode 0700 if need
/// be: no key, for none ever leaves the PLC.
///
/// # Errors
/// See [`BundleError`]. What was written before stays.
pub fn write_signed(config: &AgentConfig, signed: &Signed, to: &Path) -> Result<Bundle, BundleError> {
    let to = std::path::absolute(to).map_err(|error| directory(to, &error))?;
    let material = material(config, signed.certificate.clone(), None, &to)?;
    make_private(&to)?;
    put(&to, codesys::signed(&material, signed))
}

/// Where [`write_signed`] puts a certificate.
pub fn signed_file(to: &Path, serial: &SerialNumber) -> PathBuf {
    to.join(format!("{serial}.der"))
}

fn put(to: &Path, (files, sheet): (Vec<File>, String)) -> Result<Bundle, BundleError> {
    let paths: Vec<_> = files.iter().map(|file| to.join(&file.name)).collect();
    if let Some(path) = paths.iter().find(|path| path.is_dir()) {
        return Err(BundleError::Directory {
            path: path.clone(),
            reason: "a directory has its name".to_owned(),
        });
    }
    let files = files.iter().map(|file| (file.name.as_str(), file.mode, file.content.as_slice()));
    replace_all(&RealFs, to, files)?;
    Ok(Bundle { files: paths, sheet })
}

/// Key and certificate from one file, so that a rotation meanwhile cannot tear them.
fn in_use(config: &AgentConfig, to: &Path) -> Result<(PrivateKeyPem, Material), BundleError> {
    let none = |reason: String| BundleError::NoIdentity { dir: config.state_dir.clone(), reason };
    let path = config.state_dir.join(EXPORT_LINK).join(BUNDLE_FILE);
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| none(error.to_string()))?;
    let split = text.find("-----BEGIN CERTIFICATE-----");
    let split = split.and_then(|at| text.split_at_checked(at));
    let (key, chain) = split.ok_or_else(|| none("its bundle holds no certificate".to_owned()))?;
    let certificate = CertificateFacts::from_pem(chain).map_err(|error| none(error.to_string()))?;
    let key = PrivateKeyPem::new(key.trim_end().to_owned() + "\n");
    // For people: where the record cannot be read, `status` says so.
    let record = read_record(&RealFs, &config.state_dir).ok().flatten();
    let aftermath = record.and_then(|record| record.aftermath).filter(|it| it.stage != Stage::Retired);
    let retires = aftermath.map(|it| it.id);
    Ok((key, material(config, certificate, retires, to)?))
}

fn material(
    config: &AgentConfig,
    certificate: CertificateFacts,
    retires: Option<String>,
    to: &Path,
) -> Result<Material, BundleError> {
    Ok(Material {
        serial: config.serial.clone(),
        host: config.endpoint.host.clone(),
        port: config.endpoint.port,
        topic_root: config.topic_root.as_str().to_owned(),
        certificate,
        roots: roots(&config.roots)?,
        retires,
        to: to.to_path_buf(),
    })
}

fn roots(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, BundleError> {
    let mut all = Vec::new();
    for path in paths {
        let failed = |reason: String| BundleError::Roots { path: path.clone(), reason };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        for certificate in CertificateDer::pem_slice_iter(&bytes) {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            all.push(certificate.as_ref().to_vec());
        }
    }
    Ok(all)
}

/// `DIR.passphrase`, whatever dots there are in the directory's own name.
fn beside(to: &Path) -> PathBuf {
    let mut name = to.components().collect::<PathBuf>().into_os_string();
    name.push(".passphrase");
    name.into()
}

/// The passphrase in this file, which is made with a random one if it is not there.
fn secret_in(path: &Path) -> Result<Zeroizing<String>, BundleError> {
    let bad = |reason: String| BundleError::Passphrase { path: path.to_path_buf(), reason };
    if let Ok(Some(mode)) = open_to_others(path) {
        return Err(bad(format!("can be read by other users (mode {mode:o}): chmod 600 it")));
    }
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => {
            let line = text.lines().next().unwrap_or_default();
            if line.chars().count() < 8 {
                return Err(bad("holds less than 8 characters in its first line".to_owned()));
            }
            Ok(Zeroizing::new(line.to_owned()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made = random_passphrase().map_err(|_| bad("cannot be made up".to_owned()))?;
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| bad("has no name".to_owned()))?;
            let dir =
                path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
            write_private(&RealFs, dir, name, SECRET, format!("{}\n", *made).as_bytes())?;
            Ok(made)
        }
        Err(error) => Err(bad(format!("cannot be read: {error}"))),
    }
}

fn random_passphrase() -> Result<Zeroizing<String>, aws_lc_rs::error::Unspecified> {
    let mut bytes = Zeroizing::new([0; PASSPHRASE]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice())?;
    let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
    Ok(Zeroizing::new(letters.map(|letter| char::from(*letter)).collect()))
}

fn make_private(dir: &Path) -> Result<(), BundleError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| directory(dir, &error))
}

fn directory(path: &Path, error: &std::io::Error) -> BundleError {
    BundleError::Directory { path: path.to_path_buf(), reason: error.to_string() }
}

impl Material {
    fn certificate_pem(&self) -> String {
        pem(&self.certificate.der)
    }

    fn roots_pem(&self) -> String {
        self.roots.iter().map(|root| pem(root)).collect()
    }

    /// Where a file of the bundle will be.
    fn path(&self, name: &str) -> String {
        self.to.join(name).display().to_string()
    }
}

fn pem(der: &[u8]) -> String {
    // Only a length beyond all memory does not encode.
    encode_string("CERTIFICATE", LineEnding::LF, der).unwrap_or_default()
}

/// Pairs of hexadecimal digits with colons between, as certificate managers show thumbprints.
fn thumbprint(algorithm: &'static digest::Algorithm, der: &[u8]) -> String {
    let digest = digest::digest(algorithm, der);
    let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}
