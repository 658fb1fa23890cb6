//! A PUBLISH encoded once for many receivers: each copy differs in its packet identifier and DUP alone.

use bytes::{Bytes, BytesMut};

use super::{EncodeError, HEADER_MAX, remaining_length};
use crate::packet::{PacketKind, Publish, PublishTail};
use crate::types::{PacketId, QoS, Version};
use crate::wire::{Count, Sink};

/// The bit of DUP in the first byte.
const DUP: u8 = 0b1000;

/// The bytes of a PUBLISH for one version, QoS and retain flag. Cloning copies none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPublish {
    /// The first byte, without DUP.
    first: u8,
    /// From the remaining length to the end of the topic.
    head: Bytes,
    /// From the properties to the end of the payload.
    tail: Bytes,
    qos: QoS,
}

impl EncodedPublish {
    /// Encodes a message; its own packet identifier and DUP flag are not looked at.
    ///
    /// # Errors
    /// When the message breaks a rule of the protocol.
    pub fn new(publish: &Publish, version: Version) -> Result<Self, EncodeError> {
        publish.check_topic(version)?;
        let mut count = Count::default();
        count.text("the topic", &publish.topic)?;
        let topic = count.0;
        PublishTail(publish).write(&mut count, version)?;
        let id = if publish.qos == QoS::AtMostOnce { 0 } else { 2 };
        let body = remaining_length(count.0.saturating_add(id))?;

        let mut bytes = BytesMut::with_capacity(HEADER_MAX + count.0);
        bytes.varint(body);
        let head = bytes.len() + topic;
        bytes.text("the topic", &publish.topic)?;
        PublishTail(publish).write(&mut bytes, version)?;
        let mut bytes = bytes.freeze();
        let head = bytes.split_to(head);
        let first = (PacketKind::Publish as u8) << 4 | (publish.flags() & !DUP);
        Ok(Self { first, head, tail: bytes, qos: publish.qos })
    }

    /// Whether a copy needs a packet identifier: its QoS is not 0.
    pub fn needs_packet_id(&self) -> bool {
        self.qos != QoS::AtMostOnce
    }

    /// Its quality of service.
    pub fn qos(&self) -> QoS {
        self.qos
    }

    /// Bytes of one copy.
    pub fn len(&self) -> usize {
        let id = if self.needs_packet_id() { 2 } else { 0 };
        1 + self.head.len() + id + self.tail.len()
    }

    /// Never: a PUBLISH has at least a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Appends a copy of a QoS 0 message.
    ///
    /// # Errors
    /// When the message needs a packet identifier; `out` is then as it was.
    pub fn write(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        if self.needs_packet_id() {
            return Err(EncodeError::Rule {
                packet: PacketKind::Publish,
                what: "QoS above 0 without a packet identifier",
            });
        }
        self.copy(None, 0, out);
        Ok(())
    }

    /// Appends a copy with a packet identifier, which a QoS 0 message leaves out together with DUP.
    pub fn write_with_id(&self, packet_id: PacketId, dup: bool, out: &mut BytesMut) {
        if self.needs_packet_id() {
            self.copy(Some(packet_id), if dup { DUP } else { 0 }, out);
        } else {
            self.copy(None, 0, out);
        }
    }

    fn copy(&self, packet_id: Option<PacketId>, dup: u8, out: &mut BytesMut) {
        out.reserve(self.len());
        out.byte(self.first | dup);
        out.slice(&self.head);
        if let Some(packet_id) = packet_id {
            out.u16(packet_id.get());
        }
        out.slice(&self.tail);
    }
}
