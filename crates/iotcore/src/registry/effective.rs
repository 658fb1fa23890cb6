//! Which policies count for whom: ListAttachedPolicies, ListTargetsForPolicy, GetEffectivePolicies.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{PolicyName, ThingName};
use fleetkey_policy::PolicyDocument;

use super::{Registry, RegistryError, Target};

impl Registry {
    /// The policies in effect for a certificate: those attached to it and, if `thing` is given, those of the
    /// thing's groups and their ancestors, each once. AWS applies group policies only where the client id is
    /// the thing's name (Developer Guide, thing-groups): pass `thing` only then. A claim of CreateProvisioningClaim
    /// has its rights among them.
    pub fn policies_for(
        &self,
        id: &CertificateId,
        thing: Option<&ThingName>,
    ) -> Vec<(PolicyName, Arc<PolicyDocument>)> {
        let names = self.effective_policies(Some(id), thing);
        let policies = names.into_iter().filter_map(|name| self.policy(name));
        let attached = policies.map(|policy| (policy.name.clone(), policy.document.clone()));
        attached.chain(self.claim_rights(id)).collect()
    }

    /// GetEffectivePolicies: the names of the same, for a certificate, a thing, or both together.
    pub fn effective_policies(
        &self,
        id: Option<&CertificateId>,
        thing: Option<&ThingName>,
    ) -> BTreeSet<&PolicyName> {
        let mut names = BTreeSet::new();
        let certificate = id.and_then(|id| self.certificate(id));
        names.extend(certificate.into_iter().flat_map(|record| &record.policies));
        let thing = thing.and_then(|name| self.thing(name));
        for group in thing.into_iter().flat_map(|thing| &thing.groups) {
            names.extend(self.lineage(group).flat_map(|group| &group.policies));
        }
        names
    }

    /// ListAttachedPolicies: the policies attached to a target; with `recursive`, those of a group's ancestors too.
    ///
    /// # Errors
    /// When the target does not exist.
    pub fn attached_policies(
        &self,
        target: &Target,
        recursive: bool,
    ) -> Result<BTreeSet<&PolicyName>, RegistryError> {
        match target {
            Target::Certificate(id) => Ok(self.require_certificate(id)?.policies.iter().collect()),
            Target::Group(name) => {
                let group = self.require_group(name)?;
                let depth = if recursive { usize::MAX } else { 1 };
                Ok(self.lineage(&group.name).take(depth).flat_map(|group| &group.policies).collect())
            }
        }
    }

    /// ListTargetsForPolicy: the certificates and groups that a policy is attached to; none if it does not exist.
    pub fn policy_targets(&self, name: &PolicyName) -> BTreeSet<Target> {
        let certificates = self.policy_principals.get(name).into_iter().flatten();
        let groups = self.groups().filter(|group| group.policies.contains(name));
        certificates
            .map(|id| Target::Certificate(*id))
            .chain(groups.map(|group| Target::Group(group.name.clone())))
            .collect()
    }
}
