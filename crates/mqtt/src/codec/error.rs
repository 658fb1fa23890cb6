//! Why bytes are no packet, and why a packet cannot be written.

use crate::packet::PacketKind;
use crate::property::PropertyFault;
use crate::reason::ReasonCode;
use crate::text::TextError;

/// Why bytes are no packet. The connection cannot go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first byte names no packet of the version.
    #[error("no packet has the type {0}")]
    UnknownType(u8),
    /// The bytes do not have the form of the packet.
    #[error("malformed {packet}: {what}")]
    Malformed {
        /// Which packet.
        packet: PacketKind,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The form is right and the content is forbidden.
    #[error("{packet} breaks the protocol: {what}")]
    Protocol {
        /// Which packet.
        packet: PacketKind,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A property is wrong.
    #[error("{packet}: property 0x{id:02X} {fault}")]
    Property {
        /// Which packet.
        packet: PacketKind,
        /// The identifier of the property.
        id: u32,
        /// What is wrong with it.
        fault: PropertyFault,
    },
    /// More properties than are taken.
    #[error("{0} has over 1024 properties")]
    TooManyProperties(PacketKind),
    /// CONNECT names a version that is not spoken here.
    #[error("protocol level {level} is not supported; 4 (MQTT 3.1.1) and 5 are")]
    UnsupportedVersion {
        /// The protocol level.
        level: u8,
    },
    /// The packet is larger than [`Limits::max_packet`](crate::Limits::max_packet).
    #[error("the packet has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Its bytes, fixed header included.
        size: usize,
        /// The most that are taken.
        limit: usize,
    },
}

impl DecodeError {
    /// The reason code of MQTT 5 to close the connection with.
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::UnknownType(_) | Self::Malformed { .. } => ReasonCode::MALFORMED_PACKET,
            Self::Protocol { .. } => ReasonCode::PROTOCOL_ERROR,
            Self::Property { fault: PropertyFault::Unknown | PropertyFault::Misplaced, .. } => {
                ReasonCode::MALFORMED_PACKET
            }
            // A topic alias of 0 has a reason of its own (MQTT 5 §3.3.2.3.4).
            Self::Property { id: 0x23, fault: PropertyFault::Value, .. } => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::Property { .. } => ReasonCode::PROTOCOL_ERROR,
            Self::TooManyProperties(_) => ReasonCode::QUOTA_EXCEEDED,
            Self::UnsupportedVersion { .. } => ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
            Self::TooLarge { .. } => ReasonCode::PACKET_TOO_LARGE,
        }
    }
}

/// Why a packet cannot be written. What was encoded can always be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string that MQTT cannot carry.
    #[error("{what}: {error}")]
    Text {
        /// Which field.
        what: &'static str,
        /// What is wrong with it.
        error: TextError,
    },
    /// Binary data longer than the two-byte length can say.
    #[error("{what} has {length} bytes, at most 65535 are allowed")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// Its bytes.
        length: usize,
    },
    /// The packet is longer than the four-byte length can say.
    #[error("the packet has {size} bytes, at most 268435455 are allowed")]
    TooLarge {
        /// Its bytes after the fixed header.
        size: usize,
    },
    /// A property is wrong.
    #[error("{packet}: property 0x{id:02X} {fault}")]
    Property {
        /// Which packet.
        packet: PacketKind,
        /// The identifier of the property.
        id: u8,
        /// What is wrong with it.
        fault: PropertyFault,
    },
    /// The reason may not stand in the packet.
    #[error("{packet} cannot say \"{reason}\"")]
    Reason {
        /// Which packet.
        packet: PacketKind,
        /// The reason.
        reason: ReasonCode,
    },
    /// Another rule of the protocol.
    #[error("{packet} is not allowed like this: {what}")]
    Rule {
        /// Which packet.
        packet: PacketKind,
        /// Which rule.
        what: &'static str,
    },
}
