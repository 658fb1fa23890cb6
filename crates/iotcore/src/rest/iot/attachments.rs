//! What policies are attached to: AttachPolicy and its neighbours, and the older operations by principal.

use fleetkey_model::name::{PolicyName, ThingName};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{commit, page, refusal};
use super::policies::summary;
use crate::account::AccountError;
use crate::registry::{RegistryError, Target};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("AttachPolicy", Method::PUT, "/target-policies/{policyName}", attach),
        route("DetachPolicy", Method::POST, "/target-policies/{policyName}", detach),
        route("ListAttachedPolicies", Method::POST, "/attached-policies/{target}", list_attached),
        route("ListTargetsForPolicy", Method::POST, "/policy-targets/{policyName}", list_targets),
        route("GetEffectivePolicies", Method::POST, "/effective-policies", effective),
        route("AttachPrincipalPolicy", Method::PUT, "/principal-policies/{policyName}", attach)
            .header("target", "x-amzn-iot-principal"),
        route("DetachPrincipalPolicy", Method::DELETE, "/principal-policies/{policyName}", detach_principal)
            .header("target", "x-amzn-iot-principal"),
        route("ListPrincipalPolicies", Method::GET, "/principal-policies", list_attached)
            .header("target", "x-amzn-iot-principal"),
        route("ListPolicyPrincipals", Method::GET, "/policy-principals", list_principals)
            .header("policyName", "x-amzn-iot-policy"),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    policy_name: PolicyName,
    target: String,
}

async fn attach(context: Context, input: Attachment) -> Result<Reply, Refusal> {
    let policy = &input.policy_name;
    match Target::parse(&context.scope, &input.target)? {
        Target::Certificate(id) => {
            commit(&context, |registry| registry.plan_attach_policy(policy, &id)).await?;
        }
        Target::Group(group) => {
            commit(&context, |registry| registry.plan_attach_group_policy(policy, &group)).await?;
        }
    }
    Ok(Reply::empty())
}

async fn detach_principal(context: Context, input: Attachment) -> Result<Reply, Refusal> {
    take_off(&context, &input).await.map_err(|error| refusal(&context, error))
}

/// As DetachPrincipalPolicy, but a policy that does not exist is attached to nothing, and what does not exist is an
/// invalid target: the operation has no ResourceNotFoundException (API Reference; Terraform's AWS provider,
/// `aws_iot_policy_attachment`, which relies on both).
async fn detach(context: Context, input: Attachment) -> Result<Reply, Refusal> {
    match take_off(&context, &input).await {
        Err(AccountError::Registry(RegistryError::NoSuchPolicy(_))) => Ok(Reply::empty()),
        Err(AccountError::Registry(
            RegistryError::NoSuchCertificate(_) | RegistryError::NoSuchGroup(_) | RegistryError::BadTarget(_),
        )) => Err(Refusal::invalid(format!(
            "Invalid Target: {}",
            input.target.chars().take(256).collect::<String>()
        ))),
        other => other.map_err(|error| refusal(&context, error)),
    }
}

async fn take_off(context: &Context, input: &Attachment) -> Result<Reply, AccountError> {
    let (account, policy) = (&context.account, &input.policy_name);
    match Target::parse(&context.scope, &input.target)? {
        Target::Certificate(id) => {
            account.commit(|registry| registry.plan_detach_policy(policy, &id)).await?;
        }
        Target::Group(group) => {
            account.commit(|registry| registry.plan_detach_group_policy(policy, &group)).await?;
        }
    }
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListAttached {
    target: String,
    #[serde(default, deserialize_with = "text::boolean")]
    recursive: bool,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list_attached(context: Context, input: ListAttached) -> Result<Reply, Refusal> {
    let page = page(&input.page)?;
    let target = Target::parse(&context.scope, &input.target)?;
    let registry = context.account.store().read();
    let mut names: Vec<&PolicyName> =
        registry.attached_policies(&target, input.recursive)?.into_iter().collect();
    if page.ascending == Some(false) {
        names.reverse();
    }
    let (names, next) = page.cut(names, |name| name.to_string());
    let policies: Vec<Value> = names.into_iter().map(|name| summary(&context, name)).collect();
    Ok(Reply::json(&json!({"policies": policies, "nextMarker": next})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfPolicy {
    policy_name: PolicyName,
    #[serde(flatten)]
    page: PageQuery,
}

/// The ARNs that a policy is attached to and that `wanted` lets through.
fn targets(
    context: &Context,
    input: &OfPolicy,
    wanted: fn(&Target) -> bool,
) -> Result<(Vec<String>, Option<String>), Refusal> {
    let page = page(&input.page)?;
    let registry = context.account.store().read();
    registry.require_policy(&input.policy_name)?;
    let targets = registry.policy_targets(&input.policy_name);
    let mut arns: Vec<String> =
        targets.iter().filter(|target| wanted(target)).map(|target| target.arn(&context.scope)).collect();
    if page.ascending == Some(false) {
        arns.reverse();
    }
    Ok(page.cut(arns, String::clone))
}

async fn list_targets(context: Context, input: OfPolicy) -> Result<Reply, Refusal> {
    let (targets, next) = targets(&context, &input, |_| true)?;
    Ok(Reply::json(&json!({"targets": targets, "nextMarker": next})))
}

async fn list_principals(context: Context, input: OfPolicy) -> Result<Reply, Refusal> {
    let is_principal = |target: &Target| matches!(target, Target::Certificate(_));
    let (principals, next) = targets(&context, &input, is_principal)?;
    Ok(Reply::json(&json!({"principals": principals, "nextMarker": next})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Effective {
    principal: Option<String>,
    thing_name: Option<ThingName>,
}

async fn effective(context: Context, input: Effective) -> Result<Reply, Refusal> {
    if input.principal.is_none() && input.thing_name.is_none() {
        return Err(Refusal::invalid("a principal or a thing name is required"));
    }
    let principal =
        input.principal.as_deref().map(|arn| Target::principal(&context.scope, arn)).transpose()?;
    let registry = context.account.store().read();
    if let Some(id) = &principal {
        registry.require_certificate(id)?;
    }
    if let Some(thing) = &input.thing_name {
        registry.require_thing(thing)?;
    }
    let names = registry.effective_policies(principal.as_ref(), input.thing_name.as_ref());
    let policies: Vec<Value> = names
        .into_iter()
        .filter_map(|name| registry.policy(name))
        .map(|policy| {
            json!({
                "policyName": policy.name, "policyArn": context.scope.policy(&policy.name),
                "policyDocument": policy.text,
            })
        })
        .collect();
    Ok(Reply::json(&json!({"effectivePolicies": policies})))
}
