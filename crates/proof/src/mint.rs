//! Keys and certificates that cost nothing: made once, the same in every run and on every machine.
//!
//! Key `n` is derived from its number and signs with the agent's own code; its `m`th certificate is issued by
//! the local IoT Core's own device CA with a serial derived from both. A schedule therefore names the same
//! certificate ids wherever it is run again. Not here: who may have a certificate ([`crate::cloud`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use der::pem::{LineEnding, encode_string};
use fleetkey_agent::keys::{KeyError, Keys, P256Keys};
use fleetkey_iotcore::ca::{DeviceAuthority, Minted, SigningRequest, Term};
use fleetkey_model::certificate::{CertificateFacts, CertificateId};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;

/// When every certificate of the model is issued: in November 2026, before anything happens in a run.
pub const ISSUED_AT: Timestamp = Timestamp::from_secs(1_795_000_000);

/// An authority that has signed nothing but certificates of this model, so its key is no secret.
const AUTHORITY: &str = include_str!("../fixtures/device-ca.pem");

/// A PrivateKeyInfo (RFC 5208) of a P-256 key up to its 32 bytes; the public key is left to the reader.
const PKCS8_P256: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04,
    0x20,
];

/// A key that was made.
#[derive(Debug)]
struct Made {
    pem: PrivateKeyPem,
    spki: Vec<u8>,
}

/// All keys and certificates that were asked for so far, shared by all runs of this process.
#[derive(Debug, Default)]
struct Shelf {
    keys: HashMap<u64, Arc<Made>>,
    by_pem: HashMap<String, Arc<Made>>,
    requests: HashMap<(String, SerialNumber), String>,
    /// Which key a request is for.
    by_request: HashMap<String, (u64, SigningRequest)>,
    numbers: HashMap<String, u64>,
    certificates: HashMap<(u64, u32), Arc<Minted>>,
    /// Id and public key of the certificates that were read.
    chains: HashMap<String, Arc<(CertificateId, Vec<u8>)>>,
}

static SHELF: OnceLock<Mutex<Shelf>> = OnceLock::new();
static DEVICES: OnceLock<Option<DeviceAuthority>> = OnceLock::new();

fn with_shelf<T>(act: impl FnOnce(&mut Shelf) -> T) -> T {
    let shelf = SHELF.get_or_init(Mutex::default);
    act(&mut shelf.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The certificate that the CA issues for this request the `ordinal`th time, and `None` when the request is not
/// one of the model's.
pub fn certificate(request: &str, ordinal: u32) -> Option<Arc<Minted>> {
    with_shelf(|shelf| {
        let (key, request) = shelf.by_request.get(request).cloned()?;
        if let Some(minted) = shelf.certificates.get(&(key, ordinal)) {
            return Some(minted.clone());
        }
        let devices = DEVICES.get_or_init(|| DeviceAuthority::from_pem(AUTHORITY).ok()).as_ref()?;
        let digest = derive("serial", key, ordinal.into());
        let mut serial = [0; 20];
        serial.iter_mut().zip(digest).for_each(|(byte, drawn)| *byte = drawn);
        let minted = devices.certify(request, Term::Lasting, ISSUED_AT, serial).ok()?;
        let minted = Arc::new(minted);
        shelf.certificates.insert((key, ordinal), minted.clone());
        Some(minted)
    })
}

/// The id of the certificate in `chain`, if it is for the private key in `key`.
pub fn belong_together(key: &str, chain: &str) -> Option<CertificateId> {
    with_shelf(|shelf| {
        let made = shelf.by_pem.get(key)?.clone();
        let read = shelf.read(chain)?;
        (made.spki == read.1).then_some(read.0)
    })
}

/// Whether the certificate in `chain` is for this public key.
pub fn is_for(chain: &str, public_key: &[u8]) -> bool {
    with_shelf(|shelf| shelf.read(chain).is_some_and(|read| read.1 == public_key))
}

/// Whether the text is a whole private key of the model's.
pub fn is_key(text: &str) -> bool {
    with_shelf(|shelf| shelf.by_pem.contains_key(text))
}

/// Whether the text is a whole signing request of the model's.
pub fn is_request(text: &str) -> bool {
    with_shelf(|shelf| shelf.by_request.contains_key(text))
}

/// A source of keys whose `n`th key is always the same. Two devices have two bases.
#[derive(Debug)]
pub struct PoolKeys {
    base: u64,
    made: AtomicU64,
}

impl PoolKeys {
    /// The keys from number `base` on.
    pub const fn from(base: u64) -> Self {
        Self { base, made: AtomicU64::new(0) }
    }

    /// How many were made so far.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Goes on as if `made` keys had been made already.
    pub const fn resumed(base: u64, made: u64) -> Self {
        Self { base, made: AtomicU64::new(made) }
    }
}

impl Keys for PoolKeys {
    fn generate(&self) -> Result<PrivateKeyPem, KeyError> {
        let number = self.base + self.made.fetch_add(1, Ordering::Relaxed);
        with_shelf(|shelf| shelf.key(number)).map(|made| made.pem.clone())
    }

    fn public_key(&self, key: &PrivateKeyPem) -> Result<Vec<u8>, KeyError> {
        let known = with_shelf(|shelf| shelf.by_pem.get(key.expose()).map(|made| made.spki.clone()));
        known.ok_or(KeyError::Unreadable)
    }

    fn request(&self, key: &PrivateKeyPem, serial: &SerialNumber) -> Result<String, KeyError> {
        with_shelf(|shelf| shelf.request(key, serial))
    }
}

impl Shelf {
    /// Id and public key of a certificate.
    fn read(&mut self, chain: &str) -> Option<Arc<(CertificateId, Vec<u8>)>> {
        if let Some(known) = self.chains.get(chain) {
            return Some(known.clone());
        }
        let facts = CertificateFacts::from_pem(chain).ok()?;
        let read = Arc::new((facts.id, facts.public_key));
        self.chains.insert(chain.to_owned(), read.clone());
        Some(read)
    }

    fn key(&mut self, number: u64) -> Result<Arc<Made>, KeyError> {
        if let Some(made) = self.keys.get(&number) {
            return Ok(made.clone());
        }
        let der = [&PKCS8_P256[..], &derive("key", number, 0)].concat();
        let pem = encode_string("PRIVATE KEY", LineEnding::LF, &der).map_err(|_| KeyError::Generate)?;
        let pem = PrivateKeyPem::new(pem);
        let made = Arc::new(Made { spki: P256Keys.public_key(&pem)?, pem });
        self.keys.insert(number, made.clone());
        self.by_pem.insert(made.pem.expose().to_owned(), made.clone());
        self.numbers.insert(made.pem.expose().to_owned(), number);
        Ok(made)
    }

    fn request(&mut self, key: &PrivateKeyPem, serial: &SerialNumber) -> Result<String, KeyError> {
        let number = *self.numbers.get(key.expose()).ok_or(KeyError::Unreadable)?;
        let id = (key.expose().to_owned(), serial.clone());
        if let Some(request) = self.requests.get(&id) {
            return Ok(request.clone());
        }
        let request = P256Keys.request(key, serial)?;
        let parsed = SigningRequest::parse(&request).map_err(|error| KeyError::Request(error.to_string()))?;
        self.by_request.insert(request.clone(), (number, parsed));
        self.requests.insert(id, request.clone());
        Ok(request)
    }
}

/// Thirty-two bytes that look random and follow from what they are for.
fn derive(what: &str, number: u64, ordinal: u64) -> [u8; 32] {
    *CertificateId::of_der(format!("fleetkey proof {what} {number} {ordinal}").as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_certificates_are_the_same_in_every_run() {
        let serial = SerialNumber::new("mint-1").unwrap();
        let keys = PoolKeys::from(900_000);
        let key = keys.generate().unwrap();
        let request = keys.request(&key, &serial).unwrap();
        let first = certificate(&request, 0).unwrap();
        assert_eq!(first.facts.public_key, keys.public_key(&key).unwrap());
        assert_eq!(first.facts.id.short(), "02a4e173");
        assert_ne!(first.facts.id, certificate(&request, 1).unwrap().facts.id);
        assert!(PoolKeys::from(900_000).generate().unwrap() == key);
    }

    #[test]
    fn a_torn_key_is_no_key_and_a_foreign_request_gets_nothing() {
        let keys = PoolKeys::from(900_010);
        let key = keys.generate().unwrap();
        let torn = PrivateKeyPem::new(&key.expose()[..100]);
        assert_eq!(keys.public_key(&torn), Err(KeyError::Unreadable));
        assert!(certificate("no request", 0).is_none());
    }
}
