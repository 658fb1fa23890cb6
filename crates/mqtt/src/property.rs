//! The properties of MQTT 5 (§2.2.2): each one's identifier, type, values, and the packets it may stand in.

use bytes::Bytes;

use crate::codec::{DecodeError, EncodeError};
use crate::packet::PacketKind;
use crate::text::Text;
use crate::wire::{MAX_VARINT, Reader, Sink};

mod list;

pub use list::Properties;

/// Where a list of properties stands: a packet, or the will within CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Packet(PacketKind),
    Will,
}

impl Place {
    pub(crate) fn packet(self) -> PacketKind {
        match self {
            Self::Packet(kind) => kind,
            Self::Will => PacketKind::Connect,
        }
    }
}

/// What is wrong with a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PropertyFault {
    /// No property has this identifier.
    #[error("is unknown")]
    Unknown,
    /// It may not stand in this packet.
    #[error("may not stand there")]
    Misplaced,
    /// It stands there twice.
    #[error("stands there twice")]
    Duplicate,
    /// Its value is none of those allowed.
    #[error("has a value that is not allowed")]
    Value,
    /// Authentication Data without Authentication Method (§3.1.2.11.10).
    #[error("stands there without an authentication method")]
    NoMethod,
}

macro_rules! places {
    (Will) => {
        Place::Will
    };
    ($kind:ident) => {
        Place::Packet(PacketKind::$kind)
    };
}

macro_rules! properties {
    ($($(#[$doc:meta])* $id:literal $name:ident ($($field:ident: $type:ty = $codec:ident),+) [$($place:ident)+];)+) => {
        /// One property of MQTT 5.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Property {
            $($(#[$doc])* $name($($type),+),)+
        }

        impl Property {
            /// The identifier on the wire (MQTT 5 §2.2.2.2).
            pub const fn id(&self) -> u8 {
                match self { $(Self::$name(..) => $id,)+ }
            }

            fn may_stand_in(&self, place: Place) -> bool {
                match self { $(Self::$name(..) => [$(places!($place)),+].contains(&place),)+ }
            }

            pub(crate) fn read(reader: &mut Reader, place: Place) -> Result<Self, DecodeError> {
                match reader.varint()? {
                    $($id => Ok(Self::$name($(<$type>::from(reader.$codec()?)),+)),)+
                    id => Err(DecodeError::Property { packet: place.packet(), id, fault: PropertyFault::Unknown }),
                }
            }

            pub(crate) fn write<S: Sink>(&self, sink: &mut S) -> Result<(), EncodeError> {
                sink.byte(self.id());
                match self { $(Self::$name($($field),+) => { $(write!(sink, $codec, $field);)+ })+ }
                Ok(())
            }
        }
    };
}

macro_rules! write {
    ($sink:ident, text, $field:ident) => {
        $sink.text("a property", $field)?
    };
    ($sink:ident, binary, $field:ident) => {
        $sink.binary("a property", $field)?
    };
    ($sink:ident, $codec:ident, $field:ident) => {
        $sink.$codec(*$field)
    };
}

properties! {
    /// 1 when the payload is UTF-8, 0 when nothing is said of it.
    0x01 PayloadFormatIndicator(format: u8 = byte) [Publish Will];
    /// Seconds until the message may be thrown away. 0 is allowed; AWS counts it as 1.
    0x02 MessageExpiryInterval(seconds: u32 = u32) [Publish Will];
    /// What the payload is, in the application's words.
    0x03 ContentType(text: Text = text) [Publish Will];
    /// Where the answer to this message shall go.
    0x08 ResponseTopic(topic: Text = text) [Publish Will];
    /// What tells the asker which question is answered.
    0x09 CorrelationData(data: Bytes = binary) [Publish Will];
    /// The number of the subscription that a message came by: 1 to 268 435 455.
    0x0B SubscriptionIdentifier(number: u32 = varint) [Publish Subscribe];
    /// Seconds that the session outlives its connection; `u32::MAX` is for ever.
    0x11 SessionExpiryInterval(seconds: u32 = u32) [Connect ConnAck Disconnect];
    /// The client id that the server chose.
    0x12 AssignedClientIdentifier(id: Text = text) [ConnAck];
    /// Seconds; overrides the client's keep alive.
    0x13 ServerKeepAlive(seconds: u16 = u16) [ConnAck];
    /// The name of the extended authentication.
    0x15 AuthenticationMethod(name: Text = text) [Connect ConnAck Auth];
    /// The data of the extended authentication.
    0x16 AuthenticationData(data: Bytes = binary) [Connect ConnAck Auth];
    /// 0 or 1: whether reason strings and user properties may come with any packet.
    0x17 RequestProblemInformation(flag: u8 = byte) [Connect];
    /// Seconds between the end of the connection and the will.
    0x18 WillDelayInterval(seconds: u32 = u32) [Will];
    /// 0 or 1: whether CONNACK shall carry response information.
    0x19 RequestResponseInformation(flag: u8 = byte) [Connect];
    /// What response topics may be made of.
    0x1A ResponseInformation(text: Text = text) [ConnAck];
    /// Another server to use.
    0x1C ServerReference(text: Text = text) [ConnAck Disconnect];
    /// The reason for people to read.
    0x1F ReasonString(text: Text = text) [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth];
    /// How many unanswered QoS 1 and 2 messages the sender of this takes at once; not 0.
    0x21 ReceiveMaximum(count: u16 = u16) [Connect ConnAck];
    /// The highest topic alias that the sender of this takes.
    0x22 TopicAliasMaximum(highest: u16 = u16) [Connect ConnAck];
    /// A number instead of a topic; not 0.
    0x23 TopicAlias(alias: u16 = u16) [Publish];
    /// The highest QoS of the server, when it is not 2: 0 or 1.
    0x24 MaximumQoS(qos: u8 = byte) [ConnAck];
    /// 0 or 1: whether the server retains messages.
    0x25 RetainAvailable(flag: u8 = byte) [ConnAck];
    /// A name and a value in the application's words; may stand several times.
    0x26 UserProperty(name: Text = text, value: Text = text) [Connect ConnAck Publish Will PubAck PubRec PubRel
        PubComp Subscribe SubAck Unsubscribe UnsubAck Disconnect Auth];
    /// Bytes of the largest packet that the sender of this takes; not 0.
    0x27 MaximumPacketSize(bytes: u32 = u32) [Connect ConnAck];
    /// 0 or 1: whether filters may have wildcards.
    0x28 WildcardSubscriptionAvailable(flag: u8 = byte) [ConnAck];
    /// 0 or 1: whether subscriptions may have identifiers.
    0x29 SubscriptionIdentifierAvailable(flag: u8 = byte) [ConnAck];
    /// 0 or 1: whether there are shared subscriptions.
    0x2A SharedSubscriptionAvailable(flag: u8 = byte) [ConnAck];
}

impl Property {
    /// Whether it may stand there, whatever else stands there.
    pub(crate) fn check(&self, place: Place) -> Result<(), PropertyFault> {
        if !self.may_stand_in(place) {
            return Err(PropertyFault::Misplaced);
        }
        if self.has_allowed_value() { Ok(()) } else { Err(PropertyFault::Value) }
    }

    fn has_allowed_value(&self) -> bool {
        match self {
            Self::PayloadFormatIndicator(byte)
            | Self::RequestProblemInformation(byte)
            | Self::RequestResponseInformation(byte)
            | Self::MaximumQoS(byte)
            | Self::RetainAvailable(byte)
            | Self::WildcardSubscriptionAvailable(byte)
            | Self::SubscriptionIdentifierAvailable(byte)
            | Self::SharedSubscriptionAvailable(byte) => *byte <= 1,
            Self::ReceiveMaximum(number) | Self::TopicAlias(number) => *number != 0,
            Self::MaximumPacketSize(bytes) => *bytes != 0,
            Self::SubscriptionIdentifier(number) => (1..=MAX_VARINT).contains(number),
            _ => true,
        }
    }

    /// Whether it may stand several times in that place.
    pub(crate) fn may_repeat(&self, place: Place) -> bool {
        match self {
            Self::UserProperty(..) => true,
            Self::SubscriptionIdentifier(_) => place == Place::Packet(PacketKind::Publish),
            _ => false,
        }
    }
}
