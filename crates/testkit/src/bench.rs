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
use fleetkey_model::name::SerialNumber;
use fleetkey_model::topic::TopicRoot;
use fleetkey_mqtt::Version;
use fleetkey_mqtt::link::{Client, ConnectError, ConnectOptions, Messages};
use fleetkey_mqtt::session::SessionConfig;
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
        let dir = tempfile::tempdir().unwrap();
        let config = Config::new(dir.path().join("iotcore"));
        let listeners = Listeners::loopback().await.unwrap();
        let core = server::start(config, listeners, Arc::new(SystemClock)).await.unwrap();
        let scope = core.account().scope().clone();
        let fleet = Fleet { scope, root: TopicRoot::default(), names: Names::new("").unwrap() };
        let settings = Settings {
            fleet: fleet.clone(),
            claim_hook: Some(Hook::Serials { allow: vec!["*".to_owned()] }),
            rotation_hook: Some(Hook::OwnThing),
            directory: dir.path().join("operator"),
        };
        let report = setup(&LocalControl(core.account().clone()), &settings).await.unwrap();
        Self { core, fleet, report, dir }
    }

    /// The operations of the account, as the controller uses them.
    pub fn control(&self) -> LocalControl {
        LocalControl(self.core.account().clone())
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
        let agent = Agent::start(self.device(serial), Arc::new(fleetkey_agent::SystemClock)).await.unwrap();
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

    /// The controller at work, with spans of a moment.
    pub async fn controller(&self, grace: Duration) -> Controller {
        let moment = Duration::from_millis(200);
        let config = controller::Config { soak: moment, grace, look_again: moment, ..Default::default() };
        self.controller_with(config).await
    }

    /// The controller at work, with spans of the caller's.
    pub async fn controller_with(&self, config: controller::Config) -> Controller {
        let (journal, records) = Journal::open(&self.path("retirements")).unwrap();
        let clock = Arc::new(|| SystemClock.now());
        let engine = Engine::new(Ledger::new(config, records), journal, Arc::new(self.control()), clock);
        let credential = &self.report.controller;
        let identity = Identity::from_files(&credential.certificate, &credential.key).unwrap();
        let line = Line { dialer: self.dialer(), identity };
        let connection = Connection::new(self.fleet.names.controller_client.clone());
        let mut controller = Controller::start(engine, line, connection);
        assert!(within("the controller", controller.ready()).await);
        controller
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
