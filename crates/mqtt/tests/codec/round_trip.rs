//! What is written is read back; what is read can be written; nothing makes the decoder panic.

use bytes::{Buf, BytesMut};
use fleetkey_mqtt::codec::encoded_len;
use fleetkey_mqtt::{Limits, Packet, Version, decode};
use proptest::collection::vec;
use proptest::prelude::*;

use super::strategy::{any_packet, packet};
use super::{BOTH, decode_one, encoded};

/// Decodes everything in `bytes`, given at once.
fn decode_all(bytes: &[u8], version: Version) -> Vec<Packet> {
    let mut buf = BytesMut::from(bytes);
    std::iter::from_fn(|| decode(&mut buf, version, &Limits::default()).expect("right packets")).collect()
}

/// What decoded can be encoded, and means the same then.
fn stable(bytes: &[u8], version: Version) {
    if let Ok(Some(packet)) = decode_one(bytes, version) {
        let again = encoded(&packet, version);
        assert_eq!(decode_one(&again, version), Ok(Some(packet)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_read_back((version, packet) in any_packet()) {
        let bytes = encoded(&packet, version);
        prop_assert_eq!(encoded_len(&packet, version), Ok(bytes.len()));
        prop_assert_eq!(decode_one(&bytes, version), Ok(Some(packet)));
    }

    #[test]
    fn byte_by_byte_is_the_same_as_at_once(packets in vec(packet(Version::V5), 1..5)) {
        let mut bytes = BytesMut::new();
        packets.iter().for_each(|packet| bytes.unsplit(encoded(packet, Version::V5)));
        prop_assert_eq!(&decode_all(&bytes, Version::V5), &packets);

        let mut buf = BytesMut::new();
        let mut got = Vec::new();
        for byte in bytes {
            buf.extend_from_slice(&[byte]);
            got.extend(decode(&mut buf, Version::V5, &Limits::default()).expect("right packets"));
        }
        prop_assert!(!buf.has_remaining());
        prop_assert_eq!(&got, &packets);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in vec(any::<u8>(), 0..200)) {
        BOTH.into_iter().for_each(|version| stable(&bytes, version));
    }

    #[test]
    fn no_damaged_packet_makes_the_decoder_panic(
        (version, packet) in any_packet(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encoded(&packet, version);
        *place.get_mut(&mut bytes[..]) = byte;
        BOTH.into_iter().for_each(|version| stable(&bytes, version));
    }

    #[test]
    fn a_packet_cut_short_is_waited_for((version, packet) in any_packet(), place in any::<prop::sample::Index>()) {
        let bytes = encoded(&packet, version);
        let part = &bytes[..place.index(bytes.len())];
        prop_assert_eq!(decode_one(part, version), Ok(None));
    }
}

#[test]
fn topic_and_payload_are_slices_of_the_bytes_they_came_in() {
    let mut buf = BytesMut::from(&b"\x30\x08\0\x03a/bxyz"[..]);
    let start = buf.as_ptr();
    let Ok(Some(Packet::Publish(publish))) = decode(&mut buf, Version::V311, &Limits::default()) else {
        panic!("a PUBLISH");
    };
    assert_eq!(publish.topic.bytes().as_ptr(), start.wrapping_add(4));
    assert_eq!(publish.payload.as_ptr(), start.wrapping_add(7));
    assert_ne!(publish.topic.detach().bytes().as_ptr(), start.wrapping_add(4));
}
