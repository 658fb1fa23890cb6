//! The packets of MQTT, one type each, the same for both versions: what a version lacks is empty or ignored.

use std::fmt;

use crate::codec::{DecodeError, EncodeError};
use crate::types::Version;
use crate::wire::{Reader, Sink};

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod publish;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;

pub use ack::PubAck;
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use publish::Publish;
pub use suback::SubAck;
pub use subscribe::{Subscribe, SubscribeFilter};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;

pub(crate) use publish::Tail as PublishTail;

/// One packet of either version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Client to server: the first packet of a connection.
    Connect(Box<Connect>),
    /// The answer to CONNECT.
    ConnAck(ConnAck),
    /// A message.
    Publish(Publish),
    /// The answer to a QoS 1 message.
    PubAck(PubAck),
    /// The first answer to a QoS 2 message.
    PubRec(PubAck),
    /// The answer to PUBREC.
    PubRel(PubAck),
    /// The answer to PUBREL.
    PubComp(PubAck),
    /// Client to server: new subscriptions.
    Subscribe(Subscribe),
    /// The answer to SUBSCRIBE.
    SubAck(SubAck),
    /// Client to server: the end of subscriptions.
    Unsubscribe(Unsubscribe),
    /// The answer to UNSUBSCRIBE.
    UnsubAck(UnsubAck),
    /// Client to server: are you there?
    PingReq,
    /// The answer to PINGREQ.
    PingResp,
    /// The last packet of a connection; from the server in MQTT 5 only.
    Disconnect(Disconnect),
    /// Extended authentication, MQTT 5 only.
    Auth(Auth),
}

/// Which packet: its control packet type (MQTT 5 §2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketKind {
    /// CONNECT.
    Connect = 1,
    /// CONNACK.
    ConnAck,
    /// PUBLISH.
    Publish,
    /// PUBACK.
    PubAck,
    /// PUBREC.
    PubRec,
    /// PUBREL.
    PubRel,
    /// PUBCOMP.
    PubComp,
    /// SUBSCRIBE.
    Subscribe,
    /// SUBACK.
    SubAck,
    /// UNSUBSCRIBE.
    Unsubscribe,
    /// UNSUBACK.
    UnsubAck,
    /// PINGREQ.
    PingReq,
    /// PINGRESP.
    PingResp,
    /// DISCONNECT.
    Disconnect,
    /// AUTH.
    Auth,
}

impl PacketKind {
    /// The kind of a type number; 0 is reserved.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The flags that every packet of the kind has; none are fixed for PUBLISH (MQTT 5 §2.1.3).
    pub(crate) const fn fixed_flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            _ => Some(0),
        }
    }

    /// The name in the specification.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Packet {
    /// Which packet it is.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Connect(_) => PacketKind::Connect,
            Self::ConnAck(_) => PacketKind::ConnAck,
            Self::Publish(_) => PacketKind::Publish,
            Self::PubAck(_) => PacketKind::PubAck,
            Self::PubRec(_) => PacketKind::PubRec,
            Self::PubRel(_) => PacketKind::PubRel,
            Self::PubComp(_) => PacketKind::PubComp,
            Self::Subscribe(_) => PacketKind::Subscribe,
            Self::SubAck(_) => PacketKind::SubAck,
            Self::Unsubscribe(_) => PacketKind::Unsubscribe,
            Self::UnsubAck(_) => PacketKind::UnsubAck,
            Self::PingReq => PacketKind::PingReq,
            Self::PingResp => PacketKind::PingResp,
            Self::Disconnect(_) => PacketKind::Disconnect,
            Self::Auth(_) => PacketKind::Auth,
        }
    }

    /// The version to write the packet in: CONNECT names its own.
    pub(crate) const fn version(&self, version: Version) -> Version {
        match self {
            Self::Connect(connect) => connect.version,
            _ => version,
        }
    }

    /// The four flags of the first byte.
    pub(crate) fn flags(&self) -> u8 {
        match self {
            Self::Publish(publish) => publish.flags(),
            _ => self.kind().fixed_flags().unwrap_or_default(),
        }
    }

    /// Reads the body of a packet whose flags are those of its kind.
    pub(crate) fn read(
        kind: PacketKind,
        flags: u8,
        reader: &mut Reader,
        version: Version,
    ) -> Result<Self, DecodeError> {
        let packet = match kind {
            PacketKind::Connect => Self::Connect(Box::new(Connect::read(reader)?)),
            PacketKind::ConnAck => Self::ConnAck(ConnAck::read(reader, version)?),
            PacketKind::Publish => Self::Publish(Publish::read(flags, reader, version)?),
            PacketKind::PubAck => Self::PubAck(PubAck::read(kind, reader, version)?),
            PacketKind::PubRec => Self::PubRec(PubAck::read(kind, reader, version)?),
            PacketKind::PubRel => Self::PubRel(PubAck::read(kind, reader, version)?),
            PacketKind::PubComp => Self::PubComp(PubAck::read(kind, reader, version)?),
            PacketKind::Subscribe => Self::Subscribe(Subscribe::read(reader, version)?),
            PacketKind::SubAck => Self::SubAck(SubAck::read(reader, version)?),
            PacketKind::Unsubscribe => Self::Unsubscribe(Unsubscribe::read(reader, version)?),
            PacketKind::UnsubAck => Self::UnsubAck(UnsubAck::read(reader, version)?),
            PacketKind::PingReq => Self::PingReq,
            PacketKind::PingResp => Self::PingResp,
            PacketKind::Disconnect => Self::Disconnect(Disconnect::read(reader, version)?),
            PacketKind::Auth => Self::Auth(Auth::read(reader, version)?),
        };
        reader.finish()?;
        Ok(packet)
    }

    /// Writes the body.
    pub(crate) fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        match self {
            Self::Connect(packet) => packet.write(sink),
            Self::ConnAck(packet) => packet.write(sink, version),
            Self::Publish(packet) => packet.write(sink, version),
            Self::PubAck(packet) | Self::PubRec(packet) | Self::PubRel(packet) | Self::PubComp(packet) => {
                packet.write(self.kind(), sink, version)
            }
            Self::Subscribe(packet) => packet.write(sink, version),
            Self::SubAck(packet) => packet.write(sink, version),
            Self::Unsubscribe(packet) => packet.write(sink, version),
            Self::UnsubAck(packet) => packet.write(sink, version),
            Self::PingReq | Self::PingResp => Ok(()),
            Self::Disconnect(packet) => packet.write(sink, version),
            Self::Auth(packet) => packet.write(sink, version),
        }
    }
}
