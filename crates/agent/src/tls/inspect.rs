//! Looking at a server without trusting it: which TLS it speaks, and which chain it shows. It is shown nothing of ours,
//! no certificate and no CONNECT.
//!
//! Not here: whether the chain is to be trusted (`crate::doctor`).

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::provider;

/// What a ClientHello says besides the versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Whether the server's name is sent (SNI).
    pub(crate) sni: bool,
    /// The ALPN protocol that is offered.
    pub(crate) alpn: Option<String>,
}

/// What a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its certificates, its own first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// `TLS 1.3` or `TLS 1.2`.
    pub(crate) version: &'static str,
}

/// Why there is no chain to look at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoTls {
    /// It hung up on our ClientHello.
    #[error("it hangs up on the ClientHello")]
    Closed,
    /// It said no.
    #[error("it answers with the TLS alert {0:?}")]
    Alert(AlertDescription),
    /// Its TLS is none that this program speaks.
    #[error("it speaks another TLS: {0}")]
    Incompatible(String),
    /// Its bytes are no TLS.
    #[error("its answer is no TLS: {0}")]
    NotTls(String),
    /// It said nothing.
    #[error("it says nothing within {0:?}")]
    Silent(Duration),
}

/// Begins a handshake and sees how far it comes; whatever the chain is, it is only looked at.
pub(crate) async fn inspect(
    address: SocketAddr,
    name: &ServerName<'static>,
    hello: &Hello,
    limit: Duration,
) -> Result<Seen, NoTls> {
    let witness = Arc::new(Witness::default());
    let handshake = shake(address, name, hello, witness.clone());
    let outcome = tokio::time::timeout(limit, handshake).await;
    match (witness.seen(), outcome) {
        (Some(seen), _) => Ok(seen),
        (None, Err(_)) => Err(NoTls::Silent(limit)),
        (None, Ok(Err(error))) => Err(reason(&error)),
        (None, Ok(Ok(()))) => Err(NoTls::NotTls("a handshake without a certificate".into())),
    }
}

async fn shake(
    address: SocketAddr,
    name: &ServerName<'static>,
    hello: &Hello,
    witness: Arc<Witness>,
) -> io::Result<()> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_sni = hello.sni;
    config.alpn_protocols = hello.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tcp = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name.clone(), tcp).await.map(drop)
}

fn reason(error: &io::Error) -> NoTls {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::AlertReceived(alert)) => NoTls::Alert(*alert),
        Some(Error::PeerIncompatible(why)) => NoTls::Incompatible(format!("{why:?}")),
        Some(Error::PeerMisbehaved(why)) => NoTls::Incompatible(format!("{why:?}")),
        Some(other) => NoTls::NotTls(other.to_string()),
        None => NoTls::Closed,
    }
}

/// Takes every chain, and remembers it. The server's signature is still checked: it must hold the key of what it shows.
#[derive(Debug, Default)]
struct Witness(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    chain: Vec<CertificateDer<'static>>,
    version: Option<ProtocolVersion>,
}

impl Witness {
    fn seen(&self) -> Option<Seen> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let version = match remembered.version? {
            ProtocolVersion::TLSv1_2 => "TLS 1.2",
            _ => "TLS 1.3",
        };
        Some(Seen { chain: remembered.chain.clone(), version })
    }

    fn spoke(&self, version: ProtocolVersion) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).version = Some(version);
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain = chain.map(|der| der.clone().into_owned()).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).chain = chain;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls12_signature(
            message,
            certificate,
            signed,
            &provider().signature_verification_algorithms,
        )?;
        self.spoke(ProtocolVersion::TLSv1_2);
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls13_signature(
            message,
            certificate,
            signed,
            &provider().signature_verification_algorithms,
        )?;
        self.spoke(ProtocolVersion::TLSv1_3);
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
