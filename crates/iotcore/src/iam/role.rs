//! Roles: CreateRole, GetRole, ListRoles, UpdateRole, UpdateAssumeRolePolicy, DeleteRole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetkey_model::arn::Scope;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::document::{self, Kind};
use super::{Iam, IamError, name, tags};

/// Roles of an account: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>.
const MAX_ROLES: usize = 1000;
/// Characters of a trust policy, white space not counted.
const MAX_TRUST: usize = 2048;
/// Seconds that a session may be allowed to last.
const SESSION: std::ops::RangeInclusive<u32> = 3600..=43_200;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Role {
    /// Unique in the account, whatever its case.
    pub(crate) name: String,
    /// `/`, or `/so/`.
    pub(crate) path: String,
    /// `AROA…`: another role of the same name has another.
    pub(crate) id: String,
    /// Who may take it, as it was written.
    pub(crate) trust: String,
    /// For people.
    pub(crate) description: Option<String>,
    /// Seconds.
    pub(crate) max_session: u32,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// Inline policies by name.
    pub(crate) inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub(crate) attached: BTreeSet<String>,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
}

/// CreateRole's input.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewRole {
    pub(crate) name: String,
    pub(crate) path: Option<String>,
    pub(crate) trust: String,
    pub(crate) description: Option<String>,
    pub(crate) max_session: Option<u32>,
    pub(crate) tags: Vec<(String, String)>,
}

impl Role {
    /// `arn:aws:iam::ACCOUNT:role/PATH/NAME`.
    pub(crate) fn arn(&self, scope: &Scope) -> String {
        format!("arn:{}:iam::{}:role{}{}", scope.partition, scope.account, self.path, self.name)
    }
}

impl Iam {
    /// CreateRole.
    ///
    /// # Errors
    /// When the name is taken or wrong, or the trust policy is none.
    pub(crate) async fn create_role(&self, new: NewRole) -> Result<Arc<Role>, IamError> {
        let role = Arc::new(self.new_role(new)?);
        self.state
            .change(|state| {
                if state.roles.keys().any(|other| other.eq_ignore_ascii_case(&role.name)) {
                    let message = format!("Role with name {} already exists.", role.name);
                    return Err(IamError::AlreadyExists(message));
                }
                if state.roles.len() >= MAX_ROLES {
                    return Err(IamError::quota("RolesPerAccount", MAX_ROLES));
                }
                state.roles.insert(role.name.clone(), role.clone());
                Ok(role)
            })
            .await
    }

    /// GetRole.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn role(&self, name: &str) -> Result<Arc<Role>, IamError> {
        self.state.read().roles.get(name).cloned().ok_or_else(|| IamError::no_role(name))
    }

    /// ListRoles: all under a path, by name.
    pub(crate) fn roles(&self, path_prefix: &str) -> Vec<Arc<Role>> {
        let state = self.state.read();
        state.roles.values().filter(|role| role.path.starts_with(path_prefix)).cloned().collect()
    }

    /// UpdateRole: what is `None` stays.
    ///
    /// # Errors
    /// When there is none, or a value is out of range.
    pub(crate) async fn update_role(
        &self,
        name: &str,
        description: Option<String>,
        max_session: Option<u32>,
    ) -> Result<(), IamError> {
        name::check_description(description.as_deref())?;
        let max_session = max_session.map(session).transpose()?;
        self.edit_role(name, |role| {
            role.max_session = max_session.unwrap_or(role.max_session);
            role.description = description.or_else(|| role.description.take());
            Ok(())
        })
        .await
    }

    /// UpdateAssumeRolePolicy.
    ///
    /// # Errors
    /// When there is no such role, or the policy is none.
    pub(crate) async fn update_trust(&self, name: &str, trust: String) -> Result<(), IamError> {
        check_trust(&trust)?;
        self.edit_role(name, |role| {
            role.trust = trust;
            Ok(())
        })
        .await
    }

    /// DeleteRole.
    ///
    /// # Errors
    /// When there is none, or it still has policies.
    pub(crate) async fn delete_role(&self, name: &str) -> Result<(), IamError> {
        self.state
            .change(|state| {
                let role = state.roles.get(name).ok_or_else(|| IamError::no_role(name))?;
                if !role.attached.is_empty() {
                    return Err(IamError::DeleteConflict(
                        "Cannot delete entity, must detach all policies first.",
                    ));
                }
                if !role.inline.is_empty() {
                    return Err(IamError::DeleteConflict(
                        "Cannot delete entity, must delete policies first.",
                    ));
                }
                state.roles.remove(name);
                Ok(())
            })
            .await
    }

    fn new_role(&self, new: NewRole) -> Result<Role, IamError> {
        name::check("roleName", &new.name, 64)?;
        let path = new.path.unwrap_or_else(|| "/".to_owned());
        name::check_path(&path)?;
        name::check_description(new.description.as_deref())?;
        check_trust(&new.trust)?;
        Ok(Role {
            max_session: new.max_session.map_or(Ok(*SESSION.start()), session)?,
            tags: tags::merged(&BTreeMap::new(), new.tags)?,
            id: name::identifier("AROA")?,
            name: new.name,
            path,
            trust: new.trust,
            description: new.description,
            created_at: self.clock.now(),
            inline: BTreeMap::new(),
            attached: BTreeSet::new(),
        })
    }
}

fn check_trust(trust: &str) -> Result<(), IamError> {
    document::check(trust, Kind::Trust)?;
    if trust.chars().filter(|c| !c.is_whitespace()).count() > MAX_TRUST {
        return Err(IamError::quota("ACLSizePerRole", MAX_TRUST));
    }
    Ok(())
}

fn session(seconds: u32) -> Result<u32, IamError> {
    if SESSION.contains(&seconds) {
        return Ok(seconds);
    }
    let constraint = if seconds < *SESSION.start() {
        "Member must have value greater than or equal to 3600"
    } else {
        "Member must have value less than or equal to 43200"
    };
    Err(name::violation("maxSessionDuration", &seconds.to_string(), constraint))
}
