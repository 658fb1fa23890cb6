//! Devices: a row of a table, all of one device, and the question that a table answers.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::Rotation;

/// Whether a device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Now.
    Up,
    /// Not now.
    Down,
    /// Nobody here knows: it is not served from here.
    Unknown,
}

impl Connection {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "connected",
            Self::Down => "not connected",
            Self::Unknown => "not observed",
        }
    }
}

/// How much attention something asks for; shown by shape and word, never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Nothing of note.
    Quiet,
    /// As it should be.
    Good,
    /// Something is under way.
    Busy,
    /// Look at it some time.
    Warn,
    /// Look at it now.
    Bad,
}

/// One device in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Its name.
    pub thing: ThingName,
    /// Whether it is connected.
    pub connection: Connection,
    /// Its state in a word or two, for example `idle`, `verifying`.
    pub state: String,
    /// What that state asks for.
    pub tone: Tone,
    /// The certificate in use.
    pub certificate: Option<CertificateId>,
    /// How long it has been registered.
    pub age: Option<Duration>,
    /// When the next rotation is due.
    pub due: Option<Timestamp>,
}

/// Which devices are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// All.
    #[default]
    All,
    /// Those connected now.
    Connected,
    /// Those not connected.
    Disconnected,
    /// Those with a rotation under way.
    Rotating,
    /// Those that ask for attention.
    Attention,
}

impl Filter {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::All, Self::Connected, Self::Disconnected, Self::Rotating, Self::Attention];

    /// As it stands in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Rotating => "rotating",
            Self::Attention => "attention",
        }
    }

    /// The one with this name; any other text is [`Self::All`].
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|filter| filter.name() == name).unwrap_or_default()
    }
}

/// Which page of which devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceQuery {
    /// Part of a name, any case; empty for all.
    pub text: String,
    /// Which of those.
    pub filter: Filter,
    /// Those after this name.
    pub after: Option<ThingName>,
    /// At most so many.
    pub limit: usize,
}

/// One page of devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DevicePage {
    /// In the order of their names.
    pub rows: Vec<DeviceRow>,
    /// Where the next page begins; `None` for the last.
    pub next: Option<ThingName>,
    /// How many devices the query finds on all pages together.
    pub total: usize,
}

/// Which role a certificate has for its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The identity in use.
    InUse,
    /// On its way to become it.
    Candidate,
    /// One that was before.
    Former,
}

impl Holder {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InUse => "in use",
            Self::Candidate => "candidate",
            Self::Former => "former",
        }
    }
}

/// A certificate of a device, as registered. No private key is ever part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the DER, which is the fingerprint.
    pub id: CertificateId,
    /// What it may do.
    pub status: CertificateStatus,
    /// Its role.
    pub holder: Holder,
    /// When it was registered.
    pub created: Timestamp,
    /// When its status last changed.
    pub modified: Timestamp,
    /// The start of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whose it says it is (RFC 4514). Whoever made the certificate chose the text.
    pub subject: String,
    /// Who issued it, by its own word.
    pub issuer: String,
    /// The policies attached to it.
    pub policies: BTreeSet<String>,
    /// The public certificate, PEM; empty until it was told.
    pub pem: String,
    /// Where validity, subject, issuer, policies and PEM come from; `None` where they are always at hand.
    pub told: Option<Told>,
}

/// What only the account tells of a certificate: when it did, and why it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// When it told last; `None` before it has.
    pub at: Option<Timestamp>,
    /// Why it did not tell when it was asked last, and what to do about it.
    pub refused: Option<String>,
}

/// Something that happened, for timelines and feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// When.
    pub at: Timestamp,
    /// To which device, if to one.
    pub thing: Option<ThingName>,
    /// What, one sentence.
    pub words: String,
    /// What it asks for.
    pub tone: Tone,
}

/// All there is to tell of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What tables show.
    pub row: DeviceRow,
    /// Why nothing moves, if nothing does.
    pub blocked: Option<String>,
    /// What somebody should look at.
    pub alarms: Vec<String>,
    /// The certificates, newest first.
    pub certificates: Vec<Certificate>,
    /// How many there are beyond those.
    pub more_certificates: usize,
    /// The rotation under way or the last one.
    pub rotation: Option<Rotation>,
    /// What happened to it, newest first.
    pub timeline: Vec<Incident>,
    /// Whether it can be ordered to rotate from here.
    pub obeys: bool,
}
