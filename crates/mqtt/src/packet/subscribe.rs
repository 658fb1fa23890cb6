//! SUBSCRIBE (MQTT 5 §3.8): which messages the client wants.

use super::PacketKind;
use crate::codec::{DecodeError, EncodeError};
use crate::property::{Place, Properties};
use crate::text::Text;
use crate::types::{PacketId, QoS, Version};
use crate::wire::{Reader, Sink};

/// New subscriptions, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// What SUBACK will name.
    pub packet_id: PacketId,
    /// The subscriptions, at least one.
    pub filters: Vec<SubscribeFilter>,
    /// Properties of MQTT 5.
    pub properties: Properties,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// Which topics. That its wildcards stand where they may is not looked at here.
    pub filter: Text,
    /// The highest quality of service wanted.
    pub qos: QoS,
    /// MQTT 5: not the client's own messages.
    pub no_local: bool,
    /// MQTT 5: keep the retain flag as it was published.
    pub retain_as_published: bool,
    /// MQTT 5: retained messages come 0 always, 1 with a new subscription only, 2 never.
    pub retain_handling: u8,
}

impl SubscribeFilter {
    /// A subscription as MQTT 3.1.1 has it.
    pub fn new(filter: impl Into<Text>, qos: QoS) -> Self {
        Self { filter: filter.into(), qos, no_local: false, retain_as_published: false, retain_handling: 0 }
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let filter = reader.topic()?;
        let options = reader.byte()?;
        let reserved = match version {
            Version::V311 => 0b1111_1100,
            Version::V5 => 0b1100_0000,
        };
        if options & reserved != 0 {
            return Err(reader.malformed("reserved bits of subscription options are set"));
        }
        let retain_handling = (options >> 4) & 0b11;
        if retain_handling == 3 {
            return Err(reader.protocol("the retain handling is 3"));
        }
        Ok(Self {
            filter,
            qos: reader.qos(options & 0b11)?,
            no_local: options & 0b0100 != 0,
            retain_as_published: options & 0b1000 != 0,
            retain_handling,
        })
    }

    fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        let packet = PacketKind::Subscribe;
        if self.filter.bytes().is_empty() {
            return Err(EncodeError::Rule { packet, what: "a filter is empty" });
        }
        if self.retain_handling > 2 {
            return Err(EncodeError::Rule { packet, what: "the retain handling is above 2" });
        }
        sink.text("a filter", &self.filter)?;
        let options = u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | self.retain_handling << 4;
        sink.byte(match version {
            Version::V311 => self.qos.bits(),
            Version::V5 => self.qos.bits() | options,
        });
        Ok(())
    }
}

impl Subscribe {
    pub(crate) fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::read(reader, version, Place::Packet(PacketKind::Subscribe))?;
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(SubscribeFilter::read(reader, version)?);
        }
        if filters.is_empty() {
            return Err(reader.protocol("it has no filter (MQTT-3.8.3-2)"));
        }
        Ok(Self { packet_id, filters, properties })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        let packet = PacketKind::Subscribe;
        if self.filters.is_empty() {
            return Err(EncodeError::Rule { packet, what: "no filter" });
        }
        sink.u16(self.packet_id.get());
        self.properties.write(sink, version, Place::Packet(packet))?;
        self.filters.iter().try_for_each(|filter| filter.write(sink, version))
    }
}
