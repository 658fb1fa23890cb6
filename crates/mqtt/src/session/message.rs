//! What goes into a session and what comes out of it.

use std::fmt;

use bytes::Bytes;

use super::OutboxError;
use crate::codec::{Limits, encoded_len};
use crate::packet::{Packet, Publish};
use crate::property::Properties;
use crate::reason::ReasonCode;
use crate::text::Text;
use crate::types::{PacketId, QoS, Version};

/// How much a session holds and sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionConfig {
    /// QoS 1 messages in flight, at least 1; the broker's Receive Maximum may lower it. AWS IoT Core takes 100.
    pub max_in_flight: usize,
    /// Messages held, in flight or not.
    pub outbox_limit: usize,
    /// Bytes held, counted as on the wire.
    pub outbox_bytes: usize,
    /// Bytes of the largest message on the wire.
    pub max_packet: usize,
    /// How often a message is sent again that the broker answers with "quota exceeded", which is AWS IoT Core's word
    /// for too many a second (Developer Guide, mqtt). With 0 it is a refusal, and its owner need not know of
    /// [`Event::Throttled`].
    pub put_off: u32,
}

impl Default for SessionConfig {
    /// AWS's 100 in flight and packet size, 10 000 messages, 16 MiB.
    fn default() -> Self {
        Self {
            max_in_flight: 100,
            outbox_limit: 10_000,
            outbox_bytes: 16 * 1024 * 1024,
            max_packet: Limits::default().max_packet,
            put_off: 0,
        }
    }
}

/// A message to publish.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where; no wildcards.
    pub topic: Text,
    /// What. `Debug` shows its length only.
    pub payload: Bytes,
    /// 0 or 1.
    pub qos: QoS,
    /// Whether the broker shall retain it.
    pub retain: bool,
    /// Properties of MQTT 5; a connection of MQTT 3.1.1 leaves them out.
    pub properties: Properties,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("topic", &self.topic)
            .field("payload", &format_args!("({} bytes)", self.payload.len()))
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .finish()
    }
}

impl Outgoing {
    /// A message that is not retained, without properties.
    pub fn new(topic: impl Into<Text>, payload: impl Into<Bytes>, qos: QoS) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos,
            retain: false,
            properties: Properties::new(),
        }
    }

    /// Its bytes on the wire in MQTT 5, which are the most, if it can be sent at all.
    pub(super) fn check(&self) -> Result<usize, OutboxError> {
        if self.qos == QoS::ExactlyOnce {
            return Err(OutboxError::ExactlyOnce);
        }
        if self.properties.topic_alias().is_some() {
            return Err(OutboxError::TopicAlias);
        }
        let id = (self.qos == QoS::AtLeastOnce).then_some(PacketId::FIRST);
        let publish = self.packet(id, false);
        if publish.topic_has_wildcard() {
            return Err(OutboxError::Wildcard);
        }
        Ok(encoded_len(&Packet::Publish(publish), Version::V5)?)
    }

    pub(super) fn packet(&self, packet_id: Option<PacketId>, dup: bool) -> Publish {
        Publish {
            dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic.clone(),
            packet_id,
            payload: self.payload.clone(),
            properties: self.properties.clone(),
        }
    }
}

/// Names a message or request of one session, for the events about it. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(super) u64);

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The message.
    pub publish: Publish,
    /// What to give to [`Session::acknowledge`](super::Session::acknowledge) when its consumer has it; `None`
    /// for QoS 0.
    pub ack: Option<Ack>,
}

/// The right to acknowledge one message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ack {
    pub(super) id: PacketId,
    /// The number of the connection it came by: packet identifiers return.
    pub(super) connection: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The broker has the message (QoS 1), or a connection has (QoS 0).
    Delivered(Token),
    /// The broker refuses the message (an error in its PUBACK of MQTT 5), or cannot take one so large. It will
    /// not be sent again.
    Refused(Token, ReasonCode),
    /// The broker takes no more for now: no message is sent until [`Session::unthrottle`](super::Session::unthrottle).
    Throttled,
    /// A message came.
    Message(Incoming),
    /// The broker answered each filter of a subscription, for the first time or after it had lost its session.
    /// Then only the filters are asked for again that it had granted and that have not been unsubscribed since.
    Subscribed(Token, Vec<ReasonCode>),
    /// The broker answered an UNSUBSCRIBE.
    Unsubscribed(Token),
    /// The broker said why it will close the connection (MQTT 5).
    Disconnected(ReasonCode),
}
