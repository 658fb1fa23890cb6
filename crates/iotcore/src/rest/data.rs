//! The data plane (signed as `iotdata` or `iotdevicegateway`): publish, retained messages, connections.
//!
//! Source: API Reference, AWS IoT data plane. Not here: shadows.

use std::net::IpAddr;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use fleetkey_model::name::ClientId;
use fleetkey_mqtt::{Property, Publish, QoS, Text};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::route::Wire;
use super::template::{Labels, Template};
use super::{Context, Page, PageQuery, Refusal, Reply, RequestId, Route, input, route, text};
use crate::broker::{Presence, PublishRefused, Retained};
use crate::rules::Sender;

/// Where devices publish, with the slashes of the topic encoded or not.
const TOPICS: &str = "/topics/{topic+}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        publish_route(),
        route("GetRetainedMessage", Method::GET, "/retainedMessage/{topic}", get_retained),
        route("ListRetainedMessages", Method::GET, "/retainedMessage", list_retained),
        route("GetConnection", Method::GET, "/connections/{clientId}", get_connection),
        route("DeleteConnection", Method::DELETE, "/connections/{clientId}", delete_connection),
        route("ListSubscriptions", Method::GET, "/connections/{clientId}/subscriptions", list_subscriptions),
    ]
}

fn publish_route() -> Route {
    route("Publish", Method::POST, "/topics/{topic}", publish)
        .header("userProperties", "x-amz-mqtt5-user-properties")
        .header("payloadFormatIndicator", "x-amz-mqtt5-payload-format-indicator")
        .header("correlationData", "x-amz-mqtt5-correlation-data")
        .blob()
}

/// What the path of a publish says of its topic; `None` when it is another path.
pub(super) fn topic_of(path: &str) -> Option<Labels> {
    Template::parse(TOPICS).matches(path)
}

/// The message that an unsigned publish means.
pub(super) fn message_of(wire: &Wire<'_>, labels: Labels, payload: Bytes) -> Result<Publish, Refusal> {
    let members = publish_route().members(wire, labels)?;
    message(&input::read(&members)?, payload)
}

/// The answer to a publish.
pub(super) fn published(id: &RequestId) -> Reply {
    Reply::json(&json!({"message": "OK", "traceId": id.as_str()}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublishInput {
    topic: String,
    #[serde(default, deserialize_with = "text::optional_number")]
    qos: Option<u8>,
    #[serde(default, deserialize_with = "text::boolean")]
    retain: bool,
    #[serde(default)]
    user_properties: Option<String>,
    #[serde(default)]
    payload_format_indicator: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    response_topic: Option<String>,
    #[serde(default)]
    correlation_data: Option<String>,
    #[serde(default, deserialize_with = "text::optional_number")]
    message_expiry: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Topic {
    topic: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    client_id: String,
    #[serde(default, deserialize_with = "text::boolean")]
    clean_session: bool,
    #[serde(default, deserialize_with = "text::boolean")]
    prevent_will_message: bool,
    #[serde(default, deserialize_with = "text::boolean")]
    include_socket_information: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscriptions {
    client_id: String,
    #[serde(flatten)]
    page: PageQuery,
}

async fn publish(context: Context, input: PublishInput) -> Result<Reply, Refusal> {
    let publish = message(&input, context.body.clone())?;
    let sender = Sender::Caller { principal: &context.caller.principal_id };
    context.broker.publish(publish, sender).await.map_err(|why| refused(&why))?;
    Ok(published(&context.request))
}

/// The message that a request means.
fn message(input: &PublishInput, payload: Bytes) -> Result<Publish, Refusal> {
    let topic =
        Text::new(&input.topic).map_err(|error| Refusal::invalid(format!("Invalid topic: {error}")))?;
    let mut publish = Publish::new(topic, payload);
    publish.retain = input.retain;
    publish.qos = match input.qos.unwrap_or(0) {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        other => {
            let constraint = "Member must have value less than or equal to 1";
            return Err(Refusal::constraint(Some(&other.to_string()), "qos", constraint));
        }
    };
    let text = |value: &str, what: &str| {
        Text::new(value).map_err(|error| Refusal::invalid(format!("Invalid {what}: {error}")))
    };
    let properties = &mut publish.properties;
    match input.payload_format_indicator.as_deref() {
        None => {}
        Some("UTF8_DATA") => properties.push(Property::PayloadFormatIndicator(1)),
        Some("UNSPECIFIED_BYTES") => properties.push(Property::PayloadFormatIndicator(0)),
        Some(other) => {
            let constraint = "Member must satisfy enum value set: [UNSPECIFIED_BYTES, UTF8_DATA]";
            return Err(Refusal::constraint(Some(other), "payloadFormatIndicator", constraint));
        }
    }
    if let Some(seconds) = input.message_expiry {
        properties.push(Property::MessageExpiryInterval(seconds));
    }
    if let Some(value) = &input.content_type {
        properties.push(Property::ContentType(text(value, "contentType")?));
    }
    if let Some(value) = &input.response_topic {
        properties.push(Property::ResponseTopic(text(value, "responseTopic")?));
    }
    if let Some(value) = &input.correlation_data {
        let data =
            Base64::decode_vec(value).map_err(|_| Refusal::invalid("correlationData is not base64"))?;
        properties.push(Property::CorrelationData(data.into()));
    }
    for (key, value) in user_properties(input.user_properties.as_deref())? {
        properties
            .push(Property::UserProperty(text(&key, "userProperties")?, text(&value, "userProperties")?));
    }
    Ok(publish)
}

/// `[{"name": "value"}, …]` in base64, as a header has it.
fn user_properties(header: Option<&str>) -> Result<Vec<(String, String)>, Refusal> {
    let Some(header) = header else { return Ok(Vec::new()) };
    let bad =
        || Refusal::invalid("userProperties is no base64 of a JSON array of objects with one text each");
    let bytes = Base64::decode_vec(header).map_err(|_| bad())?;
    let Ok(Value::Array(items)) = serde_json::from_slice(&bytes) else { return Err(bad()) };
    let mut pairs = Vec::new();
    for item in items {
        let Value::Object(members) = item else { return Err(bad()) };
        for (key, value) in members {
            let Value::String(value) = value else { return Err(bad()) };
            pairs.push((key, value));
        }
    }
    Ok(pairs)
}

pub(super) fn refused(why: &PublishRefused) -> Refusal {
    match why {
        PublishRefused::Forbidden => Refusal::new(403, "ForbiddenException", "Forbidden"),
        PublishRefused::Storage => Refusal::internal(),
        PublishRefused::Topic(_) | PublishRefused::Reserved(_) | PublishRefused::Properties => {
            Refusal::invalid(why.to_string())
        }
        // The data plane has a RequestEntityTooLargeException, but Publish has not (API Reference).
        PublishRefused::TooLarge(..) => Refusal::invalid(why.to_string()),
    }
}

async fn get_retained(context: Context, input: Topic) -> Result<Reply, Refusal> {
    let Some(Retained { topic, message, modified }) = context.broker.retained(&input.topic) else {
        return Err(not_found("No retained message exists for the specified topic"));
    };
    let pairs: Vec<Value> = message
        .properties
        .user_properties()
        .map(|(key, value)| json!({ key.as_str(): value.as_str() }))
        .collect();
    let properties =
        (!pairs.is_empty()).then(|| Base64::encode_string(Value::Array(pairs).to_string().as_bytes()));
    Ok(Reply::json(&json!({
        "topic": topic, "payload": Base64::encode_string(&message.payload), "qos": message.qos.bits(),
        "lastModifiedTime": modified, "userProperties": properties,
    })))
}

async fn list_retained(context: Context, input: PageQuery) -> Result<Reply, Refusal> {
    let page = input.page(1..=200, 200)?;
    // One more than the page tells whether there is a next one.
    let found = context.broker.retained_after(page.after.as_deref(), page.limit.saturating_add(1));
    let (topics, next) = page.cut(found, |retained| retained.topic.clone());
    let topics: Vec<Value> = topics
        .iter()
        .map(|retained| {
            json!({"topic": retained.topic, "payloadSize": retained.message.payload.len(),
                "qos": retained.message.qos.bits(), "lastModifiedTime": retained.modified})
        })
        .collect();
    Ok(Reply::json(&json!({"retainedTopics": topics, "nextToken": next})))
}

async fn get_connection(context: Context, input: Connection) -> Result<Reply, Refusal> {
    let client = client(&input.client_id)?;
    if let Some(presence) = context.broker.presence(&client) {
        let source = input.include_socket_information.then_some(presence.source);
        return Ok(Reply::json(&connection(&client, &presence, source)));
    }
    // Known from before the last start only.
    let Some((since, expiry)) = context.broker.waiting_since(&client) else {
        return Err(no_connection(&client));
    };
    Ok(Reply::json(&json!({"clientId": client, "connected": false, "cleanSession": false,
        "disconnectedSince": since, "sessionExpiry": expiry.as_secs()})))
}

fn connection(client: &ClientId, presence: &Presence, source: Option<IpAddr>) -> Value {
    let terms = &presence.terms;
    json!({
        "clientId": client, "connected": presence.gone.is_none(), "cleanSession": terms.clean,
        "connectedSince": presence.gone.is_none().then_some(presence.since),
        "disconnectedSince": presence.gone.map(|(at, _)| at),
        "disconnectReason": presence.gone.map(|(_, reason)| reason.as_str()),
        "thingName": terms.thing, "keepAliveDuration": terms.keep_alive.as_secs(),
        "sessionExpiry": terms.session_expiry.as_secs(), "sourceIp": source,
    })
}

async fn delete_connection(context: Context, input: Connection) -> Result<Reply, Refusal> {
    let client = client(&input.client_id)?;
    match context.broker.delete_connection(&client, input.clean_session, !input.prevent_will_message) {
        true => Ok(Reply::empty()),
        false => Err(no_connection(&client)),
    }
}

async fn list_subscriptions(context: Context, input: Subscriptions) -> Result<Reply, Refusal> {
    let client = client(&input.client_id)?;
    let page: Page = input.page.page(1..=200, 20)?;
    let subscriptions = context.broker.subscriptions(&client).ok_or_else(|| no_connection(&client))?;
    let (subscriptions, next) = page.cut(subscriptions, |(filter, _)| filter.clone());
    let subscriptions: Vec<Value> =
        subscriptions.iter().map(|(filter, qos)| json!({"topicFilter": filter, "qos": qos})).collect();
    Ok(Reply::json(&json!({"subscriptions": subscriptions, "nextToken": next})))
}

/// Developer Guide: the connection APIs take no client id that begins with `$`.
fn client(text: &str) -> Result<ClientId, Refusal> {
    let client = ClientId::new(text).map_err(|error| Refusal::invalid(error.to_string()))?;
    match text.starts_with('$') {
        true => Err(Refusal::invalid("A client id that begins with $ cannot be addressed")),
        false => Ok(client),
    }
}

fn no_connection(client: &ClientId) -> Refusal {
    not_found(&format!("Client {client} is not connected and has no persistent session"))
}

fn not_found(why: &str) -> Refusal {
    Refusal::new(404, "ResourceNotFoundException", why)
}
