//! The inventory: every certificate there is, with its age and its end.

use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

/// The states of a thing, in cert-manager's words.
pub const STATES: [&str; 4] = ["Ready", "Rotating", "Degraded", "BackOff"];

/// Which certificates are wanted; what is not said does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InventoryQuery {
    /// Part of the name of the thing that it is on, any case.
    pub text: String,
    /// Its status.
    pub status: Option<CertificateStatus>,
    /// The state of its thing, one of [`STATES`].
    pub state: Option<&'static str>,
    /// It was registered at least so long ago.
    pub older_than: Option<Duration>,
    /// It ends within so long, or has ended.
    pub ends_within: Option<Duration>,
    /// Those after this one.
    pub after: Option<CertificateId>,
    /// At most so many.
    pub limit: usize,
    /// Whether the total is wanted, which takes a look at every certificate.
    pub count: bool,
}

/// One certificate of the inventory. What nobody knows is `None`, and shown as a dash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryRow {
    /// SHA-256 of its DER.
    pub certificate: CertificateId,
    /// The thing that it is on.
    pub thing: Option<ThingName>,
    /// Its status.
    pub status: Option<CertificateStatus>,
    /// Which part it plays, a word or two: `in use`, `former`, `claim`.
    pub part: Option<String>,
    /// The state of its thing, one of [`STATES`].
    pub state: Option<&'static str>,
    /// When it was registered.
    pub created: Option<Timestamp>,
    /// When it ends.
    pub not_after: Option<Timestamp>,
    /// When a rotation is due.
    pub due: Option<Timestamp>,
    /// Whether it is connected now.
    pub connected: Option<bool>,
    /// When it was last seen in use.
    pub seen: Option<Timestamp>,
}

/// One page of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InventoryPage {
    /// In the order of their ids.
    pub rows: Vec<InventoryRow>,
    /// After which the next page begins; `None` for the last.
    pub next: Option<CertificateId>,
    /// How many the query finds on all pages together, if that is wanted.
    pub total: usize,
    /// How old the facts are, said in words; empty where they are those of this moment.
    pub told: String,
}
