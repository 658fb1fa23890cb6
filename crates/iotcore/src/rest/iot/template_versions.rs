//! Versions of provisioning templates: API Reference, CreateProvisioningTemplateVersion and its neighbours.

use fleetkey_model::name::TemplateName;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{commit, page, seconds};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("CreateProvisioningTemplateVersion", Method::POST, VERSIONS, create),
        route("ListProvisioningTemplateVersions", Method::GET, VERSIONS, list),
        route("DescribeProvisioningTemplateVersion", Method::GET, VERSION, describe),
        route("DeleteProvisioningTemplateVersion", Method::DELETE, VERSION, delete),
    ]
}

const VERSIONS: &str = "/provisioning-templates/{templateName}/versions";
const VERSION: &str = "/provisioning-templates/{templateName}/versions/{versionId}";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    template_name: TemplateName,
    template_body: String,
    #[serde(default, deserialize_with = "text::boolean")]
    set_as_default: bool,
}

async fn create(context: Context, input: Create) -> Result<Reply, Refusal> {
    let Create { template_name: name, template_body: body, set_as_default } = &input;
    let id = commit(&context, |registry| {
        registry.plan_create_template_version(name, body, *set_as_default, context.now)
    })
    .await?;
    Ok(Reply::json(&json!({
        "templateArn": context.scope.template(name), "templateName": name, "versionId": id,
        "isDefaultVersion": set_as_default,
    })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    template_name: TemplateName,
    #[serde(deserialize_with = "text::number")]
    version_id: u32,
}

async fn describe(context: Context, input: Version) -> Result<Reply, Refusal> {
    let template = context.account.describe_template(&input.template_name)?;
    let version = template.version(input.version_id)?;
    Ok(Reply::json(&json!({
        "versionId": version.id, "creationDate": seconds(version.created_at), "templateBody": version.text,
        "isDefaultVersion": version.is_default,
    })))
}

async fn delete(context: Context, input: Version) -> Result<Reply, Refusal> {
    let Version { template_name, version_id } = input;
    commit(&context, |registry| {
        registry.plan_delete_template_version(&template_name, version_id, context.now)
    })
    .await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    template_name: TemplateName,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list(context: Context, input: List) -> Result<Reply, Refusal> {
    let page = page(&input.page)?;
    let template = context.account.describe_template(&input.template_name)?;
    // Ten digits, so that the order of the text is the order of the numbers.
    let (versions, next) = page.cut(template.all_versions(), |version| format!("{:010}", version.id));
    let versions: Vec<Value> = versions
        .into_iter()
        .map(|version| {
            json!({
                "versionId": version.id, "creationDate": seconds(version.created_at),
                "isDefaultVersion": version.is_default,
            })
        })
        .collect();
    Ok(Reply::json(&json!({"versions": versions, "nextToken": next})))
}
