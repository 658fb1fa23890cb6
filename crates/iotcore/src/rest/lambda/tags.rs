//! Tags of functions.

use std::collections::BTreeMap;

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::super::{Context, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    let path = "/2017-03-31/tags/{Resource}";
    vec![
        route("ListTags", Method::GET, path, list_tags),
        route("TagResource", Method::POST, path, tag_resource),
        route("UntagResource", Method::DELETE, path, untag_resource).query("TagKeys", "tagKeys"),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    resource: String,
}

async fn list_tags(context: Context, input: Resource) -> Result<Reply, Refusal> {
    let function = context.functions.function(&input.resource)?;
    Ok(Reply::json(&json!({"Tags": function.tags})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagResource {
    resource: String,
    tags: BTreeMap<String, String>,
}

async fn tag_resource(context: Context, input: TagResource) -> Result<Reply, Refusal> {
    context.functions.tag(&input.resource, input.tags).await?;
    Ok(Reply::empty().with_status(204))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagResource {
    resource: String,
    #[serde(deserialize_with = "text::list")]
    tag_keys: Vec<String>,
}

async fn untag_resource(context: Context, input: UntagResource) -> Result<Reply, Refusal> {
    context.functions.untag(&input.resource, &input.tag_keys).await?;
    Ok(Reply::empty().with_status(204))
}
