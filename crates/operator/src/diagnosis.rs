//! What an account says of one device: is its certificate in service, may it connect, may it use its topics.
//!
//! Decided by the project's own evaluator on the effective policies, with the statement that decides as witness. Where
//! the answer is no, it is asked again with one thing changed (another client id, an attachment): what helps is what is
//! missing. Pure but for [`Records`], which fetches. Not here: the connection itself (the agent's `doctor`).

use core::future::Future;
use std::collections::BTreeMap;

use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::{CertificateId, CertificateStatus, ThingPrincipalType};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_policy::{
    Action, Context, Decision, Outcome, PolicyDocument, Request, StatementRef, evaluate, near_misses,
};

use crate::control_plane::ApiError;

#[cfg(test)]
mod tests;

/// Why an ACTIVE certificate gets nowhere when nothing is attached to it.
const NO_POLICY: &str = "no policy is attached to the certificate, nor to a group of its thing";
const THING_NAME: &str = "iot:Connection.Thing.ThingName";
const IS_ATTACHED: &str = "iot:Connection.Thing.IsAttached";

/// What an account has on record of a certificate and a thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The certificate's status; `None` when it is not registered in this account and region.
    pub status: Option<CertificateStatus>,
    /// The effective policies (GetEffectivePolicies): name and document.
    pub policies: Vec<(String, String)>,
    /// The things that the certificate is attached to.
    pub attached: BTreeMap<ThingName, ThingPrincipalType>,
    /// The thing in question; `None` when there is none of its name.
    pub thing: Option<ThingRecord>,
}

/// What policies may ask of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThingRecord {
    /// Its type.
    pub type_name: Option<String>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Where standings are looked up.
pub trait Records {
    /// What the account has on record.
    fn standing(
        &self,
        certificate: &CertificateId,
        thing: &ThingName,
    ) -> impl Future<Output = Result<Standing, ApiError>> + Send;
}

/// An answer, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opinion {
    /// It may: by which statement.
    Yes(String),
    /// It may not.
    No {
        /// What stands against it, or what is missing.
        why: String,
        /// What to do.
        todo: String,
    },
    /// The record does not decide it: why.
    Unknown(String),
}

/// A decision with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// What it is about, as policies name it.
    pub resource: String,
    /// What was decided, and by which statements.
    pub decision: Decision,
    /// Where nothing allows it: the statements that allow the action, and not this.
    pub near: Vec<StatementRef>,
}

/// A device before its account.
#[derive(Debug)]
pub struct Diagnosis<'a> {
    scope: &'a Scope,
    certificate: CertificateId,
    thing: &'a ThingName,
    standing: &'a Standing,
    policies: Vec<(&'a str, PolicyDocument)>,
    unread: Vec<String>,
}

impl<'a> Diagnosis<'a> {
    /// Reads the policies; one that this program cannot read makes the answers that hang on it unknown.
    pub fn new(
        scope: &'a Scope,
        certificate: CertificateId,
        thing: &'a ThingName,
        standing: &'a Standing,
    ) -> Self {
        let mut policies = Vec::new();
        let mut unread = Vec::new();
        for (name, text) in &standing.policies {
            match PolicyDocument::parse(text) {
                Ok(document) => policies.push((name.as_str(), document)),
                Err(error) => unread.push(format!("the policy {name} does not read: {error}")),
            }
        }
        Self { scope, certificate, thing, standing, policies, unread }
    }

    /// Whether the certificate is registered and ACTIVE.
    pub fn certificate(&self) -> Opinion {
        let Scope { region, account, .. } = self.scope;
        let Some(status) = self.standing.status else {
            return no(
                format!("the certificate is not registered in account {account}, region {region}"),
                "compare account and region with the endpoint's; else provision the device again, or register it",
            );
        };
        let id = &self.certificate;
        match status {
            CertificateStatus::Active => Opinion::Yes("registered and ACTIVE".to_owned()),
            CertificateStatus::Inactive => no(
                "the certificate is registered, but INACTIVE",
                format!(
                    "if it was not retired on purpose: aws iot update-certificate --certificate-id {id} --new-status ACTIVE"
                ),
            ),
            CertificateStatus::Revoked => no(
                "the certificate is REVOKED, for good",
                "get another: recover by claim, or provision again",
            ),
            CertificateStatus::PendingActivation => no(
                "the certificate is PENDING_ACTIVATION: RegisterThing was never answered, or refused",
                "provision again; look at the template and its hook if it stays so",
            ),
            CertificateStatus::PendingTransfer => {
                no("the certificate is on its way to another account", "accept or cancel the transfer")
            }
        }
    }

    /// Whether it may connect as `client`.
    pub fn connect(&self, client: &ClientId) -> Opinion {
        let context = self.context(client);
        let decision = self.decide(Action::Connect, client, &context);
        if decision.allowed() {
            return Opinion::Yes(by("allowed by", &decision));
        }
        if decision.outcome == Outcome::ImplicitDeny
            && let Some(opinion) = self.missing_for_connect(client, context)
        {
            return opinion;
        }
        self.denied(Action::Connect, client.as_str(), &decision)
    }

    /// Whether it may do `action` to `topic` when it is connected as `client`.
    pub fn may(&self, action: Action, topic: &str, client: &ClientId) -> Opinion {
        let decision = self.decide_on(action, topic, &self.context(client));
        if decision.allowed() {
            return Opinion::Yes(by("allowed by", &decision));
        }
        self.denied(action, topic, &decision)
    }

    /// What is decided on `action` on `name` (a topic, a filter, of a connection the client id) when it is connected as
    /// `client`, and of what nothing allows, which statements come close.
    pub fn judge(&self, action: Action, name: &str, client: &ClientId) -> Judged {
        let (resource, context) = (self.arn(action, name), self.context(client));
        let policies = || self.policies.iter().map(|(name, document)| (*name, document));
        let request = Request { action, resource: &resource, context: &context };
        let decision = evaluate(policies(), &request);
        let near = match decision.outcome {
            Outcome::ImplicitDeny => near_misses(policies(), &request),
            Outcome::Allowed | Outcome::ExplicitDeny => Vec::new(),
        };
        Judged { resource, decision, near }
    }

    /// What of the policies this program cannot read, in words.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// What would have let it connect.
    fn missing_for_connect(&self, client: &ClientId, context: Context) -> Option<Opinion> {
        let (thing, id) = (self.thing, &self.certificate);
        let mut attached = context;
        attached.set(THING_NAME, thing.as_str()).set(IS_ATTACHED, "true");
        if !self.standing.attached.contains_key(thing)
            && self.decide(Action::Connect, client, &attached).allowed()
        {
            let arn = self.scope.certificate(id);
            let existing = if self.standing.thing.is_some() { "" } else { ", of which there is none" };
            return Some(no(
                format!(
                    "the certificate is not attached to the thing {thing}{existing}; the policy asks for that"
                ),
                format!("aws iot attach-thing-principal --thing-name {thing} --principal {arn}"),
            ));
        }
        let live = ClientId::live(thing);
        if *client != live && self.decide(Action::Connect, &live, &self.context(&live)).allowed() {
            return Some(no(
                format!("the policy lets it connect as {live}, the thing's name, and not as {client}"),
                format!("set the client id to {live}"),
            ));
        }
        None
    }

    fn denied(&self, action: Action, name: &str, decision: &Decision) -> Opinion {
        let what = format!("{} on {}/{name}", action.as_str(), kind(action));
        if decision.outcome == Outcome::ExplicitDeny {
            return no(by(&format!("{what} is denied by"), decision), "take the Deny back, or narrow it");
        }
        if let Some(unread) = self.unread.first() {
            return Opinion::Unknown(unread.clone());
        }
        if self.policies.is_empty() {
            return no(
                NO_POLICY,
                format!(
                    "attach one: aws iot attach-policy --policy-name NAME --target {}",
                    self.scope.certificate(&self.certificate)
                ),
            );
        }
        let names: Vec<_> = self.policies.iter().map(|(name, _)| *name).collect();
        let mut why = format!("no statement of {} allows {what}", names.join(", "));
        if !decision.unresolved.is_empty() {
            why += &format!("; these variables have no value here: {}", decision.unresolved.join(", "));
        }
        if decision.unresolved.iter().any(|name| name.eq_ignore_ascii_case("aws:SourceIp")) {
            return Opinion::Unknown(why);
        }
        no(why, format!("allow {} on {}", action.as_str(), self.arn(action, name)))
    }

    fn decide(&self, action: Action, client: &ClientId, context: &Context) -> Decision {
        self.decide_on(action, client.as_str(), context)
    }

    fn decide_on(&self, action: Action, name: &str, context: &Context) -> Decision {
        let resource = self.arn(action, name);
        let policies = self.policies.iter().map(|(name, document)| (*name, document));
        evaluate(policies, &Request { action, resource: &resource, context })
    }

    fn arn(&self, action: Action, name: &str) -> String {
        self.scope.arn(&format!("{}/{name}", kind(action)))
    }

    /// Developer Guide, thing-policy-variables: an exclusive thing counts whatever the client id; else the thing that
    /// the client id names, if it exists.
    fn context(&self, client: &ClientId) -> Context {
        let mut context = Context::new();
        context.set("iot:ClientId", client.as_str()).set("iot:CertificateId", self.certificate.to_string());
        let attached = &self.standing.attached;
        let exclusive = attached.iter().find(|(_, kind)| **kind == ThingPrincipalType::ExclusiveThing);
        let named = || client.thing().filter(|name| name == self.thing && self.standing.thing.is_some());
        let Some(thing) = exclusive.map(|(name, _)| name.clone()).or_else(named) else {
            return context;
        };
        context.set(THING_NAME, thing.as_str()).set(IS_ATTACHED, attached.contains_key(&thing).to_string());
        if let Some(record) = self.standing.thing.as_ref().filter(|_| thing == *self.thing) {
            if let Some(kind) = &record.type_name {
                context.set("iot:Connection.Thing.ThingTypeName", kind.as_str());
            }
            for (name, value) in &record.attributes {
                context.set(&format!("iot:Connection.Thing.Attributes[{name}]"), value.as_str());
            }
        }
        context
    }
}

const fn kind(action: Action) -> &'static str {
    match action {
        Action::Connect => "client",
        Action::Subscribe => "topicfilter",
        Action::Publish | Action::Receive | Action::RetainPublish => "topic",
    }
}

fn no(why: impl Into<String>, todo: impl Into<String>) -> Opinion {
    Opinion::No { why: why.into(), todo: todo.into() }
}

/// `allowed by DevicePolicy, statement 0 (Connect)`
fn by(what: &str, decision: &Decision) -> String {
    let statements = decision.by.iter().map(|by| {
        let sid = by.sid.as_ref().map(|sid| format!(" ({sid})")).unwrap_or_default();
        format!("{}, statement {}{sid}", by.policy, by.statement)
    });
    format!("{what} {}", statements.collect::<Vec<_>>().join("; "))
}
