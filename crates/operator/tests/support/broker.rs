//! The broker's end of a stream: enough of MQTT 5 to talk to one controller.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fleetkey_mqtt::{
    ConnAck, Limits, Packet, PacketId, Properties, PubAck, Publish, QoS, ReasonCode, SubAck, Version, decode,
    encode,
};
use fleetkey_operator::controller::Connector;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

/// Hands one end of each new stream to the test.
pub struct Dial(pub mpsc::Sender<DuplexStream>);

impl Connector for Dial {
    type Stream = DuplexStream;

    async fn connect(&self) -> std::io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let refused = |_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        self.0.send(far).await.map_err(refused)?;
        Ok(near)
    }
}

/// An accepted connection.
pub struct Broker {
    stream: DuplexStream,
    input: BytesMut,
    backlog: VecDeque<Packet>,
    next_id: u16,
    pub client_id: String,
}

impl Broker {
    /// Accepts the next connection and grants, or refuses, its subscription.
    pub async fn accept(dialled: &mut mpsc::Receiver<DuplexStream>, grant: bool) -> Self {
        loop {
            // Streams that the controller gave up on may be waiting before a living one.
            if let Some(broker) = Self::shake(dialled.recv().await.unwrap(), grant).await {
                return broker;
            }
        }
    }

    /// Refuses the next connection as a broker does whose policy does not allow it; the client id.
    pub async fn refuse(dialled: &mut mpsc::Receiver<DuplexStream>) -> String {
        let (input, backlog) = (BytesMut::new(), VecDeque::new());
        let stream = dialled.recv().await.unwrap();
        let mut broker = Self { stream, input, backlog, next_id: 0, client_id: String::new() };
        let Packet::Connect(connect) = broker.read().await else { panic!("no CONNECT") };
        let (reason, properties) = (ReasonCode::NOT_AUTHORIZED, Properties::new());
        broker.write(&Packet::ConnAck(ConnAck { session_present: false, reason, properties })).await;
        connect.client_id.to_string()
    }

    /// Grants the next SUBSCRIBE; its filters.
    pub async fn grant(&mut self) -> Vec<String> {
        self.answer_subscription(Some(ReasonCode::GRANTED_QOS_1)).await
    }

    /// Refuses the next SUBSCRIBE; its filters.
    pub async fn refuse_subscription(&mut self) -> Vec<String> {
        self.answer_subscription(Some(ReasonCode::NOT_AUTHORIZED)).await
    }

    /// The filters of the next SUBSCRIBE, which gets no answer.
    pub async fn subscription(&mut self) -> Vec<String> {
        self.answer_subscription(None).await
    }

    /// Whether a SUBSCRIBE came among what was read since.
    pub fn was_asked(&self) -> bool {
        self.backlog.iter().any(|packet| matches!(packet, Packet::Subscribe(_)))
    }

    async fn answer_subscription(&mut self, reason: Option<ReasonCode>) -> Vec<String> {
        loop {
            if let Packet::Subscribe(subscribe) = self.read().await {
                if let Some(reason) = reason {
                    let reasons = vec![reason; subscribe.filters.len()];
                    let (packet_id, properties) = (subscribe.packet_id, Properties::new());
                    self.write(&Packet::SubAck(SubAck { packet_id, reasons, properties })).await;
                }
                return subscribe.filters.iter().map(|filter| filter.filter.to_string()).collect();
            }
        }
    }

    async fn shake(stream: DuplexStream, grant: bool) -> Option<Self> {
        let (input, backlog) = (BytesMut::new(), VecDeque::new());
        let mut broker = Self { stream, input, backlog, next_id: 0, client_id: String::new() };
        let Packet::Connect(connect) = broker.try_read().await? else { panic!("no CONNECT") };
        broker.client_id = connect.client_id.to_string();
        let (reason, properties) = (ReasonCode::SUCCESS, Properties::new());
        broker.try_write(&Packet::ConnAck(ConnAck { session_present: false, reason, properties })).await?;
        let Packet::Subscribe(subscribe) = broker.try_read().await? else { panic!("no SUBSCRIBE") };
        let code = if grant { ReasonCode::GRANTED_QOS_1 } else { ReasonCode::NOT_AUTHORIZED };
        let reasons = vec![code; subscribe.filters.len()];
        let answer = SubAck { packet_id: subscribe.packet_id, reasons, properties: Properties::new() };
        broker.try_write(&Packet::SubAck(answer)).await?;
        Some(broker)
    }

    /// Publishes at QoS 1 and waits until the controller has acknowledged it.
    pub async fn deliver(&mut self, topic: &str, payload: &str) {
        let id = self.send(topic, payload).await;
        loop {
            match self.read().await {
                Packet::PubAck(ack) if ack.packet_id == id => return,
                other => self.backlog.push_back(other),
            }
        }
    }

    pub async fn send(&mut self, topic: &str, payload: &str) -> PacketId {
        self.next_id += 1;
        let id = PacketId::new(self.next_id).unwrap();
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: topic.into(),
            packet_id: Some(id),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            properties: Properties::new(),
        };
        self.write(&Packet::Publish(publish)).await;
        id
    }

    /// The next message of the controller, acknowledged.
    pub async fn published(&mut self) -> (String, String) {
        let (packet_id, topic, payload) = self.unanswered().await;
        let ack = PubAck { packet_id, reason: ReasonCode::SUCCESS, properties: Properties::new() };
        self.write(&Packet::PubAck(ack)).await;
        (topic, payload)
    }

    /// The next message of the controller, which gets no answer.
    pub async fn unanswered(&mut self) -> (PacketId, String, String) {
        loop {
            let packet = match self.backlog.pop_front() {
                Some(packet) => packet,
                None => self.read().await,
            };
            if let Packet::Publish(publish) = packet {
                let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
                return (publish.packet_id.unwrap(), publish.topic.to_string(), payload);
            }
        }
    }

    /// Waits for DISCONNECT.
    pub async fn farewell(&mut self) {
        while !matches!(self.read().await, Packet::Disconnect(_)) {}
    }

    async fn read(&mut self) -> Packet {
        self.try_read().await.expect("the controller hung up")
    }

    async fn write(&mut self, packet: &Packet) {
        self.try_write(packet).await.expect("the controller hung up");
    }

    /// The next packet that is no PINGREQ; `None` at the end of the stream.
    async fn try_read(&mut self) -> Option<Packet> {
        loop {
            match decode(&mut self.input, Version::V5, &Limits::default()).unwrap() {
                Some(Packet::PingReq) => self.try_write(&Packet::PingResp).await?,
                Some(packet) => return Some(packet),
                None => {
                    let read = self.stream.read_buf(&mut self.input);
                    let read = tokio::time::timeout(Duration::from_secs(3600), read).await;
                    if read.expect("the controller says nothing").unwrap() == 0 {
                        return None;
                    }
                }
            }
        }
    }

    async fn try_write(&mut self, packet: &Packet) -> Option<()> {
        let mut output = BytesMut::new();
        encode(packet, Version::V5, &mut output).unwrap();
        self.stream.write_all(&output).await.ok()
    }
}
