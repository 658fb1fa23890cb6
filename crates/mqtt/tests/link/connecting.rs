//! What comes of CONNECT.

use fleetkey_mqtt::link::{ConnectError, ConnectOptions, Connected, Link};
use fleetkey_mqtt::{
    ConnAck, Packet, PacketId, PacketKind, Properties, Property, PubAck, QoS, ReasonCode, Version, Will,
};
use tokio::io::{DuplexStream, duplex};

use super::{Broker, SECOND, options};

async fn connect(near: DuplexStream, version: Version) -> Result<Connected, ConnectError> {
    Link::connect(near, &options(version), SECOND).await.map(|(_, connected)| connected)
}

/// What comes of it when the broker answers with a packet.
async fn answered(version: Version, packet: Packet) -> Result<Connected, ConnectError> {
    let (near, far) = duplex(4096);
    let mut broker = Broker::new(far, version);
    let answer = async {
        broker.recv_connect().await;
        broker.send(packet).await;
        broker
    };
    tokio::join!(connect(near, version), answer).0
}

#[tokio::test(start_paused = true)]
async fn a_refusal_has_its_reason_in_both_versions() {
    for version in [Version::V311, Version::V5] {
        let refusal = Packet::ConnAck(ConnAck::refused(ReasonCode::NOT_AUTHORIZED));
        let error = ConnectError::Refused(ReasonCode::NOT_AUTHORIZED);
        assert_eq!(answered(version, refusal).await, Err(error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_closes_without_connack_is_told_from_other_failures() {
    let (near, far) = duplex(4096);
    let mut broker = Broker::new(far, Version::V311);
    let close = async move { drop(broker.recv_connect().await) };
    assert_eq!(tokio::join!(connect(near, Version::V311), close).0, Err(ConnectError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_closed_already_is_closed() {
    let (near, far) = duplex(4096);
    drop(far);
    assert_eq!(connect(near, Version::V5).await, Err(ConnectError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_heard_though_the_broker_listens_no_more() {
    let (near, far) = duplex(4096);
    let mut broker = Broker::new(far, Version::V5);
    broker.send(Packet::ConnAck(ConnAck::refused(ReasonCode::SERVER_BUSY))).await;
    drop(broker);
    assert_eq!(connect(near, Version::V5).await, Err(ConnectError::Refused(ReasonCode::SERVER_BUSY)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_given_up() {
    let (near, _far) = duplex(4096);
    assert_eq!(connect(near, Version::V5).await, Err(ConnectError::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_talks_nonsense_is_left() {
    let puback = Packet::PubAck(PubAck::new(PacketId::FIRST));
    assert_eq!(answered(Version::V5, puback).await, Err(ConnectError::Unexpected(PacketKind::PubAck)));
    let (near, far) = duplex(4096);
    let mut broker = Broker::new(far, Version::V5);
    broker.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert!(matches!(connect(near, Version::V5).await, Err(ConnectError::Malformed(_))));
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_offers_is_told() {
    let properties = Properties::new()
        .with(Property::ServerKeepAlive(60))
        .with(Property::ReceiveMaximum(100))
        .with(Property::MaximumPacketSize(1000))
        .with(Property::SessionExpiryInterval(7))
        .with(Property::AssignedClientIdentifier("chosen".into()));
    let connack = ConnAck { session_present: true, reason: ReasonCode::SUCCESS, properties };
    let expected = Connected {
        version: Version::V5,
        session_present: true,
        server_keep_alive: Some(60),
        receive_max: 100,
        max_packet: Some(1000),
        session_expiry: Some(7),
        assigned_client_id: Some("chosen".into()),
    };
    assert_eq!(answered(Version::V5, Packet::ConnAck(connack)).await, Ok(expected));
}

#[tokio::test(start_paused = true)]
async fn connect_carries_what_was_asked_for() {
    let will = Will {
        topic: "will".into(),
        payload: "gone".into(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: Properties::new(),
    };
    for version in [Version::V311, Version::V5] {
        let (near, far) = duplex(4096);
        let mut broker = Broker::new(far, version);
        let options = ConnectOptions {
            clean_start: false,
            keep_alive: 45,
            session_expiry: Some(3600),
            will: Some(will.clone()),
            ..options(version)
        };
        let (connected, connect) =
            tokio::join!(Link::connect(near, &options, SECOND), broker.accept(Properties::new()));
        assert!(connected.is_ok());
        assert_eq!((connect.version, connect.clean_start, connect.keep_alive), (version, false, 45));
        assert_eq!((connect.client_id, connect.will), ("device".into(), Some(will.clone())));
        assert_eq!(connect.properties.session_expiry(), (version == Version::V5).then_some(3600));
    }
}
