//! Registry events: what REST and Fleet Provisioning change, as subscribers hear of it.

use fleetkey_mqtt::{QoS, ReasonCode};
use serde_json::{Value, json};

use crate::provisioning::{REGISTER, create, factory};
use crate::signed::iot;
use crate::support::{ALL, Client, World, soon, v5};

/// Every kind that the registry has something to say about.
const KINDS: [&str; 6] = [
    "THING",
    "THING_TYPE",
    "THING_GROUP",
    "THING_TYPE_ASSOCIATION",
    "THING_GROUP_MEMBERSHIP",
    "THING_GROUP_HIERARCHY",
];
const PREFIX: &str = "$aws/events/";

/// Wants these kinds of event and no others.
async fn want(world: &World, kinds: &[&str]) {
    let all = KINDS.iter().map(|kind| (kind.to_string(), json!({"Enabled": kinds.contains(kind)})));
    let wanted: serde_json::Map<String, Value> = all.collect();
    let body = json!({"eventConfigurations": wanted}).to_string();
    let request = crate::signed::Request::new("PATCH", "/event-configurations").body(body);
    crate::signed::call(world, "iot", request).await.ok();
}

/// A client that hears of everything under `filter`.
async fn listener(world: &World, policy: &str, filter: &str) -> Client {
    let identity = world.identity(policy).await;
    let mut client = world.client(&identity, v5("listener")).await;
    assert_eq!(client.subscribe(filter, QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    client
}

/// The next registry event: its topic after `$aws/events/`, and its payload. What clients do is passed over.
async fn next(client: &mut Client) -> (String, Value) {
    soon("a registry event", async {
        loop {
            let (topic, body) = client.event().await;
            let tail = topic.strip_prefix(PREFIX).unwrap().to_owned();
            if !tail.starts_with("presence/") && !tail.starts_with("subscriptions/") {
                return (tail, body);
            }
        }
    })
    .await
}

/// Takes out what differs from run to run, after a look at it.
fn without_id(mut body: Value) -> Value {
    let id = body.as_object_mut().unwrap().remove("eventId").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 36);
    body
}

/// What is made, changed, joined, parted and removed is told on AWS's topics, once the kind is enabled.
#[tokio::test]
async fn the_registry_tells_what_changes_in_it() {
    let world = World::start().await;
    let mut client = listener(&world, ALL, "$aws/events/#").await;
    iot(&world, "POST", "/things/before", json!({})).await;
    want(&world, &KINDS).await;

    let kind =
        json!({"thingTypeProperties": {"thingTypeDescription": "a pump", "searchableAttributes": ["site"]}});
    let kind = iot(&world, "POST", "/thing-types/pump", kind).await;
    let site = iot(&world, "POST", "/thing-groups/site", json!({})).await;
    let hall =
        json!({"parentGroupName": "site", "thingGroupProperties": {"thingGroupDescription": "a hall"}});
    let hall = iot(&world, "POST", "/thing-groups/hall", hall).await;
    let thing = json!({"thingTypeName": "pump", "attributePayload": {"attributes": {"line": "2"}}});
    let thing = iot(&world, "POST", "/things/a", thing).await;
    iot(
        &world,
        "PUT",
        "/thing-groups/addThingToThingGroup",
        json!({"thingName": "a", "thingGroupName": "hall"}),
    )
    .await;
    iot(&world, "PATCH", "/things/a", json!({"attributePayload": {"attributes": {"line": "3"}}})).await;
    iot(&world, "POST", "/thing-types/pump/deprecate", json!({})).await;
    iot(&world, "DELETE", "/things/a", Value::Null).await;
    iot(&world, "DELETE", "/thing-groups/hall", Value::Null).await;

    let mut told = Vec::new();
    for expected in [
        "thingType/pump/created",
        "thingGroup/site/created",
        "thingGroup/hall/created",
        "thingGroupHierarchy/thingGroup/site/childThingGroup/hall/added",
        "thing/a/created",
        "thingTypeAssociation/thing/a/thingType/pump/added",
        "thingGroupMembership/thingGroup/hall/thing/a/added",
        "thing/a/updated",
        "thingType/pump/updated",
        "thingTypeAssociation/thing/a/thingType/pump/removed",
        "thingGroupMembership/thingGroup/hall/thing/a/removed",
        "thing/a/deleted",
        "thingGroupHierarchy/thingGroup/site/childThingGroup/hall/removed",
        "thingGroup/hall/deleted",
    ] {
        let (topic, body) = next(&mut client).await;
        assert_eq!(topic, expected);
        told.push(without_id(body));
    }
    let now = 1_800_000_000_000_u64;
    assert_eq!(
        told[4],
        json!({"eventType": "THING_EVENT", "timestamp": now, "operation": "CREATED",
        "accountId": "123456789012", "thingId": thing["thingId"], "thingName": "a", "versionNumber": 1,
        "thingTypeName": "pump", "attributes": {"line": "2"}})
    );
    assert_eq!((&told[7]["versionNumber"], &told[7]["attributes"]), (&json!(2), &json!({"line": "3"})));
    assert_eq!(
        told[8],
        json!({"eventType": "THING_TYPE_EVENT", "timestamp": now, "operation": "UPDATED",
        "accountId": "123456789012", "thingTypeId": kind["thingTypeId"], "thingTypeName": "pump",
        "isDeprecated": true, "deprecationDate": now, "searchableAttributes": ["site"],
        "propagatingAttributes": [], "description": "a pump"})
    );
    assert_eq!(
        told[5],
        json!({"eventType": "THING_TYPE_ASSOCIATION_EVENT", "timestamp": now,
        "operation": "ADDED", "accountId": "123456789012", "thingId": thing["thingId"], "thingName": "a",
        "thingTypeName": "pump"})
    );
    assert_eq!(
        told[2],
        json!({"eventType": "THING_GROUP_EVENT", "timestamp": now, "operation": "CREATED",
        "accountId": "123456789012", "thingGroupId": hall["thingGroupId"], "thingGroupName": "hall",
        "versionNumber": 1, "parentGroupName": "site", "parentGroupId": site["thingGroupId"],
        "description": "a hall", "attributes": {}, "dynamicGroupMappingId": null, "rootToParentThingGroups": [
            {"groupArn": "arn:aws:iot:us-east-1:123456789012:thinggroup/site", "groupId": site["thingGroupId"]}]})
    );
    assert_eq!(
        told[3],
        json!({"eventType": "THING_GROUP_HIERARCHY_EVENT", "timestamp": now,
        "operation": "ADDED", "accountId": "123456789012", "thingGroupId": site["thingGroupId"],
        "thingGroupName": "site", "childGroupId": hall["thingGroupId"], "childGroupName": "hall"})
    );
    let membership = &told[6];
    assert_eq!(membership["membershipId"], told[10]["membershipId"]);
    assert_eq!(membership["membershipId"].as_str().unwrap().len(), 36);
    assert_eq!(
        (
            &membership["eventType"],
            &membership["operation"],
            &membership["groupArn"],
            &membership["thingArn"]
        ),
        (
            &json!("THING_GROUP_MEMBERSHIP_EVENT"),
            &json!("ADDED"),
            &json!("arn:aws:iot:us-east-1:123456789012:thinggroup/hall"),
            &json!("arn:aws:iot:us-east-1:123456789012:thing/a")
        )
    );
    world.stop().await;
}

/// A kind that is not enabled, or not any more, is not told; what is told needs a policy to be heard.
#[tokio::test]
async fn only_kinds_that_are_enabled_are_told() {
    let world = World::start().await;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["iot:Connect","iot:Receive"],"Resource":"*"},
        {"Effect":"Allow","Action":"iot:Subscribe",
         "Resource":"arn:aws:iot:us-east-1:123456789012:topicfilter/$aws/events/thing*"}]}"#;
    let identity = world.identity(policy).await;
    let mut client = world.client(&identity, v5("listener")).await;
    assert_eq!(client.subscribe("$aws/events/#", QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED);
    for filter in ["$aws/events/thing/#", "$aws/events/thingGroup/#"] {
        assert_eq!(client.subscribe(filter, QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    }
    want(&world, &["THING"]).await;
    iot(&world, "POST", "/thing-groups/silent", json!({})).await;
    iot(&world, "POST", "/things/heard", json!({})).await;
    assert_eq!(next(&mut client).await.0, "thing/heard/created");
    want(&world, &["THING_GROUP"]).await;
    iot(&world, "DELETE", "/things/heard", Value::Null).await;
    iot(&world, "DELETE", "/thing-groups/silent", Value::Null).await;
    assert_eq!(next(&mut client).await.0, "thingGroup/silent/deleted");
    world.stop().await;
}

/// A thing that Fleet Provisioning makes is told of like any other.
#[tokio::test]
async fn what_provisioning_registers_is_told_too() {
    let (world, claim) = factory().await;
    want(&world, &["THING"]).await;
    let mut client = listener(&world, ALL, "$aws/events/thing/+/created").await;
    let mut device = world.client(&claim, v5("claim-1")).await;
    let issued = create(&mut device).await;
    let request = json!({"certificateOwnershipToken": issued.certificate_ownership_token.expose(),
        "parameters": {"SerialNumber": "good-1"}});
    device.publish(REGISTER, request.to_string()).await.unwrap();
    assert!(device.message().await.topic.ends_with("/accepted"));
    let (topic, body) = next(&mut client).await;
    assert_eq!((topic.as_str(), &body["thingName"]), ("thing/good-1/created", &json!("good-1")));
    world.stop().await;
}
