//! Certificates attached to things: AttachThingPrincipal, DetachThingPrincipal, and both lists in both versions.

use fleetkey_model::certificate::{CertificateId, ThingPrincipalType};
use fleetkey_model::name::ThingName;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{commit, page};
use crate::registry::Target;
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route};

pub(super) fn routes() -> Vec<Route> {
    let header = |route: Route| route.header("principal", "x-amzn-principal");
    vec![
        header(route("AttachThingPrincipal", Method::PUT, "/things/{thingName}/principals", attach)),
        header(route("DetachThingPrincipal", Method::DELETE, "/things/{thingName}/principals", detach)),
        route("ListThingPrincipals", Method::GET, "/things/{thingName}/principals", of_thing),
        route("ListThingPrincipalsV2", Method::GET, "/things/{thingName}/principals-v2", of_thing_v2),
        header(route("ListPrincipalThings", Method::GET, "/principals/things", of_principal)),
        header(route("ListPrincipalThingsV2", Method::GET, "/principals/things-v2", of_principal_v2)),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    thing_name: ThingName,
    principal: String,
    thing_principal_type: Option<ThingPrincipalType>,
}

async fn attach(context: Context, input: Attachment) -> Result<Reply, Refusal> {
    let id = Target::principal(&context.scope, &input.principal)?;
    let kind = input.thing_principal_type.unwrap_or_default();
    commit(&context, |registry| registry.plan_attach_thing_principal(&input.thing_name, &id, kind)).await?;
    Ok(Reply::empty())
}

async fn detach(context: Context, input: Attachment) -> Result<Reply, Refusal> {
    let id = Target::principal(&context.scope, &input.principal)?;
    commit(&context, |registry| registry.plan_detach_thing_principal(&input.thing_name, &id)).await?;
    Ok(Reply::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfThing {
    thing_name: ThingName,
    thing_principal_type: Option<ThingPrincipalType>,
    #[serde(flatten)]
    page: PageQuery,
}

type Page<T> = (Vec<(T, ThingPrincipalType)>, Option<String>);

fn principals(context: &Context, input: &OfThing) -> Result<Page<CertificateId>, Refusal> {
    let page = page(&input.page)?;
    let registry = context.account.store().read();
    registry.require_thing(&input.thing_name)?;
    let attached = registry.principals_of(&input.thing_name).iter().filter_map(|id| {
        let kind = *registry.things_of(id).get(&input.thing_name)?;
        input.thing_principal_type.is_none_or(|wanted| wanted == kind).then_some((*id, kind))
    });
    Ok(page.cut(attached, |(id, _)| id.to_string()))
}

async fn of_thing(context: Context, mut input: OfThing) -> Result<Reply, Refusal> {
    // The first version of the operation knows no kinds.
    input.thing_principal_type = None;
    let (items, next) = principals(&context, &input)?;
    let principals: Vec<String> = items.iter().map(|(id, _)| context.scope.certificate(id)).collect();
    Ok(Reply::json(&json!({"principals": principals, "nextToken": next})))
}

async fn of_thing_v2(context: Context, input: OfThing) -> Result<Reply, Refusal> {
    let (items, next) = principals(&context, &input)?;
    let object = |(id, kind): &(CertificateId, ThingPrincipalType)| json!({"principal": context.scope.certificate(id), "thingPrincipalType": kind});
    let objects: Vec<Value> = items.iter().map(object).collect();
    Ok(Reply::json(&json!({"thingPrincipalObjects": objects, "nextToken": next})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfPrincipal {
    principal: String,
    thing_principal_type: Option<ThingPrincipalType>,
    #[serde(flatten)]
    page: PageQuery,
}

fn things(context: &Context, input: &OfPrincipal) -> Result<Page<ThingName>, Refusal> {
    let page = page(&input.page)?;
    let id = Target::principal(&context.scope, &input.principal)?;
    let things = context.account.list_principal_things(&id)?;
    let wanted = |(_, kind): &(ThingName, ThingPrincipalType)| {
        input.thing_principal_type.is_none_or(|one| one == *kind)
    };
    Ok(page.cut(things.into_iter().filter(wanted), |(name, _)| name.to_string()))
}

async fn of_principal(context: Context, mut input: OfPrincipal) -> Result<Reply, Refusal> {
    input.thing_principal_type = None;
    let (items, next) = things(&context, &input)?;
    let things: Vec<ThingName> = items.into_iter().map(|(name, _)| name).collect();
    Ok(Reply::json(&json!({"things": things, "nextToken": next})))
}

async fn of_principal_v2(context: Context, input: OfPrincipal) -> Result<Reply, Refusal> {
    let (items, next) = things(&context, &input)?;
    let object = |(name, kind): &(ThingName, ThingPrincipalType)| json!({"thingName": name, "thingPrincipalType": kind});
    let objects: Vec<Value> = items.iter().map(object).collect();
    Ok(Reply::json(&json!({"principalThingObjects": objects, "nextToken": next})))
}
