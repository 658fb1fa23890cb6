//! SUBACK (MQTT 5 §3.9): what became of each subscription.

use super::PacketKind;
use crate::codec::{DecodeError, EncodeError};
use crate::property::{Place, Properties};
use crate::reason::ReasonCode;
use crate::types::{PacketId, Version};
use crate::wire::{Reader, Sink};

/// The answer to SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// The packet identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each filter, in its order: the granted QoS or why not. MQTT 3.1.1 writes every error as 0x80.
    pub reasons: Vec<ReasonCode>,
    /// Properties of MQTT 5.
    pub properties: Properties,
}

impl SubAck {
    pub(crate) fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::read(reader, version, Place::Packet(PacketKind::SubAck))?;
        let mut reasons = Vec::new();
        while !reader.is_empty() {
            let reason = ReasonCode(reader.byte()?);
            if !is_allowed(reason, version) {
                return Err(reader.malformed("a reason code is reserved"));
            }
            reasons.push(reason);
        }
        if reasons.is_empty() {
            return Err(reader.protocol("it has no reason code"));
        }
        Ok(Self { packet_id, reasons, properties })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        let packet = PacketKind::SubAck;
        if self.reasons.is_empty() {
            return Err(EncodeError::Rule { packet, what: "no reason code" });
        }
        sink.u16(self.packet_id.get());
        self.properties.write(sink, version, Place::Packet(packet))?;
        for reason in &self.reasons {
            if !reason.is_for(packet) {
                return Err(EncodeError::Reason { packet, reason: *reason });
            }
            sink.byte(match version {
                Version::V311 if reason.is_error() => ReasonCode::UNSPECIFIED_ERROR.0,
                _ => reason.0,
            });
        }
        Ok(())
    }
}

fn is_allowed(reason: ReasonCode, version: Version) -> bool {
    match version {
        Version::V311 => reason.0 <= 2 || reason == ReasonCode::UNSPECIFIED_ERROR,
        Version::V5 => reason.is_for(PacketKind::SubAck),
    }
}
