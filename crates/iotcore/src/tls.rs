//! TLS of the broker's listeners: the server's identity, the client's certificate, ALPN.
//!
//! TLS proves that the client holds the key of the certificate it shows, and nothing else: whether that
//! certificate is known, ACTIVE and unexpired is decided at CONNECT (`broker::connect`). No session is ever
//! resumed, so that no certificate escapes that decision.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::{BadCertificate, CertificateFacts};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{Acceptor, NoServerSessionStorage, ResolvesServerCert};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use verifier::PossessionOnly;

mod verifier;

/// MQTT with a client certificate on the port that AWS has at 443.
const ALPN_MQTT: &[u8] = b"x-amzn-mqtt-ca";
/// HTTPS with a client certificate on the same port.
const ALPN_HTTP: &[u8] = b"x-amzn-http-ca";

/// What a listener stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerKind {
    /// AWS's 8883: MQTT, with or without ALPN.
    Mqtt,
    /// AWS's 443: the protocol is the one that ALPN names.
    Alpn,
}

/// Why a connection ended before there was an MQTT client on it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The peer broke TLS, or showed no certificate, or did not hold its key.
    #[error("TLS handshake failed: {0}")]
    Tls(#[from] io::Error),
    /// The peer did not finish in time.
    #[error("TLS handshake not finished within {0:?}")]
    Timeout(Duration),
    /// The peer wants a protocol that is not served on this listener.
    #[error(
        "protocol {0} is not served here yet: offer ALPN x-amzn-mqtt-ca for MQTT, x-amzn-http-ca for HTTPS publish"
    )]
    Protocol(String),
    /// The peer sent no server name and the switch demands one.
    #[error("the client sent no server name (SNI), which this server is set to require")]
    NoServerName,
    /// The peer's certificate cannot be read.
    #[error("client certificate: {0}")]
    Certificate(#[from] BadCertificate),
}

/// A client that has proved to hold the key of `certificate`.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The encrypted stream.
    pub(crate) stream: TlsStream<TcpStream>,
    /// The certificate it showed first.
    pub(crate) certificate: CertificateFacts,
    /// The server name it asked for, `iot:DomainName`.
    pub(crate) server_name: Option<String>,
    /// What it speaks.
    pub(crate) protocol: Protocol,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// MQTT.
    Mqtt,
    /// HTTPS publish.
    Https,
}

/// The TLS side of all listeners.
#[derive(Clone)]
pub(crate) struct Tls {
    plain: Arc<ServerConfig>,
    mqtt: Arc<ServerConfig>,
    https: Arc<ServerConfig>,
    timeout: Duration,
    require_sni: bool,
}

impl Tls {
    /// TLS 1.2 and 1.3 with the identity that `resolver` gives at each handshake.
    ///
    /// # Errors
    /// When the crypto provider cannot serve these versions.
    pub(crate) fn new(
        resolver: Arc<dyn ResolvesServerCert>,
        timeout: Duration,
        require_sni: bool,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let plain = config(&provider, resolver.clone(), &[])?;
        let mqtt = config(&provider, resolver.clone(), &[ALPN_MQTT])?;
        let https = config(&provider, resolver, &[ALPN_HTTP])?;
        Ok(Self {
            plain: Arc::new(plain),
            mqtt: Arc::new(mqtt),
            https: Arc::new(https),
            timeout,
            require_sni,
        })
    }

    /// Takes a TCP connection through its handshake.
    ///
    /// # Errors
    /// See [`HandshakeError`]; the connection is closed then.
    pub(crate) async fn accept(&self, tcp: TcpStream, kind: ListenerKind) -> Result<Peer, HandshakeError> {
        tokio::time::timeout(self.timeout, self.handshake(tcp, kind))
            .await
            .map_err(|_| HandshakeError::Timeout(self.timeout))?
    }

    async fn handshake(&self, tcp: TcpStream, kind: ListenerKind) -> Result<Peer, HandshakeError> {
        tcp.set_nodelay(true)?;
        let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        let hello = start.client_hello();
        let server_name = hello.server_name().map(str::to_owned);
        let offered: Vec<Vec<u8>> =
            hello.alpn().map(|names| names.map(<[u8]>::to_vec).collect()).unwrap_or_default();
        if self.require_sni && server_name.is_none() {
            return Err(HandshakeError::NoServerName);
        }
        let (config, protocol) = self.choose(kind, &offered)?;
        let stream = start.into_stream(config).await?;
        let (_, connection) = stream.get_ref();
        let der = connection
            .peer_certificates()
            .and_then(<[_]>::first)
            .ok_or_else(|| io::Error::other("the client showed no certificate"))?;
        let certificate = CertificateFacts::from_der(der)?;
        Ok(Peer { stream, certificate, server_name, protocol })
    }

    fn choose(
        &self,
        kind: ListenerKind,
        offered: &[Vec<u8>],
    ) -> Result<(Arc<ServerConfig>, Protocol), HandshakeError> {
        let offers = |name: &[u8]| offered.iter().any(|other| other == name);
        match kind {
            _ if offers(ALPN_MQTT) => Ok((self.mqtt.clone(), Protocol::Mqtt)),
            ListenerKind::Mqtt => Ok((self.plain.clone(), Protocol::Mqtt)),
            ListenerKind::Alpn if offers(ALPN_HTTP) => Ok((self.https.clone(), Protocol::Https)),
            ListenerKind::Alpn if offered.is_empty() => {
                Err(HandshakeError::Protocol("HTTPS or WebSocket without ALPN".into()))
            }
            ListenerKind::Alpn => {
                let names: Vec<_> = offered.iter().map(|name| name.escape_ascii().to_string()).collect();
                Err(HandshakeError::Protocol(names.join(", ")))
            }
        }
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    resolver: Arc<dyn ResolvesServerCert>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, rustls::Error> {
    let verifier = Arc::new(PossessionOnly::new(provider.signature_verification_algorithms));
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
