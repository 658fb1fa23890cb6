//! Roles, their inline policies and tags.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Context, PageQuery, Refusal, Reply, Route, action, text};
use super::{Tag, encoded, listed, moment, page, pairs, tags};
use crate::iam::{Iam, NewRole, Role};

pub(super) fn routes() -> Vec<Route> {
    vec![
        action("CreateRole", create_role),
        action("GetRole", get_role),
        action("ListRoles", list_roles),
        action("UpdateRole", update_role),
        action("UpdateAssumeRolePolicy", update_assume_role_policy),
        action("DeleteRole", delete_role),
        action("PutRolePolicy", put_role_policy),
        action("GetRolePolicy", get_role_policy),
        action("ListRolePolicies", list_role_policies),
        action("DeleteRolePolicy", delete_role_policy),
        action("TagRole", tag_role),
        action("UntagRole", untag_role),
        action("ListRoleTags", list_role_tags),
        action("ListInstanceProfilesForRole", list_instance_profiles_for_role),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRole {
    role_name: String,
    assume_role_policy_document: String,
    path: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "text::optional_number")]
    max_session_duration: Option<u32>,
    #[serde(default)]
    tags: Vec<Tag>,
}

async fn create_role(context: Context, input: CreateRole) -> Result<Reply, Refusal> {
    let new = NewRole {
        name: input.role_name,
        path: input.path,
        trust: input.assume_role_policy_document,
        description: input.description,
        max_session: input.max_session_duration,
        tags: pairs(input.tags),
    };
    let role = context.iam.create_role(new).await?;
    Ok(Reply::json(&json!({"Role": described(&context.iam, &role, true)})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleName {
    role_name: String,
    #[serde(flatten)]
    page: PageQuery,
}

async fn get_role(context: Context, input: RoleName) -> Result<Reply, Refusal> {
    let role = context.iam.role(&input.role_name)?;
    Ok(Reply::json(&json!({"Role": described(&context.iam, &role, true)})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListRoles {
    path_prefix: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list_roles(context: Context, input: ListRoles) -> Result<Reply, Refusal> {
    let roles = context.iam.roles(input.path_prefix.as_deref().unwrap_or("/"));
    let (roles, marker) = page(&input.page)?.cut(roles, |role| role.name.clone());
    let roles: Vec<_> = roles.iter().map(|role| described(&context.iam, role, false)).collect();
    Ok(listed("Roles", &roles, marker.as_deref()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateRole {
    role_name: String,
    description: Option<String>,
    #[serde(default, deserialize_with = "text::optional_number")]
    max_session_duration: Option<u32>,
}

async fn update_role(context: Context, input: UpdateRole) -> Result<Reply, Refusal> {
    context.iam.update_role(&input.role_name, input.description, input.max_session_duration).await?;
    // Its output is a structure without members: botocore wants the element around it.
    Ok(Reply::json(&""))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateAssumeRolePolicy {
    role_name: String,
    policy_document: String,
}

async fn update_assume_role_policy(
    context: Context,
    input: UpdateAssumeRolePolicy,
) -> Result<Reply, Refusal> {
    context.iam.update_trust(&input.role_name, input.policy_document).await?;
    Ok(Reply::empty())
}

async fn delete_role(context: Context, input: RoleName) -> Result<Reply, Refusal> {
    context.iam.delete_role(&input.role_name).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRolePolicy {
    role_name: String,
    policy_name: String,
    policy_document: String,
}

async fn put_role_policy(context: Context, input: PutRolePolicy) -> Result<Reply, Refusal> {
    context.iam.put_role_policy(&input.role_name, &input.policy_name, input.policy_document).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RolePolicy {
    role_name: String,
    policy_name: String,
}

async fn get_role_policy(context: Context, input: RolePolicy) -> Result<Reply, Refusal> {
    let document = context.iam.role_policy(&input.role_name, &input.policy_name)?;
    Ok(Reply::json(&json!({
        "RoleName": input.role_name,
        "PolicyName": input.policy_name,
        "PolicyDocument": encoded(&document),
    })))
}

async fn list_role_policies(context: Context, input: RoleName) -> Result<Reply, Refusal> {
    let role = context.iam.role(&input.role_name)?;
    let (names, marker) = page(&input.page)?.cut(role.inline.keys(), |name| (*name).clone());
    let names: Vec<_> = names.into_iter().map(|name| json!(name)).collect();
    Ok(listed("PolicyNames", &names, marker.as_deref()))
}

async fn delete_role_policy(context: Context, input: RolePolicy) -> Result<Reply, Refusal> {
    context.iam.delete_role_policy(&input.role_name, &input.policy_name).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagRole {
    role_name: String,
    tags: Vec<Tag>,
}

async fn tag_role(context: Context, input: TagRole) -> Result<Reply, Refusal> {
    context.iam.tag_role(&input.role_name, pairs(input.tags)).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagRole {
    role_name: String,
    tag_keys: Vec<String>,
}

async fn untag_role(context: Context, input: UntagRole) -> Result<Reply, Refusal> {
    context.iam.untag_role(&input.role_name, &input.tag_keys).await?;
    Ok(Reply::empty())
}

async fn list_role_tags(context: Context, input: RoleName) -> Result<Reply, Refusal> {
    let role = context.iam.role(&input.role_name)?;
    let (found, marker) = page(&input.page)?.cut(&role.tags, |(key, _)| (*key).clone());
    Ok(listed("Tags", &tags(found), marker.as_deref()))
}

/// There are no instance profiles; scripts that delete a role ask all the same.
async fn list_instance_profiles_for_role(context: Context, input: RoleName) -> Result<Reply, Refusal> {
    context.iam.role(&input.role_name)?;
    Ok(listed("InstanceProfiles", &[], None))
}

/// A role as IAM describes it; tags only where one role is asked for.
fn described(iam: &Iam, role: &Role, whole: bool) -> Value {
    json!({
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn(iam.scope()),
        "CreateDate": moment(role.created_at),
        "AssumeRolePolicyDocument": encoded(&role.trust),
        "Description": role.description,
        "MaxSessionDuration": role.max_session,
        "Tags": (whole && !role.tags.is_empty()).then(|| tags(&role.tags)),
    })
}
