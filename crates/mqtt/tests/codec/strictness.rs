//! Packets made by hand that codecs are known to judge wrongly, and every refusal the codec has.

use bytes::BytesMut;
use fleetkey_mqtt::property::PropertyFault;
use fleetkey_mqtt::{
    ConnAck, Connect, DecodeError, EncodeError, Limits, Packet, PacketId, PacketKind, Properties, Property,
    PubAck, Publish, QoS, ReasonCode, SubAck, Subscribe, Text, Version, decode, encode,
};

use super::{decode_one, encoded};

/// What a probe shall come to.
enum Verdict {
    Legal,
    Malformed,
    Protocol,
}
use Verdict::{Legal, Malformed, Protocol};

fn judge(name: &str, bytes: &[u8], version: Version, verdict: &Verdict) {
    let decoded = decode_one(bytes, version);
    let right = match verdict {
        Legal => matches!(decoded, Ok(Some(_))),
        Malformed => decoded.as_ref().is_err_and(|error| error.reason() == ReasonCode::MALFORMED_PACKET),
        Protocol => decoded.as_ref().is_err_and(|error| error.reason() == ReasonCode::PROTOCOL_ERROR),
    };
    assert!(right, "{name} in {version}: {decoded:?}");
}

#[test]
fn the_seventeen_probes_are_judged_right() {
    let probes: [(&str, &[u8], Verdict); 17] = [
        ("message expiry 0, which is legal", b"\x30\x09\0\x01t\x05\x02\0\0\0\0", Legal),
        ("a property twice", b"\x30\x08\0\x01t\x04\x01\x00\x01\x00", Protocol),
        ("a topic with '#', which is the next layer's to refuse", b"\x30\x06\0\x03a/#\x00", Legal),
        ("a topic with U+0000", b"\x30\x06\0\x03a\0b\x00", Malformed),
        ("a topic that is not UTF-8", b"\x30\x05\0\x02\xC3\x28\x00", Malformed),
        ("payload format 2", b"\x30\x06\0\x01t\x02\x01\x02", Protocol),
        ("QoS 3", b"\x36\x06\0\x01t\0\x01\x00", Malformed),
        ("packet identifier 0", b"\x32\x06\0\x01t\0\x00\x00", Malformed),
        ("DUP with QoS 0", b"\x38\x04\0\x01t\x00", Malformed),
        ("SUBSCRIBE with flags 0", b"\x80\x07\0\x01\x00\0\x01t\x00", Malformed),
        ("SUBSCRIBE without a filter", b"\x82\x03\0\x01\x00", Protocol),
        ("reserved bits of subscription options", b"\x82\x07\0\x01\x00\0\x01t\x40", Malformed),
        ("retain handling 3", b"\x82\x07\0\x01\x00\0\x01t\x30", Protocol),
        ("the reserved connect flag", b"\x10\x0D\0\x04MQTT\x05\x03\0\0\0\0\0", Malformed),
        ("receive maximum 0", b"\x10\x10\0\x04MQTT\x05\x02\0\0\x03\x21\0\0\0\0", Protocol),
        ("PINGREQ with a body", b"\xC0\x01\0", Malformed),
        ("a length that goes on after four bytes", b"\x30\xFF\xFF\xFF\xFF\x01", Malformed),
    ];
    for (name, bytes, verdict) in &probes {
        judge(name, bytes, Version::V5, verdict);
    }
}

#[test]
fn a_topic_with_a_wildcard_is_told_to_the_next_layer() {
    for (topic, wildcard) in [("a/#", true), ("a/+/b", true), ("a/b", false), ("", false)] {
        assert_eq!(Publish::new(topic, "").topic_has_wildcard(), wildcard, "{topic}");
    }
}

#[test]
fn version_3_1_1_is_as_strict() {
    let probes: [(&str, &[u8], Verdict); 15] = [
        ("QoS 3", b"\x36\x05\0\x01t\0\x01", Malformed),
        ("packet identifier 0", b"\x40\x02\0\0", Malformed),
        ("no topic", b"\x30\x02\0\0", Protocol),
        ("an empty filter", b"\x82\x05\0\x01\0\0\0", Malformed),
        ("options of MQTT 5", b"\x82\x06\0\x01\0\x01t\x04", Malformed),
        ("SUBSCRIBE without a filter", b"\x82\x02\0\x01", Protocol),
        ("UNSUBSCRIBE without a filter", b"\xA2\x02\0\x01", Protocol),
        ("a password without a user name", b"\x10\x0E\0\x04MQTT\x04\x42\0\0\0\0\0\0", Malformed),
        ("the QoS of a will that is not there", b"\x10\x0C\0\x04MQTT\x04\x0A\0\0\0\0", Malformed),
        ("a will of QoS 3", b"\x10\x11\0\x04MQTT\x04\x1E\0\0\0\0\0\x01t\0\0", Malformed),
        ("a reserved return code", b"\x20\x02\0\x06", Malformed),
        ("a session with a refusal", b"\x20\x02\x01\x05", Protocol),
        ("a reason in PUBACK", b"\x40\x03\0\x01\0", Malformed),
        ("AUTH", b"\xF0\0", Malformed),
        ("SUBACK with a code of MQTT 5", b"\x90\x03\0\x01\x87", Malformed),
    ];
    for (name, bytes, verdict) in &probes {
        judge(name, bytes, Version::V311, verdict);
    }
}

#[test]
fn a_length_in_a_longer_form_is_legal_in_3_1_1_alone() {
    judge("PUBLISH", b"\x30\x83\0\0\x01t", Version::V311, &Legal);
    judge("PUBLISH", b"\x30\x84\0\0\x01t\0", Version::V5, &Malformed);
    // CONNECT names its own version, whatever the decoder was told.
    judge("CONNECT of 3.1.1", b"\x10\x8C\0\0\x04MQTT\x04\x02\0\0\0\0", Version::V5, &Legal);
    judge("CONNECT of 5", b"\x10\x8D\0\0\x04MQTT\x05\x02\0\0\0\0\0", Version::V311, &Malformed);
}

#[test]
fn a_password_without_a_user_name_is_legal_in_5() {
    let connect = Connect { password: Some("p".into()), ..Connect::new(Version::V5, "c") };
    let packet = Packet::Connect(Box::new(connect));
    assert_eq!(decode_one(&encoded(&packet, Version::V5), Version::V5), Ok(Some(packet)));
}

#[test]
fn an_unknown_version_is_told_from_rubbish() {
    let level = |bytes| decode_one(bytes, Version::V5).map_err(|error| error.reason());
    assert_eq!(level(b"\x10\x0C\0\x04MQTT\x06\x02\0\0\0\0"), Err(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION));
    assert_eq!(level(b"\x10\x0E\0\x06MQIsdp\x03\x02\0\0\0\0"), Err(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION));
    assert_eq!(level(b"\x10\x0C\0\x04MQTX\x05\x02\0\0\0\0"), Err(ReasonCode::MALFORMED_PACKET));
    assert_eq!(level(b"GET / HTTP/1.1\r\n"), Err(ReasonCode::MALFORMED_PACKET));
}

#[test]
fn a_packet_over_the_limit_is_refused_before_it_is_there() {
    let limits = Limits { max_packet: 10 };
    let mut header = BytesMut::from(&b"\x30\x09"[..]);
    let refused = decode(&mut header, Version::V311, &limits);
    assert_eq!(refused, Err(DecodeError::TooLarge { size: 11, limit: 10 }));
    let mut fits = BytesMut::from(&b"\x30\x08\0\x03a/bxyz"[..]);
    assert!(matches!(decode(&mut fits, Version::V311, &limits), Ok(Some(_))));
}

#[test]
fn more_properties_than_are_taken_are_refused() {
    let user = Property::UserProperty(Text::empty(), Text::empty());
    let with = |count| {
        let properties = std::iter::repeat_n(user.clone(), count).collect();
        let packet = Packet::Publish(Publish { properties, ..Publish::new("t", "") });
        decode_one(&encoded(&packet, Version::V5), Version::V5)
    };
    assert!(with(1024).is_ok());
    assert_eq!(with(1025), Err(DecodeError::TooManyProperties(PacketKind::Publish)));
}

#[test]
fn a_topic_alias_of_0_has_a_reason_of_its_own() {
    let error = decode_one(b"\x30\x07\0\x01t\x03\x23\0\0", Version::V5).expect_err("alias 0");
    assert_eq!(error.reason(), ReasonCode::TOPIC_ALIAS_INVALID);
}

#[test]
fn an_unknown_property_is_malformed() {
    let error = decode_one(b"\x30\x05\0\x01t\x01\x7F", Version::V5).expect_err("no property 0x7F");
    let expected =
        DecodeError::Property { packet: PacketKind::Publish, id: 0x7F, fault: PropertyFault::Unknown };
    assert_eq!(error, expected);
    assert_eq!(error.to_string(), "PUBLISH: property 0x7F is unknown");
}

#[test]
fn return_codes_of_3_1_1_are_the_reasons_of_the_same_meaning() {
    let pairs = [
        (0, ReasonCode::SUCCESS),
        (1, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION),
        (2, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID),
        (3, ReasonCode::SERVER_UNAVAILABLE),
        (4, ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        (5, ReasonCode::NOT_AUTHORIZED),
    ];
    for (code, reason) in pairs {
        let packet = Packet::ConnAck(ConnAck::refused(reason));
        assert_eq!(encoded(&packet, Version::V311)[..], [0x20, 2, 0, code]);
        assert_eq!(decode_one(&[0x20, 2, 0, code], Version::V311), Ok(Some(packet)));
    }
}

#[test]
fn what_3_1_1_has_no_place_for_is_left_out() {
    let id = PacketId::FIRST;
    let properties = || Properties::new().with(Property::ReasonString("why".into()));
    let puback = PubAck { properties: properties(), ..PubAck::with_reason(id, ReasonCode::NOT_AUTHORIZED) };
    assert_eq!(encoded(&Packet::PubAck(puback), Version::V311)[..], [0x40, 2, 0, 1]);
    let reasons = vec![ReasonCode::GRANTED_QOS_1, ReasonCode::NOT_AUTHORIZED];
    let suback = SubAck { packet_id: id, reasons, properties: properties() };
    assert_eq!(encoded(&Packet::SubAck(suback), Version::V311)[..], [0x90, 4, 0, 1, 1, 0x80]);
}

#[test]
fn a_wrong_packet_is_not_written_and_leaves_the_buffer_as_it_was() {
    let publish = Publish::new("t", "p");
    let wrong = [
        Publish { qos: QoS::AtLeastOnce, ..publish.clone() },
        Publish { packet_id: Some(PacketId::FIRST), ..publish.clone() },
        Publish { dup: true, ..publish.clone() },
        Publish { topic: "a\0b".into(), ..publish.clone() },
        Publish { topic: "x".repeat(65_536).into(), ..publish.clone() },
        Publish { topic: Text::empty(), ..publish.clone() },
        Publish { properties: Properties::new().with(Property::TopicAlias(0)), ..publish.clone() },
        Publish { properties: Properties::new().with(Property::ReceiveMaximum(1)), ..publish },
    ]
    .map(Packet::Publish);
    let none = Packet::Subscribe(Subscribe {
        packet_id: PacketId::FIRST,
        filters: Vec::new(),
        properties: Properties::new(),
    });
    let reason = Packet::PubAck(PubAck::with_reason(PacketId::FIRST, ReasonCode::BANNED));
    for packet in wrong.into_iter().chain([none, reason]) {
        let mut out = BytesMut::from(&b"before"[..]);
        assert!(encode(&packet, Version::V5, &mut out).is_err(), "{packet:?}");
        assert_eq!(&out[..], b"before");
    }
    let auth = decode_one(b"\xF0\0", Version::V5).expect("AUTH").expect("all of it");
    assert!(matches!(encode(&auth, Version::V311, &mut BytesMut::new()), Err(EncodeError::Rule { .. })));
}

#[test]
fn secrets_do_not_show_when_a_packet_is_printed() {
    let connect = Connect { password: Some("hunter2".into()), ..Connect::new(Version::V5, "c") };
    assert!(!format!("{connect:?}").contains("hunter2"));
    let publish = Publish::new("t", "BEGIN PRIVATE KEY");
    assert!(!format!("{publish:?}").contains("PRIVATE"));
}
