//! The simple client.

use fleetkey_mqtt::link::{Client, LinkError, Messages, PublishError};
use fleetkey_mqtt::session::{OutboxError, SessionConfig};
use fleetkey_mqtt::{Disconnect, Packet, PacketId, Properties, PubAck, QoS, ReasonCode, SubAck, Version};
use tokio::io::duplex;
use tokio::time::timeout;

use super::{Broker, SECOND, options};

async fn start(config: SessionConfig) -> (Client, Messages, Broker) {
    let (near, far) = duplex(4096);
    let mut broker = Broker::new(far, Version::V5);
    let (started, _) =
        tokio::join!(Client::start(near, options(Version::V5), config), broker.accept(Properties::new()));
    let (client, messages) = started.expect("accepted");
    (client, messages, broker)
}

fn puback(id: u16) -> Packet {
    Packet::PubAck(PubAck::new(PacketId::new(id).expect("not 0")))
}

#[tokio::test(start_paused = true)]
async fn publishing_returns_with_the_brokers_answer() {
    let (client, _messages, mut broker) = start(SessionConfig::default()).await;
    for (reason, expected) in [
        (ReasonCode::SUCCESS, Ok(())),
        (ReasonCode::NOT_AUTHORIZED, Err(PublishError::Refused(ReasonCode::NOT_AUTHORIZED))),
    ] {
        let mut publish = std::pin::pin!(client.publish("t", "p", QoS::AtLeastOnce));
        assert!(timeout(SECOND, publish.as_mut()).await.is_err(), "not before the answer");
        let received = broker.recv_publish().await;
        broker.acknowledge(&received, reason).await;
        assert_eq!(publish.await, expected);
    }
    assert_eq!(client.publish("t", "p", QoS::AtMostOnce).await, Ok(()));
    assert_eq!(broker.recv_publish().await.packet_id, None);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_sent_is_an_error_at_once() {
    let (client, _messages, _broker) = start(SessionConfig::default()).await;
    let error = PublishError::Outbox(OutboxError::Wildcard);
    assert_eq!(client.publish("t/#", "p", QoS::AtLeastOnce).await, Err(error));
}

#[tokio::test(start_paused = true)]
async fn who_waits_learns_of_the_end() {
    let (client, mut messages, mut broker) = start(SessionConfig::default()).await;
    let cut = async {
        broker.recv_publish().await;
        drop(broker);
    };
    let (published, subscribed, ()) = tokio::join!(
        client.publish("t", "p", QoS::AtLeastOnce),
        async {
            client.closed().await;
            client.subscribe(&[("t", QoS::AtLeastOnce)]).await
        },
        cut
    );
    assert_eq!(published, Err(PublishError::Closed(LinkError::Closed)));
    assert_eq!(subscribed, Err(LinkError::Closed));
    assert_eq!(messages.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_acknowledged_when_it_was_received_and_not_before() {
    let (client, mut messages, mut broker) = start(SessionConfig::default()).await;
    let grant = async {
        let Some(Packet::Subscribe(subscribe)) = broker.recv().await else { panic!("SUBSCRIBE") };
        let reasons = vec![ReasonCode::GRANTED_QOS_1];
        let suback = SubAck { packet_id: subscribe.packet_id, reasons, properties: Properties::new() };
        broker.send(Packet::SubAck(suback)).await;
        broker.publish("a", Some(3)).await;
        assert!(timeout(SECOND, broker.recv()).await.is_err(), "nobody has it yet");
    };
    let (reasons, ()) = tokio::join!(client.subscribe(&[("t", QoS::AtLeastOnce)]), grant);
    assert_eq!(reasons, Ok(vec![ReasonCode::GRANTED_QOS_1]));
    let message = messages.recv().await.expect("a message");
    assert_eq!(message.payload, "a");
    assert_eq!(broker.recv().await, Some(puback(3)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_slows_the_broker_down_and_gets_everything() {
    let (client, mut messages, mut broker) = start(SessionConfig::default()).await;
    let flood = async {
        for number in 0..3000_u32 {
            broker.publish(&number.to_string(), None).await;
        }
        broker
    };
    let mut flood = std::pin::pin!(flood);
    assert!(timeout(3600 * SECOND, flood.as_mut()).await.is_err(), "the broker has to wait");
    let consume = async {
        for number in 0..3000_u32 {
            assert_eq!(messages.recv().await.expect("a message").payload, number.to_string());
        }
    };
    let (_broker, ()) = tokio::join!(flood, consume);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_end_is_received_after_it() {
    let (client, mut messages, mut broker) = start(SessionConfig::default()).await;
    for id in 1..=150 {
        broker.publish("m", Some(id)).await;
    }
    drop(broker);
    assert_eq!(client.closed().await, LinkError::Closed);
    for _ in 1..=150 {
        assert!(messages.recv().await.is_some());
    }
    assert_eq!(messages.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn disconnecting_is_said_and_ends_all() {
    let (client, _messages, mut broker) = start(SessionConfig::default()).await;
    client.disconnect().await;
    let disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    assert_eq!(broker.recv().await, Some(Packet::Disconnect(disconnect)));
    assert_eq!(broker.recv().await, None);
    assert_eq!(client.closed().await, LinkError::Ended);
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_makes_publishers_wait_but_not_disconnect() {
    let (client, _messages, mut broker) =
        start(SessionConfig { outbox_limit: 1, ..SessionConfig::default() }).await;
    let publish = || client.publish("t", "p", QoS::AtLeastOnce);
    let stop = async {
        broker.recv_publish().await;
        assert!(timeout(SECOND, broker.recv_publish()).await.is_err(), "one at a time");
        client.disconnect().await;
    };
    let (first, second, ()) = tokio::join!(publish(), publish(), stop);
    assert_eq!([first, second], [const { Err(PublishError::Closed(LinkError::Ended)) }; 2]);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_takes_the_connection_with_it() {
    let (client, _messages, mut broker) = start(SessionConfig::default()).await;
    let other = client.clone();
    drop(client);
    assert!(timeout(SECOND, broker.recv()).await.is_err(), "there is another handle");
    drop(other);
    assert!(matches!(broker.recv().await, Some(Packet::Disconnect(_))));
}
