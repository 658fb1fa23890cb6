//! A client that says what it is told to, whatever the rules are.

use std::time::Duration;

use bytes::BytesMut;
use fleetkey_mqtt::{ConnAck, Connect, Limits, Packet, PacketId, Publish, QoS, Version, decode, encode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Raw<S> {
    stream: S,
    version: Version,
    buffer: BytesMut,
}

/// QoS 1 telemetry.
pub(super) fn message(number: u16, payload: impl Into<bytes::Bytes>) -> Packet {
    let packet_id = PacketId::new(number);
    Packet::Publish(Publish { qos: QoS::AtLeastOnce, packet_id, ..Publish::new(super::TELEMETRY, payload) })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(super) fn new(stream: S, version: Version) -> Self {
        Self { stream, version, buffer: BytesMut::new() }
    }

    pub(super) async fn connect(stream: S, connect: Connect) -> (Self, ConnAck) {
        let mut client = Self::new(stream, connect.version);
        client.says(&[Packet::Connect(Box::new(connect))]).await;
        match client.hears().await {
            Some(Packet::ConnAck(ack)) => (client, ack),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn says(&mut self, packets: &[Packet]) {
        let mut bytes = BytesMut::new();
        for packet in packets {
            encode(packet, self.version, &mut bytes).unwrap();
        }
        self.writes(&bytes).await;
    }

    pub(super) async fn writes(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("somebody reads").unwrap();
    }

    /// The next packet; `None` is the end.
    pub(super) async fn hears(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = decode(&mut self.buffer, self.version, &Limits::default()).unwrap() {
                return Some(packet);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            // A reset says the same as an end.
            if read.expect("something is said").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Publishes, and waits for the answer.
    pub(super) async fn publishes(&mut self, number: u16, payload: &'static str) {
        self.says(&[message(number, payload)]).await;
        match self.hears().await {
            Some(Packet::PubAck(ack)) => assert_eq!(Some(ack.packet_id), PacketId::new(number)),
            other => panic!("{other:?}"),
        }
    }

    /// Everything up to the end, as it comes.
    pub(super) async fn rest(mut self) -> Vec<u8> {
        let mut rest = self.buffer.to_vec();
        // A reset says the same as an end.
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("an end");
        rest
    }
}
