//! What is to be examined, and how far the doctor may go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetkey_model::name::{ClientId, SerialNumber, ThingName};

use super::Tier;
use crate::AgentConfig;
use crate::status::client::{DeviceState, status_of};
use crate::store::{CERTIFICATE_FILE, EXPORT_LINK, KEY_FILE, read_previous};
use crate::tls::{ClientIdentity, Endpoint};

/// A device's way to its broker, as its configuration says it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where the broker is.
    pub endpoint: Endpoint,
    /// Whether the device's client sends the server's name (SNI).
    pub sni: bool,
    /// The port by ALPN, 443 on AWS, where the time is asked, and which is named where the other is closed.
    pub alpn_port: u16,
    /// The device's certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The trusted roots, PEM.
    pub roots: Vec<PathBuf>,
    /// Roots that are known to be a broker's, PEM, with a name: told if the server's chain ends there instead.
    pub known_roots: Option<(String, String)>,
    /// The identity before this one, if it is kept: a control.
    pub previous: Option<ClientIdentity>,
    /// The thing that the certificate is for.
    pub thing: ThingName,
    /// The client id that the device's client uses.
    pub client: ClientId,
    /// A topic that the device may publish and subscribe to, for the echo.
    pub topic: String,
    /// Whether to connect with [`Target::client`], which throws a device off line that is connected.
    pub take_over: bool,
    /// Why the broker must not be spoken to just now.
    pub busy: Option<String>,
    /// How long each step may take.
    pub limit: Duration,
}

/// The port by ALPN on AWS (Developer Guide, protocols).
const ALPN_PORT: u16 = 443;
/// How long each step may take.
const LIMIT: Duration = Duration::from_secs(10);

impl Target {
    /// What an agent's configuration says, with the files that it exports, and nobody thrown off line.
    pub fn of(config: &AgentConfig) -> Self {
        let exported = |file: &str| config.state_dir.join(EXPORT_LINK).join(file);
        let thing = config.thing();
        Self {
            endpoint: config.endpoint.clone(),
            sni: true,
            alpn_port: config.endpoint.alpn.as_ref().map_or(ALPN_PORT, |_| config.endpoint.port),
            certificate: exported(CERTIFICATE_FILE),
            key: exported(KEY_FILE),
            roots: config.roots.clone(),
            known_roots: None,
            previous: previous(&config.state_dir, config.serial.clone()),
            // Whoever owns the thing's session, the agent or a program beside it, uses the thing's name.
            client: ClientId::live(&thing),
            topic: config.topic_root.verification(&thing),
            thing,
            take_over: false,
            busy: busy(&config.state_dir),
            limit: LIMIT,
        }
    }
}

/// The identity before the one in use, where a state directory still keeps it.
pub fn previous(state_dir: &Path, serial: SerialNumber) -> Option<ClientIdentity> {
    Some(ClientIdentity::from(&read_previous(state_dir, serial)?))
}

/// Why the broker must not be spoken to, if there is a reason: an agent that proves a candidate does so as
/// `<thing>~verify`, and a trial of ours would look like a refusal of it.
pub fn busy(state_dir: &Path) -> Option<String> {
    match status_of(state_dir) {
        Ok(DeviceState::Running(report)) if report.status.candidate.is_some() => {
            Some("the agent is rotating just now; ask again when it is done".to_owned())
        }
        _ => None,
    }
}

/// What the account says, if it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Whether the certificate is registered and ACTIVE.
    pub certificate: Word,
    /// Whether it may connect with a client id.
    pub clients: Vec<(ClientId, Word)>,
    /// Whether it may do with a topic what the tier says.
    pub topics: Vec<(Tier, String, Word)>,
}

/// One word of the account's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It may, and why.
    Yes(String),
    /// It may not.
    No {
        /// What stands against it.
        why: String,
        /// What to do.
        todo: String,
    },
    /// It was not asked, or does not say: why.
    Silent(String),
}

impl Default for Word {
    fn default() -> Self {
        Self::Silent("the account was not asked".into())
    }
}

impl Account {
    /// An account that was not asked.
    pub fn silent(because: impl Into<String>) -> Self {
        Self { certificate: Word::Silent(because.into()), clients: Vec::new(), topics: Vec::new() }
    }

    /// What it says of connecting with a client id.
    pub(super) fn client(&self, client: &ClientId) -> Word {
        let word = self.clients.iter().find(|(id, _)| id == client).map(|(_, word)| word.clone());
        word.unwrap_or_else(|| self.silence())
    }

    /// What it says of a topic.
    pub(super) fn topic(&self, tier: Tier, topic: &str) -> Word {
        let word = self.topics.iter().find(|(at, name, _)| *at == tier && name == topic);
        word.map_or_else(|| self.silence(), |(_, _, word)| word.clone())
    }

    fn silence(&self) -> Word {
        match &self.certificate {
            Word::Silent(why) => Word::Silent(why.clone()),
            Word::Yes(_) | Word::No { .. } => Word::default(),
        }
    }
}
