//! Things, their types and their principals.

use std::time::Duration;

use serde_json::{Value, json};

use crate::policies::refusal;
use crate::support::{Answer, Request, World};

impl World {
    async fn principal(&self, method: &str, path: &str, arn: &str) -> Answer {
        self.call("iot", Request::new(method, path).header("x-amzn-principal", arn)).await
    }
}

/// CreateThing may be repeated with the same properties; DescribeThing tells them and the version.
#[tokio::test]
async fn a_thing_is_made_described_changed_and_deleted() {
    let world = World::start().await;
    let body = json!({"attributePayload": {"attributes": {"site": "hall", "line": "2"}}});
    let made = world.iot("POST", "/things/a", body.clone()).await.ok().json();
    assert_eq!(made["thingArn"], "arn:aws:iot:us-east-1:123456789012:thing/a");
    assert_eq!(world.iot("POST", "/things/a", body).await.ok().json(), made);
    let other = world.iot("POST", "/things/a", json!({})).await;
    assert_eq!((other.status, other.error()), (409, "ResourceAlreadyExistsException"));
    assert_eq!(other.json()["resourceId"], made["thingId"]);

    let change = json!({"attributePayload": {"attributes": {"line": "", "floor": "1"}, "merge": true}, "expectedVersion": 1});
    world.iot("PATCH", "/things/a", change.clone()).await.ok();
    let found = world.iot("GET", "/things/a", Value::Null).await.ok().json();
    assert_eq!(found["attributes"], json!({"site": "hall", "floor": "1"}));
    assert_eq!((&found["version"], &found["defaultClientId"]), (&json!(2), &json!("a")));
    let conflict = refusal(409, "VersionConflictException");
    assert_eq!(world.refused("PATCH", "/things/a", change).await, conflict);
    assert_eq!(world.refused("DELETE", "/things/a?expectedVersion=1", Value::Null).await, conflict);
    world.iot("DELETE", "/things/a?expectedVersion=2", Value::Null).await.ok();
    world.iot("DELETE", "/things/a", Value::Null).await.ok();
    for (method, body) in [("GET", Value::Null), ("PATCH", json!({}))] {
        let missing = world.refused(method, "/things/a", body).await;
        assert_eq!(missing, refusal(404, "ResourceNotFoundException"));
    }
}

/// Things are listed in pages, and by type or attribute.
#[tokio::test]
async fn things_are_listed_in_pages_and_by_what_they_are() {
    let world = World::start().await;
    world.iot("POST", "/thing-types/pump", json!({})).await.ok();
    for (name, site) in [("a", "hall-1"), ("b", "hall-2"), ("c", "yard")] {
        let body = json!({"thingTypeName": "pump", "attributePayload": {"attributes": {"site": site}}});
        world.iot("POST", &format!("/things/{name}"), body).await.ok();
    }
    world.iot("POST", "/things/d", json!({})).await.ok();
    let names = |page: &Value| -> Vec<String> {
        let things = page["things"].as_array().unwrap().iter();
        things.map(|thing| thing["thingName"].as_str().unwrap().to_owned()).collect()
    };
    let first = world.iot("GET", "/things?maxResults=3", Value::Null).await.ok().json();
    assert_eq!(names(&first), ["a", "b", "c"]);
    let path = format!("/things?maxResults=3&nextToken={}", first["nextToken"].as_str().unwrap());
    let rest = world.iot("GET", &path, Value::Null).await.ok().json();
    assert_eq!((names(&rest), &rest["nextToken"]), (vec!["d".to_owned()], &Value::Null));
    for (query, expected) in [
        ("thingTypeName=pump", vec!["a", "b", "c"]),
        ("attributeName=site&attributeValue=yard", vec!["c"]),
        ("attributeName=site&attributeValue=hall&usePrefixAttributeValue=true", vec!["a", "b"]),
        ("attributeName=site&attributeValue=hall", vec![]),
    ] {
        let page = world.iot("GET", &format!("/things?{query}"), Value::Null).await.ok().json();
        assert_eq!(names(&page), expected, "{query}");
    }
}

/// A thing type is deprecated before it is deleted, five minutes before.
#[tokio::test]
async fn a_thing_type_is_deleted_five_minutes_after_its_deprecation() {
    let world = World::start().await;
    let body =
        json!({"thingTypeProperties": {"thingTypeDescription": "a pump", "searchableAttributes": ["site"]}});
    let made = world.iot("POST", "/thing-types/pump", body.clone()).await.ok().json();
    assert_eq!(world.iot("POST", "/thing-types/pump", body).await.ok().json(), made);
    let other = world.refused("POST", "/thing-types/pump", json!({})).await;
    assert_eq!(other, refusal(409, "ResourceAlreadyExistsException"));
    let found = world.iot("GET", "/thing-types/pump", Value::Null).await.ok().json();
    assert_eq!(found["thingTypeProperties"]["searchableAttributes"], json!(["site"]));
    assert_eq!(
        (&found["thingTypeMetadata"]["deprecated"], &found["thingTypeId"]),
        (&json!(false), &made["thingTypeId"])
    );
    let update = json!({"thingTypeProperties": {"thingTypeDescription": "a big pump"}});
    world.iot("PATCH", "/thing-types/pump", update).await.ok();

    let invalid = refusal(400, "InvalidRequestException");
    assert_eq!(world.refused("DELETE", "/thing-types/pump", Value::Null).await, invalid);
    world.iot("POST", "/thing-types/pump/deprecate", json!({})).await.ok();
    assert_eq!(world.refused("DELETE", "/thing-types/pump", Value::Null).await, invalid);
    let refused = world.refused("POST", "/things/a", json!({"thingTypeName": "pump"})).await;
    assert_eq!(refused, invalid);
    let listed = world.iot("GET", "/thing-types", Value::Null).await.ok().json();
    assert_eq!(listed["thingTypes"][0]["thingTypeProperties"]["thingTypeDescription"], "a big pump");
    assert_eq!(listed["thingTypes"][0]["thingTypeMetadata"]["deprecated"], true);
    world.clock.advance(Duration::from_secs(300));
    world.iot("DELETE", "/thing-types/pump", Value::Null).await.ok();
    let missing = world.refused("POST", "/thing-types/pump/deprecate", json!({"undoDeprecate": true})).await;
    assert_eq!(missing, refusal(404, "ResourceNotFoundException"));
}

/// Who tests a clean-up has the five minutes shortened.
#[tokio::test]
async fn the_wait_before_a_thing_type_is_deleted_can_be_shortened() {
    let world = World::with(|config| config.limits.type_deletion_delay = Duration::ZERO).await;
    world.iot("POST", "/thing-types/pump", json!({})).await.ok();
    let fresh = world.refused("DELETE", "/thing-types/pump", Value::Null).await;
    assert_eq!(fresh, refusal(400, "InvalidRequestException"));
    world.iot("POST", "/thing-types/pump/deprecate", json!({})).await.ok();
    world.iot("DELETE", "/thing-types/pump", Value::Null).await.ok();
}

/// A certificate that belongs to a thing exclusively can be attached to no other; both sides list how.
#[tokio::test]
async fn principals_are_attached_and_listed_with_their_kind() {
    let world = World::start().await;
    for name in ["a", "b"] {
        world.iot("POST", &format!("/things/{name}"), json!({})).await.ok();
    }
    let ((own, _), (shared, _)) = (world.certificate().await, world.certificate().await);
    let attach = "/things/a/principals?thingPrincipalType=EXCLUSIVE_THING";
    world.principal("PUT", attach, &own).await.ok();
    world.principal("PUT", "/things/a/principals", &shared).await.ok();
    world.principal("PUT", "/things/b/principals", &shared).await.ok();
    let taken = world.principal("PUT", "/things/b/principals", &own).await;
    assert_eq!((taken.status, taken.error()), (400, "InvalidRequestException"));
    let all = world.iot("GET", "/things/a/principals", Value::Null).await.ok().json();
    assert_eq!(all["principals"].as_array().unwrap().len(), 2);
    let path = "/things/a/principals-v2?thingPrincipalType=EXCLUSIVE_THING";
    let exclusive = world.iot("GET", path, Value::Null).await.ok().json();
    let object = json!({"principal": own, "thingPrincipalType": "EXCLUSIVE_THING"});
    assert_eq!(exclusive["thingPrincipalObjects"], json!([object]));
    let things = world.principal("GET", "/principals/things", &shared).await.ok().json();
    assert_eq!(things["things"], json!(["a", "b"]));
    let first = world.principal("GET", "/principals/things-v2?maxResults=1", &shared).await.ok().json();
    let object = json!({"thingName": "a", "thingPrincipalType": "NON_EXCLUSIVE_THING"});
    assert_eq!(first["principalThingObjects"], json!([object]));
    assert!(first["nextToken"].is_string());

    let attached = world.refused("DELETE", "/things/b", Value::Null).await;
    assert_eq!(attached, refusal(400, "InvalidRequestException"));
    world.principal("DELETE", "/things/b/principals", &shared).await.ok();
    world.iot("DELETE", "/things/b", Value::Null).await.ok();
    let missing = world.principal("PUT", "/things/b/principals", &shared).await;
    assert_eq!((missing.status, missing.error()), (404, "ResourceNotFoundException"));
}

/// What a type says of itself is bounded and typed, as AWS's model has it.
#[tokio::test]
async fn a_types_properties_are_checked() {
    let world = World::start().await;
    let good = json!({"thingTypeDescription": "x".repeat(2028), "mqtt5Configuration": {"propagatingAttributes": [
        {"userPropertyKey": "client", "connectionAttribute": "iot:ClientId"},
        {"userPropertyKey": "site", "thingAttribute": "site"}]}});
    world.iot("POST", "/thing-types/good", json!({"thingTypeProperties": good})).await.ok();
    let told = world.iot("GET", "/thing-types/good", Value::Null).await.ok().json();
    assert_eq!(told["thingTypeProperties"], good);
    for bad in [
        json!({"thingTypeDescription": "x".repeat(2029)}),
        json!({"thingTypeDescription": "two\nlines"}),
        json!({"mqtt5Configuration": "any"}),
        json!({"mqtt5Configuration": {"propagatingAttributes": "any"}}),
        json!({"mqtt5Configuration": {"propagatingAttributes": [{"userPropertyKey": "a b"}]}}),
    ] {
        let answer = world.iot("POST", "/thing-types/bad", json!({"thingTypeProperties": bad})).await;
        assert_eq!((answer.status, answer.error()), (400, "InvalidRequestException"), "{bad}");
    }
}
