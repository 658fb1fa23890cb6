//! What an agent is told once, at its start. Built in code, or read from a file ([`AgentConfig::load`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetkey_lifecycle::backoff::BackoffPolicy;
use fleetkey_lifecycle::config::Verdict;
use fleetkey_lifecycle::schedule::Schedule;
use fleetkey_model::name::{ClientId, NameError, SerialNumber, TemplateName, ThingName};
use fleetkey_model::topic::TopicRoot;
use fleetkey_mqtt::Version;

use crate::clock::BUILD_TIME;
use crate::sidecar::SidecarSettings;
use crate::tls::Endpoint;
use crate::watch::WatchSettings;

pub use file::ConfigError;
use hooks::Hooks;

mod file;
pub mod hooks;

/// The port of MQTT over TLS (Developer Guide, protocols).
pub const MQTT_PORT: u16 = 8883;
/// What every claim client id begins with unless configured otherwise; `~` keeps it out of the thing names.
pub const CLAIM_PREFIX: &str = "claim~";

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The settings of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// The device's serial; it names the thing.
    pub serial: SerialNumber,
    /// Where the broker is.
    pub endpoint: Endpoint,
    /// Files with the trusted server roots, PEM; all of them are trusted.
    pub roots: Vec<PathBuf>,
    /// The state directory; made with mode 0700.
    pub state_dir: PathBuf,
    /// The first levels of the business topics.
    pub topic_root: TopicRoot,
    /// What to provision with; without it an unprovisioned device can only wait.
    pub claim: Option<ClaimConfig>,
    /// The template that a device rotates with.
    pub rotation_template: TemplateName,
    /// Who makes the keys.
    pub key_source: KeySource,
    /// The live session.
    pub session: SessionSettings,
    /// When and how patiently to rotate.
    pub rotation: RotationSettings,
    /// How long to wait for others.
    pub timeouts: Timeouts,
    /// Another program's log that is watched for TLS trouble.
    pub watch: Option<WatchSettings>,
    /// Local clients whose session the agent carries; `None`: it takes none. The live session is then theirs, and
    /// the agent connects as `<thing>~agent`.
    pub sidecar: Option<SidecarSettings>,
    /// What is run on this computer after a commit and after a retirement.
    pub hooks: Hooks,
}

/// What first provisioning needs (Developer Guide, provision-wo-cert, by claim).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimConfig {
    /// The claim certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The claim template.
    pub template: TemplateName,
    /// The template that gives a thing that exists another certificate, when none of its own is accepted any more.
    /// The operator keeps it closed, and opens it for named devices and a time. `None`: no recovery by claim.
    pub recovery_template: Option<TemplateName>,
    /// The shortest time between two attempts to recover.
    pub recovery_spacing: Duration,
    /// What the client id of the claim connection begins with; the serial follows.
    pub client_id_prefix: String,
}

/// Who makes a device's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeySource {
    /// The device; its key never leaves it (CreateCertificateFromCsr).
    #[default]
    Csr,
    /// AWS; the key crosses the wire once (CreateKeysAndCertificate).
    Service,
}

/// The live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// Whether the agent owns the thing's live session (client id = thing name). If another client does, the
    /// agent connects as `<thing>~agent` and never kicks it. The controller then retires nothing on the agent's word:
    /// the certificate before stays until the owner of the session asks, and no rotation follows for age or a command.
    pub live: bool,
    /// The protocol version.
    pub version: Version,
    /// The keep-alive in seconds; AWS takes 30 to 1200 (Developer Guide, mqtt).
    pub keep_alive: u16,
    /// How long the broker keeps the session while we are away; `None` asks for a clean one each time.
    pub expiry: Option<Duration>,
    /// Messages that may wait for their PUBACK or for a connection; more are refused to the caller.
    pub outbox: usize,
    /// Messages on the way at one time; AWS allows 100.
    pub max_in_flight: usize,
    /// The longest wait between two attempts to connect.
    pub reconnect_cap: Duration,
    /// The shortest time between two CONNECTs with one client id; AWS allows one a second (quotas).
    pub connect_spacing: Duration,
}

/// When and how patiently to rotate; see `fleetkey-lifecycle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationSettings {
    /// Age, jitter window and expiry margin.
    pub schedule: Schedule,
    /// How long real traffic runs on a new identity before the old one is given up.
    pub soak: Duration,
    /// How long to wait before a retire request is repeated.
    pub retire_retry: Duration,
    /// When a candidate counts as refused.
    pub verdict: Verdict,
    /// Waits after failures.
    pub backoff: BackoffPolicy,
    /// Where a candidate proves itself.
    pub verification: Verification,
}

/// Where a candidate proves itself: TLS, CONNACK, SUBACK, a QoS 1 echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verification {
    /// On a connection of its own, `<thing>~verify`: the live session notices nothing. The certificate must be
    /// attached as `EXCLUSIVE_THING`, else the policy variables of the thing resolve from the client id (Developer
    /// Guide, thing-policy-variables), and there is no thing of that name.
    #[default]
    Beside,
    /// On the live session's client id, which the candidate takes over and keeps if it passes. Messages wait
    /// meanwhile; if it does not pass, the session goes back to the identity before, about a second later.
    Takeover,
}

/// How long to wait for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS together, and again CONNECT to CONNACK.
    pub connect: Duration,
    /// A SUBACK, a PUBACK, an answer of the provisioning API, the verification's echo.
    pub answer: Duration,
    /// What a hand-over of the live session waits for acknowledgements that are still out.
    pub drain: Duration,
}

impl AgentConfig {
    /// Settings with defaults for everything that has one.
    pub fn new(
        serial: SerialNumber,
        host: impl Into<String>,
        roots: Vec<PathBuf>,
        state_dir: impl Into<PathBuf>,
        rotation_template: TemplateName,
    ) -> Self {
        Self {
            serial,
            endpoint: Endpoint { host: host.into(), port: MQTT_PORT, alpn: None, server_name: None },
            roots,
            state_dir: state_dir.into(),
            topic_root: TopicRoot::default(),
            claim: None,
            rotation_template,
            key_source: KeySource::default(),
            session: SessionSettings::default(),
            rotation: RotationSettings::default(),
            timeouts: Timeouts::default(),
            watch: None,
            sidecar: None,
            hooks: Hooks::default(),
        }
    }

    /// Reads a configuration file (TOML); relative paths in it are relative to its directory.
    ///
    /// # Errors
    /// When it cannot be read or does not fit; the error names file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        file::load(path)
    }

    /// The thing that this device is.
    pub fn thing(&self) -> ThingName {
        self.serial.thing()
    }

    /// Whether the thing's own session is the agent's, and neither a sidecar's client's nor another program's.
    pub fn owns_session(&self) -> bool {
        self.session.live && self.sidecar.is_none()
    }

    /// The client id of the live session.
    pub fn live_client_id(&self) -> ClientId {
        if self.owns_session() { ClientId::live(&self.thing()) } else { ClientId::agent(&self.thing()) }
    }

    /// The settings of the rotation machine.
    pub fn machine(&self, seed: u64) -> fleetkey_lifecycle::Config {
        let claim = self.claim.as_ref();
        fleetkey_lifecycle::Config {
            has_claim: claim.is_some(),
            has_recovery: claim.is_some_and(|claim| claim.recovery_template.is_some()),
            recovery_spacing: claim.map_or(DAY, |claim| claim.recovery_spacing),
            schedule: self.rotation.schedule,
            soak: self.rotation.soak,
            retire_retry: self.rotation.retire_retry,
            verdict: self.rotation.verdict,
            backoff: self.rotation.backoff,
            seed,
            stage_unverified: self.rotation.verification == Verification::Takeover,
            time_floor: BUILD_TIME,
            ..fleetkey_lifecycle::Config::new(self.serial.clone())
        }
    }
}

impl ClaimConfig {
    /// A claim with the usual client id prefix.
    pub fn new(certificate: PathBuf, key: PathBuf, template: TemplateName) -> Self {
        let client_id_prefix = CLAIM_PREFIX.to_owned();
        Self { certificate, key, template, recovery_template: None, recovery_spacing: DAY, client_id_prefix }
    }

    /// The client id of the claim connection.
    ///
    /// # Errors
    /// When prefix and serial together are no client id.
    pub fn client_id(&self, serial: &SerialNumber) -> Result<ClientId, NameError> {
        ClientId::new(format!("{}{serial}", self.client_id_prefix))
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            live: true,
            version: Version::V5,
            keep_alive: 30,
            expiry: Some(Duration::from_secs(3600)),
            outbox: 1000,
            max_in_flight: 50,
            reconnect_cap: Duration::from_secs(60),
            connect_spacing: crate::pace::SPACING,
        }
    }
}

impl Default for RotationSettings {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            soak: DAY,
            retire_retry: Duration::from_secs(60),
            verdict: Verdict::default(),
            backoff: BackoffPolicy::default(),
            verification: Verification::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            drain: Duration::from_millis(100),
        }
    }
}
