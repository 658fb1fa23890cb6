//! Thing groups: API Reference, CreateThingGroup to ListThingGroups.

use fleetkey_model::name::GroupName;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{AttributePayload, Tag, commit, described, first_tags, page, seconds};
use crate::registry::{GroupRecord, GroupUpdate, NewGroup};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};

const DESCRIPTION: &str = "thingGroupProperties.thingGroupDescription";

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("CreateThingGroup", Method::POST, "/thing-groups/{thingGroupName}", create),
        route("DescribeThingGroup", Method::GET, "/thing-groups/{thingGroupName}", describe),
        route("UpdateThingGroup", Method::PATCH, "/thing-groups/{thingGroupName}", update),
        route("DeleteThingGroup", Method::DELETE, "/thing-groups/{thingGroupName}", delete),
        route("ListThingGroups", Method::GET, "/thing-groups", list),
    ]
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    thing_group_description: Option<String>,
    attribute_payload: Option<AttributePayload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    thing_group_name: GroupName,
    parent_group_name: Option<GroupName>,
    #[serde(default)]
    thing_group_properties: Properties,
    #[serde(default)]
    tags: Vec<Tag>,
}

async fn create(context: Context, input: Create) -> Result<Reply, Refusal> {
    let name = &input.thing_group_name;
    let properties = input.thing_group_properties;
    let new = NewGroup {
        parent: input.parent_group_name,
        description: described(properties.thing_group_description, DESCRIPTION)?,
        attributes: AttributePayload::fresh(properties.attribute_payload),
        tags: first_tags(input.tags)?,
    };
    commit(&context, |registry| registry.plan_create_described_group(name, new, context.now)).await?;
    let group = context.account.describe_thing_group(name)?;
    let arn = context.scope.group(name);
    Ok(Reply::json(&json!({"thingGroupName": name, "thingGroupArn": arn, "thingGroupId": group.id()})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    thing_group_name: GroupName,
}

async fn describe(context: Context, input: Named) -> Result<Reply, Refusal> {
    let registry = context.account.store().read();
    let group = registry.require_group(&input.thing_group_name)?;
    let mut ancestors: Vec<Value> =
        registry.lineage(&group.name).skip(1).map(|one| summary(&context, one)).collect();
    ancestors.reverse();
    Ok(Reply::json(&json!({
        "thingGroupName": group.name, "thingGroupId": group.id(),
        "thingGroupArn": context.scope.group(&group.name), "version": group.version,
        "thingGroupProperties": {
            "thingGroupDescription": group.description,
            "attributePayload": {"attributes": group.attributes},
        },
        "thingGroupMetadata": {
            "parentGroupName": group.parent, "rootToParentThingGroups": ancestors,
            "creationDate": seconds(group.created_at),
        },
    })))
}

/// `GroupNameAndArn`.
pub(super) fn summary(context: &Context, group: &GroupRecord) -> Value {
    json!({"groupName": group.name, "groupArn": context.scope.group(&group.name)})
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    thing_group_name: GroupName,
    thing_group_properties: Properties,
    #[serde(default, deserialize_with = "text::optional_number")]
    expected_version: Option<u64>,
}

async fn update(context: Context, input: Update) -> Result<Reply, Refusal> {
    let properties = input.thing_group_properties;
    let update = GroupUpdate {
        description: described(properties.thing_group_description, DESCRIPTION)?,
        attributes: properties.attribute_payload.map(Into::into),
        expected_version: input.expected_version,
    };
    let version =
        commit(&context, |registry| registry.plan_update_group(&input.thing_group_name, update)).await?;
    Ok(Reply::json(&json!({"version": version})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delete {
    thing_group_name: GroupName,
    #[serde(default, deserialize_with = "text::optional_number")]
    expected_version: Option<u64>,
}

async fn delete(context: Context, input: Delete) -> Result<Reply, Refusal> {
    let Delete { thing_group_name, expected_version } = input;
    commit(&context, |registry| registry.plan_delete_group(&thing_group_name, expected_version)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    parent_group: Option<GroupName>,
    name_prefix_filter: Option<String>,
    #[serde(default, deserialize_with = "text::optional_boolean")]
    recursive: Option<bool>,
    #[serde(flatten)]
    page: PageQuery,
}

/// Without `recursive=false`, groups at every depth are listed.
async fn list(context: Context, input: List) -> Result<Reply, Refusal> {
    let page = page(&input.page)?;
    let registry = context.account.store().read();
    if let Some(parent) = &input.parent_group {
        registry.require_group(parent)?;
    }
    let every_depth = input.recursive.unwrap_or(true);
    let below = |group: &GroupRecord| match &input.parent_group {
        Some(parent) if every_depth => registry.is_below(&group.name, parent),
        Some(parent) => group.parent.as_ref() == Some(parent),
        None => every_depth || group.parent.is_none(),
    };
    let prefix = input.name_prefix_filter.as_deref().unwrap_or_default();
    let selected = registry.groups().filter(|group| below(group) && group.name.as_str().starts_with(prefix));
    let (groups, next) = page.cut(selected, |group| group.name.to_string());
    let groups: Vec<Value> = groups.into_iter().map(|group| summary(&context, group)).collect();
    Ok(Reply::json(&json!({"thingGroups": groups, "nextToken": next})))
}
