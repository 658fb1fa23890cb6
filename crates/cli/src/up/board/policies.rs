//! Policies and their decisions, by the evaluator of the broker.

use fleetkey_dashboard::fleet::{
    Action, Decided, Policy, PolicyVersion, Question, Refused, Spread, Statement, Verdict,
};
use fleetkey_iotcore::account::{self, Account, Authorization};
use fleetkey_iotcore::limits::Switches;
use fleetkey_iotcore::registry::{PolicyRecord, Registry, VersionRef};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::PolicyName;
use fleetkey_policy::{Outcome, StatementRef};

use crate::cited::{action, cited};

/// All policies.
pub(super) fn all(account: &Account) -> Vec<Policy> {
    let registry = account.store().read();
    registry.policies().map(|record| policy(&registry, record)).collect()
}

/// The versions of a policy, oldest first.
pub(super) fn versions(account: &Account, name: &str) -> Vec<PolicyVersion> {
    let registry = account.store().read();
    let record = PolicyName::new(name).ok().and_then(|name| registry.policy(&name));
    let Some(record) = record else {
        return Vec::new();
    };
    let version = |version: VersionRef<'_>| PolicyVersion {
        id: version.id,
        text: version.text.to_owned(),
        created: Some(version.created_at),
        in_effect: version.is_default,
    };
    record.all_versions().into_iter().map(version).collect()
}

/// What the broker would decide for this certificate.
pub(super) fn decide(
    account: &Account,
    certificate: CertificateId,
    question: &Question,
) -> Result<Verdict, Refused> {
    let (action, resource) = asked(account, question);
    let asked = account::Question {
        principal: Some(certificate),
        client: Some(question.client.clone()),
        add: Vec::new(),
        skip: Default::default(),
        requests: vec![(action, vec![resource.clone()])],
    };
    let decisions = account.test_authorization(&asked, &Switches::default());
    let decisions = decisions.map_err(|error| Refused(error.to_string()))?;
    let decision = decisions.into_iter().next().ok_or_else(|| Refused("there is no decision".to_owned()))?;
    Ok(verdict(account, certificate, resource, decision))
}

fn verdict(
    account: &Account,
    certificate: CertificateId,
    resource: String,
    decision: Authorization,
) -> Verdict {
    let decided = match decision.outcome {
        Outcome::Allowed => Decided::Allowed,
        Outcome::ExplicitDeny => Decided::ExplicitDeny,
        Outcome::ImplicitDeny => Decided::ImplicitDeny,
    };
    let registry = account.store().read();
    let documents = decision.asked.iter().filter_map(|name| registry.policy(name));
    Verdict {
        decided,
        certificate,
        resource,
        by: decision.deciding.iter().map(|statement| cite(&registry, statement)).collect(),
        near: decision.near.iter().map(|statement| cite(&registry, statement)).collect(),
        asked: documents.map(|record| policy(&registry, record)).collect(),
        missing: decision.missing.into_iter().collect(),
    }
}

/// A statement with its text. One of a policy that the registry does not have (a claim's rights) has none.
fn cite(registry: &Registry, statement: &StatementRef) -> Statement {
    let name = PolicyName::new(statement.policy.as_str()).ok();
    let document = name.and_then(|name| registry.policy(&name)).map(|record| record.text.as_str());
    cited(statement, document)
}

fn policy(registry: &Registry, record: &PolicyRecord) -> Policy {
    Policy {
        name: record.name.to_string(),
        text: record.text.clone(),
        spread: Some(Spread {
            versions: record.all_versions().len(),
            targets: Some(registry.policy_targets(&record.name).len()),
        }),
    }
}

/// The action, and what it is done to, as policies name it.
fn asked(account: &Account, question: &Question) -> (fleetkey_policy::Action, String) {
    let (scope, topic) = (account.scope(), question.topic.as_str());
    let resource = match question.action {
        Action::Connect => scope.client(&question.client),
        Action::Subscribe => scope.topic_filter(topic),
        Action::Publish | Action::Receive | Action::RetainPublish => scope.topic(topic),
    };
    (action(question.action), resource)
}
