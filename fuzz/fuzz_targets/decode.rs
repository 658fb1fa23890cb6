//! Bytes of a peer, both versions: the decoder does not panic, takes nothing that it did not use, and what it
//! reads can be written and is the same when read again.

#![no_main]

use bytes::{Buf, BytesMut};
use fleetkey_mqtt::codec::encoded_len;
use fleetkey_mqtt::{EncodedPublish, Limits, Packet, Version, decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::V311, Version::V5] {
        let mut buf = BytesMut::from(bytes);
        while let Ok(Some(packet)) = decode(&mut buf, version, &Limits::default()) {
            is_stable(&packet, version);
        }
    }
});

fn is_stable(packet: &Packet, version: Version) {
    let mut written = BytesMut::new();
    encode(packet, version, &mut written).expect("what was read can be written");
    assert_eq!(encoded_len(packet, version), Ok(written.len()));
    if let Packet::Publish(publish) = packet {
        let once = EncodedPublish::new(publish, version).expect("what was read can be written");
        let mut copy = BytesMut::new();
        match publish.packet_id {
            Some(id) => once.write_with_id(id, publish.dup, &mut copy),
            None => once.write(&mut copy).expect("QoS 0 needs no packet identifier"),
        }
        assert_eq!(copy, written);
    }
    // The way back may write a longer packet than came in, so its limit is its own length.
    let limits = Limits {
        max_packet: written.len(),
    };
    let again = decode(&mut written, version, &limits);
    assert_eq!(again.as_ref(), Ok(&Some(packet.clone())));
    assert!(!written.has_remaining());
}
