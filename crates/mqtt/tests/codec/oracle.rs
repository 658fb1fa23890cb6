//! Differential: what we write, mqtt5-protocol reads with the same meaning, and the reverse.
//!
//! It was written by others from the same specification. Where it is known to be wrong or to have no word for
//! something, [`beyond`] names the packet and the reason; everything else must agree.

use bytes::{Buf, BytesMut};
use fleetkey_mqtt::{
    Connect, Packet, Properties, Property, ReasonCode, SubAck, Subscribe, UnsubAck, Version, Will,
};
use mqtt5_protocol::packet::{FixedHeader, MqttPacket, Packet as Theirs};
use mqtt5_protocol::{Properties as TheirProperties, PropertyValue as Value};
use proptest::prelude::*;

use super::strategy::any_packet;
use super::{decode_one, encoded};

/// Why the oracle cannot judge a packet, if it cannot.
fn beyond(packet: &Packet) -> Option<&'static str> {
    match packet {
        Packet::Connect(connect) if connect.password.is_some() && connect.username.is_none() => {
            Some("it refuses a password without a user name in MQTT 5 too (§3.1.2.9 allows it)")
        }
        Packet::Disconnect(packet) if packet.reason == ReasonCode::BAD_AUTHENTICATION_METHOD => {
            Some("it follows §3.14.2.1, which leaves 0x8C out; §2.4 has it")
        }
        _ => None,
    }
}

fn read_theirs(bytes: &BytesMut, version: Version) -> Theirs {
    let mut rest = bytes.clone().freeze();
    let header = FixedHeader::decode(&mut rest).expect("a fixed header");
    let packet =
        Theirs::decode_from_body_with_version(header.packet_type, &header, &mut rest, version.level());
    assert!(!rest.has_remaining() || packet.is_err(), "{} bytes are left", rest.remaining());
    packet.unwrap_or_else(|error| panic!("the oracle refuses {bytes:?}: {error}"))
}

fn write_theirs(packet: &Theirs) -> BytesMut {
    let mut out = BytesMut::new();
    match packet {
        Theirs::Connect(packet) => packet.encode(&mut out),
        Theirs::ConnAck(packet) => packet.encode(&mut out),
        Theirs::Publish(packet) => packet.encode(&mut out),
        Theirs::PubAck(packet) => packet.encode(&mut out),
        Theirs::PubRec(packet) => packet.encode(&mut out),
        Theirs::PubRel(packet) => packet.encode(&mut out),
        Theirs::PubComp(packet) => packet.encode(&mut out),
        Theirs::Subscribe(packet) => packet.encode(&mut out),
        Theirs::SubAck(packet) => packet.encode(&mut out),
        Theirs::Unsubscribe(packet) => packet.encode(&mut out),
        Theirs::UnsubAck(packet) => packet.encode(&mut out),
        Theirs::Disconnect(packet) => packet.encode(&mut out),
        Theirs::Auth(packet) => packet.encode(&mut out),
        Theirs::PingReq => mqtt5_protocol::packet::pingreq::PingReqPacket::default().encode(&mut out),
        Theirs::PingResp => mqtt5_protocol::packet::pingresp::PingRespPacket::default().encode(&mut out),
    }
    .expect("the oracle writes what it read");
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_oracle_reads_what_we_write((version, packet) in any_packet()) {
        if beyond(&packet).is_none() {
            same(&packet, &read_theirs(&encoded(&packet, version), version));
        }
    }

    #[test]
    fn we_read_what_the_oracle_writes((version, packet) in any_packet()) {
        if beyond(&packet).is_none() {
            let theirs = write_theirs(&read_theirs(&encoded(&packet, version), version));
            let read = decode_one(&theirs, version);
            prop_assert_eq!(read.map(|read| read.map(sorted)), Ok(Some(sorted(packet))));
        }
    }
}

/// Compares field by field.
fn same(ours: &Packet, theirs: &Theirs) {
    match (ours, theirs) {
        (Packet::Connect(ours), Theirs::Connect(theirs)) => same_connect(ours, theirs),
        (Packet::ConnAck(ours), Theirs::ConnAck(theirs)) => {
            assert_eq!(ours.session_present, theirs.session_present);
            assert_eq!(ours.reason.0, u8::from(theirs.reason_code));
            same_properties(&ours.properties, &theirs.properties);
        }
        (Packet::Publish(ours), Theirs::Publish(theirs)) => {
            assert_eq!((ours.dup, ours.retain), (theirs.dup, theirs.retain));
            assert_eq!(ours.qos.bits(), theirs.qos as u8);
            assert_eq!(ours.topic, theirs.topic_name.as_str());
            assert_eq!(ours.packet_id.map(|id| id.get()), theirs.packet_id);
            assert_eq!(ours.payload, theirs.payload);
            same_properties(&ours.properties, &theirs.properties);
        }
        (Packet::PubAck(ours), Theirs::PubAck(theirs)) => {
            same_ack(ours, theirs.packet_id, theirs.reason_code, &theirs.properties);
        }
        (Packet::PubRec(ours), Theirs::PubRec(theirs)) => {
            same_ack(ours, theirs.packet_id, theirs.reason_code, &theirs.properties);
        }
        (Packet::PubRel(ours), Theirs::PubRel(theirs)) => {
            same_ack(ours, theirs.packet_id, theirs.reason_code, &theirs.properties);
        }
        (Packet::PubComp(ours), Theirs::PubComp(theirs)) => {
            same_ack(ours, theirs.packet_id, theirs.reason_code, &theirs.properties);
        }
        (Packet::Subscribe(ours), Theirs::Subscribe(theirs)) => same_subscribe(ours, theirs),
        (Packet::SubAck(ours), Theirs::SubAck(theirs)) => same_suback(ours, theirs),
        (Packet::Unsubscribe(ours), Theirs::Unsubscribe(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.packet_id);
            assert!(ours.filters.iter().map(|filter| &**filter).eq(&theirs.filters));
            same_properties(&ours.properties, &theirs.properties);
        }
        (Packet::UnsubAck(ours), Theirs::UnsubAck(theirs)) => same_unsuback(ours, theirs),
        (Packet::Disconnect(ours), Theirs::Disconnect(theirs)) => {
            assert_eq!(ours.reason.0, u8::from(theirs.reason_code));
            same_properties(&ours.properties, &theirs.properties);
        }
        (Packet::Auth(ours), Theirs::Auth(theirs)) => {
            assert_eq!(ours.reason.0, u8::from(theirs.reason_code));
            same_properties(&ours.properties, &theirs.properties);
        }
        (Packet::PingReq, Theirs::PingReq) | (Packet::PingResp, Theirs::PingResp) => {}
        _ => panic!("{ours:?} is another packet than {theirs:?}"),
    }
}

fn same_connect(ours: &Connect, theirs: &mqtt5_protocol::packet::connect::ConnectPacket) {
    assert_eq!(ours.version.level(), theirs.protocol_version);
    assert_eq!((ours.clean_start, ours.keep_alive), (theirs.clean_start, theirs.keep_alive));
    assert_eq!(ours.client_id, theirs.client_id.as_str());
    assert_eq!(ours.username.as_deref(), theirs.username.as_deref());
    assert_eq!(ours.password.as_deref(), theirs.password.as_deref());
    same_properties(&ours.properties, &theirs.properties);
    assert_eq!(ours.will.is_some(), theirs.will.is_some());
    if let (Some(ours), Some(will)) = (&ours.will, &theirs.will) {
        assert_eq!(ours.topic, will.topic.as_str());
        assert_eq!(ours.payload, will.payload);
        assert_eq!((ours.qos.bits(), ours.retain), (will.qos as u8, will.retain));
        same_properties(&ours.properties, &theirs.will_properties);
    }
}

fn same_ack(
    ours: &fleetkey_mqtt::PubAck,
    packet_id: u16,
    reason: mqtt5_protocol::ReasonCode,
    properties: &TheirProperties,
) {
    assert_eq!(ours.packet_id.get(), packet_id);
    assert_eq!(ours.reason.0, u8::from(reason));
    same_properties(&ours.properties, properties);
}

fn same_subscribe(ours: &Subscribe, theirs: &mqtt5_protocol::packet::subscribe::SubscribePacket) {
    assert_eq!(ours.packet_id.get(), theirs.packet_id);
    assert_eq!(ours.filters.len(), theirs.filters.len());
    for (ours, theirs) in ours.filters.iter().zip(&theirs.filters) {
        assert_eq!(ours.filter, theirs.filter.as_str());
        assert_eq!(ours.qos.bits(), theirs.options.qos as u8);
        assert_eq!(ours.no_local, theirs.options.no_local);
        assert_eq!(ours.retain_as_published, theirs.options.retain_as_published);
        assert_eq!(ours.retain_handling, theirs.options.retain_handling as u8);
    }
    same_properties(&ours.properties, &theirs.properties);
}

fn same_suback(ours: &SubAck, theirs: &mqtt5_protocol::packet::suback::SubAckPacket) {
    assert_eq!(ours.packet_id.get(), theirs.packet_id);
    let reasons = theirs.reason_codes.iter().map(|reason| ReasonCode(*reason as u8));
    assert_eq!(ours.reasons, reasons.collect::<Vec<_>>());
    same_properties(&ours.properties, &theirs.properties);
}

fn same_unsuback(ours: &UnsubAck, theirs: &mqtt5_protocol::packet::unsuback::UnsubAckPacket) {
    assert_eq!(ours.packet_id.get(), theirs.packet_id);
    let reasons = theirs.reason_codes.iter().map(|reason| ReasonCode(*reason as u8));
    assert_eq!(ours.reasons, reasons.collect::<Vec<_>>());
    same_properties(&ours.properties, &theirs.properties);
}

/// The oracle keeps properties in a map: the order of different ones is lost.
fn same_properties(ours: &Properties, theirs: &TheirProperties) {
    let mut ours: Vec<_> = ours.iter().map(|property| (property.id(), value(property))).collect();
    let mut theirs: Vec<_> = theirs.iter().map(|(id, value)| (id as u8, value.clone())).collect();
    ours.sort_by_key(|(id, _)| *id);
    theirs.sort_by_key(|(id, _)| *id);
    assert_eq!(ours, theirs);
}

fn value(property: &Property) -> Value {
    match property {
        Property::PayloadFormatIndicator(byte)
        | Property::RequestProblemInformation(byte)
        | Property::RequestResponseInformation(byte)
        | Property::MaximumQoS(byte)
        | Property::RetainAvailable(byte)
        | Property::WildcardSubscriptionAvailable(byte)
        | Property::SubscriptionIdentifierAvailable(byte)
        | Property::SharedSubscriptionAvailable(byte) => Value::Byte(*byte),
        Property::ServerKeepAlive(number)
        | Property::ReceiveMaximum(number)
        | Property::TopicAliasMaximum(number)
        | Property::TopicAlias(number) => Value::TwoByteInteger(*number),
        Property::MessageExpiryInterval(number)
        | Property::SessionExpiryInterval(number)
        | Property::WillDelayInterval(number)
        | Property::MaximumPacketSize(number) => Value::FourByteInteger(*number),
        Property::SubscriptionIdentifier(number) => Value::VariableByteInteger(*number),
        Property::ContentType(text)
        | Property::ResponseTopic(text)
        | Property::AssignedClientIdentifier(text)
        | Property::AuthenticationMethod(text)
        | Property::ResponseInformation(text)
        | Property::ServerReference(text)
        | Property::ReasonString(text) => Value::Utf8String(text.to_string()),
        Property::CorrelationData(data) | Property::AuthenticationData(data) => {
            Value::BinaryData(data.clone())
        }
        Property::UserProperty(name, value) => Value::Utf8StringPair(name.to_string(), value.to_string()),
    }
}

/// The packet with its properties in the order of their identifiers.
fn sorted(mut packet: Packet) -> Packet {
    let sort = |properties: &mut Properties| {
        let mut list: Vec<_> = properties.iter().cloned().collect();
        list.sort_by_key(Property::id);
        *properties = list.into_iter().collect();
    };
    match &mut packet {
        Packet::Connect(packet) => {
            sort(&mut packet.properties);
            if let Some(Will { properties, .. }) = &mut packet.will {
                sort(properties);
            }
        }
        Packet::ConnAck(packet) => sort(&mut packet.properties),
        Packet::Publish(packet) => sort(&mut packet.properties),
        Packet::PubAck(packet)
        | Packet::PubRec(packet)
        | Packet::PubRel(packet)
        | Packet::PubComp(packet) => {
            sort(&mut packet.properties);
        }
        Packet::Subscribe(packet) => sort(&mut packet.properties),
        Packet::SubAck(packet) => sort(&mut packet.properties),
        Packet::Unsubscribe(packet) => sort(&mut packet.properties),
        Packet::UnsubAck(packet) => sort(&mut packet.properties),
        Packet::Disconnect(packet) => sort(&mut packet.properties),
        Packet::Auth(packet) => sort(&mut packet.properties),
        Packet::PingReq | Packet::PingResp => {}
    }
    packet
}
