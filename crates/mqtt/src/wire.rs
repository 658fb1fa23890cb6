//! The data types of the wire (MQTT 5 §1.5): reading them from a packet's bytes, writing them to a sink.
//!
//! A packet is written twice by the same code: into [`Count`], which checks it and learns its length, then
//! into the buffer. So an error leaves the buffer as it was, and no length is computed by a second formula.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::codec::{DecodeError, EncodeError};
use crate::packet::PacketKind;
use crate::text::Text;
use crate::types::{PacketId, QoS};

/// The largest variable byte integer (MQTT 5 §1.5.5).
pub(crate) const MAX_VARINT: u32 = 268_435_455;

/// Reads the fields of one packet from its bytes, without copying them.
pub(crate) struct Reader {
    bytes: Bytes,
    kind: PacketKind,
}

impl Reader {
    pub(crate) fn new(kind: PacketKind, bytes: Bytes) -> Self {
        Self { bytes, kind }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn malformed(&self, what: &'static str) -> DecodeError {
        DecodeError::Malformed { packet: self.kind, what }
    }

    pub(crate) fn protocol(&self, what: &'static str) -> DecodeError {
        DecodeError::Protocol { packet: self.kind, what }
    }

    fn short(&self) -> DecodeError {
        self.malformed("it ends within a field")
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.bytes.try_get_u8().map_err(|_| self.short())
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.bytes.try_get_u16().map_err(|_| self.short())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.bytes.try_get_u32().map_err(|_| self.short())
    }

    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        match varint(&self.bytes) {
            Varint::Whole { value, length, minimal: true } => {
                self.bytes.advance(length);
                Ok(value)
            }
            Varint::Whole { .. } | Varint::TooLong => {
                Err(self.malformed("a variable byte integer is too long"))
            }
            Varint::Partial => Err(self.short()),
        }
    }

    /// The next `length` bytes, shared with the packet.
    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.bytes.len() {
            return Err(self.short());
        }
        Ok(self.bytes.split_to(length))
    }

    /// A reader of the next `length` bytes, for properties.
    pub(crate) fn section(&mut self, length: usize) -> Result<Self, DecodeError> {
        Ok(Self { bytes: self.take(length)?, kind: self.kind })
    }

    pub(crate) fn binary(&mut self) -> Result<Bytes, DecodeError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    pub(crate) fn text(&mut self) -> Result<Text, DecodeError> {
        let bytes = self.binary()?;
        Text::from_utf8(bytes).map_err(|_| self.malformed("a string is not UTF-8 or contains U+0000"))
    }

    /// A topic or filter: a string of at least one character (MQTT-4.7.3-1).
    pub(crate) fn topic(&mut self) -> Result<Text, DecodeError> {
        let text = self.text()?;
        if text.bytes().is_empty() { Err(self.malformed("a topic is empty")) } else { Ok(text) }
    }

    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        let number = self.u16()?;
        PacketId::new(number).ok_or_else(|| self.malformed("the packet identifier is 0"))
    }

    pub(crate) fn qos(&self, bits: u8) -> Result<QoS, DecodeError> {
        QoS::from_bits(bits).ok_or_else(|| self.malformed("the QoS is 3"))
    }

    /// Everything left.
    pub(crate) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }

    /// Refuses bytes after the last field.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(self.malformed("bytes follow its last field")) }
    }
}

/// A variable byte integer at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Varint {
    /// It is all there, in `length` bytes; `minimal` when no shorter form exists (MQTT-1.5.5-1).
    Whole { value: u32, length: usize, minimal: bool },
    /// More bytes are needed.
    Partial,
    /// It goes on after four bytes.
    TooLong,
}

pub(crate) fn varint(bytes: &[u8]) -> Varint {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Varint::Whole { value, length: index + 1, minimal: *byte != 0 || index == 0 };
        }
    }
    if bytes.len() < 4 { Varint::Partial } else { Varint::TooLong }
}

/// Where a packet is written to.
pub(crate) trait Sink {
    /// Whether the writer checks what it writes: in the counting pass only.
    const CHECKS: bool;

    fn slice(&mut self, bytes: &[u8]);

    fn byte(&mut self, byte: u8) {
        self.slice(&[byte]);
    }

    fn u16(&mut self, number: u16) {
        self.slice(&number.to_be_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.slice(&number.to_be_bytes());
    }

    fn varint(&mut self, mut number: u32) {
        loop {
            let low = number.to_le_bytes()[0] & 0x7F;
            number >>= 7;
            if number == 0 {
                return self.byte(low);
            }
            self.byte(low | 0x80);
        }
    }

    fn binary(&mut self, what: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
        let length =
            u16::try_from(bytes.len()).map_err(|_| EncodeError::TooLong { what, length: bytes.len() })?;
        self.u16(length);
        self.slice(bytes);
        Ok(())
    }

    fn text(&mut self, what: &'static str, text: &Text) -> Result<(), EncodeError> {
        if Self::CHECKS {
            text.check().map_err(|error| EncodeError::Text { what, error })?;
        }
        self.binary(what, text.bytes())
    }
}

/// A sink that checks and counts.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    const CHECKS: bool = true;

    fn slice(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

impl Sink for BytesMut {
    const CHECKS: bool = false;

    fn slice(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_byte_integers_are_written_in_their_shortest_form_and_read_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, MAX_VARINT] {
            let mut out = BytesMut::new();
            out.varint(value);
            assert_eq!(varint(&out), Varint::Whole { value, length: out.len(), minimal: true });
            assert_eq!(varint(&out[..out.len() - 1]), Varint::Partial);
        }
        assert_eq!(varint(&[0x80, 0]), Varint::Whole { value: 0, length: 2, minimal: false });
        assert_eq!(varint(&[0xFF; 4]), Varint::TooLong);
    }
}
