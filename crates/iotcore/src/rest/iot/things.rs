//! Things: API Reference, CreateThing to ListThings.

use fleetkey_model::name::ThingName;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{AttributePayload, commit, page};
use crate::registry::{Thing, ThingTypeName, ThingUpdate, TypeUpdate};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("CreateThing", Method::POST, "/things/{thingName}", create),
        route("DescribeThing", Method::GET, "/things/{thingName}", describe),
        route("UpdateThing", Method::PATCH, "/things/{thingName}", update),
        route("DeleteThing", Method::DELETE, "/things/{thingName}", delete),
        route("ListThings", Method::GET, "/things", list),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    thing_name: ThingName,
    thing_type_name: Option<ThingTypeName>,
    attribute_payload: Option<AttributePayload>,
    billing_group_name: Option<String>,
}

async fn create(context: Context, input: Create) -> Result<Reply, Refusal> {
    if let Some(group) = input.billing_group_name {
        let message = format!("Billing group {group} does not exist: the local IoT Core has none");
        return Err(Refusal::new(404, "ResourceNotFoundException", message));
    }
    let (name, kind) = (&input.thing_name, input.thing_type_name);
    let attributes = AttributePayload::fresh(input.attribute_payload);
    commit(&context, |registry| registry.plan_create_thing(name, kind, attributes, context.now)).await?;
    let thing = context.account.describe_thing(name)?;
    let arn = context.scope.thing(name);
    Ok(Reply::json(&json!({"thingName": name, "thingArn": arn, "thingId": thing.id()})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    thing_name: ThingName,
}

async fn describe(context: Context, input: Named) -> Result<Reply, Refusal> {
    let thing = context.account.describe_thing(&input.thing_name)?;
    Ok(Reply::json(&json!({
        "defaultClientId": thing.name, "thingName": thing.name, "thingId": thing.id(),
        "thingArn": context.scope.thing(&thing.name), "thingTypeName": thing.type_name,
        "attributes": thing.attributes, "version": thing.version,
    })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    thing_name: ThingName,
    thing_type_name: Option<ThingTypeName>,
    attribute_payload: Option<AttributePayload>,
    #[serde(default, deserialize_with = "text::optional_number")]
    expected_version: Option<u64>,
    #[serde(default, deserialize_with = "text::boolean")]
    remove_thing_type: bool,
}

async fn update(context: Context, input: Update) -> Result<Reply, Refusal> {
    let type_name = match (input.thing_type_name, input.remove_thing_type) {
        (None, false) => TypeUpdate::Keep,
        (None, true) => TypeUpdate::Remove,
        (Some(name), false) => TypeUpdate::Set(name),
        (Some(_), true) => {
            return Err(Refusal::invalid("thingTypeName and removeThingType exclude each other"));
        }
    };
    let update = ThingUpdate {
        type_name,
        attributes: input.attribute_payload.map(Into::into),
        expected_version: input.expected_version,
    };
    commit(&context, |registry| registry.plan_update_thing(&input.thing_name, &update)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delete {
    thing_name: ThingName,
    #[serde(default, deserialize_with = "text::optional_number")]
    expected_version: Option<u64>,
}

async fn delete(context: Context, input: Delete) -> Result<Reply, Refusal> {
    let Delete { thing_name, expected_version } = input;
    commit(&context, |registry| registry.plan_delete_thing(&thing_name, expected_version)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    attribute_name: Option<String>,
    attribute_value: Option<String>,
    thing_type_name: Option<ThingTypeName>,
    #[serde(default, deserialize_with = "text::boolean")]
    use_prefix_attribute_value: bool,
    #[serde(flatten)]
    page: PageQuery,
}

impl List {
    fn selects(&self, thing: &Thing) -> bool {
        let of_type = self.thing_type_name.is_none() || self.thing_type_name == thing.type_name;
        let Some(name) = &self.attribute_name else {
            return of_type;
        };
        let matches = thing.attributes.get(name).is_some_and(|found| match &self.attribute_value {
            None => true,
            Some(start) if self.use_prefix_attribute_value => found.starts_with(start.as_str()),
            Some(value) => found == value,
        });
        of_type && matches
    }
}

async fn list(context: Context, input: List) -> Result<Reply, Refusal> {
    let page = page(&input.page)?;
    if input.attribute_value.is_some() && input.attribute_name.is_none() {
        return Err(Refusal::invalid("attributeValue needs an attributeName"));
    }
    let registry = context.account.store().read();
    let after = page.after.as_deref().and_then(|name| ThingName::new(name).ok());
    let selected = registry.things_after(after.as_ref()).filter(|thing| input.selects(thing));
    let (things, next) = page.cut(selected, |thing| thing.name.to_string());
    let things: Vec<Value> = things
        .into_iter()
        .map(|thing| {
            json!({
                "thingName": thing.name, "thingTypeName": thing.type_name,
                "thingArn": context.scope.thing(&thing.name), "attributes": thing.attributes,
                "version": thing.version,
            })
        })
        .collect();
    Ok(Reply::json(&json!({"things": things, "nextToken": next})))
}
