//! The broker's end of a stream, played by hand.

use bytes::BytesMut;
use fleetkey_mqtt::{
    ConnAck, Connect, Limits, Packet, PacketId, Properties, PubAck, Publish, QoS, ReasonCode, Version,
    decode, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) struct Broker {
    stream: DuplexStream,
    input: BytesMut,
    version: Version,
}

impl Broker {
    pub(crate) fn new(stream: DuplexStream, version: Version) -> Self {
        Self { stream, input: BytesMut::new(), version }
    }

    /// The next packet; `None` when the client closed.
    pub(crate) async fn recv(&mut self) -> Option<Packet> {
        loop {
            let packet = decode(&mut self.input, self.version, &Limits::default()).expect("a right packet");
            if packet.is_some() {
                return packet;
            }
            if self.stream.read_buf(&mut self.input).await.expect("a stream in memory") == 0 {
                return None;
            }
        }
    }

    /// The next packet, which is a message.
    pub(crate) async fn recv_publish(&mut self) -> Publish {
        match self.recv().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("{other:?} instead of a message"),
        }
    }

    pub(crate) async fn send(&mut self, packet: Packet) {
        let mut out = BytesMut::new();
        encode(&packet, self.version, &mut out).expect("a right packet");
        self.send_bytes(&out).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("a stream in memory");
    }

    /// Sends a message, QoS 1 with an identifier.
    pub(crate) async fn publish(&mut self, payload: &str, id: Option<u16>) {
        let packet_id = id.and_then(PacketId::new);
        let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let publish = Publish { qos, packet_id, ..Publish::new("t", payload.to_owned()) };
        self.send(Packet::Publish(publish)).await;
    }

    pub(crate) async fn acknowledge(&mut self, publish: &Publish, reason: ReasonCode) {
        let id = publish.packet_id.expect("QoS 1");
        self.send(Packet::PubAck(PubAck::with_reason(id, reason))).await;
    }

    pub(crate) async fn recv_connect(&mut self) -> Connect {
        match self.recv().await {
            Some(Packet::Connect(connect)) => *connect,
            other => panic!("{other:?} instead of CONNECT"),
        }
    }

    pub(crate) async fn accept(&mut self, properties: Properties) -> Connect {
        let connect = self.recv_connect().await;
        let reason = ReasonCode::SUCCESS;
        self.send(Packet::ConnAck(ConnAck { session_present: false, reason, properties })).await;
        connect
    }
}
