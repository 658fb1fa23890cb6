//! The configuration file of `fleetkey-agent run --config`: TOML, unknown keys refused.
//!
//! ```toml
//! serial = "PM500-0001"
//! state  = "/var/lib/fleetkey"          # made with mode 0700
//! topic_root = "device"                 # business topics are device/<serial>/…
//! key_source = "csr"                    # or "service": AWS makes the key
//!
//! [endpoint]
//! host  = "a1b2c3-ats.iot.eu-central-1.amazonaws.com"
//! port  = 8883                          # 443 needs alpn = "x-amzn-mqtt-ca"
//! roots = ["AmazonRootCA1.pem", "AmazonRootCA3.pem"]
//!
//! [templates]
//! claim = "FleetClaim"
//! rotation = "FleetRotation"
//!
//! [claim]                               # may be left out on a provisioned device
//! certificate = "claim.cert.pem"
//! key = "claim.key.pem"
//! recovery_template = "FleetRecovery"   # for when no identity is accepted any more
//!
//! [rotation]
//! age = "30d"
//! window = "1d"                         # devices rotate up to this much earlier, each at its own offset
//! soak = "1d"
//!
//! [[sidecar.listen]]                    # local clients, docs/sidecar.md
//! tcp = "127.0.0.1:1883"
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetkey_model::name::{SerialNumber, TemplateName};
use fleetkey_model::topic::TopicRoot;
use fleetkey_mqtt::Version;
use serde::{Deserialize, Deserializer, de};

use super::hooks::HooksTable;
use super::{AgentConfig, ClaimConfig, KeySource, Verification};

mod sidecar;
mod watch;

/// Why there is no usable configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// It does not fit; the reason names line and key.
    #[error("the configuration {} does not fit: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, key and what is wrong.
        reason: String,
    },
}

pub(super) fn load(path: &Path) -> Result<AgentConfig, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_path_buf(), reason: error.to_string() })?;
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    parse(&text, base).map_err(|reason| ConfigError::Invalid { path: path.to_path_buf(), reason })
}

fn parse(text: &str, base: &Path) -> Result<AgentConfig, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    file.into_config(base)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    serial: SerialNumber,
    state: PathBuf,
    topic_root: Option<Root>,
    #[serde(default)]
    key_source: Source,
    endpoint: EndpointTable,
    templates: TemplatesTable,
    claim: Option<ClaimTable>,
    #[serde(default)]
    session: SessionTable,
    #[serde(default)]
    rotation: RotationTable,
    #[serde(default)]
    timeouts: TimeoutsTable,
    sidecar: Option<sidecar::SidecarTable>,
    #[serde(default)]
    hooks: HooksTable,
    watch: Option<watch::WatchTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointTable {
    host: String,
    port: Option<u16>,
    alpn: Option<String>,
    server_name: Option<String>,
    roots: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplatesTable {
    claim: Option<TemplateName>,
    rotation: TemplateName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimTable {
    certificate: PathBuf,
    key: PathBuf,
    recovery_template: Option<TemplateName>,
    recovery_spacing: Option<Span>,
    client_id_prefix: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SessionTable {
    live: Option<bool>,
    protocol: Option<Protocol>,
    keep_alive: Option<Span>,
    expiry: Option<Span>,
    outbox: Option<usize>,
    reconnect_cap: Option<Span>,
    connect_spacing: Option<Span>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RotationTable {
    age: Option<Span>,
    window: Option<Span>,
    expiry_margin: Option<Span>,
    soak: Option<Span>,
    retire_retry: Option<Span>,
    refusals: Option<u32>,
    refused_over: Option<Span>,
    backoff: Option<Span>,
    backoff_cap: Option<Span>,
    failure_cap: Option<Span>,
    verification: Option<Place>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TimeoutsTable {
    connect: Option<Span>,
    answer: Option<Span>,
    drain: Option<Span>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    #[default]
    Csr,
    Service,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Beside,
    Takeover,
}

#[derive(Deserialize)]
enum Protocol {
    #[serde(rename = "mqtt5")]
    Mqtt5,
    #[serde(rename = "mqtt3.1.1")]
    Mqtt311,
}

/// No span of a device's is longer; a moment that lies further ahead than the clock can count would end the agent.
const LONGEST_SPAN: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Two recoveries lie at least so far apart: each is an operator's business, and the slots that they leave have an end.
const SHORTEST_RECOVERY_SPACING: Duration = Duration::from_secs(3600);

/// A time span as people write it: `30s`, `12h`, `30d`; ten years at most.
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = humantime::parse_duration(&text).map_err(|error| {
            de::Error::custom(format!("{text:?} is no time span like 30s, 12h or 30d: {error}"))
        })?;
        if span > LONGEST_SPAN {
            return Err(de::Error::custom(format!("{text:?} is longer than ten years")));
        }
        Ok(Self(span))
    }
}

/// A topic root; its type has no serde of its own.
struct Root(TopicRoot);

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        TopicRoot::new(text).map(Self).map_err(de::Error::custom)
    }
}

impl File {
    fn into_config(self, base: &Path) -> Result<AgentConfig, String> {
        let roots = self.endpoint.roots.iter().map(|path| base.join(path)).collect();
        let mut config = AgentConfig::new(
            self.serial,
            self.endpoint.host,
            roots,
            base.join(self.state),
            self.templates.rotation,
        );
        set(&mut config.endpoint.port, self.endpoint.port);
        config.endpoint.alpn = self.endpoint.alpn;
        config.endpoint.server_name = self.endpoint.server_name;
        set(&mut config.topic_root, self.topic_root.map(|root| root.0));
        config.key_source = match self.key_source {
            Source::Csr => KeySource::Csr,
            Source::Service => KeySource::Service,
        };
        if let Some(claim) = self.claim {
            config.claim = Some(claim.into_config(base, self.templates.claim)?);
        }
        let live = self.session.live;
        self.session.apply(&mut config)?;
        self.rotation.apply(&mut config)?;
        self.timeouts.apply(&mut config);
        config.watch = self.watch.map(|watch| watch.into_settings(base)).transpose()?;
        if let Some(sidecar) = self.sidecar {
            if live == Some(true) {
                return Err(sidecar::NOT_OURS.into());
            }
            config.sidecar = Some(sidecar.into_settings(base)?);
        }
        config.hooks = self.hooks.into_hooks()?;
        check(&config)?;
        Ok(config)
    }
}

impl ClaimTable {
    fn into_config(self, base: &Path, template: Option<TemplateName>) -> Result<ClaimConfig, String> {
        let template = template.ok_or("[claim] needs templates.claim, the template to provision with")?;
        let mut claim = ClaimConfig::new(base.join(self.certificate), base.join(self.key), template);
        claim.recovery_template = self.recovery_template;
        set(&mut claim.recovery_spacing, self.recovery_spacing.map(|span| span.0));
        set(&mut claim.client_id_prefix, self.client_id_prefix);
        Ok(claim)
    }
}

impl SessionTable {
    fn apply(self, config: &mut AgentConfig) -> Result<(), String> {
        let session = &mut config.session;
        set(&mut session.live, self.live);
        set(&mut session.outbox, self.outbox);
        set(&mut session.reconnect_cap, self.reconnect_cap.map(|span| span.0));
        set(&mut session.connect_spacing, self.connect_spacing.map(|span| span.0));
        if let Some(protocol) = self.protocol {
            session.version = match protocol {
                Protocol::Mqtt5 => Version::V5,
                Protocol::Mqtt311 => Version::V311,
            };
        }
        if let Some(Span(span)) = self.keep_alive {
            session.keep_alive = u16::try_from(span.as_secs())
                .ok()
                .filter(|seconds| (30..=1200).contains(seconds))
                .ok_or("session.keep_alive must be between 30s and 20m, as AWS IoT Core takes it")?;
        }
        if let Some(Span(span)) = self.expiry {
            session.expiry = (!span.is_zero()).then_some(span);
        }
        Ok(())
    }
}

impl RotationTable {
    fn apply(self, config: &mut AgentConfig) -> Result<(), String> {
        let rotation = &mut config.rotation;
        set(&mut rotation.schedule.age, self.age.map(|span| span.0));
        set(&mut rotation.schedule.jitter, self.window.map(|span| span.0));
        set(&mut rotation.schedule.expiry_margin, self.expiry_margin.map(|span| span.0));
        set(&mut rotation.soak, self.soak.map(|span| span.0));
        set(&mut rotation.retire_retry, self.retire_retry.map(|span| span.0));
        set(&mut rotation.verdict.refusals, self.refusals);
        set(&mut rotation.verdict.over, self.refused_over.map(|span| span.0));
        set(&mut rotation.backoff.base, self.backoff.map(|span| span.0));
        set(&mut rotation.backoff.step_cap, self.backoff_cap.map(|span| span.0));
        set(&mut rotation.backoff.rotation_cap, self.failure_cap.map(|span| span.0));
        set(&mut rotation.verification, self.verification.map(Verification::from));
        if rotation.schedule.age.is_zero() {
            return Err("rotation.age must be longer than nothing".into());
        }
        if rotation.schedule.jitter >= rotation.schedule.age {
            return Err("rotation.window must be shorter than rotation.age".into());
        }
        Ok(())
    }
}

impl TimeoutsTable {
    fn apply(self, config: &mut AgentConfig) {
        set(&mut config.timeouts.connect, self.connect.map(|span| span.0));
        set(&mut config.timeouts.answer, self.answer.map(|span| span.0));
        set(&mut config.timeouts.drain, self.drain.map(|span| span.0));
    }
}

impl From<Place> for Verification {
    fn from(place: Place) -> Self {
        match place {
            Place::Beside => Self::Beside,
            Place::Takeover => Self::Takeover,
        }
    }
}

/// What only several keys together can get wrong.
fn check(config: &AgentConfig) -> Result<(), String> {
    if config.roots.is_empty() {
        return Err("endpoint.roots is empty: name at least one file with a trusted root".into());
    }
    if let Some(claim) = &config.claim {
        if claim.recovery_spacing < SHORTEST_RECOVERY_SPACING {
            return Err("claim.recovery_spacing must be at least 1h".into());
        }
        claim
            .client_id(&config.serial)
            .map_err(|error| format!("claim.client_id_prefix with the serial: {error}"))?;
    }
    Ok(())
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
serial = "PM500-0001"
state = "state"
[endpoint]
host = "localhost"
roots = ["root.pem"]
[templates]
rotation = "Rotation"
claim = "Claim"
"#;

    fn read(text: &str) -> Result<AgentConfig, String> {
        parse(text, Path::new("/etc/fleetkey"))
    }

    #[test]
    fn a_short_file_gets_the_defaults_and_its_own_directory() {
        let config = read(MINIMAL).unwrap();
        assert_eq!(config.endpoint.port, 8883);
        assert_eq!(config.state_dir, Path::new("/etc/fleetkey/state"));
        assert_eq!(config.roots, [Path::new("/etc/fleetkey/root.pem")]);
        assert_eq!(config.live_client_id().as_str(), "PM500-0001");
        assert!(config.claim.is_none());
    }

    #[test]
    fn a_full_file_is_taken_to_the_letter() {
        let text = format!(
            "{MINIMAL}[claim]\ncertificate = \"/c\"\nkey = \"k\"\nclient_id_prefix = \"boot~\"\n\
             recovery_template = \"Recovery\"\nrecovery_spacing = \"12h\"\n\
             [session]\nlive = false\nprotocol = \"mqtt3.1.1\"\nkeep_alive = \"1m\"\nexpiry = \"0s\"\n\
             [rotation]\nage = \"10s\"\nwindow = \"3s\"\nsoak = \"2s\"\nverification = \"takeover\"\nrefusals = 5\n\
             backoff = \"20ms\"\nbackoff_cap = \"1s\"\nfailure_cap = \"1h\"\n\
             [timeouts]\nanswer = \"3s\"\n"
        );
        let config = read(&text).unwrap();
        let claim = config.claim.as_ref().unwrap();
        assert_eq!(claim.client_id(&config.serial).unwrap().as_str(), "boot~PM500-0001");
        assert_eq!(claim.recovery_template, Some("Recovery".parse().unwrap()));
        let machine = config.machine(0);
        assert!(machine.has_recovery && machine.recovery_spacing == Duration::from_secs(12 * 3600));
        assert_eq!(config.rotation.verification, Verification::Takeover);
        assert_eq!(config.live_client_id().as_str(), "PM500-0001~agent");
        assert_eq!((config.session.keep_alive, config.session.expiry), (60, None));
        assert_eq!(config.rotation.schedule.age, Duration::from_secs(10));
        assert_eq!(config.rotation.verdict.refusals, 5);
        assert_eq!(config.timeouts.answer, Duration::from_secs(3));
        let backoff = config.rotation.backoff;
        let spans = [backoff.base, backoff.step_cap, backoff.rotation_cap].map(|span| span.as_millis());
        assert_eq!(spans, [20, 1_000, 3_600_000]);
    }

    #[test]
    fn with_a_sidecar_the_things_session_is_its_clients() {
        let text = format!(
            "{MINIMAL}[sidecar]\nmax_hold = \"5s\"\nqueue = 7\n[[sidecar.listen]]\ntcp = \"127.0.0.1:1883\"\n\
             [[sidecar.listen]]\nunix = \"mqtt.sock\"\n[[sidecar.route]]\nuser = \"ann\"\nto = \"ann.sock\"\n"
        );
        let config = read(&text).unwrap();
        assert_eq!(config.live_client_id().as_str(), "PM500-0001~agent");
        let sidecar = config.sidecar.unwrap();
        let listen: Vec<_> = sidecar.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["tcp 127.0.0.1:1883", "unix /etc/fleetkey/mqtt.sock"]);
        let route = &sidecar.routes[0];
        assert_eq!(
            (route.user.as_deref(), route.to.as_path()),
            (Some("ann"), Path::new("/etc/fleetkey/ann.sock"))
        );
        assert_eq!((sidecar.max_hold, sidecar.queue), (Duration::from_secs(5), 7));
    }

    #[test]
    fn an_error_names_the_line_and_the_key() {
        let error = read(&format!("{MINIMAL}[rotation]\nagee = \"1d\"\n")).unwrap_err();
        assert!(error.contains("line 11") && error.contains("agee"), "{error}");
        let error = read(&MINIMAL.replace("PM500-0001", "../x")).unwrap_err();
        assert!(error.contains("line 2") && error.contains("serial number contains '.'"), "{error}");
        let error = read(&format!("{MINIMAL}[rotation]\nage = \"soon\"\n")).unwrap_err();
        assert!(error.contains("soon") && error.contains("30s"), "{error}");
        let error = read(&MINIMAL.replace("serial = \"PM500-0001\"", "")).unwrap_err();
        assert!(error.contains("missing field `serial`"), "{error}");
    }

    #[test]
    fn keys_that_contradict_each_other_are_refused() {
        let table = [
            ("[rotation]\nage = \"1s\"\nwindow = \"2s\"\n", "rotation.window"),
            ("[session]\nkeep_alive = \"5s\"\n", "keep_alive"),
            ("[sidecar]\nlisten = []\n", "listens nowhere"),
            ("[[sidecar.listen]]\ntcp = \"0.0.0.0:1883\"\n", "127.0.0.1"),
            ("[[sidecar.listen]]\nunix = \"a\"\ntcp = \"127.0.0.1:1\"\n", "either"),
            ("[[sidecar.listen]]\ntls = \"0.0.0.0:8883\"\nusers = \"u\"\n", "names"),
            ("[[sidecar.listen]]\ntls = \"0.0.0.0:8883\"\nnames = [\"x\"]\n", "users"),
            ("[[sidecar.listen]]\ntcp = \"127.0.0.1:1\"\nusers = \"u\"\n", "either"),
            ("[session]\nlive = true\n[[sidecar.listen]]\nunix = \"a\"\n", "session.live"),
            ("[timeouts]\ndrain = \"300000000000years\"\n", "longer than ten years"),
            ("[session]\nconnect_spacing = \"11y\"\n", "longer than ten years"),
            ("[claim]\ncertificate=\"c\"\nkey=\"k\"\nrecovery_spacing=\"10m\"\n", "recovery_spacing"),
            ("[claim]\ncertificate=\"c\"\nkey=\"k\"\nclient_id_prefix=\"\\u0001\"\n", "client_id_prefix"),
        ];
        for (tail, named) in table {
            let error = read(&format!("{MINIMAL}{tail}")).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        let error = read(&MINIMAL.replace("[\"root.pem\"]", "[]")).unwrap_err();
        assert!(error.contains("endpoint.roots"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = AgentConfig::load(Path::new("/nonexistent/agent.toml")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/agent.toml"));
    }
}
