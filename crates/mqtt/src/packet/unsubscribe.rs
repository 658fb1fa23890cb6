//! UNSUBSCRIBE (MQTT 5 §3.10): which subscriptions end.

use super::PacketKind;
use crate::codec::{DecodeError, EncodeError};
use crate::property::{Place, Properties};
use crate::text::Text;
use crate::types::{PacketId, Version};
use crate::wire::{Reader, Sink};

/// The end of subscriptions, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// What UNSUBACK will name.
    pub packet_id: PacketId,
    /// The filters, letter by letter as they were subscribed to; at least one.
    pub filters: Vec<Text>,
    /// Properties of MQTT 5.
    pub properties: Properties,
}

impl Unsubscribe {
    pub(crate) fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::read(reader, version, Place::Packet(PacketKind::Unsubscribe))?;
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(reader.topic()?);
        }
        if filters.is_empty() {
            return Err(reader.protocol("it has no filter (MQTT-3.10.3-2)"));
        }
        Ok(Self { packet_id, filters, properties })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        let packet = PacketKind::Unsubscribe;
        if self.filters.is_empty() || self.filters.iter().any(|filter| filter.bytes().is_empty()) {
            return Err(EncodeError::Rule { packet, what: "no filter, or an empty one" });
        }
        sink.u16(self.packet_id.get());
        self.properties.write(sink, version, Place::Packet(packet))?;
        self.filters.iter().try_for_each(|filter| sink.text("a filter", filter))
    }
}
