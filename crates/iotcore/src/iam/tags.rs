//! Tags of roles: TagRole, UntagRole.

use std::collections::BTreeMap;

use super::{Iam, IamError, name};

/// Tags of one role.
const MAX_TAGS: usize = 50;

impl Iam {
    /// TagRole: adds tags, or changes their values.
    ///
    /// # Errors
    /// When there is no such role, or a tag is wrong or one too many.
    pub(crate) async fn tag_role(&self, role: &str, tags: Vec<(String, String)>) -> Result<(), IamError> {
        self.edit_role(role, |role| {
            role.tags = merged(&role.tags, tags)?;
            Ok(())
        })
        .await
    }

    /// UntagRole. A tag that is not there is no error.
    ///
    /// # Errors
    /// When there is no such role.
    pub(crate) async fn untag_role(&self, role: &str, keys: &[String]) -> Result<(), IamError> {
        self.edit_role(role, |role| {
            role.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }
}

/// `old` with `new` over it.
pub(super) fn merged(
    old: &BTreeMap<String, String>,
    new: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, IamError> {
    let mut tags = old.clone();
    for (key, value) in new {
        if key.is_empty() || key.chars().count() > 128 {
            return Err(name::violation("tags.key", &key, "Member must have length between 1 and 128"));
        }
        if value.chars().count() > 256 {
            return Err(name::violation(
                "tags.value",
                &value,
                "Member must have length less than or equal to 256",
            ));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = "Tag keys beginning with aws: are reserved for system use.".to_owned();
            return Err(IamError::InvalidInput(message));
        }
        tags.insert(key, value);
    }
    if tags.len() > MAX_TAGS {
        return Err(IamError::quota("TagsPerRole", MAX_TAGS));
    }
    Ok(tags)
}
