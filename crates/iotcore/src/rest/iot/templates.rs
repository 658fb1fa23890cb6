//! Provisioning templates: API Reference, CreateProvisioningTemplate to CreateProvisioningClaim.

use fleetkey_model::name::TemplateName;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::certificates::key_pair;
use super::parts::{Tag, commit, page, seconds, tags};
use crate::registry::{BuiltinHook, NewTemplate, TemplateRecord};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("CreateProvisioningTemplate", Method::POST, "/provisioning-templates", create),
        route("DescribeProvisioningTemplate", Method::GET, TEMPLATE, describe),
        route("UpdateProvisioningTemplate", Method::PATCH, TEMPLATE, update),
        route("DeleteProvisioningTemplate", Method::DELETE, TEMPLATE, delete),
        route("ListProvisioningTemplates", Method::GET, "/provisioning-templates", list),
        route("CreateProvisioningClaim", Method::POST, CLAIM, create_claim),
    ]
}

const TEMPLATE: &str = "/provisioning-templates/{templateName}";
const CLAIM: &str = "/provisioning-templates/{templateName}/provisioning-claim";
/// The only kind of template here; the other one is JITP, which needs registered CAs.
const KIND: &str = "FLEET_PROVISIONING";
/// The only payload version of hooks.
const PAYLOAD_VERSION: &str = "2020-04-01";

/// `ProvisioningHook`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hook {
    payload_version: Option<String>,
    target_arn: String,
}

impl TryFrom<Hook> for BuiltinHook {
    type Error = Refusal;

    fn try_from(hook: Hook) -> Result<Self, Refusal> {
        if let Some(version) = hook.payload_version.filter(|version| version != PAYLOAD_VERSION) {
            let only = format!("Member must satisfy enum value set: [{PAYLOAD_VERSION}]");
            return Err(Refusal::constraint(Some(&version), "preProvisioningHook.payloadVersion", &only));
        }
        if !hook.target_arn.starts_with("arn:") || !hook.target_arn.contains(":lambda:") {
            return Err(Refusal::invalid(
                "Invalid pre-provisioning hook: targetArn is no ARN of a Lambda function",
            ));
        }
        Ok(Self::Function { arn: hook.target_arn })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    template_name: TemplateName,
    description: Option<String>,
    template_body: String,
    #[serde(default, deserialize_with = "text::boolean")]
    enabled: bool,
    provisioning_role_arn: String,
    pre_provisioning_hook: Option<Hook>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

async fn create(context: Context, input: Create) -> Result<Reply, Refusal> {
    if let Some(kind) = input.kind.filter(|kind| kind != KIND) {
        let message = format!("the local IoT Core has templates of type {KIND} only, not {kind}");
        return Err(Refusal::invalid(message));
    }
    let name = &input.template_name;
    let role_arn = checked_role(&context, input.provisioning_role_arn)?;
    let new = NewTemplate {
        body: input.template_body,
        enabled: input.enabled,
        hook: input.pre_provisioning_hook.map(TryInto::try_into).transpose()?,
        description: checked_description(input.description)?,
        role_arn: Some(role_arn),
        tags: tags(input.tags)?,
    };
    commit(&context, |registry| registry.plan_create_described_template(name, new, context.now)).await?;
    let arn = context.scope.template(name);
    Ok(Reply::json(&json!({"templateArn": arn, "templateName": name, "defaultVersionId": 1})))
}

/// 20 to 2048 characters that name a role which AWS IoT can assume. What AWS says of one that it cannot is known from
/// clients that wait for new roles to spread (Terraform's AWS provider, `aws_iot_provisioning_template`).
fn checked_role(context: &Context, arn: String) -> Result<String, Refusal> {
    let is_role = (20..=2048).contains(&arn.len()) && arn.starts_with("arn:") && arn.contains(":role/");
    if !is_role {
        return Err(Refusal::invalid("Invalid provisioningRoleArn: it is no ARN of a role"));
    }
    if !context.broker.may_assume(&arn) {
        return Err(Refusal::invalid("The provisioning role cannot be assumed by AWS IoT"));
    }
    Ok(arn)
}

fn checked_description(description: Option<String>) -> Result<Option<String>, Refusal> {
    match description {
        Some(text) if text.chars().count() > 500 || text.chars().any(char::is_control) => {
            let constraint = "Member must have length less than or equal to 500 and no control character";
            Err(Refusal::constraint(Some(&text), "description", constraint))
        }
        description => Ok(description),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    template_name: TemplateName,
}

async fn describe(context: Context, input: Named) -> Result<Reply, Refusal> {
    let template = context.account.describe_template(&input.template_name)?;
    let mut output = summary(&context, &template);
    if let (Value::Object(members), Value::Object(more)) = (&mut output, detail(&template)) {
        members.extend(more);
    }
    Ok(Reply::json(&output))
}

/// `ProvisioningTemplateSummary`.
fn summary(context: &Context, template: &TemplateRecord) -> Value {
    json!({
        "templateArn": context.scope.template(&template.name), "templateName": template.name,
        "description": template.description, "creationDate": seconds(template.created_at),
        "lastModifiedDate": seconds(template.last_modified), "enabled": template.enabled, "type": KIND,
    })
}

/// What the description has besides. A hook that is built in has no ARN, and AWS no word for it.
fn detail(template: &TemplateRecord) -> Value {
    let hook = match &template.hook {
        Some(BuiltinHook::Function { arn }) => {
            Some(json!({"payloadVersion": PAYLOAD_VERSION, "targetArn": arn}))
        }
        Some(BuiltinHook::Serials { .. } | BuiltinHook::OwnThing) | None => None,
    };
    json!({
        "defaultVersionId": template.versions.default, "templateBody": template.body,
        "provisioningRoleArn": template.role_arn, "preProvisioningHook": hook,
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    template_name: TemplateName,
    description: Option<String>,
    #[serde(default, deserialize_with = "text::optional_boolean")]
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "text::optional_number")]
    default_version_id: Option<u32>,
    provisioning_role_arn: Option<String>,
    pre_provisioning_hook: Option<Hook>,
    #[serde(default, deserialize_with = "text::boolean")]
    remove_pre_provisioning_hook: bool,
}

async fn update(context: Context, input: Update) -> Result<Reply, Refusal> {
    if input.pre_provisioning_hook.is_some() && input.remove_pre_provisioning_hook {
        return Err(Refusal::invalid("preProvisioningHook and removePreProvisioningHook exclude each other"));
    }
    let hook: Option<BuiltinHook> = input.pre_provisioning_hook.map(TryInto::try_into).transpose()?;
    let description = checked_description(input.description)?;
    let role = input.provisioning_role_arn.map(|arn| checked_role(&context, arn)).transpose()?;
    commit(&context, |registry| {
        registry.plan_edit_template(&input.template_name, context.now, |template| {
            if let Some(id) = input.default_version_id {
                template.set_default_version(id)?;
            }
            template.enabled = input.enabled.unwrap_or(template.enabled);
            template.description = description.or_else(|| template.description.take());
            template.role_arn = role.or_else(|| template.role_arn.take());
            if hook.is_some() || input.remove_pre_provisioning_hook {
                template.hook = hook;
            }
            Ok(())
        })
    })
    .await?;
    Ok(Reply::empty())
}

async fn delete(context: Context, input: Named) -> Result<Reply, Refusal> {
    commit(&context, |registry| registry.plan_delete_template(&input.template_name)).await?;
    Ok(Reply::empty())
}

async fn list(context: Context, query: PageQuery) -> Result<Reply, Refusal> {
    let page = page(&query)?;
    let registry = context.account.store().read();
    let (templates, next) = page.cut(registry.templates(), |template| template.name.to_string());
    let templates: Vec<Value> = templates.into_iter().map(|template| summary(&context, template)).collect();
    Ok(Reply::json(&json!({"templates": templates, "nextToken": next})))
}

async fn create_claim(context: Context, input: Named) -> Result<Reply, Refusal> {
    let minted = context.account.create_provisioning_claim(&input.template_name).await?;
    Ok(Reply::json(&json!({
        "certificateId": minted.facts.id, "certificatePem": minted.pem, "keyPair": key_pair(&minted),
        "expiration": seconds(minted.facts.not_after),
    })))
}
