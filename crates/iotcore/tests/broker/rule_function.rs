//! A topic rule with a function of one's own: made over REST, triggered over MQTT, run by this computer's Python.

use fleetkey_mqtt::{QoS, ReasonCode};
use serde_json::{Value, json};

use crate::functions::zip;
use crate::signed::{Request, call, iot};
use crate::support::{ALL, Client, World, soon, v5};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:judge";
const RULE: &str = "arn:aws:iot:us-east-1:123456789012:rule/heat";
/// Notes what is well, and fails on what is not.
const CODE: &str = r"
def handler(event, context):
    if event['temp'] > 90:
        raise ValueError('too hot: ' + event['thing'])
    print('fine', event['thing'], event['temp'])
";

/// A world with the function, and a rule that hands it what devices measure and republishes what fails.
async fn world() -> World {
    let world = World::start().await;
    for (name, service) in [("Hook", "lambda.amazonaws.com"), ("rules", "iot.amazonaws.com")] {
        call(&world, "iam", Request::form(&zip::role(name, service))).await.ok();
    }
    let function = zip::python("judge", CODE).to_string();
    call(&world, "lambda", Request::new("POST", "/2015-03-31/functions").body(function)).await.ok();
    let rule = json!({
        "sql": "SELECT temp, topic(2) AS thing FROM 'device/+/heat'", "awsIotSqlVersion": "2016-03-23",
        "actions": [{"lambda": {"functionArn": FUNCTION}}],
        "errorAction": {"republish": {"roleArn": "arn:aws:iam::123456789012:role/rules", "topic": "errors/${topic(2)}", "qos": 1}},
    });
    iot(&world, "POST", "/rules/heat", rule).await;
    world
}

async fn allow(world: &World, sid: &str, rule: &str) {
    let permission = json!({"StatementId": sid, "Action": "lambda:InvokeFunction",
        "Principal": "iot.amazonaws.com", "SourceArn": rule, "SourceAccount": "123456789012"});
    let path = "/2015-03-31/functions/judge/policy";
    call(world, "lambda", Request::new("POST", path).body(permission.to_string())).await.ok();
}

/// A client that may do everything and hears of errors.
async fn operator(world: &World) -> Client {
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("operator")).await;
    assert_eq!(client.subscribe("errors/#", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    client
}

/// What the function has printed with `word` in it, once there is any.
async fn printed(world: &World, word: &str) -> String {
    let filter = json!({"logGroupName": "/aws/lambda/judge", "filterPattern": word}).to_string();
    let request = Request::new("POST", "/").header("content-type", "application/x-amz-json-1.1");
    let request = request.header("x-amz-target", "Logs_20140328.FilterLogEvents").body(filter);
    soon("a line of the function", async {
        loop {
            let answer = call(world, "logs", request.clone()).await;
            if answer.status == 200
                && let Some(event) = answer.json()["events"].as_array().unwrap().first()
            {
                return event["message"].as_str().unwrap().to_owned();
            }
        }
    })
    .await
}

/// The function's own code gets what the rule selects; when it raises, the error action tells what and of which message.
#[tokio::test]
async fn a_rule_runs_the_functions_own_code_and_tells_when_it_fails() {
    let world = world().await;
    allow(&world, "heat", RULE).await;
    let mut operator = operator(&world).await;
    operator.publish("device/d-1/heat", r#"{"temp": 50, "more": 1}"#).await.unwrap();
    assert_eq!(printed(&world, "fine").await, "fine d-1 50");
    operator.publish("device/d-2/heat", r#"{"temp": 95}"#).await.unwrap();
    let (topic, report) = operator.event().await;
    assert_eq!(topic, "errors/d-2");
    assert_eq!((&report["ruleName"], &report["topic"]), (&json!("heat"), &json!("device/d-2/heat")));
    assert_eq!(report["base64OriginalPayload"], "eyJ0ZW1wIjogOTV9");
    let failure = json!({"failedAction": "LambdaAction", "failedResource": FUNCTION,
        "errorMessage": "ValueError: too hot: d-2"});
    assert_eq!(report["failures"], json!([failure]));
    world.stop().await;
}

/// A function's policy is for the rule that it names and for no other, as on AWS.
#[tokio::test]
async fn a_rule_invokes_only_a_function_whose_policy_names_it() {
    let world = world().await;
    let mut operator = operator(&world).await;
    let cool = r#"{"temp": 50}"#;
    let refused = |report: &Value| report["failures"][0]["errorMessage"].as_str().unwrap().contains(RULE);
    operator.publish("device/d-1/heat", cool).await.unwrap();
    assert!(refused(&operator.event().await.1), "nobody may invoke it");
    allow(&world, "other", "arn:aws:iot:us-east-1:123456789012:rule/other").await;
    operator.publish("device/d-2/heat", cool).await.unwrap();
    assert!(refused(&operator.event().await.1), "another rule may");
    allow(&world, "heat", RULE).await;
    operator.publish("device/d-3/heat", cool).await.unwrap();
    assert_eq!(printed(&world, "fine").await, "fine d-3 50");
    operator.ping().await;
    assert!(operator.no_message());
    world.stop().await;
}
