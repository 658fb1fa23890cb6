//! The bench: a local IoT Core on a directory of its own, set up as an operator sets it up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_agent::config::{AgentConfig, ClaimConfig};
use fleetkey_agent::tls::{ClientIdentity, Dialer, Endpoint, Roots};
use fleetkey_agent::{Agent, AgentHandle};
use fleetkey_cli::control::{Line, LocalControl};
use fleetkey_iotcore::clock::Clock;
use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::config::Config;
use fleetkey_iotcore::server::{self, Handle, Listeners};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{PolicyName, SerialNumber, ThingName};
use fleetkey_model::topic::{FleetTopic, TopicRoot};
use fleetkey_mqtt::link::{Client, ConnectError, ConnectOptions, Messages};
use fleetkey_mqtt::session::SessionConfig;
use fleetkey_mqtt::{QoS, Version};
use fleetkey_operator::control_plane::Hook;
use fleetkey_operator::controller::{self, Connection, Controller, Engine, Journal, Ledger};
use fleetkey_operator::documents::{Fleet, Names};
use fleetkey_operator::setup::{Report, Settings, setup};
use tempfile::TempDir;

use crate::wait::within;

/// A local IoT Core with the shipped policies, templates and identities.
pub struct Bench {
    /// The running server; its faults and its account are at hand.
    pub core: Handle,
    /// Names, scope and topic root of the fleet.
    pub fleet: Fleet,
    /// What set-up made.
    pub report: Report,
    dir: TempDir,
}

/// A certificate and its key.
pub type Identity = ClientIdentity;

impl Bench {
    /// Starts on an empty directory, with AWS's limits.
    pub async fn start() -> Self {
        Self::start_with(Arc::new(SystemClock), |_| {}).await
    }

    /// The same by a clock of the caller's; `adjust` has the last word on the configuration.
    pub async fn start_with(clock: Arc<dyn Clock>, adjust: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("iotcore"));
        adjust(&mut config);
        let listeners = Listeners::loopback().await.unwrap();
        let core = server::start(config, listeners, clock).await.unwrap();
        let scope = core.account().scope().clone();
        let fleet = Fleet { scope, root: TopicRoot::default(), names: Names::new("").unwrap() };
        let settings = Settings {
            fleet: fleet.clone(),
            claim_hook: Some(Hook::Serials { allow: vec!["*".to_owned()] }),
            rotation_hook: Some(Hook::OwnThing),
            recovery_hook: None,
            directory: dir.path().join("operator"),
        };
        let report = setup(&LocalControl::of(&core), &settings).await.unwrap();
        Self { core, fleet, report, dir }
    }

    /// The operations of the account, as the controller uses them.
    pub fn control(&self) -> LocalControl {
        LocalControl::of(&self.core)
    }

    /// A directory for a device or whatever else.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The configuration of a device's agent: it rotates only when it is told to, and has little patience.
    pub fn device(&self, serial: &str) -> AgentConfig {
        let serial = SerialNumber::new(serial).unwrap();
        let state_dir = self.path("devices").join(serial.as_str());
        let mut config = AgentConfig::new(
            serial,
            self.core.endpoint(),
            vec![self.core.root_ca_path().to_owned()],
            state_dir,
            self.fleet.names.rotation_template.clone(),
        );
        config.endpoint.port = self.core.ports().mqtt;
        config.claim = Some(ClaimConfig::new(
            self.report.claim.certificate.clone(),
            self.report.claim.key.clone(),
            self.fleet.names.claim_template.clone(),
        ));
        config.rotation.soak = Duration::from_millis(200);
        config.rotation.retire_retry = Duration::from_millis(500);
        config.rotation.backoff.base = Duration::from_millis(100);
        config.rotation.backoff.step_cap = Duration::from_secs(1);
        config.session.reconnect_cap = Duration::from_secs(1);
        config
    }

    /// A device that is provisioned and connected.
    pub async fn provisioned(&self, serial: &str) -> AgentHandle {
        self.running(self.device(serial)).await
    }

    /// The same with settings of the caller's.
    pub async fn running(&self, config: AgentConfig) -> AgentHandle {
        let agent = Agent::start(config, Arc::new(fleetkey_agent::SystemClock)).await.unwrap();
        within("the device to be provisioned", agent.until(|status| status.connected && status.exported))
            .await
            .expect("the agent ended");
        agent
    }

    /// The exported identity of a device.
    pub fn exported(&self, serial: &str) -> Identity {
        let files = self.path("devices").join(serial).join("export");
        Identity::from_files(&files.join("device.cert.pem"), &files.join("device.key.pem")).unwrap()
    }

    /// The claim identity.
    pub fn claim(&self) -> Identity {
        Identity::from_files(&self.report.claim.certificate, &self.report.claim.key).unwrap()
    }

    /// The observer's identity.
    pub fn observer(&self) -> Identity {
        Identity::from_files(&self.report.observer.certificate, &self.report.observer.key).unwrap()
    }

    /// Attaches a policy of one statement that denies `action` on everything to a certificate.
    pub async fn deny(&self, certificate: &CertificateId, action: &str) {
        let account = self.core.account();
        let name = PolicyName::new(format!("deny-{}", action.replace(':', "-"))).unwrap();
        if account.describe_policy(&name).is_err() {
            let statement = format!(r#"{{"Effect":"Deny","Action":"{action}","Resource":"*"}}"#);
            let document = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
            account.create_policy(&name, &document).await.unwrap();
        }
        account.attach_policy(&name, certificate).await.unwrap();
    }

    /// Changes both ways to a certificate so that none is attached exclusively, as where an operator shares things.
    pub async fn share_things(&self) {
        let names = &self.fleet.names;
        for name in [&names.claim_template, &names.rotation_template] {
            let template = self.core.account().describe_template(name).unwrap();
            let shared = template.body.replace("EXCLUSIVE_THING", "NON_EXCLUSIVE_THING");
            assert_ne!(shared, template.body);
            self.core
                .account()
                .replace_template(name, &shared, template.enabled, template.hook)
                .await
                .unwrap();
        }
    }

    /// Publishes a command to a device, as an operator of the account may.
    pub async fn command(&self, thing: &ThingName, command: &str) {
        let (operator, id) = self.operator().await;
        // A client id of its own each time: the broker takes one CONNECT a second.
        let client_id = format!("~operator-{}", id.short());
        let (client, _messages) = self.connect(&operator, &client_id).await.unwrap();
        let topic = FleetTopic::Commands(thing.clone()).to_string();
        let published = client.publish(topic, command.to_owned().into_bytes(), QoS::AtLeastOnce);
        within("PUBACK of a command", published).await.unwrap();
        client.disconnect().await;
    }

    /// A fresh certificate that may do everything.
    pub async fn operator(&self) -> (Identity, CertificateId) {
        let account = self.core.account();
        let everything = PolicyName::new("everything").unwrap();
        if account.describe_policy(&everything).is_err() {
            let statement = r#"{"Effect":"Allow","Action":"iot:*","Resource":"*"}"#;
            let document = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
            account.create_policy(&everything, &document).await.unwrap();
        }
        let minted = account.create_keys_and_certificate(true).await.unwrap();
        account.attach_policy(&everything, &minted.facts.id).await.unwrap();
        (Identity { key: minted.private_key.unwrap(), chain: minted.pem }, minted.facts.id)
    }

    /// The controller at work, with spans of a moment.
    pub async fn controller(&self, grace: Duration) -> Controller {
        let moment = Duration::from_millis(200);
        let config = controller::Config { soak: moment, grace, look_again: moment, ..Default::default() };
        self.controller_with(config).await
    }

    /// The controller at work, with spans of the caller's.
    pub async fn controller_with(&self, config: controller::Config) -> Controller {
        self.controller_of(1, self.engine(config)).await
    }

    /// The controller at work on so many connections.
    pub async fn controller_of(&self, connections: usize, engine: Engine<LocalControl>) -> Controller {
        let credential = &self.report.controller;
        let identity = Identity::from_files(&credential.certificate, &credential.key).unwrap();
        let line = Line { dialer: self.dialer(), identity };
        let connection = Connection::new(self.fleet.names.controller_client.clone()).shared_by(connections);
        let mut controller = Controller::start(engine, line, connection);
        assert!(within("the controller", controller.ready()).await);
        controller
    }

    /// What the controller works with.
    pub fn engine(&self, config: controller::Config) -> Engine<LocalControl> {
        let (journal, records) = Journal::open(&self.path("retirements")).unwrap();
        let clock = Arc::new(|| SystemClock.now());
        Engine::new(Ledger::read(config, records).unwrap(), journal, Arc::new(self.control()), clock)
    }

    /// Connects with MQTT 5; the outcome is the broker's.
    pub async fn connect(
        &self,
        identity: &Identity,
        client: &str,
    ) -> Result<(Client, Messages), ConnectError> {
        let options = ConnectOptions { version: Version::V5, ..ConnectOptions::new(client) };
        self.connect_with(identity, options).await
    }

    /// Connects with options of the caller's.
    pub async fn connect_with(
        &self,
        identity: &Identity,
        options: ConnectOptions,
    ) -> Result<(Client, Messages), ConnectError> {
        let stream =
            self.dialer().dial(identity).await.expect("the handshake, which proves nothing, succeeds");
        within("CONNACK", Client::start(stream, options, SessionConfig::default())).await
    }

    /// Connections to this broker.
    pub fn dialer(&self) -> Dialer {
        let endpoint = Endpoint {
            host: self.core.endpoint().to_owned(),
            port: self.core.ports().mqtt,
            alpn: None,
            server_name: None,
        };
        let roots = Arc::new(Roots::new(vec![self.core.root_ca_path().to_owned()]));
        let clock = Arc::new(fleetkey_agent::SystemClock);
        Dialer::new(endpoint, roots, clock, Duration::from_secs(10))
    }
}
