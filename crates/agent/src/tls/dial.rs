//! Making a connection: resolve, TCP without delay, TLS, all within one time limit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::failure::DialError;
use super::{ClientIdentity, PemKeys, Roots, SigningKeys, Stream, client_config};
use crate::clock::Clock;
use crate::prompt::Prompt;

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
    keys: Arc<dyn SigningKeys>,
    sni: bool,
}

impl Dialer {
    /// A dialer whose connections take at most `timeout` for TCP and TLS together.
    pub fn new(endpoint: Endpoint, roots: Arc<Roots>, clock: Arc<dyn Clock>, timeout: Duration) -> Self {
        Self { endpoint, roots, clock, timeout, keys: Arc::new(PemKeys), sni: true }
    }

    /// The same with keys of another source, such as a PKCS#11 token.
    #[must_use]
    pub fn with_keys(self, keys: Arc<dyn SigningKeys>) -> Self {
        Self { keys, ..self }
    }

    /// The same, but the server's name is not sent (SNI), as by a client that does not know how: AWS may refuse that.
    #[must_use]
    pub fn without_sni(self) -> Self {
        Self { sni: false, ..self }
    }

    /// Connects as `identity`. Under TLS 1.3 success says nothing about whether the identity is accepted.
    ///
    /// # Errors
    /// See [`DialError`]; [`super::Failure`] judges it.
    pub async fn dial(&self, identity: &ClientIdentity) -> Result<Stream, DialError> {
        tokio::time::timeout(self.timeout, self.dial_untimed(identity))
            .await
            .unwrap_or_else(|_| Err(DialError::Timeout { to: self.to(), limit: self.timeout }))
    }

    async fn dial_untimed(&self, identity: &ClientIdentity) -> Result<Stream, DialError> {
        let alpn = self.endpoint.alpn.as_deref();
        let mut config = client_config(&self.roots, identity, &*self.keys, alpn, &self.clock)?;
        config.enable_sni = self.sni;
        let name = self.server_name().map_err(|error| DialError::Connect { to: self.to(), error })?;
        let address = (self.endpoint.host.as_str(), self.endpoint.port);
        let tcp = TcpStream::connect(address).await;
        let tcp = tcp.and_then(Prompt::new);
        let tcp = tcp.map_err(|error| DialError::Connect { to: self.to(), error })?;
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map(Stream::new)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::tls::testing::{Server, identity};
    use crate::tls::{Failure, REFUSAL, TlsError};
    use fleetkey_lifecycle::event::{FailureKind, Tier};
    use fleetkey_model::secret::PrivateKeyPem;
    use fleetkey_model::time::Timestamp;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn dialer(server: &Server, port: u16) -> Dialer {
        let patience = Duration::from_secs(5);
        patient_dialer(server, port, patience)
    }

    fn patient_dialer(server: &Server, port: u16, patience: Duration) -> Dialer {
        let endpoint = Endpoint { host: "localhost".into(), port, alpn: None, server_name: None };
        let roots = Arc::new(Roots::new(vec![server.root_file()]));
        Dialer::new(endpoint, roots, Arc::new(SystemClock), patience)
    }

    #[tokio::test]
    async fn an_accepted_identity_gets_an_encrypted_connection() {
        let (client, chain) = identity("device");
        let server = Server::trusting(&chain).await;
        let dialer = dialer(&server, server.port());
        let mut stream = dialer.dial(&client).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
    }

    /// A token: it signs with its key and never shows it.
    #[derive(Debug)]
    struct Token(ClientIdentity);

    impl SigningKeys for Token {
        fn signing_key(&self, _: &ClientIdentity) -> Result<Arc<dyn rustls::sign::SigningKey>, TlsError> {
            PemKeys.signing_key(&self.0)
        }
    }

    #[tokio::test]
    async fn a_key_that_the_identity_only_names_is_asked_of_its_token() {
        let (client, chain) = identity("device");
        let server = Server::trusting(&chain).await;
        let named = PrivateKeyPem::new("pkcs11:token=device;object=slot-1");
        let nameless = ClientIdentity { key: named, chain: client.chain.clone() };
        let plain = dialer(&server, server.port());
        assert!(matches!(plain.dial(&nameless).await, Err(DialError::Config(_))));
        let mut stream = plain.with_keys(Arc::new(Token(client))).dial(&nameless).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
    }

    #[tokio::test]
    async fn a_pair_that_does_not_belong_together_is_shown_to_nobody() {
        let (client, chain) = identity("device");
        let (stranger, _) = identity("stranger");
        let server = Server::trusting(&chain).await;
        let torn = ClientIdentity { key: stranger.key, chain: client.chain };
        let error = dialer(&server, server.port()).dial(&torn).await.unwrap_err();
        assert!(matches!(error, DialError::Config(_)), "{error}");
        assert_eq!(Failure::from(error).kind, FailureKind::Unreachable, "the broker has said nothing");
    }

    #[tokio::test]
    async fn a_refused_certificate_shows_at_the_first_read_and_is_about_us() {
        let (_, chain) = identity("device");
        let server = Server::trusting(&chain).await;
        let (stranger, _) = identity("stranger");
        let mut stream = dialer(&server, server.port()).dial(&stranger).await.unwrap();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), REFUSAL, "{error:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_ours_or_not_there_says_nothing_about_us() {
        let (client, chain) = identity("device");
        let (ours, other) = (Server::trusting(&chain).await, Server::trusting(&chain).await);
        let untrusted = dialer(&ours, other.port()).dial(&client).await.unwrap_err();
        assert!(matches!(untrusted, DialError::Handshake { .. }), "{untrusted}");
        let absent = dialer(&ours, 1).dial(&client).await.unwrap_err();
        assert!(matches!(absent, DialError::Connect { .. }), "{absent}");
        for error in [untrusted, absent] {
            let failure = Failure::from(error);
            assert_eq!((failure.tier, failure.kind), (Tier::Tls, FailureKind::Unreachable));
        }
    }

    #[tokio::test]
    async fn a_server_that_only_our_clock_finds_too_young_or_too_old_says_nothing_about_us() {
        #[derive(Debug)]
        struct Stuck(Timestamp);
        impl Clock for Stuck {
            fn now(&self) -> Timestamp {
                self.0
            }
        }
        let (client, chain) = identity("device");
        let server = Server::trusting(&chain).await;
        for seconds in [0, 4_070_908_800] {
            let mut dialer = dialer(&server, server.port());
            dialer.clock = Arc::new(Stuck(Timestamp::from_secs(seconds)));
            let failure = Failure::from(dialer.dial(&client).await.unwrap_err());
            assert_eq!((failure.tier, failure.kind), (Tier::Tls, FailureKind::Unreachable), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up_after_the_time_limit() {
        let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (client, chain) = identity("device");
        let server = Server::trusting(&chain).await;
        let port = silent.local_addr().unwrap().port();
        let dialer = patient_dialer(&server, port, Duration::from_millis(50));
        let error = dialer.dial(&client).await.unwrap_err();
        assert!(matches!(error, DialError::Timeout { .. }), "{error}");
    }
}
