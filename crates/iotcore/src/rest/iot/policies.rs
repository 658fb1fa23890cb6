//! Policies and their versions: API Reference, CreatePolicy to DeletePolicyVersion.

use fleetkey_model::name::PolicyName;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{Tag, age, commit, first_tags, page_by_age, seconds};
use crate::registry::{PolicyRecord, VersionRef};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("CreatePolicy", Method::POST, "/policies/{policyName}", create),
        route("GetPolicy", Method::GET, "/policies/{policyName}", get),
        route("ListPolicies", Method::GET, "/policies", list),
        route("DeletePolicy", Method::DELETE, "/policies/{policyName}", delete),
        route("CreatePolicyVersion", Method::POST, "/policies/{policyName}/version", create_version),
        route("GetPolicyVersion", Method::GET, VERSION, get_version),
        route("ListPolicyVersions", Method::GET, "/policies/{policyName}/version", list_versions),
        route("SetDefaultPolicyVersion", Method::PATCH, VERSION, set_default),
        route("DeletePolicyVersion", Method::DELETE, VERSION, delete_version),
    ]
}

const VERSION: &str = "/policies/{policyName}/version/{policyVersionId}";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    policy_name: PolicyName,
    policy_document: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

async fn create(context: Context, input: Create) -> Result<Reply, Refusal> {
    let (name, text) = (&input.policy_name, &input.policy_document);
    let tags = first_tags(input.tags)?;
    commit(&context, |registry| registry.plan_create_tagged_policy(name, text, tags, context.now)).await?;
    Ok(Reply::json(&json!({
        "policyName": name, "policyArn": context.scope.policy(name), "policyDocument": text,
        "policyVersionId": "1",
    })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    policy_name: PolicyName,
}

async fn get(context: Context, input: Named) -> Result<Reply, Refusal> {
    let policy = context.account.describe_policy(&input.policy_name)?;
    let default = policy.version(policy.versions.default)?;
    Ok(Reply::json(&json!({
        "policyName": policy.name, "policyArn": context.scope.policy(&policy.name),
        "policyDocument": policy.text, "defaultVersionId": default.id.to_string(),
        "creationDate": seconds(policy.created_at), "lastModifiedDate": seconds(policy.last_modified),
        "generationId": policy.generation(&default),
    })))
}

async fn list(context: Context, query: PageQuery) -> Result<Reply, Refusal> {
    let page = page_by_age(&query)?;
    let registry = context.account.store().read();
    let mut all: Vec<(String, Value)> = registry
        .policies()
        .map(|policy| (age(policy.created_at, policy.name.as_str()), summary(&context, &policy.name)))
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    if page.ascending == Some(false) {
        all.reverse();
    }
    let (items, next) = page.cut(all, |(key, _)| key.clone());
    let policies: Vec<Value> = items.into_iter().map(|(_, policy)| policy).collect();
    Ok(Reply::json(&json!({"policies": policies, "nextMarker": next})))
}

/// `Policy`.
pub(super) fn summary(context: &Context, name: &PolicyName) -> Value {
    json!({"policyName": name, "policyArn": context.scope.policy(name)})
}

async fn delete(context: Context, input: Named) -> Result<Reply, Refusal> {
    commit(&context, |registry| registry.plan_delete_policy(&input.policy_name)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateVersion {
    policy_name: PolicyName,
    policy_document: String,
    #[serde(default, deserialize_with = "text::boolean")]
    set_as_default: bool,
}

async fn create_version(context: Context, input: CreateVersion) -> Result<Reply, Refusal> {
    let CreateVersion { policy_name: name, policy_document: text, set_as_default } = &input;
    let id = commit(&context, |registry| {
        registry.plan_create_policy_version(name, text, *set_as_default, context.now)
    })
    .await?;
    Ok(Reply::json(&json!({
        "policyArn": context.scope.policy(name), "policyDocument": text, "policyVersionId": id.to_string(),
        "isDefaultVersion": set_as_default,
    })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    policy_name: PolicyName,
    #[serde(deserialize_with = "text::number")]
    policy_version_id: u32,
}

async fn get_version(context: Context, input: Version) -> Result<Reply, Refusal> {
    let policy = context.account.describe_policy(&input.policy_name)?;
    let version = policy.version(input.policy_version_id)?;
    Ok(Reply::json(&json!({
        "policyArn": context.scope.policy(&policy.name), "policyName": policy.name,
        "policyDocument": version.text, "policyVersionId": version.id.to_string(),
        "isDefaultVersion": version.is_default, "creationDate": seconds(version.created_at),
        "lastModifiedDate": seconds(version.created_at), "generationId": policy.generation(&version),
    })))
}

async fn list_versions(context: Context, input: Named) -> Result<Reply, Refusal> {
    let policy = context.account.describe_policy(&input.policy_name)?;
    Ok(Reply::json(&json!({"policyVersions": versions(&policy)})))
}

/// `PolicyVersions`, the newest first.
fn versions(policy: &PolicyRecord) -> Vec<Value> {
    let version = |version: &VersionRef<'_>| {
        json!({
            "versionId": version.id.to_string(), "isDefaultVersion": version.is_default,
            "createDate": seconds(version.created_at),
        })
    };
    policy.all_versions().iter().rev().map(version).collect()
}

async fn set_default(context: Context, input: Version) -> Result<Reply, Refusal> {
    let Version { policy_name, policy_version_id } = input;
    commit(&context, |registry| {
        registry.plan_set_default_policy_version(&policy_name, policy_version_id, context.now)
    })
    .await?;
    Ok(Reply::empty())
}

async fn delete_version(context: Context, input: Version) -> Result<Reply, Refusal> {
    let Version { policy_name, policy_version_id } = input;
    commit(&context, |registry| {
        registry.plan_delete_policy_version(&policy_name, policy_version_id, context.now)
    })
    .await?;
    Ok(Reply::empty())
}
