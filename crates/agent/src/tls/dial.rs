//! Making a connection: resolve, TCP without delay, TLS, all within one time limit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::DialError;
use super::{ClientIdentity, Roots, client_config};
use crate::clock::Clock;

/// An encrypted connection to the broker.
pub type Stream = TlsStream<TcpStream>;

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an IP address.
    pub host: String,
    /// 8883, or 443 with ALPN.
    pub port: u16,
    /// The ALPN protocol, `x-amzn-mqtt-ca` on port 443 (Developer Guide, protocols).
    pub alpn: Option<String>,
    /// The name in the server's certificate (and SNI) when it is not `host`.
    pub server_name: Option<String>,
}

/// Makes connections to one endpoint.
#[derive(Debug, Clone)]
pub struct Dialer {
    endpoint: Endpoint,
    roots: Arc<Roots>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

impl Dialer {
    /// A dialer whose connections take at most `timeout` for TCP and TLS together.
    pub fn new(endpoint: Endpoint, roots: Arc<Roots>, clock: Arc<dyn Clock>, timeout: Duration) -> Self {
        Self { endpoint, roots, clock, timeout }
    }

    /// Connects as `identity`. Under TLS 1.3 success says nothing about whether the identity is accepted.
    ///
    /// # Errors
    /// See [`DialError`]; [`super::Failure`] judges it.
    pub async fn dial(&self, identity: &ClientIdentity) -> Result<Stream, DialError> {
        tokio::time::timeout(self.timeout, self.dial_untimed(identity))
            .await
            .unwrap_or_else(|_| {
                Err(DialError::Timeout { to: self.to(), seconds: self.timeout.as_secs() })
            })
    }

    async fn dial_untimed(&self, identity: &ClientIdentity) -> Result<Stream, DialError> {
        let alpn = self.endpoint.alpn.as_deref();
        let config = client_config(&self.roots, identity, alpn, &self.clock)?;
        let name = self.server_name().map_err(|error| DialError::Connect { to: self.to(), error })?;
        let address = (self.endpoint.host.as_str(), self.endpoint.port);
        let tcp = TcpStream::connect(address).await;
        let tcp = tcp.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp));
        let tcp = tcp.map_err(|error| DialError::Connect { to: self.to(), error })?;
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| DialError::Handshake { to: self.to(), error })
    }

    fn server_name(&self) -> io::Result<ServerName<'static>> {
        let name = self.endpoint.server_name.as_ref().unwrap_or(&self.endpoint.host);
        ServerName::try_from(name.clone()).map_err(|_| {
            let message = format!("{name:?} is no host name and no IP address");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }

    fn to(&self) -> String {
        format!("{}:{}", self.endpoint.host, self.endpoint.port)
    }
}
