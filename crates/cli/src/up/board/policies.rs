//! Policies and their decisions, by the evaluator of the broker.

use fleetkey_dashboard::fleet::{Action, Decided, Policy, Question, Refused, Verdict};
use fleetkey_iotcore::account::{self, Account, Authorization};
use fleetkey_iotcore::limits::Switches;
use fleetkey_iotcore::registry::{PolicyRecord, Registry};
use fleetkey_model::certificate::CertificateId;
use fleetkey_policy::Outcome;

/// All policies.
pub(super) fn all(account: &Account) -> Vec<Policy> {
    let registry = account.store().read();
    registry.policies().map(|record| policy(&registry, record)).collect()
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
    let (decided, by) = match decision.outcome {
        Outcome::Allowed => (Decided::Allowed, decision.allowing),
        Outcome::ExplicitDeny => (Decided::ExplicitDeny, decision.denying),
        Outcome::ImplicitDeny => (Decided::ImplicitDeny, Default::default()),
    };
    let registry = account.store().read();
    let documents = decision.asked.iter().filter_map(|name| registry.policy(name));
    Verdict {
        decided,
        certificate,
        resource,
        by: by.iter().map(ToString::to_string).collect(),
        asked: documents.map(|record| policy(&registry, record)).collect(),
        missing: decision.missing.into_iter().collect(),
    }
}

fn policy(registry: &Registry, record: &PolicyRecord) -> Policy {
    Policy {
        name: record.name.to_string(),
        text: record.text.clone(),
        versions: record.all_versions().len(),
        targets: registry.policy_targets(&record.name).len(),
    }
}

/// The action, and what it is done to, as policies name it.
fn asked(account: &Account, question: &Question) -> (fleetkey_policy::Action, String) {
    use fleetkey_policy::Action as Asked;
    let (scope, topic) = (account.scope(), question.topic.as_str());
    match question.action {
        Action::Connect => (Asked::Connect, scope.client(&question.client)),
        Action::Publish => (Asked::Publish, scope.topic(topic)),
        Action::Subscribe => (Asked::Subscribe, scope.topic_filter(topic)),
        Action::Receive => (Asked::Receive, scope.topic(topic)),
        Action::RetainPublish => (Asked::RetainPublish, scope.topic(topic)),
    }
}
