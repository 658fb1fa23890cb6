//! Policies, and the question that people ask of them: why was this denied?

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;

/// A policy as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// The document in effect.
    pub text: String,
    /// How far it reaches, where that is known; such a policy has a page of its own.
    pub spread: Option<Spread>,
}

/// How far a policy reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Its versions; each can be looked at.
    pub versions: usize,
    /// The certificates and groups that it is attached to, if that is known.
    pub targets: Option<usize>,
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Its number, from 1.
    pub id: u32,
    /// The document as it was written.
    pub text: String,
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
    /// Whether it is the one in effect.
    pub in_effect: bool,
}

/// A statement that is cited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The policy that it is in.
    pub policy: String,
    /// Which of the policy's statements, from 1.
    pub number: usize,
    /// What it calls itself, if it does (`Sid`).
    pub sid: Option<String>,
    /// The statement as it was written.
    pub text: String,
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
    /// The statements that decided.
    pub by: Vec<Statement>,
    /// Where nothing allowed it: the statements that allow the action and did not match, because of the resource, a
    /// condition or a variable.
    pub near: Vec<Statement>,
    /// All policies that count for it.
    pub asked: Vec<Policy>,
    /// Policy variables without a value: a statement with one matches nothing.
    pub missing: Vec<String>,
}
