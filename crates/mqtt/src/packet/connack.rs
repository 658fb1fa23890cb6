//! CONNACK (MQTT 5 §3.2): whether the server takes the client, and what it offers.

use super::PacketKind;
use crate::codec::{DecodeError, EncodeError};
use crate::property::{Place, Properties};
use crate::reason::ReasonCode;
use crate::types::Version;
use crate::wire::{Reader, Sink};

/// The answer to CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server had a session for the client; never with an error.
    pub session_present: bool,
    /// Success or why not. A return code of MQTT 3.1.1 is mapped to the reason of the same meaning, and a
    /// reason that it has no code for to the nearest one ("server unavailable" if there is none).
    pub reason: ReasonCode,
    /// Properties of MQTT 5.
    pub properties: Properties,
}

impl ConnAck {
    /// A refusal.
    pub const fn refused(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: Properties::new() }
    }

    pub(crate) fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let flags = reader.byte()?;
        if flags > 1 {
            return Err(reader.malformed("a reserved acknowledge flag is set"));
        }
        let code = reader.byte()?;
        let reason = match version {
            Version::V311 => ReasonCode::from_return_code(code),
            Version::V5 => Some(ReasonCode(code)).filter(|reason| reason.is_for(PacketKind::ConnAck)),
        };
        let reason = reason.ok_or_else(|| reader.malformed("its reason code is reserved"))?;
        if flags == 1 && reason.is_error() {
            return Err(reader.protocol("an error with a session (MQTT-3.2.2-6)"));
        }
        let properties = Properties::read(reader, version, Place::Packet(PacketKind::ConnAck))?;
        Ok(Self { session_present: flags == 1, reason, properties })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        let packet = PacketKind::ConnAck;
        if self.session_present && self.reason.is_error() {
            return Err(EncodeError::Rule { packet, what: "an error with a session" });
        }
        if !self.reason.is_for(packet) {
            return Err(EncodeError::Reason { packet, reason: self.reason });
        }
        sink.byte(self.session_present.into());
        sink.byte(match version {
            Version::V311 => self.reason.return_code(),
            Version::V5 => self.reason.0,
        });
        self.properties.write(sink, version, Place::Packet(packet))
    }
}
