//! CONNECT (MQTT 5 §3.1): who the client is and how it wants its session.

use std::fmt;

use bytes::Bytes;

use super::PacketKind;
use crate::codec::{DecodeError, EncodeError};
use crate::property::{Place, Properties};
use crate::text::Text;
use crate::types::{QoS, Version};
use crate::wire::{Reader, Sink};

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

/// The first packet of a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The version that the whole connection speaks.
    pub version: Version,
    /// Whether to throw away an earlier session ("clean session" in MQTT 3.1.1).
    pub clean_start: bool,
    /// Seconds of silence after which the client may be taken for dead, times 1.5; 0 is for ever.
    pub keep_alive: u16,
    /// The client id; empty asks the server to choose one.
    pub client_id: Text,
    /// What the server publishes when the connection breaks.
    pub will: Option<Will>,
    /// A user name; AWS IoT Core reads SDK metrics from it.
    pub username: Option<Text>,
    /// A password. It never shows in `Debug`.
    pub password: Option<Bytes>,
    /// Properties of MQTT 5.
    pub properties: Properties,
}

/// A message that the server publishes for a client that is gone.
#[derive(Clone, PartialEq, Eq)]
pub struct Will {
    /// Where it is published.
    pub topic: Text,
    /// The message.
    pub payload: Bytes,
    /// Its quality of service.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// Properties of MQTT 5, among them the delay.
    pub properties: Properties,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("properties", &self.properties)
            .finish()
    }
}

impl fmt::Debug for Will {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("topic", &self.topic)
            .field("payload", &format_args!("({} bytes)", self.payload.len()))
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .finish()
    }
}

impl Connect {
    /// A CONNECT with a clean start, no keep alive, and nothing else.
    pub fn new(version: Version, client_id: impl Into<Text>) -> Self {
        Self {
            version,
            clean_start: true,
            keep_alive: 0,
            client_id: client_id.into(),
            will: None,
            username: None,
            password: None,
            properties: Properties::new(),
        }
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let version = read_version(reader)?;
        let flags = reader.byte()?;
        check_flags(flags, version, reader)?;
        let keep_alive = reader.u16()?;
        let properties = Properties::read(reader, version, Place::Packet(PacketKind::Connect))?;
        Ok(Self {
            version,
            clean_start: flags & CLEAN_START != 0,
            keep_alive,
            properties,
            client_id: reader.text()?,
            will: if flags & WILL == 0 { None } else { Some(Will::read(flags, reader, version)?) },
            username: if flags & USERNAME == 0 { None } else { Some(reader.text()?) },
            password: if flags & PASSWORD == 0 { None } else { Some(reader.binary()?) },
        })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) -> Result<(), EncodeError> {
        if self.version == Version::V311 && self.password.is_some() && self.username.is_none() {
            return Err(EncodeError::Rule {
                packet: PacketKind::Connect,
                what: "a password without a user name",
            });
        }
        sink.slice(b"\0\x04MQTT");
        sink.byte(self.version.level());
        sink.byte(self.connect_flags());
        sink.u16(self.keep_alive);
        self.properties.write(sink, self.version, Place::Packet(PacketKind::Connect))?;
        sink.text("the client id", &self.client_id)?;
        if let Some(will) = &self.will {
            will.write(sink, self.version)?;
        }
        if let Some(username) = &self.username {
            sink.text("the user name", username)?;
        }
        if let Some(password) = &self.password {
            sink.binary("the password", password)?;
        }
        Ok(())
    }

    fn connect_flags(&self) -> u8 {
        let flag = |set: bool, bit| if set { bit } else { 0 };
        flag(self.clean_start, CLEAN_START)
            | self.will.as_ref().map_or(0, Will::flags)
            | flag(self.username.is_some(), USERNAME)
            | flag(self.password.is_some(), PASSWORD)
    }
}

impl Will {
    fn read(flags: u8, reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        Ok(Self {
            qos: reader.qos((flags >> WILL_QOS_SHIFT) & 0b11)?,
            retain: flags & WILL_RETAIN != 0,
            properties: Properties::read(reader, version, Place::Will)?,
            topic: reader.topic()?,
            payload: reader.binary()?,
        })
    }

    fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        if self.topic.bytes().is_empty() {
            return Err(EncodeError::Rule {
                packet: PacketKind::Connect,
                what: "the topic of the will is empty",
            });
        }
        self.properties.write(sink, version, Place::Will)?;
        sink.text("the topic of the will", &self.topic)?;
        sink.binary("the payload of the will", &self.payload)
    }

    fn flags(&self) -> u8 {
        let retain = if self.retain { WILL_RETAIN } else { 0 };
        WILL | self.qos.bits() << WILL_QOS_SHIFT | retain
    }
}

/// The version is only what a known protocol name and level say together.
fn read_version(reader: &mut Reader) -> Result<Version, DecodeError> {
    let name = reader.binary()?;
    let level = reader.byte()?;
    match (name.as_ref(), Version::from_level(level)) {
        (b"MQTT", Some(version)) => Ok(version),
        (b"MQTT" | b"MQIsdp", _) => Err(DecodeError::UnsupportedVersion { level }),
        _ => Err(reader.malformed("the protocol name is not MQTT")),
    }
}

fn check_flags(flags: u8, version: Version, reader: &Reader) -> Result<(), DecodeError> {
    if flags & 0x01 != 0 {
        return Err(reader.malformed("the reserved connect flag is set"));
    }
    if flags & WILL == 0 && flags & (WILL_RETAIN | 0b11 << WILL_QOS_SHIFT) != 0 {
        return Err(reader.malformed("will flags are set without a will"));
    }
    if version == Version::V311 && flags & (USERNAME | PASSWORD) == PASSWORD {
        return Err(reader.malformed("a password without a user name (MQTT-3.1.2-22)"));
    }
    Ok(())
}
