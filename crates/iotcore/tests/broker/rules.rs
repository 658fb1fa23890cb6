//! Topic rules on the wire: what they select, republish and hand to functions, and what stops them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fleetkey_iotcore::registry::{RulePayload, RuleRecord};
use fleetkey_iotcore::seams::{AnyRole, FunctionInvoker, InvokeFailure, InvokeFuture, Roles, RuleCall};
use fleetkey_model::name::RuleName;
use fleetkey_model::retirement::{ATTESTING_RULE_SQL, Attested};
use fleetkey_mqtt::{Packet, Property, Publish, QoS, ReasonCode, Will};
use serde_json::{Value, json};

use crate::support::{ALL, Client, World, until, v5, v311};

const ROLE: &str = "arn:aws:iam::123456789012:role/rules";

/// A world in which every role may be assumed.
pub(crate) async fn world() -> World {
    World::with(|config| config.roles = Some(Arc::new(AnyRole))).await
}

pub(crate) fn rule(sql: &str, topic: &str) -> Value {
    json!({"sql": sql, "awsIotSqlVersion": "2016-03-23",
        "actions": [{"republish": {"roleArn": ROLE, "topic": topic, "qos": 1}}]})
}

pub(crate) async fn create(world: &World, name: &str, payload: Value) {
    let payload: RulePayload = serde_json::from_value(payload).unwrap();
    world
        .handle()
        .account()
        .create_rule(&RuleName::new(name).unwrap(), payload, Default::default())
        .await
        .unwrap();
}

/// A client that may do everything and has subscribed to `filter`.
async fn listener(world: &World, filter: &str) -> Client {
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("listener")).await;
    assert_eq!(client.subscribe(filter, QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    client
}

fn body(message: &Publish) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

/// A rule's result goes out on the topic that its template makes of the message, with the publisher's identity.
#[tokio::test]
async fn a_rule_republishes_what_it_selects() {
    let world = world().await;
    let mut listener = listener(&world, "out/#").await;
    let mut payload = rule(
        "SELECT temp, topic(2) AS thing, principal() AS principal, clientid() AS client FROM 'in/+/t' WHERE temp > 50",
        "out/${topic(2)}/${get_or_default(kind, 'none')}",
    );
    payload["actions"][0]["republish"]["headers"] = json!({
        "contentType": "application/${kind}", "messageExpiry": "60", "payloadFormatIndicator": "UTF8_DATA",
        "correlationData": "aGk=", "userProperties": [{"key": "from", "value": "${clientid()}"}]});
    create(&world, "hot", payload).await;
    let identity = world.identity(ALL).await;
    let mut device = world.client(&identity, v311("pump")).await;
    device.publish("in/a/t", r#"{"temp":50}"#).await.unwrap();
    device.publish("in/a/t", r#"{"temp":51,"kind":"json"}"#).await.unwrap();
    let message = listener.message().await;
    assert_eq!((message.topic.as_str(), message.qos), ("out/a/json", QoS::AtLeastOnce));
    let expected = json!({"temp": 51, "thing": "a", "principal": identity.id.to_string(), "client": "pump"});
    assert_eq!(body(&message), expected);
    assert_eq!(message.properties.content_type().unwrap().as_str(), "application/json");
    assert_eq!(message.properties.message_expiry(), Some(60));
    assert_eq!(message.properties.correlation_data().unwrap().as_ref(), b"hi");
    let from: Vec<_> = message.properties.user_properties().collect();
    assert_eq!((from[0].0.as_str(), from[0].1.as_str()), ("from", "pump"));
    world.stop().await;
}

/// A rule republishes before its publisher is told that the message was taken, in the order of the messages.
#[tokio::test]
async fn results_keep_the_order_of_their_messages() {
    let world = world().await;
    let mut listener = listener(&world, "out").await;
    create(&world, "all", rule("SELECT * FROM 'in'", "out")).await;
    let identity = world.identity(ALL).await;
    let mut device = world.client(&identity, v5("pump")).await;
    for n in 0..50 {
        assert_eq!(device.publish("in", n.to_string()).await, Ok(ReasonCode::SUCCESS));
    }
    for n in 0..50 {
        assert_eq!(listener.message().await.payload, n.to_string());
    }
    world.stop().await;
}

/// `SELECT *` passes a payload that is no JSON as it is.
#[tokio::test]
async fn a_raw_payload_passes_untouched() {
    let world = world().await;
    let mut listener = listener(&world, "out").await;
    create(&world, "raw", rule("SELECT * FROM 'in'", "out")).await;
    let identity = world.identity(ALL).await;
    let mut device = world.client(&identity, v5("pump")).await;
    device.publish("in", &b"\xFF\x00{"[..]).await.unwrap();
    assert_eq!(listener.message().await.payload, &b"\xFF\x00{"[..]);
    world.stop().await;
}

/// A disabled rule does nothing; rules outlive a restart; a replaced rule does what it is told now.
#[tokio::test]
async fn rules_are_switched_replaced_and_kept() {
    let mut world = world().await;
    create(&world, "r", rule("SELECT 1 AS v FROM 'in'", "out")).await;
    let name = RuleName::new("r").unwrap();
    world.handle().account().set_rule_disabled(&name, true).await.unwrap();
    world.restart().await;
    let record: Arc<RuleRecord> = world.handle().account().describe_rule(&name).unwrap();
    assert!(record.payload.rule_disabled);
    let mut listener = listener(&world, "out").await;
    listener.publish("in", "{}").await.unwrap();
    let replacement = serde_json::from_value(rule("SELECT 2 AS v FROM 'in'", "out")).unwrap();
    world.handle().account().replace_rule(&name, replacement).await.unwrap();
    listener.publish("in", "{}").await.unwrap();
    assert_eq!(body(&listener.message().await), json!({"v": 2}));
    world.handle().account().delete_rule(&name).await.unwrap();
    listener.publish("in", "{}").await.unwrap();
    listener.publish("out", "marker").await.unwrap();
    assert_eq!(listener.message().await.payload, "marker");
    world.stop().await;
}

/// A message that the publisher's policy forbids never reaches a rule.
#[tokio::test]
async fn a_forbidden_message_triggers_nothing() {
    const NARROW: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
        {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/in/mine"}]}"#;
    let world = world().await;
    let mut listener = listener(&world, "out/#").await;
    create(&world, "all", rule("SELECT topic() AS t FROM 'in/#'", "out/x")).await;
    let identity = world.identity(NARROW).await;
    let mut device = world.client(&identity, v5("pump")).await;
    assert_eq!(device.publish("in/other", "{}").await, Ok(ReasonCode::NOT_AUTHORIZED));
    assert_eq!(device.publish("in/mine", "{}").await, Ok(ReasonCode::SUCCESS));
    assert_eq!(body(&listener.message().await), json!({"t": "in/mine"}));
    world.stop().await;
}

/// Lifecycle events and wills go past the rules like everything else.
#[tokio::test]
async fn presence_events_and_wills_trigger_rules() {
    let world = world().await;
    let mut listener = listener(&world, "out/#").await;
    create(
        &world,
        "gone",
        rule("SELECT clientId, disconnectReason FROM '$aws/events/presence/disconnected/#'", "out/gone"),
    )
    .await;
    create(&world, "last", rule("SELECT clientid() AS c FROM 'will'", "out/will")).await;
    let identity = world.identity(ALL).await;
    let mut connect = v5("pump");
    connect.will = Some(Will {
        topic: "will".into(),
        payload: "x".into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Default::default(),
    });
    let device = world.client(&identity, connect).await;
    drop(device);
    let mut heard = [listener.message().await, listener.message().await];
    heard.sort_by(|one, other| one.topic.as_str().cmp(other.topic.as_str()));
    assert_eq!(body(&heard[0]), json!({"clientId": "pump", "disconnectReason": "CONNECTION_LOST"}));
    assert_eq!(body(&heard[1]), json!({"c": "pump"}));
    world.stop().await;
}

/// Basic Ingest reaches one rule, whatever its filter, and no subscriber; `topic()` is without the prefix.
#[tokio::test]
async fn basic_ingest_reaches_one_rule_and_nobody_else() {
    let world = world().await;
    let mut listener = listener(&world, "#").await;
    create(&world, "one", rule("SELECT topic(1) AS t FROM 'never'", "out/${topic()}")).await;
    create(&world, "other", rule("SELECT * FROM 'a/b'", "out/other")).await;
    listener.publish("$aws/rules/one/a/b", "{}").await.unwrap();
    listener.publish("$aws/rules/nobody", "{}").await.unwrap();
    listener.publish("marker", "").await.unwrap();
    let message = listener.message().await;
    assert_eq!((message.topic.as_str(), body(&message)), ("out/a/b", json!({"t": "a"})));
    assert_eq!(listener.message().await.topic, "marker");
    world.stop().await;
}

/// AWS lets a rule that triggers itself go on for ever; here it ends, and the broker stays usable.
#[tokio::test]
async fn a_rule_that_triggers_itself_ends() {
    let world = world().await;
    let mut listener = listener(&world, "loop").await;
    create(&world, "loop", rule("SELECT * FROM 'loop'", "loop")).await;
    create(&world, "twin", rule("SELECT * FROM 'loop'", "loop")).await;
    listener.publish("loop", "x").await.unwrap();
    listener.publish("loop", "end").await.unwrap();
    let mut count = 0;
    while listener.message().await.payload != "end" {
        count += 1;
    }
    assert!(count > 8, "{count}");
    world.stop().await;
}

/// Rules whose error actions trigger each other end too: what fails counts with what succeeds.
#[tokio::test]
async fn error_actions_that_trigger_each_other_end() {
    let world = world().await;
    let mut listener = listener(&world, "loop").await;
    for name in ["a", "b", "c", "d"] {
        let mut failing = rule("SELECT * FROM 'loop'", "out/${missing}");
        failing["errorAction"] = json!({"republish": {"roleArn": ROLE, "topic": "loop"}});
        create(&world, name, failing).await;
    }
    listener.publish("loop", "{}").await.unwrap();
    listener.ping().await;
    let mut count = 0;
    while !listener.no_message() {
        listener.message().await;
        count += 1;
    }
    assert_eq!(count, 1001, "the message, and a thousand that came of it");
    world.stop().await;
}

/// The fleet's own attestation is built in; a rule that does it instead is not answered twice.
#[tokio::test]
async fn a_rule_takes_the_place_of_the_built_in_attestation() {
    let world = world().await;
    let pump = world.device("pump").await;
    let mut listener = listener(&world, "fleetkey/attested/#").await;
    let mut device = world.client(&pump, v311("pump")).await;
    let request = |id: &str| format!(r#"{{"op":"retire","id":"{id}","principal":"forged"}}"#);
    device.publish("fleetkey/things/pump/requests", request("built-in")).await.unwrap();
    create(&world, "attest", rule(ATTESTING_RULE_SQL, "fleetkey/attested/${topic(3)}/requests")).await;
    device.publish("fleetkey/things/pump/requests", request("rule")).await.unwrap();
    let name = RuleName::new("attest").unwrap();
    world.handle().account().set_rule_disabled(&name, true).await.unwrap();
    device.publish("fleetkey/things/pump/requests", request("again")).await.unwrap();
    for id in ["built-in", "rule", "again"] {
        let message = listener.message().await;
        assert_eq!(
            (message.topic.as_str(), message.qos),
            ("fleetkey/attested/pump/requests", QoS::AtLeastOnce)
        );
        let attested: Attested = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!((attested.request.id.as_str(), attested.principal), (id, pump.id));
        assert_eq!((attested.clientid.as_str(), attested.thing.as_str()), ("pump", "pump"));
    }
    world.stop().await;
}

/// Functions by name: some answer, some fail; what each was given.
#[derive(Default)]
struct Fakes(Mutex<Vec<RuleCall>>);

impl FunctionInvoker for Fakes {
    fn invoke(&self, call: RuleCall) -> InvokeFuture {
        let failed = call.function_arn.ends_with("bad");
        self.0.lock().unwrap().push(call);
        Box::pin(
            async move { if failed { Err(InvokeFailure("it raised".into())) } else { Ok(Bytes::new()) } },
        )
    }
}

struct Nobody;

impl Roles for Nobody {
    fn role_can_be_assumed_by(&self, _: &str, _: &str) -> bool {
        false
    }
}

/// A function gets the result; one that fails is told of to the error action, in AWS's words.
#[tokio::test]
async fn functions_are_invoked_and_failures_go_to_the_error_action() {
    let fakes = Arc::new(Fakes::default());
    let world = World::with(|config| {
        config.roles = Some(Arc::new(AnyRole));
        config.functions = Some(fakes.clone());
    })
    .await;
    let mut listener = listener(&world, "errors/#").await;
    let arn = |name: &str| format!("arn:aws:lambda:us-east-1:123456789012:function:{name}");
    let payload = json!({"sql": "SELECT a FROM 'in'", "actions": [
            {"lambda": {"functionArn": arn("good")}}, {"lambda": {"functionArn": arn("bad")}},
            {"republish": {"roleArn": ROLE, "topic": "out/${missing}"}}],
        "errorAction": {"republish": {"roleArn": ROLE, "topic": "errors/${clientid()}"}}});
    create(&world, "r", payload).await;
    listener.publish("in", r#"{"a":1,"b":2}"#).await.unwrap();
    let message = listener.message().await;
    assert_eq!(message.topic, "errors/listener");
    let report = body(&message);
    assert_eq!(report["ruleName"], "r");
    assert_eq!((&report["topic"], &report["clientId"]), (&json!("in"), &json!("listener")));
    assert_eq!(report["base64OriginalPayload"], "eyJhIjoxLCJiIjoyfQ==");
    let failures = report["failures"].as_array().unwrap();
    assert_eq!(failures[0]["failedAction"], "RepublishAction");
    let lambda =
        json!({"failedAction": "LambdaAction", "failedResource": arn("bad"), "errorMessage": "it raised"});
    assert_eq!((failures.len(), &failures[1]), (2, &lambda));
    let call = |name: &str| RuleCall {
        function_arn: arn(name),
        rule_arn: "arn:aws:iot:us-east-1:123456789012:rule/r".to_owned(),
        payload: Bytes::from_static(br#"{"a":1}"#),
    };
    assert_eq!(*fakes.0.lock().unwrap(), [call("good"), call("bad")]);
    world.stop().await;
}

/// Every role is taken for assumable unless somebody who knows says no.
#[tokio::test]
async fn a_role_that_cannot_be_assumed_republishes_nothing() {
    let fakes = Arc::new(Fakes::default());
    let world = World::with(|config| {
        config.roles = Some(Arc::new(Nobody));
        config.functions = Some(fakes.clone());
    })
    .await;
    let mut listener = listener(&world, "out").await;
    let mut payload = rule("SELECT * FROM 'in'", "out");
    payload["errorAction"] =
        json!({"lambda": {"functionArn": "arn:aws:lambda:us-east-1:123456789012:function:errors"}});
    create(&world, "r", payload).await;
    listener.publish("in", "{}").await.unwrap();
    until("the error action", || !fakes.0.lock().unwrap().is_empty()).await;
    let report: Value = serde_json::from_slice(&fakes.0.lock().unwrap()[0].payload).unwrap();
    let why = report["failures"][0]["errorMessage"].as_str().unwrap().to_owned();
    assert!(why.contains("sts:AssumeRole") && why.contains(ROLE), "{why}");
    listener.ping().await;
    assert!(listener.no_message());
    world.stop().await;
}

/// A retained message triggers a rule like any other, and its properties can be asked for.
#[tokio::test]
async fn properties_of_a_retained_message_can_be_selected() {
    let world = world().await;
    let mut listener = listener(&world, "out").await;
    let sql = "SELECT get_mqtt_property('response_topic') AS r, get_user_properties('k') AS k FROM 'in'";
    create(&world, "r", rule(sql, "out")).await;
    let mut publish = Publish::new("in", "{}");
    publish.retain = true;
    publish.properties.push(Property::ResponseTopic("answers".into()));
    publish.properties.push(Property::UserProperty("k".into(), "v".into()));
    listener.send(&Packet::Publish(publish)).await;
    let message = listener.message().await;
    assert_eq!(body(&message), json!({"r": "answers", "k": ["v"]}));
    assert!(!message.retain);
    assert_eq!(world.handle().retained_count(), 1);
    world.stop().await;
}
