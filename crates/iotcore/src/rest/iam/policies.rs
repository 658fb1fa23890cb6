//! Managed policies and their versions.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Context, PageQuery, Refusal, Reply, Route, action, text};
use super::{Tag, encoded, listed, moment, page, pairs, tags};
use crate::iam::{Iam, NewPolicy, Policy, PolicyScope, PolicyVersion};

pub(super) fn routes() -> Vec<Route> {
    vec![
        action("CreatePolicy", create_policy),
        action("GetPolicy", get_policy),
        action("ListPolicies", list_policies),
        action("DeletePolicy", delete_policy),
        action("CreatePolicyVersion", create_policy_version),
        action("GetPolicyVersion", get_policy_version),
        action("ListPolicyVersions", list_policy_versions),
        action("SetDefaultPolicyVersion", set_default_policy_version),
        action("DeletePolicyVersion", delete_policy_version),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatePolicy {
    policy_name: String,
    policy_document: String,
    path: Option<String>,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

async fn create_policy(context: Context, input: CreatePolicy) -> Result<Reply, Refusal> {
    let new = NewPolicy {
        name: input.policy_name,
        path: input.path,
        document: input.policy_document,
        description: input.description,
        tags: pairs(input.tags),
    };
    let policy = context.iam.create_policy(new).await?;
    Ok(Reply::json(&json!({"Policy": described(&context.iam, &policy)})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyArn {
    policy_arn: String,
    #[serde(flatten)]
    page: PageQuery,
}

async fn get_policy(context: Context, input: PolicyArn) -> Result<Reply, Refusal> {
    let policy = context.iam.policy(&input.policy_arn)?;
    Ok(Reply::json(&json!({"Policy": described(&context.iam, &policy)})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListPolicies {
    scope: Option<String>,
    path_prefix: Option<String>,
    #[serde(default, deserialize_with = "text::boolean")]
    only_attached: bool,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list_policies(context: Context, input: ListPolicies) -> Result<Reply, Refusal> {
    let scope = match input.scope.as_deref() {
        None | Some("All") => PolicyScope::All,
        Some("AWS") => PolicyScope::Aws,
        Some("Local") => PolicyScope::Local,
        Some(other) => {
            let constraint = "Member must satisfy enum value set: [All, AWS, Local]";
            return Err(Refusal::constraint(Some(other), "scope", constraint).with_code("ValidationError"));
        }
    };
    let iam = &context.iam;
    let policies = iam.policies(scope, input.path_prefix.as_deref().unwrap_or("/")).into_iter();
    let policies = policies.filter(|policy| !input.only_attached || iam.attachment_count(&policy.arn) > 0);
    let (policies, marker) = page(&input.page)?.cut(policies, |policy| policy.arn.clone());
    let policies: Vec<_> = policies.iter().map(|policy| described(iam, policy)).collect();
    Ok(listed("Policies", &policies, marker.as_deref()))
}

async fn delete_policy(context: Context, input: PolicyArn) -> Result<Reply, Refusal> {
    context.iam.delete_policy(&input.policy_arn).await?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatePolicyVersion {
    policy_arn: String,
    policy_document: String,
    #[serde(default, deserialize_with = "text::boolean")]
    set_as_default: bool,
}

async fn create_policy_version(context: Context, input: CreatePolicyVersion) -> Result<Reply, Refusal> {
    let CreatePolicyVersion { policy_arn, policy_document, set_as_default } = input;
    let number = context.iam.create_policy_version(&policy_arn, policy_document, set_as_default).await?;
    let policy = context.iam.policy(&policy_arn)?;
    let (number, made) = policy.version(&format!("v{number}"))?;
    Ok(Reply::json(&json!({"PolicyVersion": version(&policy, number, made, false)})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    policy_arn: String,
    version_id: String,
}

async fn get_policy_version(context: Context, input: Version) -> Result<Reply, Refusal> {
    let policy = context.iam.policy(&input.policy_arn)?;
    let (number, found) = policy.version(&input.version_id)?;
    Ok(Reply::json(&json!({"PolicyVersion": version(&policy, number, found, true)})))
}

async fn list_policy_versions(context: Context, input: PolicyArn) -> Result<Reply, Refusal> {
    let policy = context.iam.policy(&input.policy_arn)?;
    // Numbers as text of one width, so that their order is that of the keys.
    let (found, marker) = page(&input.page)?.cut(&policy.versions, |(number, _)| format!("{number:010}"));
    let found: Vec<_> =
        found.into_iter().map(|(number, one)| version(&policy, *number, one, false)).collect();
    Ok(listed("Versions", &found, marker.as_deref()))
}

async fn set_default_policy_version(context: Context, input: Version) -> Result<Reply, Refusal> {
    context.iam.set_default_version(&input.policy_arn, &input.version_id).await?;
    Ok(Reply::empty())
}

async fn delete_policy_version(context: Context, input: Version) -> Result<Reply, Refusal> {
    context.iam.delete_policy_version(&input.policy_arn, &input.version_id).await?;
    Ok(Reply::empty())
}

fn described(iam: &Iam, policy: &Policy) -> Value {
    json!({
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": format!("v{}", policy.default_version),
        "AttachmentCount": iam.attachment_count(&policy.arn),
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true,
        "Description": policy.description,
        "CreateDate": moment(policy.created_at),
        "UpdateDate": moment(policy.updated_at),
        "Tags": (!policy.tags.is_empty()).then(|| tags(&policy.tags)),
    })
}

fn version(policy: &Policy, number: u32, version: &PolicyVersion, with_document: bool) -> Value {
    json!({
        "VersionId": format!("v{number}"),
        "IsDefaultVersion": number == policy.default_version,
        "CreateDate": moment(version.created_at),
        "Document": with_document.then(|| encoded(&version.document)),
    })
}
