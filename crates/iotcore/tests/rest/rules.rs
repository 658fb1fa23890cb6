//! Topic rules over REST: what is kept of them, listed, refused.

use std::sync::Arc;

use fleetkey_iotcore::seams::AnyRole;
use serde_json::{Value, json};

use crate::support::{Request, World, zip};

const ROLE: &str = "arn:aws:iam::123456789012:role/rules";

/// A world in which every role may be assumed.
async fn world() -> World {
    World::with(|config| config.roles = Some(Arc::new(AnyRole))).await
}

fn republish(sql: &str) -> Value {
    json!({"sql": sql, "actions": [{"republish": {"roleArn": ROLE, "topic": "out/${topic(2)}", "qos": 1}}]})
}

/// A rule is given back as it was made, with the edition of SQL that AWS fills in.
#[tokio::test]
async fn a_rule_is_given_back_as_it_was_made() {
    let world = world().await;
    let mut payload = republish("SELECT * FROM 'in/+'");
    payload["description"] = "two levels".into();
    payload["errorAction"] =
        json!({"lambda": {"functionArn": "arn:aws:lambda:us-east-1:123456789012:function:f"}});
    let request =
        Request::new("POST", "/rules/r_1").header("x-amz-tagging", "a=b&c=").body(payload.to_string());
    assert_eq!(world.call("iot", request).await.ok().json(), json!({}));
    let answer = world.iot("GET", "/rules/r_1", Value::Null).await.ok().json();
    assert_eq!(answer["ruleArn"], "arn:aws:iot:us-east-1:123456789012:rule/r_1");
    payload["ruleName"] = "r_1".into();
    payload["ruleDisabled"] = false.into();
    payload["awsIotSqlVersion"] = "2015-10-08".into();
    payload["createdAt"] = 1_800_000_000.0.into();
    assert_eq!(answer["rule"], payload);
    let again = world.iot("POST", "/rules/r_1", republish("SELECT * FROM 'a'")).await;
    assert_eq!((again.status, again.error()), (409, "ResourceAlreadyExistsException"));
}

/// Rules are switched off and on, replaced and deleted; of one that does not exist AWS only says that access is denied.
#[tokio::test]
async fn rules_are_switched_replaced_and_deleted() {
    let world = world().await;
    world.iot("POST", "/rules/r", republish("SELECT 1 AS a FROM 'a'")).await.ok();
    world.iot("POST", "/rules/r/disable", Value::Null).await.ok();
    let rule = world.iot("GET", "/rules/r", Value::Null).await.ok().json();
    assert_eq!(rule["rule"]["ruleDisabled"], true);
    world.iot("POST", "/rules/r/enable", Value::Null).await.ok();
    world.iot("PATCH", "/rules/r", republish("SELECT 2 AS a FROM 'a'")).await.ok();
    let rule = world.iot("GET", "/rules/r", Value::Null).await.ok().json();
    assert_eq!(rule["rule"]["sql"], "SELECT 2 AS a FROM 'a'");
    world.iot("DELETE", "/rules/r", Value::Null).await.ok();
    for (method, path) in [("GET", "/rules/r"), ("DELETE", "/rules/r"), ("POST", "/rules/r/enable")] {
        let answer = world.iot(method, path, Value::Null).await;
        assert_eq!((answer.status, answer.error()), (401, "UnauthorizedException"), "{method} {path}");
    }
}

/// Lists come in pages, by topic or by whether a rule is off.
#[tokio::test]
async fn rules_are_listed_in_pages_and_by_topic() {
    let world = world().await;
    for (name, filter) in [("a", "x/+"), ("b", "x/y"), ("c", "z")] {
        let sql = format!("SELECT * FROM '{filter}'");
        world.iot("POST", &format!("/rules/{name}"), republish(&sql)).await.ok();
    }
    world.iot("POST", "/rules/b/disable", Value::Null).await.ok();
    let names = |answer: &Value| -> Vec<String> {
        answer["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["ruleName"].as_str().unwrap().to_owned())
            .collect()
    };
    let page = world.iot("GET", "/rules?maxResults=2", Value::Null).await.ok().json();
    assert_eq!(names(&page), ["a", "b"]);
    let expected = json!({"ruleArn": "arn:aws:iot:us-east-1:123456789012:rule/a", "ruleName": "a",
        "topicPattern": "x/+", "createdAt": 1_800_000_000.0, "ruleDisabled": false});
    assert_eq!(page["rules"][0], expected);
    let rest = format!("/rules?maxResults=2&nextToken={}", page["nextToken"].as_str().unwrap());
    let rest = world.iot("GET", &rest, Value::Null).await.ok().json();
    assert_eq!((names(&rest), &rest["nextToken"]), (vec!["c".to_owned()], &Value::Null));
    let by_topic = world.iot("GET", "/rules?topic=x%2Fy", Value::Null).await.ok().json();
    assert_eq!(names(&by_topic), ["a", "b"]);
    let off = world.iot("GET", "/rules?ruleDisabled=true", Value::Null).await.ok().json();
    assert_eq!(names(&off), ["b"]);
}

/// What cannot be carried out is refused when the rule is made, by name.
#[tokio::test]
async fn what_cannot_be_carried_out_is_refused_by_name() {
    let world = world().await;
    let action = |action: Value| json!({"sql": "SELECT * FROM 'a'", "actions": [action]});
    for (payload, error, words) in [
        (republish("SELECT get_thing_shadow('a','b') FROM 'a'"), "SqlParseException", "get_thing_shadow"),
        (republish("SELECT * FROM"), "SqlParseException", "topic filter"),
        (action(json!({"s3": {"bucketName": "b"}})), "InvalidRequestException", "s3"),
        (action(json!({"republish": {"topic": "a"}})), "InvalidRequestException", "roleArn"),
        (action(json!({"republish": {"roleArn": ROLE, "topic": "a/#"}})), "InvalidRequestException", "a/#"),
        (
            action(json!({"republish": {"roleArn": ROLE, "topic": "${nonsense(1)}"}})),
            "SqlParseException",
            "nonsense",
        ),
        (
            action(json!({"republish": {"roleArn": ROLE, "topic": "a", "qos": 2}})),
            "InvalidRequestException",
            "qos",
        ),
        (action(json!({"lambda": {"functionArn": "f"}})), "InvalidRequestException", "function ARN"),
        (json!({"sql": "SELECT * FROM 'a'"}), "InvalidRequestException", "actions"),
        (
            json!({"sql": "SELECT * FROM 'a'", "actions": [], "awsIotSqlVersion": "1999-01-01"}),
            "InvalidRequestException",
            "awsIotSqlVersion",
        ),
    ] {
        let answer = world.iot("POST", "/rules/r", payload.clone()).await;
        assert_eq!((answer.status, answer.error()), (400, error), "{payload}");
        assert!(answer.message().contains(words), "{payload}: {}", answer.message());
    }
    let answer = world.iot("POST", "/rules/bad-name", republish("SELECT * FROM 'a'")).await;
    assert_eq!((answer.status, answer.error()), (400, "InvalidRequestException"));
}

/// The role of a republish action must exist and trust AWS IoT, which is asked when the rule is made.
#[tokio::test]
async fn a_role_that_does_not_trust_aws_iot_is_refused() {
    let world = World::start().await;
    let refused = world.iot("POST", "/rules/r", republish("SELECT * FROM 'a'")).await;
    assert_eq!((refused.status, refused.error()), (400, "InvalidRequestException"));
    let words = format!("is unable to assume role (sts:AssumeRole) on resource: {ROLE}.");
    assert!(refused.message().contains(&words), "{}", refused.message());
    let form = zip::role("rules", "iot.amazonaws.com");
    world.call("iam", Request::form(&form)).await.ok();
    world.iot("POST", "/rules/r", republish("SELECT * FROM 'a'")).await.ok();
}

/// TagResource and its neighbours know no UnauthorizedException: a rule that does not exist is not found.
#[tokio::test]
async fn tags_of_a_rule_that_does_not_exist_are_not_found() {
    let world = world().await;
    let arn = "arn:aws:iot:us-east-1:123456789012:rule/r";
    let tag = json!({"resourceArn": arn, "tags": [{"Key": "a", "Value": "b"}]});
    let untag = json!({"resourceArn": arn, "tagKeys": ["a"]});
    let listed = format!("/tags?resourceArn={}", arn.replace(':', "%3A").replace('/', "%2F"));
    for (method, path, body) in
        [("POST", "/tags", &tag), ("POST", "/untag", &untag), ("GET", listed.as_str(), &Value::Null)]
    {
        let refused = world.iot(method, path, body.clone()).await;
        assert_eq!((refused.status, refused.error()), (404, "ResourceNotFoundException"), "{path}");
    }
    world.iot("POST", "/rules/r", republish("SELECT * FROM 'a'")).await.ok();
    world.iot("POST", "/tags", tag).await.ok();
    let tags = world.iot("GET", &listed, Value::Null).await.ok().json();
    assert_eq!(tags["tags"], json!([{"Key": "a", "Value": "b"}]));
}
