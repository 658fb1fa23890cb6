//! Roles of IAM with one inline policy.

use aws_sdk_iam::types::Tag;
use fleetkey_operator::cloud::{Found, Spec, Tags};
use fleetkey_operator::control_plane::{ApiError, Done};

use crate::Aws;
use crate::error::{gone, optional, refused};
use crate::permit::Command::{Cleanup, Setup, Status};
use crate::permit::{On, Permit};
use crate::tags::unfinished;

pub(crate) const PERMITS: &[Permit] = &[
    Permit { call: "iam:GetRole", also: &[], on: On::Roles, by: &[Setup, Cleanup, Status] },
    Permit { call: "iam:GetRolePolicy", also: &[], on: On::Roles, by: &[Setup, Cleanup, Status] },
    Permit { call: "iam:CreateRole", also: &["iam:TagRole"], on: On::Roles, by: &[Setup] },
    Permit { call: "iam:PutRolePolicy", also: &[], on: On::Roles, by: &[Setup] },
    Permit { call: "iam:UpdateAssumeRolePolicy", also: &[], on: On::Roles, by: &[Setup] },
    Permit { call: "iam:TagRole", also: &[], on: On::Roles, by: &[Setup] },
    Permit { call: "iam:ListAttachedRolePolicies", also: &[], on: On::Roles, by: &[Cleanup] },
    Permit { call: "iam:DetachRolePolicy", also: &[], on: On::Roles, by: &[Cleanup] },
    Permit { call: "iam:ListRolePolicies", also: &[], on: On::Roles, by: &[Cleanup] },
    Permit { call: "iam:DeleteRolePolicy", also: &[], on: On::Roles, by: &[Cleanup] },
    Permit { call: "iam:DeleteRole", also: &[], on: On::Roles, by: &[Cleanup] },
];

/// The name of the one inline policy.
const INLINE: &str = "fleetkey";

impl Aws {
    pub(crate) async fn look_at_role(&self, name: &str) -> Result<Option<Found>, ApiError> {
        let answer = optional(self.iam.get_role().role_name(name).send().await.map_err(refused))?;
        let Some(role) = answer.and_then(|answer| answer.role) else {
            return Ok(None);
        };
        let call = self.iam.get_role_policy().role_name(name).policy_name(INLINE).send();
        let inline = optional(call.await.map_err(refused))?;
        let permissions = inline.map_or_else(String::new, |inline| decoded(inline.policy_document()));
        let trust = decoded(role.assume_role_policy_document().unwrap_or_default());
        let tags = role.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
        Ok(Some(Found { spec: Spec::Role { trust, permissions }, tags }))
    }

    /// Makes the role and gives it its policy; what comes between is made good by the next look.
    pub(crate) async fn make_role(&self, name: &str, trust: &str, permissions: &str, tags: &Tags) -> Done {
        let call = self.iam.create_role().role_name(name).assume_role_policy_document(trust);
        call.set_tags(Some(iam_tags(tags)?)).send().await.map_err(refused)?;
        self.put_permissions(name, permissions).await
    }

    pub(crate) async fn change_role(&self, name: &str, trust: &str, permissions: &str) -> Done {
        let call = self.iam.update_assume_role_policy().role_name(name).policy_document(trust);
        call.send().await.map_err(refused)?;
        self.put_permissions(name, permissions).await
    }

    pub(crate) async fn tag_role(&self, name: &str, tags: &Tags) -> Done {
        let call = self.iam.tag_role().role_name(name).set_tags(Some(iam_tags(tags)?));
        call.send().await.map(drop).map_err(refused)
    }

    /// Takes every policy off the role and deletes it.
    pub(crate) async fn drop_role(&self, name: &str) -> Done {
        for arn in self.managed_policies(name).await? {
            let call = self.iam.detach_role_policy().role_name(name).policy_arn(arn);
            gone(call.send().await.map_err(refused))?;
        }
        for policy in self.inline_policies(name).await? {
            let call = self.iam.delete_role_policy().role_name(name).policy_name(policy);
            gone(call.send().await.map_err(refused))?;
        }
        gone(self.iam.delete_role().role_name(name).send().await.map_err(refused))
    }

    async fn put_permissions(&self, name: &str, permissions: &str) -> Done {
        let call = self.iam.put_role_policy().role_name(name).policy_name(INLINE);
        call.policy_document(permissions).send().await.map(drop).map_err(refused)
    }

    async fn managed_policies(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let mut pages =
            self.iam.list_attached_role_policies().role_name(name).into_paginator().items().send();
        let mut arns = Vec::new();
        while let Some(policy) = pages.next().await {
            match policy.map_err(refused) {
                Ok(policy) => arns.extend(policy.policy_arn().map(str::to_owned)),
                Err(ApiError::NotFound(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        Ok(arns)
    }

    async fn inline_policies(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let mut pages = self.iam.list_role_policies().role_name(name).into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(policy) = pages.next().await {
            match policy.map_err(refused) {
                Ok(policy) => names.push(policy),
                Err(ApiError::NotFound(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }
}

fn iam_tags(tags: &Tags) -> Result<Vec<Tag>, ApiError> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter().map(tag).collect::<Result<_, _>>().map_err(unfinished)
}

/// IAM gives documents percent-encoded (API Reference, GetRole); one that is not stays as it is.
fn decoded(document: &str) -> String {
    if document.starts_with('{') {
        return document.to_owned();
    }
    let mut bytes = Vec::with_capacity(document.len());
    let mut rest = document.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits: String = rest.by_ref().take(2).map(char::from).collect();
        bytes.extend(u8::from_str_radix(&digits, 16));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_however_it_travels() {
        assert_eq!(decoded("%7B%22a%22%3A%20%22%C3%A4%22%7D"), "{\"a\": \"ä\"}");
        assert_eq!(decoded(r#"{"a":"100%"}"#), r#"{"a":"100%"}"#);
        assert_eq!(decoded("%7"), "\u{7}");
    }
}
