//! Which things are in which groups: API Reference, AddThingToThingGroup to ListThingGroupsForThing.

use std::collections::BTreeSet;

use fleetkey_model::name::{GroupName, ThingName};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::groups::summary;
use super::parts::{commit, page};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("AddThingToThingGroup", Method::PUT, "/thing-groups/addThingToThingGroup", add),
        route("RemoveThingFromThingGroup", Method::PUT, "/thing-groups/removeThingFromThingGroup", remove),
        route("UpdateThingGroupsForThing", Method::PUT, "/thing-groups/updateThingGroupsForThing", update),
        route("ListThingsInThingGroup", Method::GET, "/thing-groups/{thingGroupName}/things", things),
        route("ListThingGroupsForThing", Method::GET, "/things/{thingName}/thing-groups", groups),
    ]
}

/// Thing and group, each by its name or its ARN.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    thing_name: Option<ThingName>,
    thing_arn: Option<String>,
    thing_group_name: Option<GroupName>,
    thing_group_arn: Option<String>,
}

impl Member {
    fn read(self, context: &Context) -> Result<(ThingName, GroupName), Refusal> {
        let thing = match (self.thing_name, self.thing_arn) {
            (Some(name), _) => name,
            (None, Some(arn)) => named(context, &arn, "thing/")?,
            (None, None) => return Err(Refusal::invalid("thingName or thingArn is required")),
        };
        let group = match (self.thing_group_name, self.thing_group_arn) {
            (Some(name), _) => name,
            (None, Some(arn)) => named(context, &arn, "thinggroup/")?,
            (None, None) => return Err(Refusal::invalid("thingGroupName or thingGroupArn is required")),
        };
        Ok((thing, group))
    }
}

/// The name in an ARN of this account and region.
fn named<T: TryFrom<String>>(context: &Context, arn: &str, kind: &str) -> Result<T, Refusal> {
    let name = arn.strip_prefix(context.scope.arn(kind).as_str()).map(str::to_owned);
    let short: String = arn.chars().take(256).collect();
    name.and_then(|name| T::try_from(name).ok())
        .ok_or_else(|| Refusal::invalid(format!("Invalid ARN: {short}")))
}

async fn add(context: Context, input: Member) -> Result<Reply, Refusal> {
    let (thing, group) = input.read(&context)?;
    commit(&context, |registry| registry.plan_add_to_group(&thing, &group)).await?;
    Ok(Reply::empty())
}

async fn remove(context: Context, input: Member) -> Result<Reply, Refusal> {
    let (thing, group) = input.read(&context)?;
    commit(&context, |registry| registry.plan_remove_from_group(&thing, &group)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    thing_name: ThingName,
    #[serde(default)]
    thing_groups_to_add: BTreeSet<GroupName>,
    #[serde(default)]
    thing_groups_to_remove: BTreeSet<GroupName>,
}

async fn update(context: Context, input: Update) -> Result<Reply, Refusal> {
    let (join, leave) = (&input.thing_groups_to_add, &input.thing_groups_to_remove);
    commit(&context, |registry| registry.plan_change_groups(&input.thing_name, join, leave)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfGroup {
    thing_group_name: GroupName,
    #[serde(default, deserialize_with = "text::boolean")]
    recursive: bool,
    #[serde(flatten)]
    page: PageQuery,
}

async fn things(context: Context, input: OfGroup) -> Result<Reply, Refusal> {
    let page = page(&input.page)?;
    let registry = context.account.store().read();
    let things = registry.things_in_group(&input.thing_group_name, input.recursive)?;
    let (things, next) = page.cut(things, |name| name.to_string());
    Ok(Reply::json(&json!({"things": things, "nextToken": next})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfThing {
    thing_name: ThingName,
    #[serde(flatten)]
    page: PageQuery,
}

async fn groups(context: Context, input: OfThing) -> Result<Reply, Refusal> {
    let page = page(&input.page)?;
    let registry = context.account.store().read();
    let names = &registry.require_thing(&input.thing_name)?.groups;
    let groups = names.iter().filter_map(|name| registry.group(name));
    let (groups, next) = page.cut(groups, |group| group.name.to_string());
    let groups: Vec<Value> = groups.into_iter().map(|group| summary(&context, group)).collect();
    Ok(Reply::json(&json!({"thingGroups": groups, "nextToken": next})))
}
