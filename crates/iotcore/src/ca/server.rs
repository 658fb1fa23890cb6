//! The server's root and the certificate that the server shows, which renews itself.
//!
//! The certificate is what strict verifiers (webpki, s2n, OpenSSL) ask for: ECDSA P-256, serverAuth, alternative
//! names, key identifiers, at most 398 days (CA/Browser Forum baseline 6.3.2); here 90, renewed at 60.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use der::Decode;
use fleetkey_model::time::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, DnsName, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};
use x509_cert::name::Name;

use super::device::BACKDATE;
use super::error::CaError;
use super::file;
use super::key::SigningKey;
use super::mint::{self, Issuer, Request};
use super::pair::KeyPair;
use super::random;
use crate::clock::Clock;

const DAY: Duration = Duration::from_secs(86_400);
/// The server certificate's life. It is renewed when less than a third of it remains.
const LIFE: Duration = Duration::from_secs(90 * DAY.as_secs());
/// The names that every server has.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The server's root and its present certificate.
#[derive(Debug)]
pub struct ServerIdentity {
    root: KeyPair,
    root_path: PathBuf,
    leaf_path: PathBuf,
    hosts: Vec<String>,
    leaf: Mutex<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    certified: Arc<CertifiedKey>,
    renew_at: Timestamp,
    not_after: Timestamp,
}

impl ServerIdentity {
    pub(super) fn open(directory: &Path, hosts: &[String], now: Timestamp) -> Result<Self, CaError> {
        let hosts = all_hosts(hosts)?;
        let root = open_root(&directory.join("server-ca.pem"), now)?;
        let root_path = directory.join("root-ca.pem");
        let root_pem = mint::certificate_pem(&root.certificate.der)?;
        if file::read(&root_path)?.as_deref() != Some(root_pem.as_bytes()) {
            file::write(&root_path, root_pem.as_bytes(), file::PUBLIC)?;
        }
        let leaf_path = directory.join("server.pem");
        let stored = KeyPair::read(&leaf_path)?;
        let pair = match stored {
            Some(pair) if is_current(&pair, &root, &hosts, now)? => pair,
            _ => issue(&root, &leaf_path, &hosts, now)?,
        };
        Ok(Self { leaf: Mutex::new(Leaf::of(&pair)?), root, root_path, leaf_path, hosts })
    }

    /// What the server shows at `now`. Issues and keeps a new certificate, with a new key, when less than a
    /// third of the old one's life remains; then it writes two small files.
    ///
    /// # Errors
    /// When a new certificate is due and cannot be made or kept; the old one stays in place, and the next call
    /// tries again.
    pub fn current(&self, now: Timestamp) -> Result<Arc<CertifiedKey>, CaError> {
        let mut leaf = self.leaf.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= leaf.renew_at {
            let pair = issue(&self.root, &self.leaf_path, &self.hosts, now)?;
            *leaf = Leaf::of(&pair)?;
        }
        Ok(leaf.certified.clone())
    }

    /// What the server showed last, without looking at the time.
    pub fn latest(&self) -> Arc<CertifiedKey> {
        let leaf = self.leaf.lock().unwrap_or_else(PoisonError::into_inner);
        leaf.certified.clone()
    }

    /// The end of the present certificate's validity.
    pub fn not_after(&self) -> Timestamp {
        self.leaf.lock().unwrap_or_else(PoisonError::into_inner).not_after
    }

    /// The root that clients must trust, DER.
    pub fn root_der(&self) -> &[u8] {
        &self.root.certificate.der
    }

    /// The same as a PEM file, world-readable.
    pub fn root_path(&self) -> &Path {
        &self.root_path
    }
}

impl Leaf {
    fn of(pair: &KeyPair) -> Result<Self, CaError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.key.pkcs8().to_vec()));
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|_| CaError::Crypto("the server key cannot be used for TLS"))?;
        let chain = vec![CertificateDer::from(pair.certificate.der.clone())];
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(chain, key)),
            renew_at: renew_at(pair),
            not_after: pair.certificate.not_after,
        })
    }
}

/// Gives rustls the certificate that is current at each handshake.
pub struct ServerResolver {
    identity: Arc<ServerIdentity>,
    clock: Arc<dyn Clock>,
}

impl ServerResolver {
    /// A resolver that reads the time from `clock`.
    pub fn new(identity: Arc<ServerIdentity>, clock: Arc<dyn Clock>) -> Self {
        Self { identity, clock }
    }
}

impl std::fmt::Debug for ServerResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerResolver").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServerResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self.identity.current(self.clock.now()) {
            Ok(certified) => Some(certified),
            Err(error) => {
                tracing::error!(%error, "the server certificate cannot be renewed; showing the old one");
                Some(self.identity.latest())
            }
        }
    }
}

fn root_name() -> Result<Name, CaError> {
    mint::name(&[(mint::ORGANIZATION, "fleetkey"), (mint::COMMON_NAME, "fleetkey local IoT Core root CA")])
}

fn open_root(path: &Path, now: Timestamp) -> Result<KeyPair, CaError> {
    if let Some(pair) = KeyPair::read(path)? {
        return Ok(pair);
    }
    let key = SigningKey::p256()?;
    let request = Request {
        subject: root_name()?,
        public_key: key.public_key()?,
        not_before: now - BACKDATE,
        not_after: Timestamp::AWS_CERTIFICATE_END,
        serial: random()?,
        extensions: vec![
            mint::basic_constraints(true)?,
            mint::key_usage(KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
        ],
    };
    let issuer = Issuer { name: root_name()?, key: &key };
    let certificate = mint::mint(&issuer, request)?;
    let pair = KeyPair { key, certificate };
    pair.write(path)?;
    Ok(pair)
}

fn issue(root: &KeyPair, path: &Path, hosts: &[String], now: Timestamp) -> Result<KeyPair, CaError> {
    let key = SigningKey::p256()?;
    let request = Request {
        subject: mint::name(&[(mint::COMMON_NAME, "localhost")])?,
        public_key: key.public_key()?,
        not_before: now - BACKDATE,
        not_after: now + LIFE,
        serial: random()?,
        extensions: vec![
            mint::basic_constraints(false)?,
            mint::key_usage(KeyUsage(KeyUsages::DigitalSignature.into()))?,
            mint::server_auth()?,
            mint::alternative_names(hosts)?,
        ],
    };
    let issuer = Issuer { name: root_name()?, key: &root.key };
    let certificate = mint::mint(&issuer, request)?;
    let pair = KeyPair { key, certificate };
    pair.write(path)?;
    Ok(pair)
}

/// Whether a stored certificate can be shown: not due, by this root, for these hosts.
fn is_current(pair: &KeyPair, root: &KeyPair, hosts: &[String], now: Timestamp) -> Result<bool, CaError> {
    if now >= renew_at(pair) || now < pair.certificate.not_before {
        return Ok(false);
    }
    let leaf = Certificate::from_der(&pair.certificate.der)?;
    let authority = mint::authority_key(&root.key.public_key()?)?;
    let names = mint::alternative_names(hosts)?;
    let present = leaf.tbs_certificate().extensions().map_or(&[][..], |list| list.as_slice());
    Ok([authority, names].iter().all(|wanted| present.contains(wanted)))
}

fn renew_at(pair: &KeyPair) -> Timestamp {
    let life = pair.certificate.not_after.since(pair.certificate.not_before);
    pair.certificate.not_after - life / 3
}

/// The local names and those asked for, each once, each a DNS name or an address.
fn all_hosts(extra: &[String]) -> Result<Vec<String>, CaError> {
    let mut hosts: Vec<String> = LOCAL.iter().map(ToString::to_string).collect();
    for host in extra {
        if host.parse::<IpAddr>().is_err() && DnsName::try_from(host.as_str()).is_err() {
            return Err(CaError::Host(host.chars().take(260).collect()));
        }
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    Ok(hosts)
}
