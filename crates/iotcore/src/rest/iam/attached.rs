//! Managed policies on roles.

use serde::Deserialize;
use serde_json::json;

use super::super::{Context, PageQuery, Refusal, Reply, Route, action};
use super::{listed, page};

pub(super) fn routes() -> Vec<Route> {
    vec![
        action("AttachRolePolicy", attach_role_policy),
        action("DetachRolePolicy", detach_role_policy),
        action("ListAttachedRolePolicies", list_attached_role_policies),
        action("ListEntitiesForPolicy", list_entities_for_policy),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    role_name: String,
    policy_arn: String,
}

async fn attach_role_policy(context: Context, input: Attachment) -> Result<Reply, Refusal> {
    context.iam.attach_role_policy(&input.role_name, &input.policy_arn).await?;
    Ok(Reply::empty())
}

async fn detach_role_policy(context: Context, input: Attachment) -> Result<Reply, Refusal> {
    context.iam.detach_role_policy(&input.role_name, &input.policy_arn).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListAttached {
    role_name: String,
    path_prefix: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list_attached_role_policies(context: Context, input: ListAttached) -> Result<Reply, Refusal> {
    let role = context.iam.role(&input.role_name)?;
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let policies = role.attached.iter().filter_map(|arn| context.iam.policy(arn).ok());
    let policies = policies.filter(|policy| policy.path.starts_with(prefix));
    let (policies, marker) = page(&input.page)?.cut(policies, |policy| policy.arn.clone());
    let policies: Vec<_> =
        policies.iter().map(|policy| json!({"PolicyName": policy.name, "PolicyArn": policy.arn})).collect();
    Ok(listed("AttachedPolicies", &policies, marker.as_deref()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListEntities {
    policy_arn: String,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list_entities_for_policy(context: Context, input: ListEntities) -> Result<Reply, Refusal> {
    let policy = context.iam.policy(&input.policy_arn)?;
    let roles = context.iam.roles("/").into_iter().filter(|role| role.attached.contains(&policy.arn));
    let (roles, marker) = page(&input.page)?.cut(roles, |role| role.name.clone());
    let roles: Vec<_> = roles.iter().map(|role| json!({"RoleName": role.name, "RoleId": role.id})).collect();
    Ok(Reply::json(&json!({
        "PolicyRoles": roles,
        "PolicyUsers": [],
        "PolicyGroups": [],
        "IsTruncated": marker.is_some(),
        "Marker": marker,
    })))
}
