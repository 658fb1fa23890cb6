//! Connections to the broker: TCP, then TLS with a client certificate, on a set of roots that can change.
//!
//! No session resumption: a resumed session would prove an old certificate. Not here: MQTT, and the question
//! whether a certificate is accepted, which under TLS 1.3 the handshake does not answer (`crate::verify`).

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::clock::Clock;
use crate::store::SlotIdentity;

pub use dial::{Dialer, Endpoint};
pub use failure::{DialError, Failure};
pub use identity::{ClientIdentity, IdentityError};
pub(crate) use inspect::{Hello, NoTls, Seen, inspect};
pub use roots::{Roots, RootsError};
pub use signing::{PemKeys, SigningKeys};
pub(crate) use stream::REFUSAL;
pub use stream::Stream;

mod dial;
mod failure;
mod identity;
mod inspect;
mod roots;
mod signing;
mod stream;
#[cfg(test)]
pub(crate) mod testing;

/// Why a TLS configuration cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The trusted roots cannot be loaded.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The client's certificate or key cannot be used.
    #[error("the client certificate cannot be used: {0}")]
    Identity(String),
}

/// rustls takes the time from the agent's clock, so that a test, or a device without a real-time clock, can
/// say what time it is.
#[derive(Debug)]
struct ClockTime(Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let since = std::time::Duration::from_secs(self.0.now().as_secs());
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// The client configuration for one connection.
fn client_config(
    roots: &Roots,
    identity: &ClientIdentity,
    keys: &dyn SigningKeys,
    alpn: Option<&str>,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, TlsError> {
    let refuse = |error: rustls::Error| TlsError::Identity(error.to_string());
    let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Identity(format!("its chain is no PEM: {error}")))?;
    let certified = CertifiedKey::new(chain, keys.signing_key(identity)?);
    match certified.keys_match() {
        // A token may not tell its public key; the broker will find out.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(error) => return Err(refuse(error)),
    }
    let time = Arc::new(ClockTime(clock.clone()));
    let mut config = ClientConfig::builder_with_details(provider(), time)
        .with_safe_default_protocol_versions()
        .map_err(refuse)?
        .with_root_certificates(roots.load()?)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.resumption = Resumption::disabled();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())).clone()
}

impl From<&SlotIdentity> for ClientIdentity {
    fn from(slot: &SlotIdentity) -> Self {
        Self { key: slot.key.clone(), chain: slot.chain.clone() }
    }
}
