//! What is shown and asked for, as a trait: the binary implements it over the controller.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde_json::Value;

use crate::feed::Feed;
use crate::token::Holder;

/// The controller, as far as it is shown.
pub trait Backend: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Why nothing is retired at the moment; `None` when all is well.
    fn unready(&self) -> Option<String>;

    /// That all is well, in words.
    fn ready(&self) -> String {
        "ready".to_owned()
    }

    /// The page of `/metrics`, in the text format of Prometheus.
    fn metrics(&self) -> impl Future<Output = String> + Send;

    /// Whose token this is; `None` for nobody's, and for one that has ended.
    fn holder(&self, token: &str) -> Option<Holder>;

    /// Answers a question of the API.
    fn ask(&self, question: Question) -> impl Future<Output = Result<Value, Trouble>> + Send;

    /// Does what somebody with the right to it has asked for.
    fn order(&self, holder: &Holder, order: Order) -> impl Future<Output = Result<Value, Trouble>> + Send;

    /// What happens.
    fn feed(&self) -> &Arc<Feed>;
}

/// A question, its parameters checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// How the controller is, and how old its knowledge.
    Status,
    /// A page of certificates.
    Certificates(Selection),
    /// One certificate.
    Certificate(CertificateId),
    /// One thing, with its certificates and findings.
    Thing(ThingName),
    /// What deserves attention; of one rule only, if it is named.
    Findings(Option<String>),
    /// Lines of the controller's journal after this one, oldest first.
    Journal {
        /// The number of a line; 0 is before the first.
        after: u64,
        /// At most so many.
        limit: usize,
    },
}

/// Which certificates; what is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this status.
    pub status: Option<CertificateStatus>,
    /// Of things whose name matches (`*` any run, `?` any one character).
    pub thing: Option<String>,
    /// Registered at least so long ago.
    pub older_than: Option<Duration>,
    /// Not seen for at least so long; never seen counts.
    pub unseen_for: Option<Duration>,
    /// Connected now, or not.
    pub connected: Option<bool>,
    /// Found by this rule.
    pub rule: Option<String>,
    /// After this one.
    pub after: Option<CertificateId>,
    /// At most so many.
    pub limit: usize,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// A frozen thing was looked at and put right: its next attested request counts as the first.
    Release {
        /// Which.
        thing: ThingName,
        /// What was found, for the journal.
        why: String,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It is not there.
    Missing(String),
    /// The question makes no sense.
    Bad(String),
    /// Not at this moment.
    Unavailable(String),
}
