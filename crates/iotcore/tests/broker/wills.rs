//! The will: sent when a client is lost, not when it leaves.

use fleetkey_mqtt::{Connect, Disconnect, Packet, Property, QoS, ReasonCode, Will};

use crate::support::{ALL, Closed, World, until, v5, v311};

fn with_will(mut connect: Connect, topic: &str) -> Connect {
    connect.will = Some(Will {
        topic: topic.into(),
        payload: "gone".into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Default::default(),
    });
    connect
}

#[tokio::test]
async fn a_lost_client_and_one_that_was_taken_over_leave_their_will() {
    let world = World::start().await;
    let mut observer = world.observer("wills/#").await;
    let identity = world.identity(ALL).await;
    let client = world.client(&identity, with_will(v311("a"), "wills/lost")).await;
    client.vanish().await;
    assert_eq!(observer.message().await.topic, "wills/lost");
    let mut old = world.client(&identity, with_will(v5("a"), "wills/old")).await;
    let _new = world.client(&identity, with_will(v5("a"), "wills/new")).await;
    assert_eq!(old.closed().await, Some(ReasonCode::SESSION_TAKEN_OVER));
    assert_eq!(observer.message().await.topic, "wills/old");
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_will_with_it_unless_it_says_otherwise() {
    let world = World::start().await;
    let mut observer = world.observer("wills/#").await;
    let identity = world.identity(ALL).await;
    let client = world.client(&identity, with_will(v5("a"), "wills/quiet")).await;
    client.leave().await;
    let mut client = world.client(&identity, with_will(v5("a"), "wills/loud")).await;
    let bye = Disconnect::new(ReasonCode::DISCONNECT_WITH_WILL);
    client.send(&Packet::Disconnect(bye)).await;
    client.closed().await;
    assert_eq!(observer.message().await.topic, "wills/loud");
    world.stop().await;
}

#[tokio::test]
async fn a_protocol_violation_sends_the_will() {
    let world = World::start().await;
    let mut observer = world.observer("wills/#").await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, with_will(v5("a"), "wills/violation")).await;
    client.send(&Packet::PingResp).await;
    assert_eq!(client.closed().await, Some(ReasonCode::PROTOCOL_ERROR));
    assert_eq!(observer.message().await.topic, "wills/violation");
    world.stop().await;
}

#[tokio::test]
async fn a_will_that_may_not_be_published_refuses_the_connect() {
    let world = World::start().await;
    let mut observer = world.observer("$aws/events/presence/connect_failed/+").await;
    let device = world.device("pump").await;
    world.client(&device, with_will(v5("pump"), "device/pump/will")).await;
    let (_, connack) = world.try_client(&device, with_will(v5("pump"), "device/other/will")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(observer.event().await.1["clientId"], "pump");
    let refused = world.try_client(&device, with_will(v311("pump"), "wills/x")).await;
    assert!(matches!(refused, Err(Closed)));
    world.stop().await;
}

#[tokio::test]
async fn a_delayed_will_is_not_sent_when_the_client_is_back_in_time() {
    let world = World::start().await;
    let mut observer = world.observer("wills/#").await;
    let identity = world.identity(ALL).await;
    let delayed = |topic: &str, seconds| {
        let mut connect = with_will(v5("a"), topic);
        connect.clean_start = false;
        connect.properties.push(Property::SessionExpiryInterval(600));
        let will = connect.will.as_mut().unwrap();
        will.properties.push(Property::WillDelayInterval(seconds));
        connect
    };
    world.client(&identity, delayed("wills/late", 300)).await.vanish().await;
    // Back, and lost again with a will that does not wait: the first one must not have been sent before it.
    world.client(&identity, delayed("wills/now", 0)).await.vanish().await;
    assert_eq!(observer.message().await.topic, "wills/now");
    world.stop().await;
}

#[tokio::test]
async fn a_will_that_waits_does_not_keep_the_files_of_a_stopped_server() {
    let mut world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut connect = with_will(v5("a"), "wills/late");
    connect.properties.push(Property::SessionExpiryInterval(600));
    connect.will.as_mut().unwrap().properties.push(Property::WillDelayInterval(300));
    world.client(&identity, connect).await.vanish().await;
    until("the client to be gone", || world.handle().connections().is_empty()).await;
    world.restart().await;
    world.client(&identity, v5("b")).await.ping().await;
    world.stop().await;
}
