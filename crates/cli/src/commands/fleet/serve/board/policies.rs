//! Policies, and why something was denied: asked of the account when a page wants to know, decided by the broker's own
//! evaluator. The controller itself needs none of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail, ensure};
use fleetkey_aws::WrittenVersion;
use fleetkey_dashboard::fleet::{
    Action, Decided, Known, Policy, PolicyVersion, Question, Refused, Spread, Verdict,
};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::PolicyName;
use fleetkey_operator::cloud::{Cloud, Key, Kind, Spec};
use fleetkey_operator::diagnosis::{Diagnosis, Judged, Records, Standing};
use fleetkey_operator::inventory::current;
use fleetkey_operator::plan::{Patience, scope_of};
use fleetkey_policy::{Outcome, StatementRef};

use super::doors::Asked;
use super::reading::WITHIN;
use super::{Board, Office};
use crate::cited::{action, cited};

/// How many verdicts are kept.
const KEPT: usize = 64;

/// What was asked of policies, and what the account said.
#[derive(Debug, Clone, Default)]
pub(super) struct Policies {
    all: Asked<Vec<Policy>>,
    /// By the name of the policy; of the fleet's own only.
    versions: Arc<Mutex<BTreeMap<String, Asked<Vec<PolicyVersion>>>>>,
    verdicts: Arc<Mutex<BTreeMap<String, Asked<Verdict>>>>,
}

impl Board {
    /// The fleet's own.
    pub(super) fn own_policies(&self) -> Known<Vec<Policy>> {
        let (office, closed) = (self.office.clone(), self.closed.clone());
        let ask = async move { office.read((&closed, WITHIN), Office::policies).await };
        self.policies.all.look(&self.hub, ask)
    }

    /// All versions of one of the fleet's own.
    pub(super) fn versions_of(&self, name: &str) -> Known<Vec<PolicyVersion>> {
        let policy = match self.own_policies() {
            Known::Told(all) => all.into_iter().find(|policy| policy.name == name),
            Known::Asked => return Known::Asked,
            Known::Refused(words) => return Known::Refused(words),
            Known::Elsewhere => return Known::Elsewhere,
        };
        let Some(name) = policy.and_then(|policy| PolicyName::new(policy.name).ok()) else {
            return Known::Told(Vec::new());
        };
        let asked = self.policies.versions(&name);
        let (office, closed) = (self.office.clone(), self.closed.clone());
        let versions = move |office: Office| office.versions(name);
        let ask = async move { office.read((&closed, WITHIN), versions).await };
        asked.look(&self.hub, ask)
    }

    /// What the broker would decide; `None` while the account is asked.
    pub(super) fn judged(&self, question: &Question) -> Result<Option<Verdict>, Refused> {
        let thing = &question.thing;
        let in_use = self.watch.look(|store, _| current(store, store.thing(thing)?));
        let certificate = in_use
            .ok_or_else(|| Refused(format!("there is no device {thing}, or it has no certificate in use")))?;
        let asked = self.policies.verdict(question, certificate);
        let (office, closed, question) = (self.office.clone(), self.closed.clone(), question.clone());
        let judge = move |office: Office| office.judge(question, certificate);
        let ask = async move { office.read((&closed, WITHIN), judge).await };
        match asked.look(&self.hub, ask) {
            Known::Told(verdict) => Ok(Some(verdict)),
            Known::Asked | Known::Elsewhere => Ok(None),
            Known::Refused(words) => Err(Refused(words)),
        }
    }
}

impl Policies {
    /// The account is another now.
    pub(super) fn forget(&self) {
        self.all.forget();
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The place of a policy's versions.
    fn versions(&self, name: &PolicyName) -> Asked<Vec<PolicyVersion>> {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.entry(name.to_string()).or_default().clone()
    }

    /// The place of a question's answer.
    fn verdict(&self, question: &Question, certificate: CertificateId) -> Asked<Verdict> {
        let Question { thing, client, action, topic } = question;
        let key = format!("{thing} {client} {} {certificate} {topic}", action.name());
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if verdicts.len() >= KEPT && !verdicts.contains_key(&key) {
            verdicts.clear();
        }
        verdicts.entry(key).or_default().clone()
    }
}

impl Office {
    async fn policies(self) -> Result<Vec<Policy>> {
        let aws = self.account().await;
        let who = Patience::ASKING.call(|_| {}, || aws.identity()).await?;
        let wanted = self.settings.wanted(scope_of(&who))?;
        let names = &wanted.fleet.names;
        let mut all = Vec::new();
        for name in
            [&names.claim_policy, &names.controller_policy, &names.device_policy, &names.observer_policy]
        {
            let key = Key::new(Kind::Policy, name.as_str());
            let found = Patience::ASKING.call(|_| {}, || aws.look(&key)).await?;
            if let Some(Spec::Policy { document }) = found.map(|found| found.spec) {
                let versions = Patience::ASKING.call(|_| {}, || aws.count_versions(name)).await?;
                let spread = Some(Spread { versions, targets: None });
                all.push(Policy { name: name.to_string(), text: document, spread });
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    async fn versions(self, name: PolicyName) -> Result<Vec<PolicyVersion>> {
        let aws = self.account().await;
        let written = Patience::ASKING.call(|_| {}, || aws.written_versions(&name)).await?;
        let version = |written: WrittenVersion| {
            let WrittenVersion { id, document, created, is_default } = written;
            Some(PolicyVersion { id: id.parse().ok()?, text: document, created, in_effect: is_default })
        };
        Ok(written.into_iter().filter_map(version).collect())
    }

    async fn judge(self, question: Question, certificate: CertificateId) -> Result<Verdict> {
        let aws = self.account().await;
        let who = Patience::ASKING.call(|_| {}, || aws.identity()).await?;
        let thing = &question.thing;
        let standing = Patience::ASKING.call(|_| {}, || aws.standing(&certificate, thing)).await?;
        let scope = scope_of(&who);
        let diagnosis = Diagnosis::new(&scope, certificate, thing, &standing);
        if let Some(unread) = diagnosis.unread().first() {
            bail!("{unread}");
        }
        ensure!(standing.status.is_some(), "the certificate is not registered any more");
        let name = match question.action {
            Action::Connect => question.client.as_str(),
            _ => question.topic.as_str(),
        };
        let judged = diagnosis.judge(action(question.action), name, &question.client);
        Ok(verdict(certificate, &standing, judged))
    }
}

fn verdict(certificate: CertificateId, standing: &Standing, judged: Judged) -> Verdict {
    let Judged { resource, decision, near } = judged;
    let text = |name: &str| {
        let mut known = standing.policies.iter();
        known.find(|(policy, _)| policy == name).map(|(_, text)| text.as_str())
    };
    let cite = |statements: Vec<StatementRef>| {
        statements.iter().map(|statement| cited(statement, text(&statement.policy))).collect()
    };
    let policy =
        |(name, text): &(String, String)| Policy { name: name.clone(), text: text.clone(), spread: None };
    Verdict {
        decided: match decision.outcome {
            Outcome::Allowed => Decided::Allowed,
            Outcome::ExplicitDeny => Decided::ExplicitDeny,
            Outcome::ImplicitDeny => Decided::ImplicitDeny,
        },
        certificate,
        resource,
        by: cite(decision.by),
        near: cite(near),
        asked: standing.policies.iter().map(policy).collect(),
        missing: decision.unresolved,
    }
}
