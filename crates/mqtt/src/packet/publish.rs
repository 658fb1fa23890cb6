//! PUBLISH (MQTT 5 §3.3): a message.

use std::fmt;

use bytes::Bytes;

use super::PacketKind;
use crate::codec::{DecodeError, EncodeError};
use crate::property::{Place, Properties};
use crate::text::Text;
use crate::types::{PacketId, QoS, Version};
use crate::wire::{Reader, Sink};

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// A message. Decoded, its topic and payload are slices of the bytes they came in.
#[derive(Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whether it may have been sent before; never with QoS 0.
    pub dup: bool,
    /// Its quality of service.
    pub qos: QoS,
    /// To the server: retain it. From the server: it was retained.
    pub retain: bool,
    /// Where it is published. Empty only in MQTT 5 with a topic alias. Wildcards are not looked for here.
    pub topic: Text,
    /// The packet identifier: with QoS 1 and 2, and only then.
    pub packet_id: Option<PacketId>,
    /// The message. `Debug` shows its length only: private keys travel in payloads.
    pub payload: Bytes,
    /// Properties of MQTT 5.
    pub properties: Properties,
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("dup", &self.dup)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("topic", &self.topic)
            .field("packet_id", &self.packet_id)
            .field("payload", &format_args!("({} bytes)", self.payload.len()))
            .field("properties", &self.properties)
            .finish()
    }
}

impl Publish {
    /// A QoS 0 message, not retained, without properties.
    pub fn new(topic: impl Into<Text>, payload: impl Into<Bytes>) -> Self {
        Self {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: topic.into(),
            packet_id: None,
            payload: payload.into(),
            properties: Properties::new(),
        }
    }

    /// Whether the topic contains a wildcard, which no topic of a message may (MQTT-3.3.2-2).
    pub fn topic_has_wildcard(&self) -> bool {
        self.topic.bytes().iter().any(|byte| matches!(byte, b'+' | b'#'))
    }

    pub(crate) fn flags(&self) -> u8 {
        let dup = if self.dup { DUP } else { 0 };
        dup | self.qos.bits() << 1 | u8::from(self.retain)
    }

    pub(crate) fn read(flags: u8, reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let qos = reader.qos((flags >> 1) & 0b11)?;
        let dup = flags & DUP != 0;
        if dup && qos == QoS::AtMostOnce {
            return Err(reader.malformed("DUP with QoS 0 (MQTT-3.3.1-2)"));
        }
        let topic = reader.text()?;
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
        };
        let properties = Properties::read(reader, version, Place::Packet(PacketKind::Publish))?;
        if topic.bytes().is_empty() && properties.topic_alias().is_none() {
            return Err(reader.protocol("no topic and no topic alias"));
        }
        let retain = flags & RETAIN != 0;
        Ok(Self { dup, qos, retain, topic, packet_id, properties, payload: reader.rest() })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        if S::CHECKS {
            self.check_packet_id()?;
            self.check_topic(version)?;
        }
        sink.text("the topic", &self.topic)?;
        if let Some(packet_id) = self.packet_id {
            sink.u16(packet_id.get());
        }
        Tail(self).write(sink, version)
    }

    fn check_packet_id(&self) -> Result<(), EncodeError> {
        let what = match (self.qos, self.packet_id) {
            (QoS::AtMostOnce, Some(_)) => "QoS 0 with a packet identifier",
            (QoS::AtLeastOnce | QoS::ExactlyOnce, None) => "QoS above 0 without a packet identifier",
            (QoS::AtMostOnce, None) if self.dup => "DUP with QoS 0",
            _ => return Ok(()),
        };
        Err(EncodeError::Rule { packet: PacketKind::Publish, what })
    }

    /// Whether the topic is there, or stands for itself by an alias.
    pub(crate) fn check_topic(&self, version: Version) -> Result<(), EncodeError> {
        let alias = version == Version::V5 && self.properties.topic_alias().is_some();
        if self.topic.bytes().is_empty() && !alias {
            return Err(EncodeError::Rule {
                packet: PacketKind::Publish,
                what: "no topic and no topic alias",
            });
        }
        Ok(())
    }
}

/// What follows the packet identifier.
pub(crate) struct Tail<'a>(pub(crate) &'a Publish);

impl Tail<'_> {
    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        self.0.properties.write(sink, version, Place::Packet(PacketKind::Publish))?;
        sink.slice(&self.0.payload);
        Ok(())
    }
}
