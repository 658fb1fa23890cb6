//! The codec against the specification's tables, against itself, and against another codec.

#![cfg(test)]

mod fan_out;
mod oracle;
mod placement;
mod round_trip;
mod strategy;
mod strictness;

use bytes::BytesMut;
use fleetkey_mqtt::{DecodeError, Limits, Packet, Version, decode, encode};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

fn encoded(packet: &Packet, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    encode(packet, version, &mut out).unwrap_or_else(|error| panic!("{error}: {packet:?}"));
    out
}

fn decode_one(bytes: &[u8], version: Version) -> Result<Option<Packet>, DecodeError> {
    decode(&mut BytesMut::from(bytes), version, &Limits::default())
}
