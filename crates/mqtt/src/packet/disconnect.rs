//! DISCONNECT (MQTT 5 §3.14): the last packet of a connection.

use super::PacketKind;
use super::ack::{read_reason, write_reason};
use crate::codec::{DecodeError, EncodeError};
use crate::property::Properties;
use crate::reason::ReasonCode;
use crate::types::Version;
use crate::wire::{Reader, Sink};

/// The end of a connection. MQTT 3.1.1 writes neither reason nor properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why.
    pub reason: ReasonCode,
    /// Properties of MQTT 5.
    pub properties: Properties,
}

impl Disconnect {
    /// A DISCONNECT without properties.
    pub const fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: Properties::new() }
    }

    pub(crate) fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let (reason, properties) = read_reason(PacketKind::Disconnect, reader, version)?;
        Ok(Self { reason, properties })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        write_reason(PacketKind::Disconnect, self.reason, &self.properties, sink, version)
    }
}
