//! Published versions of functions.

use serde_json::{Value, json};

use crate::lambda::{FUNCTIONS, lambda, with_function};
use crate::support::zip::{python, zipped};
use crate::support::{Request, World};

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:hook";

fn code(answer: u32) -> String {
    format!("def handler(event, context):\n    return [{answer}, context.function_version]\n")
}

async fn publish(world: &World, body: Value) -> Value {
    let made = lambda(world, "POST", &format!("{FUNCTIONS}/hook/versions"), body).await.ok();
    assert_eq!(made.status, 201);
    made.json()
}

async fn update(world: &World, answer: u32, more: Value) -> Value {
    let mut body = json!({"ZipFile": zipped("lambda_function.py", &code(answer))});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    lambda(world, "PUT", &format!("{FUNCTIONS}/hook/code"), body).await.ok().json()
}

/// A version is what the function was when it was published, whatever becomes of the function.
#[tokio::test]
async fn a_published_version_stays_as_it_was() {
    let world = with_function(&code(1)).await;
    let first = publish(&world, json!({"Description": "the first"})).await;
    assert_eq!((&first["Version"], &first["FunctionArn"]), (&json!("1"), &json!(format!("{ARN}:1"))));
    assert_eq!(first["Description"], "the first");
    assert_eq!(publish(&world, json!({})).await, first, "nothing has changed since");
    update(&world, 2, json!({})).await;
    let second = update(&world, 3, json!({"Publish": true})).await;
    assert_eq!(second["Version"], "2");
    for (target, expected) in [
        ("hook/invocations", json!([3, "$LATEST"])),
        ("hook/invocations?Qualifier=1", json!([1, "1"])),
        ("hook%3A1/invocations", json!([1, "1"])),
        ("hook/invocations?Qualifier=2", json!([3, "2"])),
        ("hook/invocations?Qualifier=%24LATEST", json!([3, "$LATEST"])),
    ] {
        let answer = lambda(&world, "POST", &format!("{FUNCTIONS}/{target}"), json!({})).await.ok();
        assert_eq!(answer.json(), expected, "{target}");
        assert_eq!(answer.header("x-amz-executed-version"), expected[1].as_str(), "{target}");
    }
    let path = format!("{FUNCTIONS}/hook/versions");
    let listed = lambda(&world, "GET", &format!("{path}?MaxItems=2"), Value::Null).await.ok().json();
    let arns = |page: &Value| -> Vec<Value> {
        page["Versions"].as_array().unwrap().iter().map(|one| one["FunctionArn"].clone()).collect()
    };
    assert_eq!(arns(&listed), [json!(format!("{ARN}:$LATEST")), json!(format!("{ARN}:1"))]);
    let next = format!("{path}?MaxItems=2&Marker={}", listed["NextMarker"].as_str().unwrap());
    let rest = lambda(&world, "GET", &next, Value::Null).await.ok().json();
    assert_eq!((arns(&rest), &rest["NextMarker"]), (vec![json!(format!("{ARN}:2"))], &Value::Null));
}

/// A version has a resource policy of its own.
#[tokio::test]
async fn a_version_has_a_policy_of_its_own() {
    let world = with_function(&code(1)).await;
    publish(&world, json!({})).await;
    let policy = format!("{FUNCTIONS}/hook/policy");
    let add =
        json!({"StatementId": "iot", "Action": "lambda:InvokeFunction", "Principal": "iot.amazonaws.com"});
    let added = lambda(&world, "POST", &format!("{policy}?Qualifier=1"), add).await.ok().json();
    let statement: Value = serde_json::from_str(added["Statement"].as_str().unwrap()).unwrap();
    assert_eq!(statement["Resource"], format!("{ARN}:1"));
    assert_eq!(lambda(&world, "GET", &policy, Value::Null).await.status, 404);
    lambda(&world, "GET", &format!("{policy}?Qualifier=1"), Value::Null).await.ok();
    lambda(&world, "DELETE", &format!("{policy}/iot?Qualifier=1"), Value::Null).await.ok();
    assert_eq!(lambda(&world, "GET", &format!("{policy}?Qualifier=1"), Value::Null).await.status, 404);
}

/// A number is never given twice, `$LATEST` goes only with the whole function, and what is published is not changed.
#[tokio::test]
async fn versions_are_deleted_and_their_numbers_not_given_again() {
    let world = with_function(&code(1)).await;
    let function = format!("{FUNCTIONS}/hook");
    let latest = lambda(&world, "GET", &format!("{function}/configuration"), Value::Null).await.ok().json();
    for (body, status, error) in [
        (json!({"CodeSha256": "other"}), 400, "InvalidParameterValueException"),
        (json!({"RevisionId": "other"}), 412, "PreconditionFailedException"),
        (json!({"Description": "x".repeat(257)}), 400, "ValidationException"),
    ] {
        let refused = lambda(&world, "POST", &format!("{function}/versions"), body).await;
        assert_eq!((refused.status, refused.error()), (status, error));
    }
    let seen = json!({"CodeSha256": latest["CodeSha256"], "RevisionId": latest["RevisionId"]});
    publish(&world, seen).await;
    let refused = |answer: crate::support::Answer| (answer.status, answer.error().to_owned());
    let missing = (404, "ResourceNotFoundException".to_owned());
    let invalid = (400, "InvalidParameterValueException".to_owned());
    for (method, target, expected) in [
        ("GET", "hook?Qualifier=2", &missing),
        ("GET", "hook?Qualifier=alias", &missing),
        ("GET", "hook%3A1?Qualifier=2", &invalid),
        ("DELETE", "hook?Qualifier=%24LATEST", &invalid),
    ] {
        let answer = lambda(&world, method, &format!("{FUNCTIONS}/{target}"), Value::Null).await;
        assert_eq!(refused(answer), *expected, "{method} {target}");
    }
    let change =
        lambda(&world, "PUT", &format!("{FUNCTIONS}/hook%3A1/configuration"), json!({"Timeout": 9})).await;
    assert_eq!(refused(change), missing);
    let deleted = lambda(&world, "DELETE", &format!("{function}?Qualifier=1"), Value::Null).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(
        refused(lambda(&world, "GET", &format!("{function}?Qualifier=1"), Value::Null).await),
        missing
    );
    assert_eq!(publish(&world, json!({})).await["Version"], "2");
    lambda(&world, "DELETE", &function, Value::Null).await.ok();
    assert_eq!(
        refused(lambda(&world, "GET", &format!("{function}?Qualifier=2"), Value::Null).await),
        missing
    );
    let mut again = python("hook", &code(1));
    again["Publish"] = json!(true);
    let made =
        world.call("lambda", Request::new("POST", FUNCTIONS).body(again.to_string())).await.ok().json();
    assert_eq!(made["Version"], "3");
}
