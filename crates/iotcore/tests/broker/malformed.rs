//! What is not MQTT, or not TLS, ends its own connection and no other.

use fleetkey_mqtt::{Packet, ReasonCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{ALL, Client, World, soon, v5};

#[tokio::test]
async fn bytes_that_are_no_packet_close_the_connection_with_the_reason() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut witness = world.client(&identity, v5("witness")).await;
    let table: [(&[u8], ReasonCode); 6] = [
        (&[0x00, 0x00], ReasonCode::MALFORMED_PACKET),
        (&[0xC1, 0x00], ReasonCode::MALFORMED_PACKET),
        (&[0xC0, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], ReasonCode::MALFORMED_PACKET),
        (&[0x30, 0x05, 0x00, 0x02, 0xC3, 0x28, 0x00], ReasonCode::MALFORMED_PACKET),
        (&[0x82, 0x03, 0x00, 0x01, 0x00], ReasonCode::PROTOCOL_ERROR),
        (&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], ReasonCode::PACKET_TOO_LARGE),
    ];
    for (bytes, reason) in table {
        let mut client = world.client(&identity, v5("a")).await;
        client.send_bytes(bytes).await;
        assert_eq!(client.closed().await, Some(reason), "{bytes:02x?}");
    }
    witness.ping().await;
    world.stop().await;
}

#[tokio::test]
async fn a_second_connect_and_packets_of_the_server_are_violations() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let id = fleetkey_mqtt::PacketId::FIRST;
    let table = [
        Packet::Connect(Box::new(v5("a"))),
        Packet::PingResp,
        Packet::PubRec(fleetkey_mqtt::PubAck::new(id)),
    ];
    for packet in table {
        let mut client = world.client(&identity, v5("a")).await;
        client.send(&packet).await;
        assert_eq!(client.closed().await, Some(ReasonCode::PROTOCOL_ERROR), "{packet:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_first_packet_that_is_no_connect_is_closed_without_a_word() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut stream = world.tls(Some(&identity)).await.unwrap();
    stream.write_all(&[0xC0, 0x00]).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty());
    world.stop().await;
}

#[tokio::test]
async fn an_unknown_protocol_version_is_told_so() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut stream = world.tls(Some(&identity)).await.unwrap();
    let connect = b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a";
    stream.write_all(connect).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty() || answer == [0x20, 0x02, 0x00, 0x01], "{answer:02x?}");
    world.stop().await;
}

#[tokio::test]
async fn plain_tcp_and_silence_do_not_hold_up_the_others() {
    let world = World::with(|config| config.limits.handshake = std::time::Duration::from_millis(200)).await;
    let identity = world.identity(ALL).await;
    let port = world.handle().ports().mqtt;
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a").await.unwrap();
    let mut silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut half = world.tls(Some(&identity)).await.unwrap();
    for stream in [&mut plain, &mut silent] {
        let _ = soon("the end", stream.read_to_end(&mut Vec::new())).await;
    }
    let _ = soon("the end", half.read_to_end(&mut Vec::new())).await;
    world.client(&identity, v5("a")).await.ping().await;
    world.stop().await;
}

#[tokio::test]
async fn silence_ends_a_connection_at_one_and_a_half_keep_alives() {
    let quick = std::time::Duration::from_millis(100);
    let world = World::with(|config| {
        config.limits.keep_alive_min = quick;
        config.limits.keep_alive_max = quick;
    })
    .await;
    let mut client: Client = world.client(&world.identity(ALL).await, v5("a")).await;
    assert_eq!(client.closed().await, Some(ReasonCode::KEEP_ALIVE_TIMEOUT));
    world.stop().await;
}
