//! Bytes to packets and packets to bytes (MQTT 5 §2.1). No I/O: the caller owns the buffers.

use bytes::{Buf as _, BytesMut};

use crate::packet::{Packet, PacketKind};
use crate::types::Version;
use crate::wire::{Count, MAX_VARINT, Reader, Sink, Varint, varint};

mod encoded;
mod error;

pub use encoded::EncodedPublish;
pub use error::{DecodeError, EncodeError};

/// What a decoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the largest packet, its fixed header included. Checked before the packet is waited for.
    pub max_packet: usize,
}

impl Default for Limits {
    /// 146 KiB: the quota "Maximum MQTT5 packet size" of AWS IoT Core.
    fn default() -> Self {
        Self { max_packet: 146 * 1024 }
    }
}

/// Takes the first packet out of `buf`; `None` when it is not all there yet.
///
/// CONNECT is read in the version that it names, whatever `version` says; so a server decodes the first packet
/// with either version and goes on with [`Connect::version`](crate::Connect::version). Topic and payload of a
/// PUBLISH are slices of `buf`'s memory.
///
/// # Errors
/// When the bytes are no packet or the packet is too large. The connection cannot go on after that:
/// [`DecodeError::reason`] is what a server of MQTT 5 says before it closes.
pub fn decode(buf: &mut BytesMut, version: Version, limits: &Limits) -> Result<Option<Packet>, DecodeError> {
    let Some(header) = Header::read(buf, version)? else {
        return Ok(None);
    };
    let size = header.length.saturating_add(header.body);
    if size > limits.max_packet {
        return Err(DecodeError::TooLarge { size, limit: limits.max_packet });
    }
    // No `reserve`: a peer that announces much and sends little shall not cost the memory.
    if buf.len() < size {
        return Ok(None);
    }
    buf.advance(header.length);
    let body = buf.split_to(header.body).freeze();
    let mut reader = Reader::new(header.kind, body);
    let packet = Packet::read(header.kind, header.flags, &mut reader, version)?;
    header.check_shortest(packet.version(version))?;
    Ok(Some(packet))
}

/// Appends a packet to `out`. CONNECT is written in the version that it names.
///
/// What MQTT 3.1.1 has no place for (properties, reasons) is left out.
///
/// # Errors
/// When the packet breaks a rule of the protocol; `out` is then as it was.
pub fn encode(packet: &Packet, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let version = packet.version(version);
    let body = body_length(packet, version)?;
    out.reserve(HEADER_MAX.saturating_add(usize::try_from(body).unwrap_or_default()));
    out.byte((packet.kind() as u8) << 4 | packet.flags());
    out.varint(body);
    packet.write(out, version)
}

/// The bytes that [`encode`] would write.
///
/// # Errors
/// As [`encode`].
pub fn encoded_len(packet: &Packet, version: Version) -> Result<usize, EncodeError> {
    let body = body_length(packet, packet.version(version))?;
    let mut header = Count(1);
    header.varint(body);
    Ok(header.0.saturating_add(usize::try_from(body).unwrap_or(usize::MAX)))
}

/// The longest fixed header.
const HEADER_MAX: usize = 5;

fn body_length(packet: &Packet, version: Version) -> Result<u32, EncodeError> {
    if version == Version::V311 && packet.kind() == PacketKind::Auth {
        return Err(EncodeError::Rule { packet: PacketKind::Auth, what: "MQTT 3.1.1 has no such packet" });
    }
    let mut count = Count::default();
    packet.write(&mut count, version)?;
    remaining_length(count.0)
}

/// The length as a variable byte integer can say it.
fn remaining_length(size: usize) -> Result<u32, EncodeError> {
    u32::try_from(size).ok().filter(|size| *size <= MAX_VARINT).ok_or(EncodeError::TooLarge { size })
}

/// A fixed header.
struct Header {
    kind: PacketKind,
    flags: u8,
    /// Bytes of the header itself.
    length: usize,
    /// Bytes that follow it.
    body: usize,
    shortest: bool,
}

impl Header {
    fn read(buf: &[u8], version: Version) -> Result<Option<Self>, DecodeError> {
        let Some((first, rest)) = buf.split_first() else {
            return Ok(None);
        };
        let kind = kind(*first, version)?;
        let flags = first & 0x0F;
        if kind.fixed_flags().is_some_and(|fixed| fixed != flags) {
            return Err(DecodeError::Malformed { packet: kind, what: "reserved flags of the first byte" });
        }
        match varint(rest) {
            Varint::Partial => Ok(None),
            Varint::TooLong => {
                Err(DecodeError::Malformed { packet: kind, what: "its length is over four bytes" })
            }
            Varint::Whole { value, length, minimal } => Ok(Some(Self {
                kind,
                flags,
                length: length + 1,
                body: usize::try_from(value).unwrap_or(usize::MAX),
                shortest: minimal,
            })),
        }
    }

    /// MQTT 5 demands the shortest form of a length (MQTT-1.5.5-1), MQTT 3.1.1 does not.
    fn check_shortest(&self, version: Version) -> Result<(), DecodeError> {
        if version == Version::V5 && !self.shortest {
            return Err(DecodeError::Malformed {
                packet: self.kind,
                what: "its length is not in its shortest form",
            });
        }
        Ok(())
    }
}

fn kind(first: u8, version: Version) -> Result<PacketKind, DecodeError> {
    let number = first >> 4;
    match PacketKind::from_number(number) {
        Some(PacketKind::Auth) if version == Version::V311 => Err(DecodeError::UnknownType(number)),
        Some(kind) => Ok(kind),
        None => Err(DecodeError::UnknownType(number)),
    }
}
