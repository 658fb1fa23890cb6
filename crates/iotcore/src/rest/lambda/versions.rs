//! Published versions: PublishVersion, ListVersionsByFunction.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Context, PageQuery, Refusal, Reply, Route, route};
use super::configuration::{described, described_latest};
use crate::functions::{Function, Publication};

pub(super) fn routes() -> Vec<Route> {
    let versions = "/2015-03-31/functions/{FunctionName}/versions";
    vec![
        route("PublishVersion", Method::POST, versions, publish_version),
        route("ListVersionsByFunction", Method::GET, versions, list_versions_by_function),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublishVersion {
    function_name: String,
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

async fn publish_version(context: Context, input: PublishVersion) -> Result<Reply, Refusal> {
    let PublishVersion { function_name, code_sha256, description, revision_id } = input;
    let new = Publication { sha256: code_sha256, description, revision: revision_id };
    let version = context.functions.publish(&function_name, new).await?;
    Ok(Reply::json(&described(&context.functions, &version)).with_status(201))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    function_name: String,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list_versions_by_function(context: Context, input: List) -> Result<Reply, Refusal> {
    let functions = &context.functions;
    let page = input.page.page(1..=10_000, 50);
    let mut page = page.map_err(|refusal| refusal.with_code("InvalidParameterValueException"))?;
    // As ListFunctions does.
    page.limit = page.limit.min(50);
    // By number, and `$LATEST` before all of them.
    let number = |version: &std::sync::Arc<Function>| format!("{:010}", version.version.unwrap_or(0));
    let (found, marker) = page.cut(functions.versions(&input.function_name)?, number);
    let shown = |version: &std::sync::Arc<Function>| match version.version {
        Some(_) => described(functions, version),
        None => described_latest(functions, version),
    };
    let found: Vec<Value> = found.iter().map(shown).collect();
    Ok(Reply::json(&json!({"Versions": found, "NextMarker": marker})))
}
