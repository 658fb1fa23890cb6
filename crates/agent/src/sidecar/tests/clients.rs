//! What clients do that is not in the book, or is and is seldom done.

use fleetkey_mqtt::{Connect, Disconnect, Packet, Properties, Property, ReasonCode, Version};
use tokio::net::TcpStream;
use tokio::sync::broadcast;

use super::raw::{Raw, message};
use super::{dial, start, status};
use crate::sidecar::SidecarEvent;
use crate::testing::Broker;
use crate::{AgentEvent, AgentHandle};

async fn connect(agent: &AgentHandle, connect: Connect) -> (Raw<TcpStream>, ReasonCode, Properties) {
    let (client, ack) = Raw::connect(dial(agent).await, connect).await;
    (client, ack.reason, ack.properties)
}

async fn expelled(events: &mut broadcast::Receiver<AgentEvent>) -> String {
    loop {
        if let AgentEvent::Sidecar(SidecarEvent::Expelled { why }) = events.recv().await.unwrap() {
            return why;
        }
    }
}

/// CODESYS sends PINGREQ every five seconds and disconnects itself where nothing answers. It stands behind everything
/// that was said before it.
#[tokio::test]
async fn while_a_client_is_held_its_ping_is_answered_behind_thousands_of_messages_and_none_of_them_is() {
    let mut broker = Broker::start().await;
    let agent = start(&broker).await;
    let asks = Connect { keep_alive: 5, ..Connect::new(Version::V311, "plc") };
    let (mut client, reason, _) = connect(&agent, asks).await;
    assert_eq!(reason, ReasonCode::SUCCESS);
    broker.crash().await;
    status(&agent, |status| status.losses == 1).await;
    let mut all: Vec<_> = (1..=2500).map(|number| message(number, "x")).collect();
    all.push(Packet::PingReq);
    client.says(&all).await;
    assert_eq!(client.hears().await, Some(Packet::PingResp));
    let held = status(&agent, |_| true).await;
    assert!(held.held && held.waiting_up == 2500, "{held:?}");
    broker.restart().await;
    assert!(matches!(client.hears().await, Some(Packet::PubAck(_))), "once the broker has it");
    agent.stop().await;
}

#[tokio::test]
async fn a_client_whose_packet_cannot_be_taken_is_told_why_and_so_is_everybody_else() {
    let broker = Broker::start().await;
    let agent = start(&broker).await;
    let mut large = bytes::BytesMut::new();
    fleetkey_mqtt::encode(&message(1, vec![0; 1_000_000]), Version::V5, &mut large).unwrap();
    let no_topic = [0x30, 3, 0, 0, 0].as_slice();
    let table = [
        (&*large, 0x95, "a PUBLISH that is too large: the packet has 1000"),
        (&[0x36, 0], 0x81, "PUBLISH"),
        (&[0xF3, 0], 0x81, "AUTH"),
        (no_topic, 0x82, "PUBLISH"),
    ];
    for (bytes, reason, named) in table {
        for version in [Version::V5, Version::V311] {
            let mut events = agent.events();
            let (mut client, _, _) = connect(&agent, Connect::new(version, "plc")).await;
            client.writes(bytes).await;
            if version == Version::V5 {
                let told = Packet::Disconnect(Disconnect::new(ReasonCode(reason)));
                assert_eq!(client.hears().await, Some(told), "{named}");
            }
            assert_eq!(client.hears().await, None);
            let why = expelled(&mut events).await;
            assert!(version == Version::V311 || why.contains(named), "{why}");
            if reason == 0x95 {
                assert!(why.contains("at most 149504 are allowed"), "{why}");
            }
            assert!(SidecarEvent::Expelled { why }.is_trouble());
        }
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_version_that_is_not_spoken_is_refused_in_words_that_the_client_knows() {
    let broker = Broker::start().await;
    let agent = start(&broker).await;
    let table = [
        (b"\x10\x0f\0\x06MQIsdp\x03\x02\0\x3c\0\x01a".as_slice(), b"\x20\x02\0\x01".as_slice()),
        (b"\x10\x0d\0\x04MQTT\x03\x02\0\x3c\0\x01a", b"\x20\x02\0\x01"),
        (b"\x10\x0e\0\x04MQTT\x06\x02\0\x3c\0\0\x01a", b"\x20\x03\0\x84\0"),
    ];
    for (says, hears) in table {
        let mut client = Raw::new(dial(&agent).await, Version::V311);
        client.writes(says).await;
        assert_eq!(client.rest().await, hears);
    }
    agent.stop().await;
}

#[tokio::test]
async fn clients_without_a_client_id_are_not_each_other() {
    let broker = Broker::start().await;
    let agent = start(&broker).await;
    for version in [Version::V311, Version::V5] {
        let nameless = || Connect::new(version, "");
        let (mut first, reason, properties) = connect(&agent, nameless()).await;
        assert_eq!(reason, ReasonCode::SUCCESS);
        let (_, refused, _) = connect(&agent, nameless()).await;
        assert!(refused.is_error());
        first.says(&[Packet::PingReq]).await;
        assert_eq!(first.hears().await, Some(Packet::PingResp), "it has kept its place");
        let name = properties.assigned_client_id();
        assert_eq!(name.is_some(), version == Version::V5);
        if let Some(name) = name {
            // Who was given a name is known by it.
            let (mut again, reason, properties) = connect(&agent, Connect::new(version, name.clone())).await;
            assert_eq!((reason, properties.assigned_client_id()), (ReasonCode::SUCCESS, None));
            assert_eq!(first.hears().await, None, "its own place");
            again.says(&[Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))]).await;
            status(&agent, |status| status.client.is_none()).await;
            let (_, _, properties) = connect(&agent, nameless()).await;
            assert_ne!(properties.assigned_client_id(), Some(name), "nobody gets it a second time");
        } else {
            first.says(&[Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))]).await;
            status(&agent, |status| status.client.is_none()).await;
        }
    }
    agent.stop().await;
}

#[tokio::test]
async fn without_a_client_id_there_is_no_session_to_keep() {
    let broker = Broker::start().await;
    let agent = start(&broker).await;
    let keeps = |version| Connect { clean_start: false, ..Connect::new(version, "") };
    let mut client = Raw::new(dial(&agent).await, Version::V311);
    client.says(&[Packet::Connect(Box::new(keeps(Version::V311)))]).await;
    assert_eq!(client.rest().await, b"\x20\x02\0\x02", "identifier rejected");
    let mut five = keeps(Version::V5);
    five.properties = Properties::new().with(Property::SessionExpiryInterval(600));
    let (_client, ack) = Raw::connect(dial(&agent).await, five).await;
    assert!(!ack.session_present && ack.properties.assigned_client_id().is_some(), "{ack:?}");
    agent.stop().await;
}
