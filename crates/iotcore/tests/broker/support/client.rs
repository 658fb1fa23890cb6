//! An MQTT client of one connection that does exactly what it is told, packet by packet.

use bytes::{Bytes, BytesMut};
use fleetkey_mqtt::{
    ConnAck, Connect, Packet, PacketId, Publish, QoS, ReasonCode, Subscribe, SubscribeFilter, Unsubscribe,
    Version, decode, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::soon;

/// The connection was closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// A client of one connection.
pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    inbox: BytesMut,
    version: Version,
    next_id: u16,
    /// Messages that came while something else was waited for.
    messages: Vec<Publish>,
    pub(crate) auto_ack: bool,
}

pub(crate) fn v311(client: &str) -> Connect {
    Connect::new(Version::V311, client)
}

pub(crate) fn v5(client: &str) -> Connect {
    Connect::new(Version::V5, client)
}

impl Client {
    pub(crate) async fn start(
        stream: TlsStream<TcpStream>,
        connect: Connect,
    ) -> Result<(Self, ConnAck), Closed> {
        let mut client = Self {
            stream,
            inbox: BytesMut::new(),
            version: connect.version,
            next_id: 0,
            messages: Vec::new(),
            auto_ack: true,
        };
        client.send(&Packet::Connect(Box::new(connect))).await;
        match client.packet().await {
            Some(Packet::ConnAck(connack)) => Ok((client, connack)),
            Some(other) => panic!("{other:?} instead of CONNACK"),
            None => Err(Closed),
        }
    }

    pub(crate) fn id(&mut self) -> PacketId {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        PacketId::new(self.next_id).unwrap()
    }

    pub(crate) async fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        encode(packet, self.version, &mut out).unwrap();
        self.send_bytes(&out).await;
    }

    /// A server that has closed already is noticed when reading.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next packet; `None` when the server has closed.
    pub(crate) async fn packet(&mut self) -> Option<Packet> {
        soon("a packet", self.read_packet()).await
    }

    async fn read_packet(&mut self) -> Option<Packet> {
        loop {
            let limits = fleetkey_mqtt::Limits { max_packet: 1 << 20 };
            if let Some(packet) = decode(&mut self.inbox, self.version, &limits).unwrap() {
                return Some(packet);
            }
            match self.stream.read_buf(&mut self.inbox).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next packet that is no message; messages are kept for [`Client::message`].
    pub(crate) async fn answer(&mut self) -> Option<Packet> {
        loop {
            match self.packet().await? {
                Packet::Publish(publish) => self.keep(publish).await,
                other => return Some(other),
            }
        }
    }

    async fn keep(&mut self, publish: Publish) {
        if let (true, Some(id)) = (self.auto_ack, publish.packet_id) {
            self.send(&Packet::PubAck(fleetkey_mqtt::PubAck::new(id))).await;
        }
        self.messages.push(publish);
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> Publish {
        while self.messages.is_empty() {
            match self.packet().await {
                Some(Packet::Publish(publish)) => self.keep(publish).await,
                other => panic!("{other:?} instead of a message"),
            }
        }
        self.messages.remove(0)
    }

    /// Subscribes to one filter; the reason that it was given.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) -> ReasonCode {
        let packet = Packet::Subscribe(Subscribe {
            packet_id: self.id(),
            filters: vec![SubscribeFilter::new(filter, qos)],
            properties: Default::default(),
        });
        self.send(&packet).await;
        match self.answer().await {
            Some(Packet::SubAck(ack)) => ack.reasons[0],
            other => panic!("{other:?} instead of SUBACK"),
        }
    }

    /// Ends the subscription to one filter.
    pub(crate) async fn unsubscribe(&mut self, filter: &str) {
        let (packet_id, filters) = (self.id(), vec![filter.into()]);
        let packet = Unsubscribe { packet_id, filters, properties: Default::default() };
        self.send(&Packet::Unsubscribe(packet)).await;
        assert!(matches!(self.answer().await, Some(Packet::UnsubAck(_))));
    }

    /// A QoS 1 PUBLISH without waiting for its answer.
    pub(crate) async fn send_publish(&mut self, topic: &str, payload: impl Into<Bytes>) -> PacketId {
        let mut publish = Publish::new(topic, payload);
        let id = self.id();
        publish.qos = QoS::AtLeastOnce;
        publish.packet_id = Some(id);
        self.send(&Packet::Publish(publish)).await;
        id
    }

    /// Publishes at QoS 1; the reason of the PUBACK, `Closed` when the server closed instead.
    pub(crate) async fn publish(
        &mut self,
        topic: &str,
        payload: impl Into<Bytes>,
    ) -> Result<ReasonCode, Closed> {
        let id = self.send_publish(topic, payload).await;
        match self.answer().await {
            Some(Packet::PubAck(ack)) => {
                assert_eq!(ack.packet_id, id);
                Ok(ack.reason)
            }
            Some(other) => panic!("{other:?} instead of PUBACK"),
            None => Err(Closed),
        }
    }

    /// Waits until the server closes; the reason of its DISCONNECT, if it sent one.
    pub(crate) async fn closed(&mut self) -> Option<ReasonCode> {
        let mut reason = None;
        while let Some(packet) = self.answer().await {
            match packet {
                Packet::Disconnect(disconnect) => reason = Some(disconnect.reason),
                other => panic!("{other:?} instead of the end"),
            }
        }
        reason
    }

    /// As [`Client::closed`], for a connection that has messages and acknowledgements on their way.
    pub(crate) async fn closed_after_messages(&mut self) -> Option<ReasonCode> {
        self.auto_ack = false;
        let mut reason = None;
        while let Some(packet) = self.answer().await {
            if let Packet::Disconnect(disconnect) = packet {
                reason = Some(disconnect.reason);
            }
        }
        reason
    }

    /// How many tickets the server has given to resume the TLS session with.
    pub(crate) fn tickets(&self) -> u32 {
        self.stream.get_ref().1.tls13_tickets_received()
    }

    /// Whether nothing but answers has come since the last message was taken.
    pub(crate) fn no_message(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether the connection still answers; also a barrier: everything sent before has been dealt with.
    pub(crate) async fn ping(&mut self) {
        self.send(&Packet::PingReq).await;
        assert_eq!(self.answer().await, Some(Packet::PingResp));
    }

    /// Leaves without DISCONNECT.
    pub(crate) async fn vanish(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Leaves with DISCONNECT.
    pub(crate) async fn leave(mut self) {
        let bye = fleetkey_mqtt::Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        self.send(&Packet::Disconnect(bye)).await;
        assert_eq!(self.closed().await, None);
    }

    /// The next message as JSON, with its topic.
    pub(crate) async fn event(&mut self) -> (String, serde_json::Value) {
        let message = self.message().await;
        (message.topic.to_string(), serde_json::from_slice(&message.payload).unwrap())
    }
}
