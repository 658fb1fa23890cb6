//! Thing types: API Reference, CreateThingType to ListThingTypes.

use std::collections::BTreeSet;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{Tag, commit, described, first_tags, page, seconds};
use crate::registry::{Mqtt5Configuration, ThingType, ThingTypeName, ThingTypeProperties};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("CreateThingType", Method::POST, "/thing-types/{thingTypeName}", create),
        route("DescribeThingType", Method::GET, "/thing-types/{thingTypeName}", describe),
        route("UpdateThingType", Method::PATCH, "/thing-types/{thingTypeName}", update),
        route("DeprecateThingType", Method::POST, "/thing-types/{thingTypeName}/deprecate", deprecate),
        route("DeleteThingType", Method::DELETE, "/thing-types/{thingTypeName}", delete),
        route("ListThingTypes", Method::GET, "/thing-types", list),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    thing_type_name: ThingTypeName,
    #[serde(default)]
    thing_type_properties: Properties,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    thing_type_description: Option<String>,
    #[serde(default)]
    searchable_attributes: BTreeSet<String>,
    mqtt5_configuration: Option<Mqtt5Configuration>,
}

impl Properties {
    fn checked(self) -> Result<ThingTypeProperties, Refusal> {
        Ok(ThingTypeProperties {
            description: described(self.thing_type_description, "thingTypeProperties.thingTypeDescription")?,
            searchable_attributes: self.searchable_attributes,
            mqtt5_configuration: self.mqtt5_configuration,
        })
    }
}

fn arn(context: &Context, name: &ThingTypeName) -> String {
    context.scope.arn(&format!("thingtype/{name}"))
}

async fn create(context: Context, input: Input) -> Result<Reply, Refusal> {
    let (name, properties) = (&input.thing_type_name, input.thing_type_properties.checked()?);
    let tags = first_tags(input.tags)?;
    commit(&context, |registry| registry.plan_create_thing_type(name, properties, tags, context.now)).await?;
    let registry = context.account.store().read();
    let kind = registry.require_thing_type(name)?;
    let arn = arn(&context, name);
    Ok(Reply::json(&json!({"thingTypeName": name, "thingTypeArn": arn, "thingTypeId": kind.id()})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    thing_type_name: ThingTypeName,
}

async fn describe(context: Context, input: Named) -> Result<Reply, Refusal> {
    let registry = context.account.store().read();
    let kind = registry.require_thing_type(&input.thing_type_name)?;
    let mut output = definition(&context, kind);
    if let Value::Object(members) = &mut output {
        members.insert("thingTypeId".to_owned(), kind.id().into());
    }
    Ok(Reply::json(&output))
}

/// `ThingTypeDefinition`.
fn definition(context: &Context, kind: &ThingType) -> Value {
    json!({
        "thingTypeName": kind.name, "thingTypeArn": arn(context, &kind.name),
        "thingTypeProperties": kind.properties,
        "thingTypeMetadata": {
            "deprecated": kind.deprecated_at.is_some(),
            "deprecationDate": kind.deprecated_at.map(seconds),
            "creationDate": seconds(kind.created_at),
        },
    })
}

async fn update(context: Context, input: Input) -> Result<Reply, Refusal> {
    let (name, properties) = (&input.thing_type_name, input.thing_type_properties.checked()?);
    commit(&context, |registry| registry.plan_update_thing_type(name, properties)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deprecate {
    thing_type_name: ThingTypeName,
    #[serde(default, deserialize_with = "text::boolean")]
    undo_deprecate: bool,
}

async fn deprecate(context: Context, input: Deprecate) -> Result<Reply, Refusal> {
    let Deprecate { thing_type_name, undo_deprecate } = input;
    commit(&context, |registry| {
        registry.plan_deprecate_thing_type(&thing_type_name, undo_deprecate, context.now)
    })
    .await?;
    Ok(Reply::empty())
}

async fn delete(context: Context, input: Named) -> Result<Reply, Refusal> {
    let rest = context.broker.limits().type_deletion_delay;
    commit(&context, |registry| registry.plan_delete_thing_type(&input.thing_type_name, rest, context.now))
        .await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    thing_type_name: Option<ThingTypeName>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list(context: Context, input: List) -> Result<Reply, Refusal> {
    let page = page(&input.page)?;
    let registry = context.account.store().read();
    let selected = registry
        .thing_types()
        .filter(|kind| input.thing_type_name.as_ref().is_none_or(|name| *name == kind.name));
    let (kinds, next) = page.cut(selected, |kind| kind.name.to_string());
    let kinds: Vec<Value> = kinds.into_iter().map(|kind| definition(&context, kind)).collect();
    Ok(Reply::json(&json!({"thingTypes": kinds, "nextToken": next})))
}
