//! DescribeEventConfigurations, UpdateEventConfigurations.

use std::collections::BTreeMap;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{commit, seconds};
use crate::registry::EventType;
use crate::rest::{Context, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("DescribeEventConfigurations", Method::GET, "/event-configurations", describe),
        route("UpdateEventConfigurations", Method::PATCH, "/event-configurations", update),
    ]
}

#[derive(Debug, Deserialize)]
struct Nothing {}

async fn describe(context: Context, _: Nothing) -> Result<Reply, Refusal> {
    let registry = context.account.store().read();
    let settings = registry.event_settings();
    let kind = |kind: EventType| Some((name(kind)?, json!({"Enabled": settings.wants(kind)})));
    let kinds: BTreeMap<String, Value> = EventType::ALL.into_iter().filter_map(kind).collect();
    Ok(Reply::json(&json!({
        "eventConfigurations": kinds,
        "creationDate": settings.created_at.map(seconds),
        "lastModifiedDate": settings.last_modified.map(seconds),
    })))
}

/// AWS's word for a kind.
fn name(kind: EventType) -> Option<String> {
    serde_json::to_value(kind).ok()?.as_str().map(str::to_owned)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    #[serde(default)]
    event_configurations: BTreeMap<EventType, Configuration>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    #[serde(default, deserialize_with = "text::boolean")]
    enabled: bool,
}

async fn update(context: Context, input: Update) -> Result<Reply, Refusal> {
    let wanted = input.event_configurations.into_iter().map(|(kind, one)| (kind, one.enabled)).collect();
    commit(&context, |registry| Ok(registry.plan_update_events(&wanted, context.now))).await?;
    Ok(Reply::empty())
}
