//! A key and its certificate in one file, so that they can never fall apart.

use std::path::Path;

use fleetkey_model::certificate::CertificateFacts;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::error::CaError;
use super::key::SigningKey;
use super::{file, mint};

/// A key and the certificate for it.
#[derive(Debug)]
pub(super) struct KeyPair {
    pub(super) key: SigningKey,
    pub(super) certificate: CertificateFacts,
}

impl KeyPair {
    /// Reads the pair at `path`; `None` when there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CaError> {
        let Some(text) = file::read(path)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        Self::from_pem(&text, path).map(Some)
    }

    /// Reads the pair in `text`; `path` is where it came from.
    pub(super) fn from_pem(text: &[u8], path: &Path) -> Result<Self, CaError> {
        let damaged = |reason: &str| CaError::Damaged { path: path.to_owned(), reason: reason.to_owned() };
        let key = PrivatePkcs8KeyDer::from_pem_slice(text)
            .ok()
            .and_then(|key| SigningKey::from_pkcs8(key.secret_pkcs8_der()))
            .ok_or_else(|| damaged("it holds no private key that this program made"))?;
        let certificate = CertificateDer::from_pem_slice(text)
            .ok()
            .and_then(|der| CertificateFacts::from_der(&der).ok())
            .ok_or_else(|| damaged("it holds no certificate"))?;
        if !key.matches(&certificate.public_key)? {
            return Err(damaged("its certificate is not for its key"));
        }
        Ok(Self { key, certificate })
    }

    /// Writes the pair durably, with mode 0600.
    pub(super) fn write(&self, path: &Path) -> Result<(), CaError> {
        let mut text = Zeroizing::new(mint::pem("PRIVATE KEY", self.key.pkcs8())?);
        text.push_str(&mint::certificate_pem(&self.certificate.der)?);
        file::write(path, text.as_bytes(), file::PRIVATE)
    }
}
