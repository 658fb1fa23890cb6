//! The decision: denied unless allowed, and an explicit deny wins (Developer Guide, iot-policies; IAM evaluation
//! logic).
//!
//! A statement with a variable that has no value does not match at all, Allow and Deny alike. AWS documents for it
//! only that "authorization fails"; such a Deny therefore fails open, and the decision reports the variable.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::action::Action;
use crate::context::Context;
use crate::document::{Effect, PolicyDocument, Statement};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What the client wants to do.
    pub action: Action,
    /// The whole ARN that it wants to do it to, for example `arn:aws:iot:REGION:ACCOUNT:topic/a/b`.
    pub resource: &'a str,
    /// What is known of the connection.
    pub context: &'a Context,
}

/// The three outcomes (API Reference, TestAuthorization).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An Allow matches and no Deny does.
    Allowed,
    /// A Deny matches.
    ExplicitDeny,
    /// Nothing matches.
    ImplicitDeny,
}

/// A statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRef {
    /// The policy's name, as the caller gave it.
    pub policy: String,
    /// The statement, counted from 0.
    pub statement: usize,
    /// Its `Sid`.
    pub sid: Option<String>,
}

/// An outcome and its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was decided.
    pub outcome: Outcome,
    /// The statements that decided: the matching Denies if there is one, else the matching Allows.
    pub by: Vec<StatementRef>,
    /// Variables without a value in statements that name the action, sorted.
    pub unresolved: Vec<String>,
}

impl Decision {
    /// Whether the request may go ahead.
    pub fn allowed(&self) -> bool {
        self.outcome == Outcome::Allowed
    }
}

/// Decides a request by all `policies` together, each with its name for the report.
pub fn evaluate<'a>(
    policies: impl IntoIterator<Item = (&'a str, &'a PolicyDocument)>,
    request: &Request<'_>,
) -> Decision {
    let mut allows = Vec::new();
    let mut denies = Vec::new();
    let mut unresolved = BTreeSet::new();
    for (policy, document) in policies {
        for (index, statement) in document.statements.iter().enumerate() {
            if !statement.names_action(request.action) {
                continue;
            }
            unresolved.extend(statement.unresolved(request.context));
            if applies(statement, request) {
                let side = if statement.effect == Effect::Deny { &mut denies } else { &mut allows };
                side.push(StatementRef {
                    policy: policy.into(),
                    statement: index,
                    sid: statement.sid.clone(),
                });
            }
        }
    }
    let (outcome, by) = match (denies.is_empty(), allows.is_empty()) {
        (false, _) => (Outcome::ExplicitDeny, denies),
        (true, false) => (Outcome::Allowed, allows),
        (true, true) => (Outcome::ImplicitDeny, Vec::new()),
    };
    Decision { outcome, by, unresolved: unresolved.into_iter().map(String::from).collect() }
}

/// The statements that allow the action and do not apply to the request, because of the resource, a condition or a
/// variable without a value: where to look when it is denied implicitly.
pub fn near_misses<'a>(
    policies: impl IntoIterator<Item = (&'a str, &'a PolicyDocument)>,
    request: &Request<'_>,
) -> Vec<StatementRef> {
    let mut near = Vec::new();
    for (policy, document) in policies {
        for (index, statement) in document.statements.iter().enumerate() {
            let allows = statement.effect == Effect::Allow && statement.names_action(request.action);
            if allows && !applies(statement, request) {
                near.push(StatementRef {
                    policy: policy.into(),
                    statement: index,
                    sid: statement.sid.clone(),
                });
            }
        }
    }
    near
}

/// The same decision without its reasons, for the path of every message.
pub fn allows<'a>(policies: impl IntoIterator<Item = &'a PolicyDocument>, request: &Request<'_>) -> bool {
    let mut allowed = false;
    for statement in policies.into_iter().flat_map(|document| &document.statements) {
        if allowed && statement.effect == Effect::Allow {
            continue;
        }
        if statement.names_action(request.action) && applies(statement, request) {
            match statement.effect {
                Effect::Deny => return false,
                Effect::Allow => allowed = true,
            }
        }
    }
    allowed
}

/// Whether a statement that names the action applies to the rest of the request.
fn applies(statement: &Statement, request: &Request<'_>) -> bool {
    statement.names_resource(request.resource, request.context)
        && statement.is_resolved(request.context)
        && statement.conditions_hold(request.context)
}
