//! An operator that only looks: what set-up would do, and what of a fleet the account's lists tell.
//!
//! It neither takes the fleet directory nor opens the journal, so it waits for nobody and nobody waits for it; and there is no
//! way from it to a function that changes something. What it has seen may have changed when somebody acts on it: whoever acts
//! looks again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, PolicyName, ThingName};

use super::credential::{self, failed};
use super::{Operator, Plan, PlanError, Tools, Wanted, undo};
use crate::cloud::{Cloud, Key, Kind};

/// An operator that only looks.
pub struct Onlooker<'a, C>(Operator<'a, C>);

/// A fleet as the account's lists tell of it: a handful of calls, and one for every page of the lists, but none for a single
/// device. Which thing a certificate is on the lists do not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// The resources that are ours.
    pub resources: Vec<Key>,
    /// What has one of our names and was made by somebody else.
    pub foreign: Vec<Key>,
    /// Our own certificates, and what an earlier clean-up has left half removed, in the words of [`super::Doomed`].
    pub own: BTreeMap<CertificateId, String>,
    /// The things in our group, if that is ours.
    pub members: BTreeSet<ThingName>,
    /// The certificates that hold policies of ours, with those; the last of them names one that is on no thing.
    pub holders: BTreeMap<CertificateId, BTreeSet<PolicyName>>,
}

impl Sight {
    /// How a certificate that holds policies of ours and is on no thing is named in a plan.
    pub fn bereft(&self, id: &CertificateId) -> Option<String> {
        self.holders.get(id).and_then(BTreeSet::last).map(|policy| undo::bereft_words(id, policy))
    }
}

impl<C: Cloud> Operator<'_, C> {
    /// The things in our group, by its list alone; none where the group is not ours.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn members(&self, wanted: &Wanted) -> Result<BTreeSet<ThingName>, PlanError> {
        let group = &wanted.fleet.names.group;
        let key = Key::new(Kind::Group, group.as_str());
        let found = self.look(&key).await?;
        let ours = found.filter(|found| self.force || self.is_ours(&key, found)).map(|_| key);
        self.listed_members(group, ours.as_slice()).await
    }

    async fn listed_members(
        &self,
        group: &GroupName,
        ours: &[Key],
    ) -> Result<BTreeSet<ThingName>, PlanError> {
        if !ours.contains(&Key::new(Kind::Group, group.as_str())) {
            return Ok(BTreeSet::new());
        }
        let cloud = self.tools.cloud;
        let call = self.tools.making.call(|_| {}, || cloud.group_things(group)).await;
        Ok(call.map_err(failed(group.as_str()))?.into_iter().collect())
    }
}

impl<'a, C: Cloud> Onlooker<'a, C> {
    /// Looks at this fleet from its directory. With `force`, what somebody else has made is told of and not refused.
    ///
    /// # Errors
    /// When the directory is another fleet's, or the account does not say who we are.
    pub async fn open(
        tools: Tools<'a, C>,
        directory: &Path,
        fleet: &str,
        force: bool,
    ) -> Result<Self, PlanError> {
        Ok(Self(Operator::at(tools, directory, fleet, force).await?))
    }

    /// Where the fleet lives, as ARNs name it.
    pub fn scope(&self) -> Scope {
        self.0.scope()
    }

    /// What [`Operator::apply`] would do.
    ///
    /// # Errors
    /// As [`Operator::plan`].
    pub async fn plan(&self, wanted: &Wanted) -> Result<Plan, PlanError> {
        self.0.plan(wanted).await
    }

    /// What of the fleet there is, by lists alone. [`Operator::doomed`] finds what these hide: a certificate of ours whose
    /// making was never answered, and who is on which thing by now.
    ///
    /// # Errors
    /// When a call fails, or a credential file cannot be read.
    pub async fn sight(&self, wanted: &Wanted) -> Result<Sight, PlanError> {
        let operator = &self.0;
        let (ours, foreign) = operator.sort_out(wanted).await?;
        let resources: Vec<Key> = ours.into_iter().map(|(key, _)| key).collect();
        let mut own = BTreeMap::new();
        for (role, _) in credential::roles(&wanted.fleet) {
            let known = operator.recorded_ids(role);
            own.extend(known.into_iter().map(|id| (id, undo::own_words(role, &id))));
        }
        for id in &operator.state.leaving {
            own.entry(*id).or_insert_with(|| undo::leaving_words(id));
        }
        let (cloud, making) = (operator.tools.cloud, operator.tools.making);
        let members = operator.listed_members(&wanted.fleet.names.group, &resources).await?;
        let mut holders = BTreeMap::<_, BTreeSet<_>>::new();
        let policies = resources.iter().filter(|key| key.kind == Kind::Policy);
        for policy in policies.filter_map(|key| PolicyName::new(key.name.as_str()).ok()) {
            let call = making.call(|_| {}, || cloud.policy_certificates(&policy)).await;
            for id in call.map_err(failed(policy.as_str()))? {
                holders.entry(id).or_default().insert(policy.clone());
            }
        }
        Ok(Sight { resources, foreign, own, members, holders })
    }

    /// The things that a certificate is on: one call.
    ///
    /// # Errors
    /// When it fails.
    pub async fn things_of(&self, id: &CertificateId) -> Result<Vec<ThingName>, PlanError> {
        let (cloud, making) = (self.0.tools.cloud, self.0.tools.making);
        making.call(|_| {}, || cloud.certificate_things(id)).await.map_err(failed("a certificate"))
    }
}
