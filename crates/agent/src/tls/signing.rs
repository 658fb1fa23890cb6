//! Where the key comes from that proves our identity in a handshake.
//!
//! A seam: a key in a PKCS#11 token or a TPM never shows itself. Its holder implements [`SigningKeys`] with a
//! `rustls::sign::SigningKey` that asks the token, and every connection (the live session, verification, the sidecar's
//! links) is made with it. An agent is started on it by [`crate::Ground`], together with the [`crate::keys::Keys`] that
//! make keys there. The claim's key is a file in any case: what is none of the token's goes to [`PemKeys`].

use core::fmt;
use std::sync::Arc;

use rustls::sign::SigningKey;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::{ClientIdentity, TlsError, provider};

/// A source of signing keys.
pub trait SigningKeys: fmt::Debug + Send + Sync {
    /// The key of an identity, to sign handshakes with.
    ///
    /// # Errors
    /// When there is none, or the token does not answer; the reason is for people and tells nothing of the key.
    fn signing_key(&self, identity: &ClientIdentity) -> Result<Arc<dyn SigningKey>, TlsError>;
}

/// Keys that are the identity's own PEM.
#[derive(Debug, Clone, Copy, Default)]
pub struct PemKeys;

impl SigningKeys for PemKeys {
    fn signing_key(&self, identity: &ClientIdentity) -> Result<Arc<dyn SigningKey>, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes())
            .map_err(|_| TlsError::Identity("its key is no PEM private key".into()))?;
        provider().key_provider.load_private_key(key).map_err(|error| TlsError::Identity(error.to_string()))
    }
}
