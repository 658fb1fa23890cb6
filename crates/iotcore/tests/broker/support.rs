//! A local IoT Core for one test, and clients that do exactly what they are told.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_iotcore::clock::{Clock as _, ManualClock};
use fleetkey_iotcore::config::Config;
use fleetkey_iotcore::limits::Limits;
use fleetkey_iotcore::server::{Handle, Listeners, Storage, start_on};
use fleetkey_model::certificate::{CertificateId, ThingPrincipalType};
use fleetkey_model::name::{PolicyName, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_mqtt::{ConnAck, Connect, QoS, ReasonCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use client::{Client, Closed, v5, v311};

mod client;

/// A policy that allows everything.
pub(crate) const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#;

/// What a device of the fleet may do (the shape that the operator ships).
pub(crate) const DEVICE: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iot:Connect",
     "Resource":"arn:aws:iot:us-east-1:123456789012:client/${iot:Connection.Thing.ThingName}",
     "Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}},
    {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],
     "Resource":"arn:aws:iot:us-east-1:123456789012:topic/device/${iot:Connection.Thing.ThingName}/*"},
    {"Effect":"Allow","Action":"iot:Subscribe",
     "Resource":"arn:aws:iot:us-east-1:123456789012:topicfilter/device/${iot:Connection.Thing.ThingName}/*"},
    {"Effect":"Allow","Action":"iot:Publish",
     "Resource":"arn:aws:iot:us-east-1:123456789012:topic/fleetkey/things/${iot:Connection.Thing.ThingName}/requests"},
    {"Effect":"Allow","Action":"iot:Receive",
     "Resource":"arn:aws:iot:us-east-1:123456789012:topic/fleetkey/things/${iot:Connection.Thing.ThingName}/answers"},
    {"Effect":"Allow","Action":"iot:Subscribe",
     "Resource":"arn:aws:iot:us-east-1:123456789012:topicfilter/fleetkey/things/${iot:Connection.Thing.ThingName}/answers"}]}"#;

/// No wait of a test that works comes near this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`; a test that would wait for ever fails instead.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    soon(what, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A running local IoT Core with a directory and a clock of its own.
pub(crate) struct World {
    handle: Option<Handle>,
    config: Config,
    pub(crate) clock: Arc<ManualClock>,
    dir: TempDir,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) id: CertificateId,
    pub(crate) certificate: Vec<CertificateDer<'static>>,
    pub(crate) key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    pub(crate) fn read(certificate: &str, key: &str) -> Self {
        let certificate: Vec<_> =
            CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
        Self {
            id: CertificateId::of_der(&certificate[0]),
            certificate,
            key: Arc::new(PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()),
        }
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Without limits on rates, sweeping often; `adjust` has the last word.
    pub(crate) async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        Self::on(adjust, Storage::default()).await
    }

    pub(crate) async fn on(adjust: impl FnOnce(&mut Config), storage: Storage) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("data"));
        config.limits = Limits::unthrottled();
        config.sweep_every = Duration::from_millis(10);
        adjust(&mut config);
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let handle = launch(&config, &clock, storage).await;
        Self { handle: Some(handle), config, clock, dir }
    }

    /// Stops the server as it should be stopped, and starts another on the same files.
    pub(crate) async fn restart(&mut self) {
        self.handle.take().unwrap().shutdown().await;
        self.handle = Some(launch(&self.config, &self.clock, Storage::default()).await);
    }

    pub(crate) async fn stop(mut self) -> TempDir {
        self.handle.take().unwrap().shutdown().await;
        self.dir
    }

    /// Drops the server without stopping it.
    pub(crate) fn abandon(mut self) -> TempDir {
        drop(self.handle.take());
        self.dir
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.handle.as_ref().unwrap()
    }

    /// A certificate with one policy and no thing.
    pub(crate) async fn identity(&self, policy: &str) -> Identity {
        let account = self.handle().account();
        let minted = account.create_keys_and_certificate(true).await.unwrap();
        let name = self.policy(policy).await;
        account.attach_policy(&name, &minted.facts.id).await.unwrap();
        Identity::read(&minted.pem, minted.private_key.unwrap().expose())
    }

    /// A device: a thing, a certificate that belongs to it exclusively, the device policy.
    pub(crate) async fn device(&self, thing: &str) -> Identity {
        let identity = self.identity(DEVICE).await;
        let thing = ThingName::new(thing).unwrap();
        let account = self.handle().account();
        account.create_thing(&thing, None, BTreeMap::new()).await.unwrap();
        account
            .attach_thing_principal(&thing, &identity.id, ThingPrincipalType::ExclusiveThing)
            .await
            .unwrap();
        identity
    }

    /// A policy with this document, made at most once.
    async fn policy(&self, document: &str) -> PolicyName {
        let hash = CertificateId::of_der(document.as_bytes()).short();
        let name = PolicyName::new(format!("p-{hash}")).unwrap();
        let account = self.handle().account();
        if account.describe_policy(&name).is_err() {
            account.create_policy(&name, document).await.unwrap();
        }
        name
    }

    pub(crate) async fn tls(&self, identity: Option<&Identity>) -> std::io::Result<TlsStream<TcpStream>> {
        let port = self.handle().ports().mqtt;
        self.tls_to(port, identity, &[], &[&rustls::version::TLS13]).await
    }

    pub(crate) async fn tls_to(
        &self,
        port: u16,
        identity: Option<&Identity>,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = self.tls_config(identity, versions);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        tls_with(port, config).await
    }

    pub(crate) fn tls_config(
        &self,
        identity: Option<&Identity>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(self.handle().root_ca_path()).unwrap();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // The clock of the server stands where the test put it; the client's verifier asks the system's.
        let builder =
            rustls::ClientConfig::builder_with_details(provider, Arc::new(TestTime(self.clock.clone())))
                .with_protocol_versions(versions)
                .unwrap()
                .with_root_certificates(roots);
        match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(identity.clone())),
            None => builder.with_no_client_auth(),
        }
    }

    /// Connects and expects to be let in.
    pub(crate) async fn client(&self, identity: &Identity, connect: Connect) -> Client {
        match self.try_client(identity, connect).await {
            Ok((client, connack)) => {
                assert_eq!(connack.reason, ReasonCode::SUCCESS);
                client
            }
            Err(_) => panic!("closed instead of let in"),
        }
    }

    /// Connects; `Err` is a connection closed without CONNACK.
    pub(crate) async fn try_client(
        &self,
        identity: &Identity,
        connect: Connect,
    ) -> Result<(Client, ConnAck), Closed> {
        let stream = soon("TLS", self.tls(Some(identity))).await.map_err(|_| Closed)?;
        Client::start(stream, connect).await
    }

    /// A client that hears every lifecycle event.
    pub(crate) async fn observer(&self, filter: &str) -> Client {
        self.observer_as("observer", filter).await
    }

    /// The same with a client id of its own.
    pub(crate) async fn observer_as(&self, client: &str, filter: &str) -> Client {
        let identity = self.identity(ALL).await;
        let mut client = self.client(&identity, v5(client)).await;
        assert_eq!(client.subscribe(filter, QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
        client
    }
}

/// Shows the certificate whatever the server asks for and whether the key fits or not.
impl rustls::client::ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&self.key).unwrap();
        Some(Arc::new(rustls::sign::CertifiedKey::new(self.certificate.clone(), key)))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct TestTime(Arc<ManualClock>);

impl rustls::time_provider::TimeProvider for TestTime {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let since_epoch = Duration::from_millis(self.0.now().as_millis());
        Some(rustls::pki_types::UnixTime::since_unix_epoch(since_epoch))
    }
}

/// One handshake with a client's TLS configuration; clones of it share what was kept for resumption.
pub(crate) async fn tls_with(
    port: u16,
    config: rustls::ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

async fn launch(config: &Config, clock: &Arc<ManualClock>, storage: Storage) -> Handle {
    let listeners = Listeners::loopback().await.unwrap();
    start_on(config.clone(), listeners, clock.clone(), storage).await.unwrap()
}
