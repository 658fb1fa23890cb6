//! Reason codes of MQTT 5, and the return codes of MQTT 3.1.1 as reason codes.

use std::fmt;

use crate::packet::PacketKind;

/// Why something was answered as it was (MQTT 5 §2.4). Codes below 0x80 are successes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ReasonCode(pub u8);

macro_rules! reasons {
    ($($code:literal $name:ident $text:literal [$($kind:ident)*];)+) => {
        impl ReasonCode {
            $(#[doc = concat!("`", stringify!($code), "`: ", $text, ".")]
            pub const $name: Self = Self($code);)+

            /// The name of the code in the specification.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($text),)+
                    _ => None,
                }
            }

            /// Whether the code may stand in a packet of that kind (the table of MQTT 5 §2.4).
            pub(crate) const fn is_for(self, kind: PacketKind) -> bool {
                match self.0 {
                    $($code => matches!(kind, $(PacketKind::$kind)|*),)+
                    _ => false,
                }
            }

            /// Every code of the specification.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

reasons! {
    0x00 SUCCESS "success" [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth];
    0x01 GRANTED_QOS_1 "granted QoS 1" [SubAck];
    0x02 GRANTED_QOS_2 "granted QoS 2" [SubAck];
    0x04 DISCONNECT_WITH_WILL "disconnect with will message" [Disconnect];
    0x10 NO_MATCHING_SUBSCRIBERS "no matching subscribers" [PubAck PubRec];
    0x11 NO_SUBSCRIPTION_EXISTED "no subscription existed" [UnsubAck];
    0x18 CONTINUE_AUTHENTICATION "continue authentication" [Auth];
    0x19 REAUTHENTICATE "re-authenticate" [Auth];
    0x80 UNSPECIFIED_ERROR "unspecified error" [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    0x81 MALFORMED_PACKET "malformed packet" [ConnAck Disconnect];
    0x82 PROTOCOL_ERROR "protocol error" [ConnAck Disconnect];
    0x83 IMPLEMENTATION_SPECIFIC_ERROR "implementation specific error" [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    0x84 UNSUPPORTED_PROTOCOL_VERSION "unsupported protocol version" [ConnAck];
    0x85 CLIENT_IDENTIFIER_NOT_VALID "client identifier not valid" [ConnAck];
    0x86 BAD_USER_NAME_OR_PASSWORD "bad user name or password" [ConnAck];
    0x87 NOT_AUTHORIZED "not authorized" [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    0x88 SERVER_UNAVAILABLE "server unavailable" [ConnAck];
    0x89 SERVER_BUSY "server busy" [ConnAck Disconnect];
    0x8A BANNED "banned" [ConnAck];
    0x8B SERVER_SHUTTING_DOWN "server shutting down" [Disconnect];
    0x8C BAD_AUTHENTICATION_METHOD "bad authentication method" [ConnAck Disconnect];
    0x8D KEEP_ALIVE_TIMEOUT "keep alive timeout" [Disconnect];
    0x8E SESSION_TAKEN_OVER "session taken over" [Disconnect];
    0x8F TOPIC_FILTER_INVALID "topic filter invalid" [SubAck UnsubAck Disconnect];
    0x90 TOPIC_NAME_INVALID "topic name invalid" [ConnAck PubAck PubRec Disconnect];
    0x91 PACKET_IDENTIFIER_IN_USE "packet identifier in use" [PubAck PubRec SubAck UnsubAck];
    0x92 PACKET_IDENTIFIER_NOT_FOUND "packet identifier not found" [PubRel PubComp];
    0x93 RECEIVE_MAXIMUM_EXCEEDED "receive maximum exceeded" [Disconnect];
    0x94 TOPIC_ALIAS_INVALID "topic alias invalid" [Disconnect];
    0x95 PACKET_TOO_LARGE "packet too large" [ConnAck Disconnect];
    0x96 MESSAGE_RATE_TOO_HIGH "message rate too high" [Disconnect];
    0x97 QUOTA_EXCEEDED "quota exceeded" [ConnAck PubAck PubRec SubAck Disconnect];
    0x98 ADMINISTRATIVE_ACTION "administrative action" [Disconnect];
    0x99 PAYLOAD_FORMAT_INVALID "payload format invalid" [ConnAck PubAck PubRec Disconnect];
    0x9A RETAIN_NOT_SUPPORTED "retain not supported" [ConnAck Disconnect];
    0x9B QOS_NOT_SUPPORTED "QoS not supported" [ConnAck Disconnect];
    0x9C USE_ANOTHER_SERVER "use another server" [ConnAck Disconnect];
    0x9D SERVER_MOVED "server moved" [ConnAck Disconnect];
    0x9E SHARED_SUBSCRIPTIONS_NOT_SUPPORTED "shared subscriptions not supported" [SubAck Disconnect];
    0x9F CONNECTION_RATE_EXCEEDED "connection rate exceeded" [ConnAck Disconnect];
    0xA0 MAXIMUM_CONNECT_TIME "maximum connect time" [Disconnect];
    0xA1 SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED "subscription identifiers not supported" [SubAck Disconnect];
    0xA2 WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED "wildcard subscriptions not supported" [SubAck Disconnect];
}

impl ReasonCode {
    /// DISCONNECT's name for 0x00.
    pub const NORMAL_DISCONNECTION: Self = Self(0x00);
    /// SUBACK's name for 0x00.
    pub const GRANTED_QOS_0: Self = Self(0x00);

    /// Whether it says that something failed.
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// The reason of a CONNACK return code of MQTT 3.1.1 (§3.2.2.3); 6 and above are reserved.
    pub(crate) const fn from_return_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::SUCCESS),
            1 => Some(Self::UNSUPPORTED_PROTOCOL_VERSION),
            2 => Some(Self::CLIENT_IDENTIFIER_NOT_VALID),
            3 => Some(Self::SERVER_UNAVAILABLE),
            4 => Some(Self::BAD_USER_NAME_OR_PASSWORD),
            5 => Some(Self::NOT_AUTHORIZED),
            _ => None,
        }
    }

    /// The CONNACK return code of MQTT 3.1.1 nearest to the reason; what it has no word for is "server
    /// unavailable".
    pub(crate) const fn return_code(self) -> u8 {
        match self {
            Self::SUCCESS => 0,
            Self::UNSUPPORTED_PROTOCOL_VERSION => 1,
            Self::CLIENT_IDENTIFIER_NOT_VALID => 2,
            Self::BAD_USER_NAME_OR_PASSWORD | Self::BAD_AUTHENTICATION_METHOD => 4,
            Self::NOT_AUTHORIZED | Self::BANNED | Self::TOPIC_NAME_INVALID => 5,
            _ => 3,
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name().unwrap_or("unknown reason"), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_return_code_of_3_1_1_survives_the_way_through_a_reason() {
        for code in 0..=5 {
            assert_eq!(ReasonCode::from_return_code(code).map(ReasonCode::return_code), Some(code));
        }
        assert_eq!(ReasonCode::from_return_code(6), None);
    }

    #[test]
    fn an_error_never_becomes_an_accepted_connection() {
        for reason in ReasonCode::ALL.iter().filter(|reason| reason.is_error()) {
            assert_ne!(reason.return_code(), 0, "{reason}");
        }
    }

    #[test]
    fn a_reason_prints_its_name_and_its_number() {
        assert_eq!(ReasonCode::NOT_AUTHORIZED.to_string(), "not authorized (0x87)");
        assert_eq!(ReasonCode(0x77).to_string(), "unknown reason (0x77)");
    }
}
