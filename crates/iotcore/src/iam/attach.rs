//! Managed policies on a role: AttachRolePolicy, DetachRolePolicy.

use std::sync::Arc;

use super::{Iam, IamError, managed};

/// Managed policies of a role.
const MAX_ATTACHED: usize = 10;

impl Iam {
    /// AttachRolePolicy. Once more is no error.
    ///
    /// # Errors
    /// When there is no such role or policy, or the role has ten already.
    pub(crate) async fn attach_role_policy(&self, role: &str, arn: &str) -> Result<(), IamError> {
        self.state
            .change(|state| {
                if !managed::exists(arn) && !state.policies.contains_key(arn) {
                    let message = format!("Policy {arn} does not exist or is not attachable.");
                    return Err(IamError::NoSuchEntity(message));
                }
                let record = state.roles.get_mut(role).ok_or_else(|| IamError::no_role(role))?;
                let record = Arc::make_mut(record);
                record.attached.insert(arn.to_owned());
                if record.attached.len() > MAX_ATTACHED {
                    return Err(IamError::quota("PoliciesPerRole", MAX_ATTACHED));
                }
                Ok(())
            })
            .await
    }

    /// DetachRolePolicy.
    ///
    /// # Errors
    /// When there is no such role, or it does not have the policy.
    pub(crate) async fn detach_role_policy(&self, role: &str, arn: &str) -> Result<(), IamError> {
        self.edit_role(role, |record| match record.attached.remove(arn) {
            true => Ok(()),
            false => Err(IamError::no_policy(arn)),
        })
        .await
    }
}
