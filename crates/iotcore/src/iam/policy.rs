//! Managed policies: CreatePolicy, GetPolicy, ListPolicies, DeletePolicy, and their versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::document::{self, Kind};
use super::{Iam, IamError, managed, name, tags};

/// Policies that an account may make.
const MAX_POLICIES: usize = 1500;
/// Versions of one policy.
const MAX_VERSIONS: usize = 5;
/// Characters of a document, white space not counted.
const MAX_DOCUMENT: usize = 6144;

/// A managed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) path: String,
    /// `ANPA…`.
    pub(crate) id: String,
    pub(crate) description: Option<String>,
    /// The version in force.
    pub(crate) default_version: u32,
    /// The highest number that was ever given.
    pub(crate) newest_version: u32,
    pub(crate) versions: BTreeMap<u32, PolicyVersion>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) tags: BTreeMap<String, String>,
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyVersion {
    pub(crate) document: String,
    pub(crate) created_at: Timestamp,
}

/// CreatePolicy's input.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewPolicy {
    pub(crate) name: String,
    pub(crate) path: Option<String>,
    pub(crate) document: String,
    pub(crate) description: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
}

/// Whose policies are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PolicyScope {
    /// AWS's and the account's.
    #[default]
    All,
    /// AWS's.
    Aws,
    /// The account's.
    Local,
}

impl Iam {
    /// CreatePolicy.
    ///
    /// # Errors
    /// When the name is taken or wrong, or the document is no policy.
    pub(crate) async fn create_policy(&self, new: NewPolicy) -> Result<Arc<Policy>, IamError> {
        let policy = Arc::new(self.new_policy(new)?);
        self.state
            .change(|state| {
                if state.policies.values().any(|other| other.name.eq_ignore_ascii_case(&policy.name)) {
                    let name = &policy.name;
                    let message =
                        format!("A policy called {name} already exists. Duplicate names are not allowed.");
                    return Err(IamError::AlreadyExists(message));
                }
                if state.policies.len() >= MAX_POLICIES {
                    return Err(IamError::quota("PoliciesPerAccount", MAX_POLICIES));
                }
                state.policies.insert(policy.arn.clone(), policy.clone());
                Ok(policy)
            })
            .await
    }

    /// GetPolicy.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn policy(&self, arn: &str) -> Result<Arc<Policy>, IamError> {
        let own = self.state.read().policies.get(arn).cloned();
        let found = own.or_else(|| managed::all().find(|policy| policy.arn == arn));
        found.ok_or_else(|| IamError::no_policy(arn))
    }

    /// ListPolicies: by ARN.
    pub(crate) fn policies(&self, scope: PolicyScope, path_prefix: &str) -> Vec<Arc<Policy>> {
        let own = self.state.read();
        let own = own.policies.values().filter(|_| scope != PolicyScope::Aws).cloned();
        let aws = managed::all().filter(|_| scope != PolicyScope::Local);
        let mut all: Vec<_> = own.chain(aws).filter(|policy| policy.path.starts_with(path_prefix)).collect();
        all.sort_by(|a, b| a.arn.cmp(&b.arn));
        all
    }

    /// On how many roles a policy is.
    pub(crate) fn attachment_count(&self, arn: &str) -> usize {
        self.state.read().roles.values().filter(|role| role.attached.contains(arn)).count()
    }

    /// DeletePolicy.
    ///
    /// # Errors
    /// When there is none, it is on a role, or has further versions.
    pub(crate) async fn delete_policy(&self, arn: &str) -> Result<(), IamError> {
        not_awss(arn)?;
        self.state
            .change(|state| {
                let policy = state.policies.get(arn).ok_or_else(|| IamError::no_policy(arn))?;
                if state.roles.values().any(|role| role.attached.contains(arn)) {
                    return Err(IamError::DeleteConflict("Cannot delete a policy attached to entities."));
                }
                if policy.versions.len() > 1 {
                    return Err(IamError::DeleteConflict(
                        "This policy has more than one version. Before you delete a policy, you must delete the \
                         policy's versions. The default version is deleted with the policy.",
                    ));
                }
                state.policies.remove(arn);
                Ok(())
            })
            .await
    }

    /// CreatePolicyVersion: its number.
    ///
    /// # Errors
    /// When there is no such policy, the document is none, or there are five versions.
    pub(crate) async fn create_policy_version(
        &self,
        arn: &str,
        document: String,
        set_as_default: bool,
    ) -> Result<u32, IamError> {
        check_document(&document)?;
        let created_at = self.clock.now();
        self.edit_policy(arn, |policy| {
            if policy.versions.len() >= MAX_VERSIONS {
                return Err(IamError::LimitExceeded(format!(
                    "A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you \
                     must delete an existing version."
                )));
            }
            let number = policy.newest_version.saturating_add(1);
            policy.newest_version = number;
            policy.versions.insert(number, PolicyVersion { document, created_at });
            if set_as_default {
                policy.default_version = number;
            }
            policy.updated_at = created_at;
            Ok(number)
        })
        .await
    }

    /// SetDefaultPolicyVersion.
    ///
    /// # Errors
    /// When there is no such policy or version.
    pub(crate) async fn set_default_version(&self, arn: &str, version: &str) -> Result<(), IamError> {
        let updated_at = self.clock.now();
        self.edit_policy(arn, |policy| {
            policy.default_version = policy.version(version)?.0;
            policy.updated_at = updated_at;
            Ok(())
        })
        .await
    }

    /// DeletePolicyVersion.
    ///
    /// # Errors
    /// When there is no such policy or version, or it is the one in force.
    pub(crate) async fn delete_policy_version(&self, arn: &str, version: &str) -> Result<(), IamError> {
        self.edit_policy(arn, |policy| {
            let (number, _) = policy.version(version)?;
            if number == policy.default_version {
                return Err(IamError::DeleteConflict("Cannot delete the default version of a policy."));
            }
            policy.versions.remove(&number);
            Ok(())
        })
        .await
    }

    async fn edit_policy<R>(
        &self,
        arn: &str,
        edit: impl FnOnce(&mut Policy) -> Result<R, IamError>,
    ) -> Result<R, IamError> {
        not_awss(arn)?;
        self.state
            .change(|state| {
                let policy = state.policies.get_mut(arn).ok_or_else(|| IamError::no_policy(arn))?;
                edit(Arc::make_mut(policy))
            })
            .await
    }

    fn new_policy(&self, new: NewPolicy) -> Result<Policy, IamError> {
        name::check("policyName", &new.name, 128)?;
        let path = new.path.unwrap_or_else(|| "/".to_owned());
        name::check_path(&path)?;
        name::check_description(new.description.as_deref())?;
        check_document(&new.document)?;
        let created_at = self.clock.now();
        let version = PolicyVersion { document: new.document, created_at };
        Ok(Policy {
            arn: self.arn(&format!("policy{path}{}", new.name)),
            name: new.name,
            path,
            id: name::identifier("ANPA")?,
            description: new.description,
            default_version: 1,
            newest_version: 1,
            versions: BTreeMap::from([(1, version)]),
            created_at,
            updated_at: created_at,
            tags: tags::merged(&BTreeMap::new(), new.tags)?,
        })
    }
}

impl Policy {
    /// The version that `v3` names.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn version(&self, version: &str) -> Result<(u32, &PolicyVersion), IamError> {
        let number = version.strip_prefix('v').and_then(|number| number.parse().ok());
        let found = number.and_then(|number| self.versions.get_key_value(&number));
        found.map(|(number, version)| (*number, version)).ok_or_else(|| {
            let message =
                format!("Policy {} version {version} does not exist or is not attachable.", self.arn);
            IamError::NoSuchEntity(message)
        })
    }
}

fn check_document(text: &str) -> Result<(), IamError> {
    document::check(text, Kind::Identity)?;
    if text.chars().filter(|c| !c.is_whitespace()).count() > MAX_DOCUMENT {
        return Err(IamError::quota("PolicySize", MAX_DOCUMENT));
    }
    Ok(())
}

/// AWS's own policies are read only.
fn not_awss(arn: &str) -> Result<(), IamError> {
    if managed::exists(arn) {
        let message = format!("Policy {arn} belongs to AWS: it cannot be changed or deleted.");
        return Err(IamError::AccessDenied(message));
    }
    Ok(())
}
