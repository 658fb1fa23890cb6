//! Inline policies of a role: PutRolePolicy, GetRolePolicy, ListRolePolicies, DeleteRolePolicy.

use super::document::{self, Kind};
use super::{Iam, IamError, name};

/// Characters of all inline policies of a role together, white space not counted.
const MAX_INLINE: usize = 10_240;

impl Iam {
    /// PutRolePolicy.
    ///
    /// # Errors
    /// When there is no such role, the document is no policy, or all of them are too long.
    pub(crate) async fn put_role_policy(
        &self,
        role: &str,
        policy: &str,
        document: String,
    ) -> Result<(), IamError> {
        name::check("policyName", policy, 128)?;
        document::check(&document, Kind::Identity)?;
        self.edit_role(role, |record| {
            record.inline.insert(policy.to_owned(), document);
            let size =
                record.inline.values().flat_map(|text| text.chars()).filter(|c| !c.is_whitespace()).count();
            if size > MAX_INLINE {
                let message = format!("Maximum policy size of {MAX_INLINE} bytes exceeded for role {role}");
                return Err(IamError::LimitExceeded(message));
            }
            Ok(())
        })
        .await
    }

    /// GetRolePolicy: the document.
    ///
    /// # Errors
    /// When there is no such role or policy.
    pub(crate) fn role_policy(&self, role: &str, policy: &str) -> Result<String, IamError> {
        self.role(role)?.inline.get(policy).cloned().ok_or_else(|| no_inline(policy))
    }

    /// DeleteRolePolicy.
    ///
    /// # Errors
    /// When there is no such role or policy.
    pub(crate) async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<(), IamError> {
        self.edit_role(role, |role| match role.inline.remove(policy) {
            Some(_) => Ok(()),
            None => Err(no_inline(policy)),
        })
        .await
    }
}

fn no_inline(policy: &str) -> IamError {
    IamError::NoSuchEntity(format!("The role policy with name {policy} cannot be found."))
}
