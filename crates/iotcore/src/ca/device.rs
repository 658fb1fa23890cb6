//! The device-issuing CA: certificates of the shape that AWS IoT issues.
//!
//! Shape (observed on a real certificate): v3, 160-bit random serial, sha256WithRSAEncryption, issuer of one OU,
//! notAfter 2049-12-31T23:59:59Z, BasicConstraints CA:FALSE, KeyUsage digitalSignature; no extended key usage,
//! no alternative names. Nobody verifies the chain: what counts is that the certificate is registered.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use der::asn1::OctetStringRef;
use der::{Decode, Sequence};
use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::secret::PrivateKeyPem;
use fleetkey_model::time::Timestamp;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use super::csr::SigningRequest;
use super::error::CaError;
use super::key::SigningKey;
use super::mint::{self, Issuer, Request};
use super::pair::KeyPair;
use super::random;

/// AWS's issuer: all of it is the value of a single organizational unit.
const ISSUER: &str = "Amazon Web Services O=Amazon.com Inc. L=Seattle ST=Washington C=US";
/// AWS's subject where it made the key.
const SUBJECT: &str = "AWS IoT Certificate";
/// How far notBefore lies in the past, as AWS's does: a device whose clock is a little behind can use its
/// certificate at once.
pub(super) const BACKDATE: Duration = Duration::from_secs(120);

/// A certificate just made, not yet registered.
#[derive(Debug, Clone)]
pub struct Minted {
    /// The certificate, PEM.
    pub pem: String,
    /// What stands in it.
    pub facts: CertificateFacts,
    /// The key, PKCS#1 PEM as AWS gives it, where the service made it. It is kept nowhere else.
    pub private_key: Option<PrivateKeyPem>,
}

impl Minted {
    /// The certified key, `-----BEGIN PUBLIC KEY-----`, as AWS gives it beside the private one.
    ///
    /// # Errors
    /// When it cannot be written as PEM.
    pub fn public_key_pem(&self) -> Result<String, CaError> {
        mint::pem("PUBLIC KEY", &self.facts.public_key)
    }
}

/// How long a certificate lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// To 2049, as AWS's do: whoever calls the control plane rotates by other means than a fleet's.
    Lasting,
    /// As long as the configuration says, to 2049 if it says nothing: what devices are provisioned with.
    Trial,
    /// For this long, whatever the configuration says: a provisioning claim of a few minutes.
    For(Duration),
}

/// Issues certificates to devices.
#[derive(Debug)]
pub struct DeviceAuthority {
    pair: KeyPair,
    validity: Option<Duration>,
}

impl DeviceAuthority {
    pub(super) fn open(
        directory: &Path,
        validity: Option<Duration>,
        now: Timestamp,
    ) -> Result<Self, CaError> {
        let path = directory.join("device-ca.pem");
        let pair = match KeyPair::read(&path)? {
            Some(pair) => pair,
            None => {
                let pair = new_authority(now)?;
                pair.write(&path)?;
                pair
            }
        };
        Ok(Self { pair, validity })
    }

    /// An authority whose key and certificate stand in one PEM text, for a model that must issue the same again.
    ///
    /// # Errors
    /// When the text is no such pair.
    pub fn from_pem(text: &str) -> Result<Self, CaError> {
        let pair = KeyPair::from_pem(text.as_bytes(), Path::new("the text given"))?;
        Ok(Self { pair, validity: None })
    }

    /// Makes an RSA 2048 key and a certificate for it, on a thread where that may take its time.
    ///
    /// # Errors
    /// When the system gives no randomness or the key cannot be made.
    pub async fn create_keys(self: &Arc<Self>, term: Term, now: Timestamp) -> Result<Minted, CaError> {
        let authority = self.clone();
        blocking(move || {
            let key = SigningKey::rsa_2048()?;
            let subject = mint::name(&[(mint::COMMON_NAME, SUBJECT)])?;
            let mut minted = authority.mint(subject, key.public_key()?, term, now, random()?)?;
            minted.private_key = Some(pkcs1_pem(&key)?);
            Ok(minted)
        })
        .await
    }

    /// Certifies the key of a request under the subject of the request. The same request twice gives two
    /// certificates.
    ///
    /// # Errors
    /// When the system gives no randomness or signing fails.
    pub async fn issue(
        self: &Arc<Self>,
        request: SigningRequest,
        term: Term,
        now: Timestamp,
    ) -> Result<Minted, CaError> {
        let authority = self.clone();
        blocking(move || authority.certify(request, term, now, random()?)).await
    }

    /// As [`Self::issue`], on this thread and with randomness that is given: from the same authority, the same
    /// request, moment and `random` make the same certificate, byte for byte.
    ///
    /// # Errors
    /// When signing fails.
    pub fn certify(
        &self,
        request: SigningRequest,
        term: Term,
        now: Timestamp,
        random: [u8; 20],
    ) -> Result<Minted, CaError> {
        self.mint(request.subject, request.public_key, term, now, random)
    }

    fn mint(
        &self,
        subject: Name,
        public_key: SubjectPublicKeyInfoOwned,
        term: Term,
        now: Timestamp,
        serial: [u8; 20],
    ) -> Result<Minted, CaError> {
        let not_after = match (term, self.validity) {
            (Term::For(span), _) | (Term::Trial, Some(span)) => now + span,
            _ => Timestamp::AWS_CERTIFICATE_END,
        };
        let request = Request {
            subject,
            public_key,
            not_before: now - BACKDATE,
            not_after,
            serial,
            extensions: vec![
                mint::basic_constraints(false)?,
                mint::key_usage(KeyUsage(KeyUsages::DigitalSignature.into()))?,
            ],
        };
        let issuer = Issuer { name: issuer_name()?, key: &self.pair.key };
        let facts = mint::mint(&issuer, request)?;
        Ok(Minted { pem: mint::certificate_pem(&facts.der)?, facts, private_key: None })
    }
}

fn issuer_name() -> Result<Name, CaError> {
    mint::name(&[(mint::ORGANIZATIONAL_UNIT, ISSUER)])
}

fn new_authority(now: Timestamp) -> Result<KeyPair, CaError> {
    let key = SigningKey::rsa_2048()?;
    let request = Request {
        subject: issuer_name()?,
        public_key: key.public_key()?,
        not_before: now - BACKDATE,
        not_after: Timestamp::AWS_CERTIFICATE_END,
        serial: random()?,
        extensions: vec![
            mint::basic_constraints(true)?,
            mint::key_usage(KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
        ],
    };
    let issuer = Issuer { name: issuer_name()?, key: &key };
    let certificate = mint::mint(&issuer, request)?;
    Ok(KeyPair { key, certificate })
}

/// PrivateKeyInfo (RFC 5208 §5), as far as it is needed.
#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    #[allow(dead_code, reason = "part of the structure")]
    version: u8,
    #[allow(dead_code, reason = "part of the structure")]
    algorithm: AlgorithmIdentifierOwned,
    private_key: &'a OctetStringRef,
}

/// `-----BEGIN RSA PRIVATE KEY-----`: what AWS gives, and what the oldest clients can read.
fn pkcs1_pem(key: &SigningKey) -> Result<PrivateKeyPem, CaError> {
    let info = PrivateKeyInfo::from_der(key.pkcs8())?;
    let text = Zeroizing::new(mint::pem("RSA PRIVATE KEY", info.private_key.as_bytes())?);
    Ok(PrivateKeyPem::new(text.as_str()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CaError> + Send + 'static,
) -> Result<T, CaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(CaError::Interrupted(error.to_string())),
    }
}
