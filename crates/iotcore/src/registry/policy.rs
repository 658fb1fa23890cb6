//! Policies: a name and a document that parses.
//!
//! A policy has one version here, `1`; versions come with the REST API. Evaluation is the policy crate's.

use std::sync::Arc;

use fleetkey_model::name::PolicyName;
use fleetkey_model::time::Timestamp;
use fleetkey_policy::PolicyDocument;
use serde::{Deserialize, Serialize};

use super::{Change, Draft, Plan, Registry, RegistryError};

/// A policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "PolicyRow", into = "PolicyRow")]
pub struct PolicyRecord {
    /// Its name, which is its identity.
    pub name: PolicyName,
    /// The document as it was written.
    pub text: String,
    /// The same, parsed.
    pub document: Arc<PolicyDocument>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Equal policies are equal texts.
impl PartialEq for PolicyRecord {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.text, self.created_at) == (&other.name, &other.text, other.created_at)
    }
}

impl Eq for PolicyRecord {}

impl PolicyRecord {
    fn parse(name: PolicyName, text: String, created_at: Timestamp) -> Result<Self, RegistryError> {
        let document = PolicyDocument::parse(&text)
            .map_err(|error| RegistryError::MalformedPolicy(error.to_string()))?
            .into();
        Ok(Self { name, text, document, created_at })
    }
}

/// A policy as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct PolicyRow {
    name: PolicyName,
    text: String,
    created_at: Timestamp,
}

impl TryFrom<PolicyRow> for PolicyRecord {
    type Error = RegistryError;

    fn try_from(row: PolicyRow) -> Result<Self, RegistryError> {
        Self::parse(row.name, row.text, row.created_at)
    }
}

impl From<PolicyRecord> for PolicyRow {
    fn from(record: PolicyRecord) -> Self {
        Self { name: record.name, text: record.text, created_at: record.created_at }
    }
}

impl Registry {
    /// CreatePolicy.
    ///
    /// # Errors
    /// When the name is taken or the document does not parse.
    pub fn plan_create_policy(
        &self,
        name: &PolicyName,
        text: &str,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.create_policy(name, text, now)?;
        Ok(draft.plan(()))
    }

    /// CreatePolicyVersion with `setAsDefault`: the new document replaces the old one everywhere.
    ///
    /// # Errors
    /// When the policy does not exist or the document does not parse.
    pub fn plan_replace_policy(&self, name: &PolicyName, text: &str) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let before = draft.policy(name)?;
        let after = PolicyRecord::parse(name.clone(), text.to_owned(), before.created_at)?;
        if *before != after {
            draft.write(Change::PutPolicy(after.into()));
        }
        Ok(draft.plan(()))
    }

    /// DeletePolicy.
    ///
    /// # Errors
    /// When the policy does not exist or is attached to a certificate or a group.
    pub fn plan_delete_policy(&self, name: &PolicyName) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.policy(name)?;
        let in_groups = self.groups().any(|group| group.policies.contains(name));
        if in_groups || self.policy_principals.contains_key(name) {
            return Err(RegistryError::PolicyAttached(name.clone()));
        }
        draft.write(Change::DeletePolicy(name.clone()));
        Ok(draft.plan(()))
    }
}

impl Draft<'_> {
    /// See [`Registry::plan_create_policy`].
    pub(crate) fn create_policy(
        &mut self,
        name: &PolicyName,
        text: &str,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        if self.find_policy(name).is_some() {
            return Err(RegistryError::PolicyExists(name.clone()));
        }
        let record = PolicyRecord::parse(name.clone(), text.to_owned(), now)?;
        self.write(Change::PutPolicy(record.into()));
        Ok(())
    }
}
