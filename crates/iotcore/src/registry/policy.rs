//! Policies: a name and up to five versions of a document that parses, one of them in effect.
//!
//! Source: API Reference, CreatePolicy and its neighbours; the messages of conflicts are AWS's. Evaluation is the
//! policy crate's.

use std::sync::Arc;

use fleetkey_model::name::PolicyName;
use fleetkey_model::time::Timestamp;
use fleetkey_policy::PolicyDocument;
use serde::{Deserialize, Serialize};

use super::versions::{VersionRef, Versions};
use super::{Change, Draft, Plan, Registry, RegistryError, Tags, unique};

mod version;

/// A policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "PolicyRow", into = "PolicyRow")]
pub struct PolicyRecord {
    /// Its name, which is its identity.
    pub name: PolicyName,
    /// The default version's document as it was written.
    pub text: String,
    /// The same, parsed.
    pub document: Arc<PolicyDocument>,
    /// The other versions, and the number of the default one.
    pub versions: Versions,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a version was last added, removed or made the default.
    pub last_modified: Timestamp,
    /// What the operator notes of it.
    pub tags: Tags,
}

/// Equal policies are equal texts.
impl PartialEq for PolicyRecord {
    fn eq(&self, other: &Self) -> bool {
        PolicyRow::from(self.clone()) == PolicyRow::from(other.clone())
    }
}

impl Eq for PolicyRecord {}

impl PolicyRecord {
    /// All versions in the order of their numbers.
    pub fn all_versions(&self) -> Vec<VersionRef<'_>> {
        self.versions.all(&self.text)
    }

    /// The version with this number.
    ///
    /// # Errors
    /// When there is none.
    pub fn version(&self, id: u32) -> Result<VersionRef<'_>, RegistryError> {
        self.versions.get(&self.text, id).ok_or_else(|| self.no_version(id))
    }

    /// The `generationId` of a version: another one whenever its document is another.
    pub fn generation(&self, version: &VersionRef<'_>) -> String {
        unique::generation("policy", &format!("{}/{}", self.name, version.id), version.created_at)
    }

    fn no_version(&self, version: u32) -> RegistryError {
        RegistryError::NoSuchPolicyVersion { policy: self.name.clone(), version }
    }

    fn new(name: PolicyName, text: String, now: Timestamp, tags: Tags) -> Result<Self, RegistryError> {
        let document = parse(&text)?;
        let versions = Versions::first(now);
        Ok(Self { name, text, document, versions, created_at: now, last_modified: now, tags })
    }
}

/// A policy as it is stored. What came later than the first format has a default.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct PolicyRow {
    name: PolicyName,
    text: String,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    versions: Option<Versions>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
}

impl TryFrom<PolicyRow> for PolicyRecord {
    type Error = RegistryError;

    fn try_from(row: PolicyRow) -> Result<Self, RegistryError> {
        Ok(Self {
            document: parse(&row.text)?,
            versions: row.versions.unwrap_or_else(|| Versions::first(row.created_at)),
            last_modified: row.last_modified.unwrap_or(row.created_at),
            name: row.name,
            text: row.text,
            created_at: row.created_at,
            tags: row.tags,
        })
    }
}

impl From<PolicyRecord> for PolicyRow {
    fn from(record: PolicyRecord) -> Self {
        Self {
            name: record.name,
            text: record.text,
            created_at: record.created_at,
            last_modified: Some(record.last_modified),
            versions: Some(record.versions),
            tags: record.tags,
        }
    }
}

impl Registry {
    /// CreatePolicy without tags.
    ///
    /// # Errors
    /// When the name is taken or the document does not parse.
    pub fn plan_create_policy(
        &self,
        name: &PolicyName,
        text: &str,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        self.plan_create_tagged_policy(name, text, Tags::default(), now)
    }

    /// CreatePolicy: version 1, which is the default.
    ///
    /// # Errors
    /// When the name is taken or the document does not parse.
    pub fn plan_create_tagged_policy(
        &self,
        name: &PolicyName,
        text: &str,
        tags: Tags,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.create_policy(name, text, tags, now)?;
        Ok(draft.plan(()))
    }

    /// Another document for the default version. AWS has no such operation: there it is CreatePolicyVersion with
    /// `setAsDefault` and the deletion of the version before.
    ///
    /// # Errors
    /// When the policy does not exist or the document does not parse.
    pub fn plan_replace_policy(
        &self,
        name: &PolicyName,
        text: &str,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let before = draft.policy(name)?;
        if before.text != text {
            let mut after = before.clone();
            after.document = parse(text)?;
            text.clone_into(&mut after.text);
            after.last_modified = now;
            draft.write(Change::PutPolicy(after.into()));
        }
        Ok(draft.plan(()))
    }

    /// DeletePolicy.
    ///
    /// # Errors
    /// When the policy does not exist, is attached to a certificate or a group, or has versions besides the default.
    pub fn plan_delete_policy(&self, name: &PolicyName) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let policy = draft.policy(name)?;
        if !self.policy_targets(name).is_empty() {
            return Err(RegistryError::PolicyAttached(name.clone()));
        }
        if !policy.versions.others.is_empty() {
            return Err(RegistryError::PolicyHasVersions(name.clone()));
        }
        draft.write(Change::DeletePolicy(name.clone()));
        Ok(draft.plan(()))
    }
}

impl Draft<'_> {
    /// See [`Registry::plan_create_tagged_policy`].
    pub(crate) fn create_policy(
        &mut self,
        name: &PolicyName,
        text: &str,
        tags: Tags,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        if self.find_policy(name).is_some() {
            return Err(RegistryError::PolicyExists(name.clone()));
        }
        let record = PolicyRecord::new(name.clone(), text.to_owned(), now, tags)?;
        self.write(Change::PutPolicy(record.into()));
        Ok(())
    }
}

fn parse(text: &str) -> Result<Arc<PolicyDocument>, RegistryError> {
    let document = PolicyDocument::parse(text);
    document.map(Arc::new).map_err(|error| RegistryError::MalformedPolicy(error.to_string()))
}
