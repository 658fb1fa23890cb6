//! UNSUBACK (MQTT 5 §3.11): what became of each end of a subscription.

use super::PacketKind;
use crate::codec::{DecodeError, EncodeError};
use crate::property::{Place, Properties};
use crate::reason::ReasonCode;
use crate::types::{PacketId, Version};
use crate::wire::{Reader, Sink};

/// The answer to UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// The packet identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each filter, in its order; MQTT 3.1.1 has none and writes none.
    pub reasons: Vec<ReasonCode>,
    /// Properties of MQTT 5.
    pub properties: Properties,
}

impl UnsubAck {
    pub(crate) fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::read(reader, version, Place::Packet(PacketKind::UnsubAck))?;
        let mut reasons = Vec::new();
        while version == Version::V5 && !reader.is_empty() {
            let reason = ReasonCode(reader.byte()?);
            if !reason.is_for(PacketKind::UnsubAck) {
                return Err(reader.malformed("a reason code is reserved"));
            }
            reasons.push(reason);
        }
        if version == Version::V5 && reasons.is_empty() {
            return Err(reader.protocol("it has no reason code"));
        }
        Ok(Self { packet_id, reasons, properties })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        let packet = PacketKind::UnsubAck;
        sink.u16(self.packet_id.get());
        if version == Version::V311 {
            return Ok(());
        }
        if self.reasons.is_empty() {
            return Err(EncodeError::Rule { packet, what: "no reason code" });
        }
        self.properties.write(sink, version, Place::Packet(packet))?;
        for reason in &self.reasons {
            if !reason.is_for(packet) {
                return Err(EncodeError::Reason { packet, reason: *reason });
            }
            sink.byte(reason.0);
        }
        Ok(())
    }
}
