//! Shared subscriptions: each message to one of those who have subscribed together, in both versions of MQTT.

use std::collections::BTreeSet;

use fleetkey_mqtt::{Packet, Property, Publish, QoS, ReasonCode};

use crate::support::{ALL, Client, Identity, World, until, v5, v311};

/// May subscribe to the share `g` of `t/…` and receive by it, and nothing else besides publishing there.
const SHARED: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
    {"Effect":"Allow","Action":"iot:Subscribe",
     "Resource":"arn:aws:iot:us-east-1:123456789012:topicfilter/$share/g/t/*"},
    {"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:us-east-1:123456789012:topic/$share/g/t/*"}]}"#;

const MESSAGES: u32 = 60;

async fn publish(world: &World, identity: &Identity) {
    let mut publisher = world.client(identity, v5("publisher")).await;
    for number in 0..MESSAGES {
        let payload = number.to_be_bytes().to_vec();
        assert_eq!(publisher.publish("t/x", payload).await, Ok(ReasonCode::SUCCESS));
    }
    publisher.leave().await;
}

/// What came before a message that was sent to the client alone, after the others.
async fn taken(client: &mut Client, last: &str) -> BTreeSet<u32> {
    client.publish(last, "last").await.unwrap();
    let mut taken = BTreeSet::new();
    loop {
        let message = client.message().await;
        if message.topic.as_str() == last {
            return taken;
        }
        let number = u32::from_be_bytes(message.payload[..].try_into().unwrap());
        assert!(taken.insert(number), "{number} came twice");
    }
}

#[tokio::test]
async fn each_message_goes_to_one_of_a_share_and_to_all_who_subscribed_alone() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut one = world.client(&identity, v5("one")).await;
    let mut other = world.client(&identity, v311("other")).await;
    let mut alone = world.client(&identity, v5("alone")).await;
    for (client, own) in [(&mut one, "last/one"), (&mut other, "last/other"), (&mut alone, "last/alone")] {
        client.subscribe(own, QoS::AtLeastOnce).await;
    }
    for client in [&mut one, &mut other] {
        assert_eq!(client.subscribe("$share/g/t/+", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    }
    alone.subscribe("t/#", QoS::AtLeastOnce).await;
    publish(&world, &identity).await;
    let all: BTreeSet<_> = (0..MESSAGES).collect();
    assert_eq!(taken(&mut alone, "last/alone").await, all);
    let (first, second) = (taken(&mut one, "last/one").await, taken(&mut other, "last/other").await);
    assert!(!first.is_empty() && !second.is_empty(), "{first:?} {second:?}");
    assert!(first.is_disjoint(&second));
    assert_eq!(first.union(&second).copied().collect::<BTreeSet<_>>(), all);
    // Who leaves the share gets nothing more of it.
    one.unsubscribe("$share/g/t/+").await;
    publish(&world, &identity).await;
    assert_eq!(taken(&mut other, "last/other").await, all);
    assert!(taken(&mut one, "last/one").await.is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_share_keeps_messages_while_one_of_it_has_a_session_that_waits_across_a_restart() {
    let mut world = World::start().await;
    let identity = world.identity(ALL).await;
    let member = world.identity(SHARED).await;
    let kept = || {
        let mut connect = v5("kept");
        connect.clean_start = false;
        connect.properties.push(Property::SessionExpiryInterval(600));
        connect
    };
    let mut client = world.client(&member, kept()).await;
    assert_eq!(client.subscribe("$share/g/t/x", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    let mut passing = world.client(&member, v5("passing")).await;
    passing.subscribe("$share/g/t/x", QoS::AtLeastOnce).await;
    passing.leave().await;
    client.leave().await;
    until("both to be gone", || world.handle().connections().is_empty()).await;
    publish(&world, &identity).await;
    world.restart().await;
    let mut client = world.client(&member, kept()).await;
    for number in 0..MESSAGES {
        assert_eq!(client.message().await.payload[..], number.to_be_bytes());
    }
    world.stop().await;
}

#[tokio::test]
async fn what_a_member_has_not_acknowledged_goes_to_another_when_its_session_ends() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut silent = world.client(&identity, v5("silent")).await;
    silent.auto_ack = false;
    silent.subscribe("$share/g/t/x", QoS::AtLeastOnce).await;
    publish(&world, &identity).await;
    silent.message().await;
    let mut other = world.client(&identity, v5("other")).await;
    other.subscribe("$share/g/t/x", QoS::AtLeastOnce).await;
    silent.vanish().await;
    for number in 0..MESSAGES {
        assert_eq!(other.message().await.payload[..], number.to_be_bytes());
    }
    world.stop().await;
}

#[tokio::test]
async fn policies_name_the_share_to_subscribe_and_to_receive() {
    let world = World::start().await;
    let (all, member) = (world.identity(ALL).await, world.identity(SHARED).await);
    let mut client = world.client(&member, v5("member")).await;
    for refused in ["t/x", "$share/other/t/x", "$share/g/u"] {
        assert_eq!(
            client.subscribe(refused, QoS::AtLeastOnce).await,
            ReasonCode::NOT_AUTHORIZED,
            "{refused}"
        );
    }
    assert_eq!(client.subscribe("$share/g/t/x", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    let mut publisher = world.client(&all, v5("publisher")).await;
    publisher.publish("t/x", "shared").await.unwrap();
    let message = client.message().await;
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("t/x", &b"shared"[..]));
    world.stop().await;
}

#[tokio::test]
async fn too_many_names_or_members_are_refused_and_places_come_free() {
    let world =
        World::with(|config| (config.limits.share_groups, config.limits.share_members) = (2, 2)).await;
    let identity = world.identity(ALL).await;
    let mut clients = Vec::new();
    for name in ["a", "b", "c"] {
        clients.push(world.client(&identity, v5(name)).await);
    }
    let granted = ReasonCode::GRANTED_QOS_1;
    for (client, expected) in clients.iter_mut().zip([granted, granted, ReasonCode::QUOTA_EXCEEDED]) {
        assert_eq!(client.subscribe("$share/g/t", QoS::AtLeastOnce).await, expected);
    }
    let third = &mut clients[2];
    assert_eq!(third.subscribe("$share/h/t", QoS::AtLeastOnce).await, granted);
    assert_eq!(third.subscribe("$share/i/t", QoS::AtLeastOnce).await, ReasonCode::QUOTA_EXCEEDED);
    third.unsubscribe("$share/h/t").await;
    assert_eq!(third.subscribe("$share/i/t", QoS::AtLeastOnce).await, granted);
    world.stop().await;
}

#[tokio::test]
async fn a_retained_message_is_for_those_who_subscribe_alone() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, v5("a")).await;
    let mut retained = Publish::new("t/x", "kept");
    retained.retain = true;
    client.send(&Packet::Publish(retained)).await;
    client.subscribe("last", QoS::AtLeastOnce).await;
    client.subscribe("$share/g/t/x", QoS::AtLeastOnce).await;
    client.publish("last", "last").await.unwrap();
    assert_eq!(&client.message().await.payload[..], b"last");
    world.stop().await;
}
