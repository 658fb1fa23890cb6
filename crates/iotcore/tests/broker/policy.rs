//! No publish, no subscribe, no delivery across things.

use std::collections::BTreeMap;

use fleetkey_model::name::{GroupName, PolicyName, ThingName};
use fleetkey_mqtt::{Packet, Publish, QoS, ReasonCode};

use crate::support::{ALL, Closed, World, v5, v311};

#[tokio::test]
async fn a_device_reaches_its_own_topics_and_nobody_elses() {
    let world = World::start().await;
    let pump = world.device("pump").await;
    world.device("fan").await;
    let mut client = world.client(&pump, v5("pump")).await;
    assert_eq!(client.subscribe("device/pump/#", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    for filter in ["device/fan/#", "device/+/x", "#", "fleetkey/attested/+/requests", "$aws/events/#"] {
        assert_eq!(client.subscribe(filter, QoS::AtLeastOnce).await, ReasonCode::NOT_AUTHORIZED, "{filter}");
    }
    assert_eq!(client.publish("device/pump/x", "mine").await, Ok(ReasonCode::SUCCESS));
    for topic in [
        "device/fan/x",
        "fleetkey/attested/pump/requests",
        "fleetkey/things/pump/commands",
        "fleetkey/things/pump/answers",
        "fleetkey/things/fan/requests",
        "$aws/certificates/create/json",
    ] {
        assert_eq!(client.publish(topic, "x").await, Ok(ReasonCode::NOT_AUTHORIZED), "{topic}");
    }
    assert_eq!(&client.message().await.payload[..], b"mine");
    world.stop().await;
}

#[tokio::test]
async fn a_device_cannot_connect_as_another() {
    let world = World::start().await;
    let pump = world.device("pump").await;
    world.device("fan").await;
    for id in ["fan", "pump~verify", "other"] {
        let (_, connack) = world.try_client(&pump, v5(id)).await.unwrap();
        assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED, "{id}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_refused_publish_closes_where_the_version_has_no_words() {
    let world = World::start().await;
    let mut observer = world.observer("$aws/events/presence/disconnected/pump").await;
    let pump = world.device("pump").await;
    let mut old = world.client(&pump, v311("pump")).await;
    assert_eq!(old.publish("device/fan/x", "x").await, Err(Closed));
    assert_eq!(observer.event().await.1["disconnectReason"], "AUTH_ERROR");
    let mut new = world.client(&pump, v5("pump")).await;
    new.send(&Packet::Publish(Publish::new("device/fan/x", "QoS 0"))).await;
    assert_eq!(new.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
    assert_eq!(observer.event().await.1["disconnectReason"], "AUTH_ERROR");
    world.stop().await;
}

#[tokio::test]
async fn a_refused_subscription_of_3_1_1_is_answered_or_closed_by_a_switch() {
    for close in [false, true] {
        let world = World::with(|config| config.switches.close_on_refused_subscribe_v311 = close).await;
        let pump = world.device("pump").await;
        let mut client = world.client(&pump, v311("pump")).await;
        if close {
            let packet = Packet::Subscribe(fleetkey_mqtt::Subscribe {
                packet_id: client.id(),
                filters: vec![fleetkey_mqtt::SubscribeFilter::new("#", QoS::AtMostOnce)],
                properties: Default::default(),
            });
            client.send(&packet).await;
            assert_eq!(client.closed().await, None);
        } else {
            assert_eq!(client.subscribe("#", QoS::AtMostOnce).await, ReasonCode::UNSPECIFIED_ERROR);
            client.ping().await;
        }
        world.stop().await;
    }
}

const DEAF: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iot:*","Resource":"*"},
    {"Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:us-east-1:123456789012:topic/secret/*"}]}"#;

#[tokio::test]
async fn receive_is_asked_at_every_delivery() {
    let world = World::start().await;
    let publisher = world.identity(ALL).await;
    let deaf = world.identity(DEAF).await;
    let mut client = world.client(&deaf, v5("deaf")).await;
    assert_eq!(client.subscribe("#", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    let mut publisher = world.client(&publisher, v5("publisher")).await;
    publisher.publish("secret/x", "unheard").await.unwrap();
    publisher.publish("public/x", "heard").await.unwrap();
    assert_eq!(&client.message().await.payload[..], b"heard");
    world.stop().await;
}

#[tokio::test]
async fn a_changed_policy_holds_for_the_live_connection() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    assert_eq!(client.publish("t", "x").await, Ok(ReasonCode::SUCCESS));
    let account = world.handle().account();
    let record = account.describe_certificate(&identity.id).unwrap();
    let policy: &PolicyName = record.policies.first().unwrap();
    account.replace_policy(policy, DEAF).await.unwrap();
    assert_eq!(client.publish("t", "x").await, Ok(ReasonCode::SUCCESS));
    let nothing =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}"#;
    account.replace_policy(policy, nothing).await.unwrap();
    assert_eq!(client.publish("t", "x").await, Ok(ReasonCode::NOT_AUTHORIZED));
    world.stop().await;
}

#[tokio::test]
async fn retaining_needs_its_own_right() {
    const NO_RETAIN: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["iot:Connect","iot:Publish"],"Resource":"*"}]}"#;
    let world = World::start().await;
    let identity = world.identity(NO_RETAIN).await;
    let mut client = world.client(&identity, v5("a")).await;
    assert_eq!(client.publish("t", "x").await, Ok(ReasonCode::SUCCESS));
    let mut publish = Publish::new("t", "x");
    publish.retain = true;
    client.send(&Packet::Publish(publish)).await;
    assert_eq!(client.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
    assert_eq!(world.handle().retained_count(), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_group_policy_holds_where_the_client_id_is_the_thing() {
    const CONNECT_ONLY: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}"#;
    let world = World::start().await;
    let identity = world.identity(CONNECT_ONLY).await;
    let account = world.handle().account();
    let (thing, group) = (ThingName::new("pump").unwrap(), GroupName::new("pumps").unwrap());
    let policy = PolicyName::new("group-policy").unwrap();
    account.create_thing(&thing, None, BTreeMap::new()).await.unwrap();
    account.create_thing_group(&group, None).await.unwrap();
    account.create_policy(&policy, ALL).await.unwrap();
    account.attach_group_policy(&policy, &group).await.unwrap();
    account.add_thing_to_group(&thing, &group).await.unwrap();
    let mut member = world.client(&identity, v5("pump")).await;
    assert_eq!(member.publish("t", "x").await, Ok(ReasonCode::SUCCESS));
    let mut stranger = world.client(&identity, v5("random")).await;
    assert_eq!(stranger.publish("t", "x").await, Ok(ReasonCode::NOT_AUTHORIZED));
    world.stop().await;
}
