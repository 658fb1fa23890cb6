//! TestAuthorization: what the broker would decide, by the broker's own evaluator, with its reasons.
//!
//! Source: API Reference, TestAuthorization. What only a connection knows (source address, server name, will) has no
//! value here, and is named among the missing values where a statement asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, PolicyName};
use fleetkey_policy::{
    Action, Context, Outcome, PolicyDocument, Request, StatementRef, evaluate, near_misses,
};

use super::{Account, AccountError};
use crate::broker::Standing;
use crate::limits::Switches;

/// What is asked: may this principal, under this client id, do an action to all of these resources?
#[derive(Debug, Clone)]
pub struct Question {
    /// The certificate; without one, only the policies of `add` count.
    pub principal: Option<CertificateId>,
    /// The client id of the connection that is imagined.
    pub client: Option<ClientId>,
    /// Policies that count as if they were attached.
    pub add: Vec<PolicyName>,
    /// Policies that do not count.
    pub skip: BTreeSet<PolicyName>,
    /// The action and the ARNs it is done to.
    pub requests: Vec<(Action, Vec<String>)>,
}

/// The decision on one action, as TestAuthorization reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// What was decided: a denial of one resource is a denial of all.
    pub outcome: Outcome,
    /// The policies that allow.
    pub allowing: BTreeSet<PolicyName>,
    /// The policies that deny.
    pub denying: BTreeSet<PolicyName>,
    /// All policies that were asked: those that deny implicitly when nothing allows.
    pub asked: BTreeSet<PolicyName>,
    /// The statements that decided, by resource.
    pub deciding: Vec<StatementRef>,
    /// Of what is denied implicitly: the statements that allow the action, and not for this resource and connection.
    pub near: Vec<StatementRef>,
    /// Policy variables without a value.
    pub missing: BTreeSet<String>,
}

impl Account {
    /// TestAuthorization.
    ///
    /// # Errors
    /// When the certificate or a policy to add does not exist.
    pub fn test_authorization(
        &self,
        question: &Question,
        switches: &Switches,
    ) -> Result<Vec<Authorization>, AccountError> {
        let (policies, context) = self.standing(question, switches)?;
        let decide =
            |(action, resources): &(Action, Vec<String>)| authorize(&policies, &context, *action, resources);
        Ok(question.requests.iter().map(decide).collect())
    }

    fn standing(
        &self,
        question: &Question,
        switches: &Switches,
    ) -> Result<(Policies, Context), AccountError> {
        let registry = self.store.read();
        let mut context = Context::new();
        if let Some(client) = &question.client {
            context.set("iot:ClientId", client.as_str());
        }
        let (mut policies, context) = match &question.principal {
            None => (Policies::new(), context),
            Some(id) => {
                registry.require_certificate(id)?;
                context.set("iot:CertificateId", id.to_string());
                let subject = Standing::new(&registry, switches, id, question.client.as_ref(), context);
                (subject.policies, subject.context)
            }
        };
        for name in &question.add {
            policies.push((name.clone(), registry.require_policy(name)?.document.clone()));
        }
        policies.retain(|(name, _)| !question.skip.contains(name));
        Ok((policies, context))
    }
}

type Policies = Vec<(PolicyName, Arc<PolicyDocument>)>;

fn authorize(policies: &Policies, context: &Context, action: Action, resources: &[String]) -> Authorization {
    let mut all = Authorization {
        // Nothing is asked of an empty list, so nothing is allowed.
        outcome: if resources.is_empty() { Outcome::ImplicitDeny } else { Outcome::Allowed },
        allowing: BTreeSet::new(),
        denying: BTreeSet::new(),
        asked: policies.iter().map(|(name, _)| name.clone()).collect(),
        deciding: Vec::new(),
        near: Vec::new(),
        missing: BTreeSet::new(),
    };
    for resource in resources {
        let named = || policies.iter().map(|(name, document)| (name.as_str(), document.as_ref()));
        let request = Request { action, resource, context };
        let decision = evaluate(named(), &request);
        let by = decision.by.iter().filter_map(|statement| PolicyName::new(statement.policy.as_str()).ok());
        match decision.outcome {
            Outcome::Allowed => all.allowing.extend(by),
            Outcome::ExplicitDeny => all.denying.extend(by),
            Outcome::ImplicitDeny => all.near.extend(near_misses(named(), &request)),
        }
        all.deciding.extend(decision.by);
        all.missing.extend(decision.unresolved);
        all.outcome = stricter(all.outcome, decision.outcome);
    }
    all
}

fn stricter(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Outcome::ExplicitDeny, _) | (_, Outcome::ExplicitDeny) => Outcome::ExplicitDeny,
        (Outcome::ImplicitDeny, _) | (_, Outcome::ImplicitDeny) => Outcome::ImplicitDeny,
        (Outcome::Allowed, Outcome::Allowed) => Outcome::Allowed,
    }
}
