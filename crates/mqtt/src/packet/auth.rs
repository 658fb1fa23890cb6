//! AUTH (MQTT 5 §3.15): extended authentication. It can be read; nothing here takes part in it, as AWS does not.

use super::PacketKind;
use super::ack::{read_reason, write_reason};
use crate::codec::{DecodeError, EncodeError};
use crate::property::Properties;
use crate::reason::ReasonCode;
use crate::types::Version;
use crate::wire::{Reader, Sink};

/// A step of extended authentication, MQTT 5 only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue or again.
    pub reason: ReasonCode,
    /// Properties, among them the method and the data.
    pub properties: Properties,
}

impl Auth {
    pub(crate) fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        let (reason, properties) = read_reason(PacketKind::Auth, reader, version)?;
        let auth = Self { reason, properties };
        if auth.lacks_method() {
            return Err(reader.protocol("it has no authentication method"));
        }
        Ok(auth)
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        if self.lacks_method() {
            return Err(EncodeError::Rule { packet: PacketKind::Auth, what: "no authentication method" });
        }
        write_reason(PacketKind::Auth, self.reason, &self.properties, sink, version)
    }

    /// The method may be left out of a bare success only (§3.15.2.1, §3.15.2.2.2).
    fn lacks_method(&self) -> bool {
        let bare = self.reason == ReasonCode::SUCCESS && self.properties.is_empty();
        !bare && self.properties.authentication_method().is_none()
    }
}
