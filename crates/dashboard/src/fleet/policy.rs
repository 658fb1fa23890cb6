//! Policies, and the question that people ask of them: why was this denied?

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};

/// A policy as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// The document in effect.
    pub text: String,
    /// How many versions there are.
    pub versions: usize,
    /// How many certificates and groups it is attached to.
    pub targets: usize,
}

/// What a client may want to do (Developer Guide, iot-policy-actions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// `iot:Connect`
    #[default]
    Connect,
    /// `iot:Publish`
    Publish,
    /// `iot:Subscribe`
    Subscribe,
    /// `iot:Receive`
    Receive,
    /// `iot:RetainPublish`
    RetainPublish,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Connect, Self::Publish, Self::Subscribe, Self::Receive, Self::RetainPublish];

    /// As policies write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "iot:Connect",
            Self::Publish => "iot:Publish",
            Self::Subscribe => "iot:Subscribe",
            Self::Receive => "iot:Receive",
            Self::RetainPublish => "iot:RetainPublish",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// May this device, under this client id, do that?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The device; its certificate in use is asked for.
    pub thing: ThingName,
    /// The client id of its connection.
    pub client: ClientId,
    /// What.
    pub action: Action,
    /// To which topic or filter; of no meaning for `iot:Connect`.
    pub topic: String,
}

/// The three outcomes (API Reference, TestAuthorization).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// An Allow matches and no Deny does.
    Allowed,
    /// A Deny matches.
    ExplicitDeny,
    /// Nothing matches.
    ImplicitDeny,
}

/// The answer, by the evaluator that the broker uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was decided.
    pub decided: Decided,
    /// For which certificate.
    pub certificate: CertificateId,
    /// For which resource, as policies name it.
    pub resource: String,
    /// The policies that decided.
    pub by: Vec<String>,
    /// All policies that count for it.
    pub asked: Vec<Policy>,
    /// Policy variables without a value: a statement with one matches nothing.
    pub missing: Vec<String>,
}
