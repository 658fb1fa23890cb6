//! Versions of a policy: CreatePolicyVersion, SetDefaultPolicyVersion, DeletePolicyVersion.

use fleetkey_model::name::PolicyName;
use fleetkey_model::time::Timestamp;

use super::parse;
use crate::registry::quota::MAX_VERSIONS;
use crate::registry::{Change, Draft, Plan, PolicyRecord, Registry, RegistryError};

impl Registry {
    /// CreatePolicyVersion: the number of the new version.
    ///
    /// # Errors
    /// When the policy does not exist, the document does not parse, or there are [`MAX_VERSIONS`] already.
    pub fn plan_create_policy_version(
        &self,
        name: &PolicyName,
        text: &str,
        set_as_default: bool,
        now: Timestamp,
    ) -> Result<Plan<u32>, RegistryError> {
        let mut draft = Draft::new(self);
        let mut policy = draft.policy(name)?.clone();
        parse(text)?;
        let id = policy.versions.add(text.to_owned(), now).map_err(|_| RegistryError::TooManyVersions {
            what: format!("policy {name}"),
            max: MAX_VERSIONS,
        })?;
        if set_as_default {
            policy.make_default(id)?;
        }
        policy.last_modified = now;
        draft.write(Change::PutPolicy(policy.into()));
        Ok(draft.plan(id))
    }

    /// SetDefaultPolicyVersion.
    ///
    /// # Errors
    /// When policy or version do not exist.
    pub fn plan_set_default_policy_version(
        &self,
        name: &PolicyName,
        id: u32,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let mut policy = draft.policy(name)?.clone();
        if policy.versions.default != id {
            policy.make_default(id)?;
            policy.last_modified = now;
            draft.write(Change::PutPolicy(policy.into()));
        }
        Ok(draft.plan(()))
    }

    /// DeletePolicyVersion.
    ///
    /// # Errors
    /// When policy or version do not exist, or the version is the default.
    pub fn plan_delete_policy_version(
        &self,
        name: &PolicyName,
        id: u32,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let mut policy = draft.policy(name)?.clone();
        if policy.versions.default == id {
            return Err(RegistryError::DefaultPolicyVersion(name.clone()));
        }
        policy.versions.remove(id).map_err(|_| policy.no_version(id))?;
        policy.last_modified = now;
        draft.write(Change::PutPolicy(policy.into()));
        Ok(draft.plan(()))
    }
}

impl PolicyRecord {
    fn make_default(&mut self, id: u32) -> Result<(), RegistryError> {
        let missing = self.no_version(id);
        self.versions.set_default(id, &mut self.text).map_err(|_| missing)?;
        self.document = parse(&self.text)?;
        Ok(())
    }
}
