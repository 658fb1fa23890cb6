//! PUBACK, PUBREC, PUBREL and PUBCOMP (MQTT 5 §3.4 to §3.7), which have one form.

use super::PacketKind;
use crate::codec::{DecodeError, EncodeError};
use crate::property::{Place, Properties};
use crate::reason::ReasonCode;
use crate::types::{PacketId, Version};
use crate::wire::{Reader, Sink};

/// The answer to a message, or to such an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubAck {
    /// The packet identifier of the message.
    pub packet_id: PacketId,
    /// Success or why not; MQTT 3.1.1 knows success alone and writes nothing else.
    pub reason: ReasonCode,
    /// Properties of MQTT 5.
    pub properties: Properties,
}

impl PubAck {
    /// A success without properties.
    pub const fn new(packet_id: PacketId) -> Self {
        Self::with_reason(packet_id, ReasonCode::SUCCESS)
    }

    /// An answer without properties.
    pub const fn with_reason(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: Properties::new() }
    }

    pub(crate) fn read(kind: PacketKind, reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let (reason, properties) = read_reason(kind, reader, version)?;
        Ok(Self { packet_id, reason, properties })
    }

    pub(crate) fn write<S: Sink>(
        &self,
        kind: PacketKind,
        sink: &mut S,
        version: Version,
    ) -> Result<(), EncodeError> {
        sink.u16(self.packet_id.get());
        write_reason(kind, self.reason, &self.properties, sink, version)
    }
}

/// Reads a reason and properties that MQTT 5 lets end early, and MQTT 3.1.1 does not have.
pub(super) fn read_reason(
    kind: PacketKind,
    reader: &mut Reader,
    version: Version,
) -> Result<(ReasonCode, Properties), DecodeError> {
    if version == Version::V311 || reader.is_empty() {
        return Ok((ReasonCode::SUCCESS, Properties::new()));
    }
    let reason = ReasonCode(reader.byte()?);
    if !reason.is_for(kind) {
        return Err(reader.malformed("its reason code is reserved"));
    }
    if reader.is_empty() {
        return Ok((reason, Properties::new()));
    }
    Ok((reason, Properties::read(reader, version, Place::Packet(kind))?))
}

/// Writes a reason and properties in their shortest form.
pub(super) fn write_reason<S: Sink>(
    kind: PacketKind,
    reason: ReasonCode,
    properties: &Properties,
    sink: &mut S,
    version: Version,
) -> Result<(), EncodeError> {
    if !reason.is_for(kind) {
        return Err(EncodeError::Reason { packet: kind, reason });
    }
    if version == Version::V311 || reason == ReasonCode::SUCCESS && properties.is_empty() {
        return Ok(());
    }
    sink.byte(reason.0);
    if properties.is_empty() { Ok(()) } else { properties.write(sink, version, Place::Packet(kind)) }
}
