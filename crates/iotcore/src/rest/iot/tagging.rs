//! TagResource, UntagResource, ListTagsForResource.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{Tag, commit, page, tags};
use crate::registry::Taggable;
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("TagResource", Method::POST, "/tags", tag),
        route("UntagResource", Method::POST, "/untag", untag),
        route("ListTagsForResource", Method::GET, "/tags", list),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagInput {
    resource_arn: String,
    tags: Vec<Tag>,
}

async fn tag(context: Context, input: TagInput) -> Result<Reply, Refusal> {
    let resource = Taggable::parse(&context.scope, &input.resource_arn)?;
    let tags = tags(input.tags)?;
    commit(&context, |registry| registry.plan_tag(&resource, tags)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Untag {
    resource_arn: String,
    tag_keys: Vec<String>,
}

async fn untag(context: Context, input: Untag) -> Result<Reply, Refusal> {
    let resource = Taggable::parse(&context.scope, &input.resource_arn)?;
    commit(&context, |registry| registry.plan_untag(&resource, &input.tag_keys)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    resource_arn: String,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list(context: Context, input: List) -> Result<Reply, Refusal> {
    let page = page(&input.page)?;
    let resource = Taggable::parse(&context.scope, &input.resource_arn)?;
    let registry = context.account.store().read();
    let (tags, next) = page.cut(registry.tags(&resource)?.iter(), |(key, _)| (*key).to_owned());
    let tags: Vec<Value> = tags.into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Ok(Reply::json(&json!({"tags": tags, "nextToken": next})))
}
