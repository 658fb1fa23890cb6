//! Table 2-4 of the MQTT 5 specification, copied here packet by packet (the crate has it property by
//! property), and the tables of reason codes; the strategies draw from them too.

use bytes::{BufMut, Bytes, BytesMut};
use fleetkey_mqtt::property::PropertyFault;
use fleetkey_mqtt::{DecodeError, PacketKind, Property, Text, Version};

use super::decode_one;

/// The will is not a packet of its own.
pub(crate) const WILL: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26];

/// The properties that may stand in a packet.
pub(crate) fn properties_of(kind: PacketKind) -> &'static [u8] {
    match kind {
        PacketKind::Connect => &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27],
        PacketKind::ConnAck => &[
            0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29,
            0x2A,
        ],
        PacketKind::Publish => &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26],
        PacketKind::PubAck | PacketKind::PubRec | PacketKind::PubRel | PacketKind::PubComp => &[0x1F, 0x26],
        PacketKind::Subscribe => &[0x0B, 0x26],
        PacketKind::SubAck | PacketKind::UnsubAck => &[0x1F, 0x26],
        PacketKind::Unsubscribe => &[0x26],
        PacketKind::Disconnect => &[0x11, 0x1C, 0x1F, 0x26],
        PacketKind::Auth => &[0x15, 0x16, 0x1F, 0x26],
        PacketKind::PingReq | PacketKind::PingResp => &[],
    }
}

/// The reason codes that may stand in a packet.
pub(crate) fn reasons_of(kind: PacketKind) -> &'static [u8] {
    match kind {
        PacketKind::ConnAck => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
            0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
        ],
        PacketKind::PubAck | PacketKind::PubRec => &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        PacketKind::PubRel | PacketKind::PubComp => &[0x00, 0x92],
        PacketKind::SubAck => &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
        PacketKind::UnsubAck => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
        PacketKind::Disconnect => &[
            0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
            0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
        ],
        PacketKind::Auth => &[0x00, 0x18, 0x19],
        _ => &[],
    }
}

/// One property of each identifier, with an allowed value.
fn sample(id: u8) -> Property {
    let text = || Text::from("t");
    match id {
        0x01 => Property::PayloadFormatIndicator(1),
        0x02 => Property::MessageExpiryInterval(0),
        0x03 => Property::ContentType(text()),
        0x08 => Property::ResponseTopic(text()),
        0x09 => Property::CorrelationData(Bytes::from_static(b"d")),
        0x0B => Property::SubscriptionIdentifier(1),
        0x11 => Property::SessionExpiryInterval(0),
        0x12 => Property::AssignedClientIdentifier(text()),
        0x13 => Property::ServerKeepAlive(0),
        0x15 => Property::AuthenticationMethod(text()),
        0x16 => Property::AuthenticationData(Bytes::new()),
        0x17 => Property::RequestProblemInformation(0),
        0x18 => Property::WillDelayInterval(1),
        0x19 => Property::RequestResponseInformation(1),
        0x1A => Property::ResponseInformation(text()),
        0x1C => Property::ServerReference(text()),
        0x1F => Property::ReasonString(text()),
        0x21 => Property::ReceiveMaximum(1),
        0x22 => Property::TopicAliasMaximum(0),
        0x23 => Property::TopicAlias(1),
        0x24 => Property::MaximumQoS(1),
        0x25 => Property::RetainAvailable(1),
        0x26 => Property::UserProperty(text(), text()),
        0x27 => Property::MaximumPacketSize(1),
        0x28 => Property::WildcardSubscriptionAvailable(0),
        0x29 => Property::SubscriptionIdentifierAvailable(0),
        0x2A => Property::SharedSubscriptionAvailable(1),
        _ => panic!("no property 0x{id:02X}"),
    }
}

/// A property on the wire, written by hand.
fn wire(property: &Property) -> Vec<u8> {
    let mut out = vec![property.id()];
    match property {
        Property::MessageExpiryInterval(n) | Property::SessionExpiryInterval(n) => out.put_u32(*n),
        Property::WillDelayInterval(n) | Property::MaximumPacketSize(n) => out.put_u32(*n),
        Property::ServerKeepAlive(n) | Property::ReceiveMaximum(n) => out.put_u16(*n),
        Property::TopicAliasMaximum(n) | Property::TopicAlias(n) => out.put_u16(*n),
        Property::AuthenticationData(_) => out.put_slice(&[0, 0]),
        Property::CorrelationData(_) => out.put_slice(&[0, 1, b'd']),
        Property::UserProperty(..) => out.put_slice(&[0, 1, b't', 0, 1, b't']),
        Property::PayloadFormatIndicator(n) | Property::RequestProblemInformation(n) => out.put_u8(*n),
        Property::RequestResponseInformation(n) | Property::MaximumQoS(n) => out.put_u8(*n),
        Property::RetainAvailable(n) | Property::WildcardSubscriptionAvailable(n) => out.put_u8(*n),
        Property::SubscriptionIdentifierAvailable(n) | Property::SharedSubscriptionAvailable(n) => {
            out.put_u8(*n);
        }
        Property::SubscriptionIdentifier(_) => out.put_u8(1),
        _ => out.put_slice(&[0, 1, b't']),
    }
    out
}

/// A packet of that kind with these properties, written by hand.
pub(crate) fn packet_with(kind: PacketKind, properties: &[u8]) -> Vec<u8> {
    let mut body = BytesMut::new();
    match kind {
        PacketKind::Connect => body.put_slice(b"\0\x04MQTT\x05\x02\0\0"),
        PacketKind::ConnAck => body.put_slice(&[0, 0]),
        PacketKind::Publish => body.put_slice(b"\0\x01t"),
        PacketKind::PubAck | PacketKind::PubRec | PacketKind::PubRel | PacketKind::PubComp => {
            body.put_slice(&[0, 1, 0]);
        }
        PacketKind::Disconnect | PacketKind::Auth => body.put_u8(0),
        _ => body.put_slice(&[0, 1]),
    }
    body.put_u8(properties.len().try_into().expect("few properties"));
    body.put_slice(properties);
    match kind {
        PacketKind::Connect => body.put_slice(&[0, 0]),
        PacketKind::Subscribe => body.put_slice(b"\0\x01t\0"),
        PacketKind::Unsubscribe => body.put_slice(b"\0\x01t"),
        PacketKind::SubAck | PacketKind::UnsubAck => body.put_u8(0),
        _ => {}
    }
    let flags = matches!(kind, PacketKind::PubRel | PacketKind::Subscribe | PacketKind::Unsubscribe);
    let mut packet = vec![(kind as u8) << 4 | u8::from(flags) << 1];
    packet.push(body.len().try_into().expect("a short packet"));
    packet.extend_from_slice(&body);
    packet
}

pub(crate) const WITH_PROPERTIES: [PacketKind; 13] = [
    PacketKind::Connect,
    PacketKind::ConnAck,
    PacketKind::Publish,
    PacketKind::PubAck,
    PacketKind::PubRec,
    PacketKind::PubRel,
    PacketKind::PubComp,
    PacketKind::Subscribe,
    PacketKind::SubAck,
    PacketKind::Unsubscribe,
    PacketKind::UnsubAck,
    PacketKind::Disconnect,
    PacketKind::Auth,
];

const ALL_IDS: [u8; 27] = [
    0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x11, 0x12, 0x13, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1C, 0x1F,
    0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A,
];

#[test]
fn a_property_may_stand_in_exactly_the_packets_of_table_2_4() {
    for kind in WITH_PROPERTIES {
        for id in ALL_IDS {
            let mut properties = wire(&sample(id));
            // Authentication data needs a method, and AUTH with anything in it does too.
            if id != 0x15 && (id == 0x16 || kind == PacketKind::Auth) {
                properties.extend(wire(&sample(0x15)));
            }
            let decoded = decode_one(&packet_with(kind, &properties), Version::V5);
            if properties_of(kind).contains(&id) {
                assert!(matches!(decoded, Ok(Some(_))), "{kind} with 0x{id:02X}: {decoded:?}");
            } else {
                let fault = PropertyFault::Misplaced;
                let id = u32::from(id);
                assert_eq!(decoded, Err(DecodeError::Property { packet: kind, id, fault }), "{kind}");
            }
        }
    }
}

#[test]
fn a_property_stands_there_once_unless_it_is_one_that_repeats() {
    for kind in WITH_PROPERTIES {
        for id in properties_of(kind) {
            let mut twice = wire(&sample(*id)).repeat(2);
            if kind == PacketKind::Auth && *id != 0x15 {
                twice.splice(0..0, wire(&sample(0x15)));
            } else if *id == 0x16 {
                twice.extend(wire(&sample(0x15)));
            }
            let decoded = decode_one(&packet_with(kind, &twice), Version::V5);
            let repeats = *id == 0x26 || *id == 0x0B && kind == PacketKind::Publish;
            assert_eq!(decoded.is_ok(), repeats, "{kind} with 0x{id:02X} twice: {decoded:?}");
        }
    }
}

#[test]
fn the_will_has_a_table_of_its_own() {
    for id in ALL_IDS {
        let properties = wire(&sample(id));
        let mut packet = b"\x10\0\0\x04MQTT\x05\x06\0\0\0\0\0".to_vec();
        packet.push(properties.len().try_into().expect("few properties"));
        packet.extend(properties);
        packet.extend(b"\0\x01t\0\0");
        packet[1] = (packet.len() - 2).try_into().expect("a short packet");
        assert_eq!(decode_one(&packet, Version::V5).is_ok(), WILL.contains(&id), "0x{id:02X}");
    }
}

#[test]
fn a_reason_may_stand_in_exactly_the_packets_of_its_table() {
    for kind in WITH_PROPERTIES.into_iter().filter(|kind| !reasons_of(*kind).is_empty()) {
        for reason in 0..=u8::MAX {
            let mut packet = packet_with(kind, if kind == PacketKind::Auth { b"\x15\0\x01t" } else { b"" });
            let place = match kind {
                PacketKind::ConnAck => 3,
                PacketKind::Disconnect | PacketKind::Auth => 2,
                PacketKind::SubAck | PacketKind::UnsubAck => packet.len() - 1,
                _ => 4,
            };
            packet[place] = reason;
            let decoded = decode_one(&packet, Version::V5);
            assert_eq!(
                decoded.is_ok(),
                reasons_of(kind).contains(&reason),
                "{kind} 0x{reason:02X}: {decoded:?}"
            );
        }
    }
}
