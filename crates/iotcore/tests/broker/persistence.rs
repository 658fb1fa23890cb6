//! Persistent sessions: what a client finds when it comes back, and what a restart keeps.

use std::time::Duration;

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_mqtt::{Connect, Disconnect, Packet, Property, PubAck, QoS, ReasonCode};

use crate::support::{ALL, World, until, v5, v311};

fn kept(mut connect: Connect) -> Connect {
    connect.clean_start = false;
    connect.properties.push(Property::SessionExpiryInterval(600));
    connect
}

#[tokio::test]
async fn messages_wait_for_a_persistent_session_in_order_even_across_a_restart() {
    for connect in [kept(v5("sleeper")), {
        let mut connect = v311("sleeper");
        connect.clean_start = false;
        connect
    }] {
        let mut world = World::start().await;
        let identity = world.identity(ALL).await;
        let (mut sleeper, connack) = world.try_client(&identity, connect.clone()).await.unwrap();
        assert!(!connack.session_present);
        sleeper.subscribe("t/+", QoS::AtLeastOnce).await;
        sleeper.vanish().await;
        let mut publisher = world.client(&identity, v5("publisher")).await;
        for number in 0..50u32 {
            let payload = number.to_be_bytes().to_vec();
            assert_eq!(publisher.publish("t/x", payload).await, Ok(ReasonCode::SUCCESS));
        }
        world.restart().await;
        let (mut sleeper, connack) = world.try_client(&identity, connect).await.unwrap();
        assert!(connack.session_present);
        for number in 0..50u32 {
            assert_eq!(sleeper.message().await.payload[..], number.to_be_bytes());
        }
        // The subscription is there still, without a SUBSCRIBE.
        sleeper.publish("t/y", "again").await.unwrap();
        assert_eq!(&sleeper.message().await.payload[..], b"again");
        world.stop().await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_does_not_come_back_and_what_was_not_does() {
    let mut world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, kept(v5("a"))).await;
    client.auto_ack = false;
    client.subscribe("t", QoS::AtLeastOnce).await;
    for payload in ["1", "2", "3"] {
        client.publish("t", payload).await.unwrap();
    }
    let first = client.message().await;
    client.send(&Packet::PubAck(PubAck::new(first.packet_id.unwrap()))).await;
    client.ping().await;
    world.restart().await;
    let mut client = world.client(&identity, kept(v5("a"))).await;
    assert_eq!(&client.message().await.payload[..], b"2");
    assert_eq!(&client.message().await.payload[..], b"3");
    client.publish("t", "4").await.unwrap();
    assert_eq!(&client.message().await.payload[..], b"4");
    world.stop().await;
}

#[tokio::test]
async fn a_clean_start_forgets_on_disk_too() {
    let mut world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, kept(v5("a"))).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.leave().await;
    world.client(&identity, v5("a")).await.leave().await;
    until("the session to be over", || world.handle().session_count() == 0).await;
    world.restart().await;
    assert_eq!(world.handle().session_count(), 0);
    let (_client, connack) = world.try_client(&identity, kept(v5("a"))).await.unwrap();
    assert!(!connack.session_present);
    world.stop().await;
}

#[tokio::test]
async fn a_session_expires_by_the_clock() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    world.client(&identity, kept(v5("a"))).await.vanish().await;
    until("the connection to end", || world.handle().connections().is_empty()).await;
    world.clock.advance(Duration::from_secs(599));
    let (client, connack) = world.try_client(&identity, kept(v5("a"))).await.unwrap();
    assert!(connack.session_present);
    client.vanish().await;
    until("the connection to end", || world.handle().connections().is_empty()).await;
    world.clock.advance(Duration::from_secs(600));
    until("the session to be swept", || world.handle().session_count() == 0).await;
    let (_client, connack) = world.try_client(&identity, kept(v5("a"))).await.unwrap();
    assert!(!connack.session_present);
    world.stop().await;
}

#[tokio::test]
async fn a_session_of_a_deleted_certificate_is_dropped_at_start() {
    let mut world = World::start().await;
    let (stays, goes) = (world.identity(ALL).await, world.identity(ALL).await);
    world.client(&stays, kept(v5("stays"))).await.vanish().await;
    world.client(&goes, kept(v5("goes"))).await.vanish().await;
    let account = world.handle().account();
    account.update_certificate(&goes.id, CertificateStatus::Inactive).await.unwrap();
    account.delete_certificate(&goes.id, true).await.unwrap();
    world.restart().await;
    assert_eq!(world.handle().session_count(), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_version_5_disconnect_may_shorten_the_session_and_not_invent_one() {
    let mut world = World::start().await;
    let identity = world.identity(ALL).await;
    let goodbye = |seconds| {
        let mut bye = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        bye.properties.push(Property::SessionExpiryInterval(seconds));
        Packet::Disconnect(bye)
    };
    let mut client = world.client(&identity, kept(v5("a"))).await;
    client.send(&goodbye(0)).await;
    assert_eq!(client.closed().await, None);
    until("the session to be over", || world.handle().session_count() == 0).await;
    world.restart().await;
    assert_eq!(world.handle().session_count(), 0, "nor does it come back from the disk");
    let mut client = world.client(&identity, v5("a")).await;
    client.send(&goodbye(10)).await;
    assert_eq!(client.closed().await, Some(ReasonCode::PROTOCOL_ERROR));
    world.stop().await;
}

#[tokio::test]
async fn no_session_is_resumed_across_versions() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    world.client(&identity, kept(v5("a"))).await.vanish().await;
    let mut old = v311("a");
    old.clean_start = false;
    let (_client, connack) = world.try_client(&identity, old).await.unwrap();
    assert!(!connack.session_present);
    world.stop().await;
}

#[tokio::test]
async fn a_message_that_expired_meanwhile_is_not_delivered() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut client = world.client(&identity, kept(v5("a"))).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.vanish().await;
    let mut publisher = world.client(&identity, v5("publisher")).await;
    let mut publish = fleetkey_mqtt::Publish::new("t", "brief");
    publish.qos = QoS::AtLeastOnce;
    publish.packet_id = Some(publisher.id());
    publish.properties.push(Property::MessageExpiryInterval(10));
    publisher.send(&Packet::Publish(publish)).await;
    assert!(matches!(publisher.answer().await, Some(Packet::PubAck(_))));
    publisher.publish("t", "lasting").await.unwrap();
    world.clock.advance(Duration::from_secs(11));
    let mut client = world.client(&identity, kept(v5("a"))).await;
    assert_eq!(&client.message().await.payload[..], b"lasting");
    world.stop().await;
}

#[tokio::test]
async fn a_session_resumed_for_the_last_time_ends_with_its_connection() {
    let mut world = World::start().await;
    let identity = world.identity(ALL).await;
    world.client(&identity, kept(v5("a"))).await.vanish().await;
    let mut last = v5("a");
    last.clean_start = false;
    let (client, connack) = world.try_client(&identity, last).await.unwrap();
    assert!(connack.session_present);
    client.vanish().await;
    until("the session to be over", || world.handle().session_count() == 0).await;
    world.restart().await;
    assert_eq!(world.handle().session_count(), 0);
    world.stop().await;
}
