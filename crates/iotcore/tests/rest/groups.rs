//! Thing groups, tags and event settings.

use serde_json::{Value, json};

use crate::policies::refusal;
use crate::support::World;

fn names(page: &Value) -> Vec<&str> {
    page["thingGroups"].as_array().unwrap().iter().map(|one| one["groupName"].as_str().unwrap()).collect()
}

/// Groups `top` > `mid` > `low`, and `other` beside them.
async fn hierarchy() -> World {
    let world = World::start().await;
    for (name, parent) in [("top", None), ("mid", Some("top")), ("low", Some("mid")), ("other", None)] {
        let body = json!({"parentGroupName": parent});
        world.iot("POST", &format!("/thing-groups/{name}"), body).await.ok();
    }
    world
}

/// DescribeThingGroup tells the way from the root, attributes and the version.
#[tokio::test]
async fn a_group_is_described_with_its_ancestors_and_changed_at_its_version() {
    let world = hierarchy().await;
    let found = world.iot("GET", "/thing-groups/low", Value::Null).await.ok().json();
    let metadata = &found["thingGroupMetadata"];
    assert_eq!(metadata["parentGroupName"], "mid");
    let way: Vec<_> =
        metadata["rootToParentThingGroups"].as_array().unwrap().iter().map(|one| &one["groupName"]).collect();
    assert_eq!(way, ["top", "mid"]);
    let properties =
        json!({"thingGroupDescription": "the lowest", "attributePayload": {"attributes": {"a": "1"}}});
    let body = json!({"thingGroupProperties": properties, "expectedVersion": 1});
    let updated = world.iot("PATCH", "/thing-groups/low", body.clone()).await.ok().json();
    assert_eq!(updated["version"], 2);
    let conflict = refusal(409, "VersionConflictException");
    assert_eq!(world.refused("PATCH", "/thing-groups/low", body).await, conflict);
    assert_eq!(world.refused("DELETE", "/thing-groups/low?expectedVersion=1", Value::Null).await, conflict);
    let found = world.iot("GET", "/thing-groups/low", Value::Null).await.ok().json();
    assert_eq!(found["thingGroupProperties"]["attributePayload"]["attributes"], json!({"a": "1"}));

    let children = world.refused("DELETE", "/thing-groups/top", Value::Null).await;
    assert_eq!(children, refusal(400, "InvalidRequestException"));
    for name in ["low", "mid", "top", "top"] {
        world.iot("DELETE", &format!("/thing-groups/{name}"), Value::Null).await.ok();
    }
    let missing = refusal(404, "ResourceNotFoundException");
    assert_eq!(world.refused("GET", "/thing-groups/top", Value::Null).await, missing);
    let orphan = world.refused("POST", "/thing-groups/new", json!({"parentGroupName": "top"})).await;
    assert_eq!(orphan, refusal(400, "InvalidRequestException"));
}

/// ListThingGroups lists all, those below one, those directly below it, and those whose names begin so.
#[tokio::test]
async fn groups_are_listed_by_parent_and_prefix_and_in_pages() {
    let world = hierarchy().await;
    for (query, expected) in [
        ("", vec!["low", "mid", "other", "top"]),
        ("recursive=false", vec!["other", "top"]),
        ("parentGroup=top", vec!["low", "mid"]),
        ("parentGroup=top&recursive=false", vec!["mid"]),
        ("namePrefixFilter=o", vec!["other"]),
    ] {
        let page = world.iot("GET", &format!("/thing-groups?{query}"), Value::Null).await.ok().json();
        assert_eq!(names(&page), expected, "{query}");
    }
    let first = world.iot("GET", "/thing-groups?maxResults=3", Value::Null).await.ok().json();
    let path = format!("/thing-groups?maxResults=3&nextToken={}", first["nextToken"].as_str().unwrap());
    assert_eq!(names(&world.iot("GET", &path, Value::Null).await.ok().json()), ["top"]);
}

/// Things join by name or ARN, move within a hierarchy, and are listed from both sides.
#[tokio::test]
async fn things_join_move_and_leave() {
    let world = hierarchy().await;
    world.iot("POST", "/things/a", json!({})).await.ok();
    let by_arn = json!({
        "thingArn": "arn:aws:iot:us-east-1:123456789012:thing/a",
        "thingGroupArn": "arn:aws:iot:us-east-1:123456789012:thinggroup/mid",
    });
    world.iot("PUT", "/thing-groups/addThingToThingGroup", by_arn).await.ok();
    let relative = json!({"thingName": "a", "thingGroupName": "low"});
    let twice = world.refused("PUT", "/thing-groups/addThingToThingGroup", relative).await;
    assert_eq!(twice, refusal(400, "InvalidRequestException"));
    let change =
        json!({"thingName": "a", "thingGroupsToAdd": ["low", "other"], "thingGroupsToRemove": ["mid"]});
    world.iot("PUT", "/thing-groups/updateThingGroupsForThing", change).await.ok();
    let groups = world.iot("GET", "/things/a/thing-groups", Value::Null).await.ok().json();
    assert_eq!(names(&groups), ["low", "other"]);
    let direct = world.iot("GET", "/thing-groups/top/things", Value::Null).await.ok().json();
    let below = world.iot("GET", "/thing-groups/top/things?recursive=true", Value::Null).await.ok().json();
    assert_eq!((&direct["things"], &below["things"]), (&json!([]), &json!(["a"])));
    let leave = json!({"thingName": "a", "thingGroupName": "low"});
    world.iot("PUT", "/thing-groups/removeThingFromThingGroup", leave).await.ok();
    let missing = json!({"thingName": "none", "thingGroupName": "low"});
    let missing = world.refused("PUT", "/thing-groups/removeThingFromThingGroup", missing).await;
    assert_eq!(missing, refusal(404, "ResourceNotFoundException"));
}

/// Tags are given at creation or later, and taken away; things carry none.
#[tokio::test]
async fn resources_are_tagged() {
    let world = World::start().await;
    let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
    world.iot("POST", "/thing-groups/g", json!({"tags": [tag("team", "a")]})).await.ok();
    let arn = "arn:aws:iot:us-east-1:123456789012:thinggroup/g";
    world.iot("POST", "/tags", json!({"resourceArn": arn, "tags": [tag("stage", "b")]})).await.ok();
    let path = format!("/tags?resourceArn={}", arn.replace(':', "%3A").replace('/', "%2F"));
    let tags = world.iot("GET", &path, Value::Null).await.ok().json();
    assert_eq!(tags["tags"], json!([tag("stage", "b"), tag("team", "a")]));
    world.iot("POST", "/untag", json!({"resourceArn": arn, "tagKeys": ["stage"]})).await.ok();
    assert_eq!(world.iot("GET", &path, Value::Null).await.ok().json()["tags"], json!([tag("team", "a")]));
    for (resource, tags, expected) in [
        ("thing/a", json!([tag("a", "b")]), refusal(400, "InvalidRequestException")),
        ("thinggroup/none", json!([tag("a", "b")]), refusal(404, "ResourceNotFoundException")),
        ("thinggroup/g", json!([tag("aws:a", "b")]), refusal(400, "InvalidRequestException")),
    ] {
        let arn = format!("arn:aws:iot:us-east-1:123456789012:{resource}");
        let refused = world.refused("POST", "/tags", json!({"resourceArn": arn, "tags": tags})).await;
        assert_eq!(refused, expected, "{resource}");
    }
    let many: Vec<_> = (0..50).map(|n| tag(&format!("k{n}"), "")).collect();
    let full = world.refused("POST", "/tags", json!({"resourceArn": arn, "tags": many})).await;
    assert_eq!(full, refusal(410, "LimitExceededException"));
}

/// Event settings are off at first and set one by one.
#[tokio::test]
async fn event_settings_are_kept() {
    let world = World::start().await;
    let before = world.iot("GET", "/event-configurations", Value::Null).await.ok().json();
    assert_eq!(before["eventConfigurations"]["THING"], json!({"Enabled": false}));
    assert!(before["creationDate"].is_null());
    let body = json!({"eventConfigurations": {"THING": {"Enabled": true}}});
    world.iot("PATCH", "/event-configurations", body).await.ok();
    let after = world.iot("GET", "/event-configurations", Value::Null).await.ok().json();
    let kinds = &after["eventConfigurations"];
    assert_eq!((&kinds["THING"], &kinds["JOB"]), (&json!({"Enabled": true}), &json!({"Enabled": false})));
    assert_eq!(after["creationDate"], json!(1_800_000_000.0));
    let odd = json!({"eventConfigurations": {"WEATHER": {"Enabled": true}}});
    let odd = world.refused("PATCH", "/event-configurations", odd).await;
    assert_eq!(odd, refusal(400, "InvalidRequestException"));
}

/// A description has 2028 characters at most, in one line.
#[tokio::test]
async fn a_groups_description_is_bounded() {
    let world = World::start().await;
    let new = |text: &str| json!({"thingGroupProperties": {"thingGroupDescription": text}});
    world.iot("POST", "/thing-groups/g", new(&"x".repeat(2028))).await.ok();
    for text in ["x".repeat(2029), "two\nlines".into()] {
        for (method, path) in [("POST", "/thing-groups/h"), ("PATCH", "/thing-groups/g")] {
            let answer = world.iot(method, path, new(&text)).await;
            assert_eq!((answer.status, answer.error()), (400, "InvalidRequestException"), "{method}");
        }
    }
}
