//! The encode-once form against the codec.

use bytes::BytesMut;
use fleetkey_mqtt::{EncodeError, EncodedPublish, Packet, PacketId, Publish, QoS, Version};
use proptest::prelude::*;

use super::encoded;
use super::strategy::any_packet;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_copy_is_what_encoding_the_message_gives((version, packet) in any_packet(), id in 1..=u16::MAX, dup: bool) {
        if let Packet::Publish(mut publish) = packet {
            let once = EncodedPublish::new(&publish, version).expect("a right message");
            let id = PacketId::new(id).expect("not 0");
            let mut copy = BytesMut::new();
            once.write_with_id(id, dup, &mut copy);
            prop_assert_eq!(copy.len(), once.len());

            publish.packet_id = once.needs_packet_id().then_some(id);
            publish.dup = once.needs_packet_id() && dup;
            prop_assert_eq!(copy, encoded(&Packet::Publish(publish), version));
        }
    }
}

#[test]
fn a_message_that_needs_a_packet_identifier_is_not_written_without() {
    let publish = Publish { qos: QoS::AtLeastOnce, ..Publish::new("t", "p") };
    let once = EncodedPublish::new(&publish, Version::V5).expect("a right message");
    let mut out = BytesMut::new();
    assert!(matches!(once.write(&mut out), Err(EncodeError::Rule { .. })));
    assert!(out.is_empty());
}

#[test]
fn a_message_without_a_topic_is_not_encoded() {
    assert!(EncodedPublish::new(&Publish::new("", "p"), Version::V5).is_err());
}
