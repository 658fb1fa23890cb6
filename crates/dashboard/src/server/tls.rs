//! TLS for a dashboard that others can reach: a certificate and its key that the operator has, TLS 1.2 and 1.3.
//!
//! Browsers show no certificate of their own: who they are, tokens and links tell.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::{BadCertificate, CertificateFacts};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate with its key, ready to serve.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    names: Vec<String>,
}

/// Why a certificate and key cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain is no PEM, or empty.
    #[error("the certificate for the dashboard cannot be read: {0}")]
    Chain(String),
    /// The first certificate is none.
    #[error("the certificate for the dashboard cannot be read: {0}")]
    Certificate(#[from] BadCertificate),
    /// The key is no PEM, or none that we know.
    #[error(
        "the key for the dashboard's certificate cannot be read: it is no PEM private key (PKCS#8, PKCS#1 or SEC1)"
    )]
    Key,
    /// Key and certificate do not belong together, or the certificate cannot serve.
    #[error("the certificate and the key for the dashboard cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
    /// No browser would accept it under any name.
    #[error(
        "the certificate for the dashboard names no host and no address (subjectAltName), and browsers look nowhere else"
    )]
    Nameless,
}

impl Tls {
    /// Of a chain, the server's certificate first, and the key of that one; both PEM.
    ///
    /// # Errors
    /// See [`TlsError`]. None of them quotes the key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|error| TlsError::Chain(error.to_string()))?;
        let first = chain.first().ok_or_else(|| TlsError::Chain("there is none in the file".to_owned()))?;
        let names = CertificateFacts::from_der(first)?.alternative_names();
        // What stands for many names is none that a link could carry.
        let names: Vec<String> = names.into_iter().filter(|name| !name.contains('*')).collect();
        if names.is_empty() {
            return Err(TlsError::Nameless);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), names })
    }

    /// The hosts and addresses that the certificate names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes a connection through its handshake; `None` when it does not get through.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, tcp: S) -> Option<TlsStream<S>> {
        let handshake = TlsAcceptor::from(self.config.clone()).accept(tcp);
        match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake with the dashboard failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake with the dashboard took too long");
                None
            }
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("names", &self.names).finish_non_exhaustive()
    }
}
