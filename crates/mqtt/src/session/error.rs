//! Why a message was not taken, and what a broker may not send.

use crate::codec::EncodeError;
use crate::packet::PacketKind;
use crate::reason::ReasonCode;

/// Why a message was not taken into the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// As many messages or bytes wait as are allowed.
    #[error("the outbox is full: wait until messages have been delivered")]
    Full,
    /// QoS 2, which AWS IoT Core does not have (Developer Guide, MQTT).
    #[error("QoS 2 is not supported: publish with QoS 1")]
    ExactlyOnce,
    /// A wildcard in the topic (MQTT-3.3.2-2).
    #[error("the topic contains '+' or '#', which only filters may")]
    Wildcard,
    /// A topic alias, which holds for one connection while the message may be sent on several.
    #[error("a message in the outbox cannot have a topic alias")]
    TopicAlias,
    /// Larger than [`SessionConfig::max_packet`](super::SessionConfig::max_packet), or than the whole outbox.
    #[error("the message has {size} bytes on the wire, at most {limit} are allowed")]
    TooLarge {
        /// Its bytes as a packet.
        size: usize,
        /// The most that are allowed.
        limit: usize,
    },
    /// MQTT cannot carry it.
    #[error("the message cannot be sent: {0}")]
    Unsendable(#[from] EncodeError),
}

impl OutboxError {
    /// Whether the same message may be taken later.
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Full)
    }
}

/// What a broker did that it may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The session has no connection to hear anything from.
    #[error("a packet came without a connection")]
    NotConnected,
    /// A packet that a broker does not send to a connected client.
    #[error("the broker sent {0}, which it may not")]
    Unexpected(PacketKind),
    /// As many reasons are expected as there were filters.
    #[error("the broker answered {got} of {expected} filters in {packet}")]
    Reasons {
        /// SUBACK or UNSUBACK.
        packet: PacketKind,
        /// Filters of the request.
        expected: usize,
        /// Reasons in the answer.
        got: usize,
    },
    /// A message of QoS 2.
    #[error("the broker sent a message of QoS 2, which was not asked for")]
    ExactlyOnce,
    /// A topic alias above the announced maximum, which is 0.
    #[error("the broker used a topic alias, which was not offered")]
    TopicAlias,
    /// A wildcard in the topic of a message.
    #[error("the broker sent a message whose topic contains '+' or '#'")]
    Wildcard,
}

impl ProtocolError {
    /// The reason code of MQTT 5 to close the connection with.
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::NotConnected | Self::Unexpected(_) | Self::Reasons { .. } => ReasonCode::PROTOCOL_ERROR,
            Self::ExactlyOnce => ReasonCode::QOS_NOT_SUPPORTED,
            Self::TopicAlias => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::Wildcard => ReasonCode::TOPIC_NAME_INVALID,
        }
    }
}
