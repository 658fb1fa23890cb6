//! Random packets that are right, drawn from the tables of `placement`.

use bytes::Bytes;
use fleetkey_mqtt::{
    Auth, ConnAck, Connect, Disconnect, Packet, PacketId, PacketKind, Properties, Property, PubAck, Publish,
    QoS, ReasonCode, SubAck, Subscribe, SubscribeFilter, Text, UnsubAck, Unsubscribe, Version, Will,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::placement::{WILL, properties_of, reasons_of};

pub(crate) fn text() -> impl Strategy<Value = Text> {
    "[^\0]{0,12}".prop_map(Text::from)
}

fn topic() -> impl Strategy<Value = Text> {
    "[a-zé/$]{1,12}".prop_map(Text::from)
}

fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..12).prop_map(Bytes::from)
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|number| PacketId::new(number).expect("not 0"))
}

fn property(id: u8) -> BoxedStrategy<Property> {
    let flag = 0..=1_u8;
    match id {
        0x01 => flag.prop_map(Property::PayloadFormatIndicator).boxed(),
        0x02 => any::<u32>().prop_map(Property::MessageExpiryInterval).boxed(),
        0x03 => text().prop_map(Property::ContentType).boxed(),
        0x08 => topic().prop_map(Property::ResponseTopic).boxed(),
        0x09 => binary().prop_map(Property::CorrelationData).boxed(),
        0x0B => (1..=268_435_455_u32).prop_map(Property::SubscriptionIdentifier).boxed(),
        0x11 => any::<u32>().prop_map(Property::SessionExpiryInterval).boxed(),
        0x12 => text().prop_map(Property::AssignedClientIdentifier).boxed(),
        0x13 => any::<u16>().prop_map(Property::ServerKeepAlive).boxed(),
        0x15 => text().prop_map(Property::AuthenticationMethod).boxed(),
        0x16 => binary().prop_map(Property::AuthenticationData).boxed(),
        0x17 => flag.prop_map(Property::RequestProblemInformation).boxed(),
        0x18 => any::<u32>().prop_map(Property::WillDelayInterval).boxed(),
        0x19 => flag.prop_map(Property::RequestResponseInformation).boxed(),
        0x1A => text().prop_map(Property::ResponseInformation).boxed(),
        0x1C => text().prop_map(Property::ServerReference).boxed(),
        0x1F => text().prop_map(Property::ReasonString).boxed(),
        0x21 => (1..=u16::MAX).prop_map(Property::ReceiveMaximum).boxed(),
        0x22 => any::<u16>().prop_map(Property::TopicAliasMaximum).boxed(),
        0x23 => (1..=u16::MAX).prop_map(Property::TopicAlias).boxed(),
        0x24 => flag.prop_map(Property::MaximumQoS).boxed(),
        0x25 => flag.prop_map(Property::RetainAvailable).boxed(),
        0x26 => (text(), text()).prop_map(|(name, value)| Property::UserProperty(name, value)).boxed(),
        0x27 => (1..=u32::MAX).prop_map(Property::MaximumPacketSize).boxed(),
        0x28 => flag.prop_map(Property::WildcardSubscriptionAvailable).boxed(),
        0x29 => flag.prop_map(Property::SubscriptionIdentifierAvailable).boxed(),
        0x2A => flag.prop_map(Property::SharedSubscriptionAvailable).boxed(),
        _ => panic!("no property 0x{id:02X}"),
    }
}

fn properties(version: Version, ids: &'static [u8]) -> BoxedStrategy<Properties> {
    if version == Version::V311 {
        return Just(Properties::new()).boxed();
    }
    let some = proptest::sample::subsequence(ids, 0..=ids.len().min(5)).prop_map(move |mut ids| {
        let data = ids.contains(&0x16) && !ids.contains(&0x15);
        ids.extend(data.then_some(0x15));
        ids
    });
    let list = some.prop_flat_map(|ids| ids.into_iter().map(property).collect::<Vec<_>>());
    (list, vec(property(0x26), 0..2)).prop_map(|(list, more)| list.into_iter().chain(more).collect()).boxed()
}

fn properties_in(version: Version, kind: PacketKind) -> BoxedStrategy<Properties> {
    properties(version, properties_of(kind))
}

fn reason(kind: PacketKind) -> impl Strategy<Value = ReasonCode> {
    proptest::sample::select(reasons_of(kind)).prop_map(ReasonCode)
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    (topic(), binary(), qos(), any::<bool>(), properties(version, WILL)).prop_map(
        |(topic, payload, qos, retain, properties)| Will { topic, payload, qos, retain, properties },
    )
}

fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let account = (option::of(text()), option::of(binary()));
    let rest = (any::<bool>(), any::<u16>(), text(), option::of(will(version)));
    (rest, account, properties_in(version, PacketKind::Connect)).prop_map(
        move |((clean_start, keep_alive, client_id, will), (username, password), properties)| {
            let password = password.filter(|_| version == Version::V5 || username.is_some());
            let connect =
                Connect { version, clean_start, keep_alive, client_id, will, username, password, properties };
            Packet::Connect(Box::new(connect))
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = Packet> {
    let reason = match version {
        Version::V311 => proptest::sample::select(vec![0x00, 0x84, 0x85, 0x88, 0x86, 0x87]).boxed(),
        Version::V5 => proptest::sample::select(reasons_of(PacketKind::ConnAck)).boxed(),
    };
    (any::<bool>(), reason, properties_in(version, PacketKind::ConnAck)).prop_map(
        |(session, reason, properties)| {
            Packet::ConnAck(ConnAck {
                session_present: session && reason == 0,
                reason: ReasonCode(reason),
                properties,
            })
        },
    )
}

fn publish(version: Version) -> impl Strategy<Value = Packet> {
    let head = (any::<bool>(), qos(), any::<bool>(), topic(), packet_id());
    (head, binary(), properties_in(version, PacketKind::Publish)).prop_map(
        |((dup, qos, retain, topic, id), payload, properties)| {
            let acknowledged = qos != QoS::AtMostOnce;
            let packet_id = acknowledged.then_some(id);
            let dup = dup && acknowledged;
            Packet::Publish(Publish { dup, qos, retain, topic, packet_id, payload, properties })
        },
    )
}

fn ack(version: Version, kind: PacketKind, wrap: fn(PubAck) -> Packet) -> impl Strategy<Value = Packet> {
    (packet_id(), reason(kind), properties_in(version, kind)).prop_map(
        move |(packet_id, reason, properties)| {
            let reason = if version == Version::V311 { ReasonCode::SUCCESS } else { reason };
            wrap(PubAck { packet_id, reason, properties })
        },
    )
}

fn filter(version: Version) -> impl Strategy<Value = SubscribeFilter> {
    (topic(), qos(), any::<bool>(), any::<bool>(), 0..=2_u8).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| match version {
            Version::V311 => SubscribeFilter::new(filter, qos),
            Version::V5 => SubscribeFilter { filter, qos, no_local, retain_as_published, retain_handling },
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet> {
    (packet_id(), vec(filter(version), 1..4), properties_in(version, PacketKind::Subscribe)).prop_map(
        |(packet_id, filters, properties)| Packet::Subscribe(Subscribe { packet_id, filters, properties }),
    )
}

fn suback(version: Version) -> impl Strategy<Value = Packet> {
    let reason = match version {
        Version::V311 => proptest::sample::select(vec![0, 1, 2, 0x80]).prop_map(ReasonCode).boxed(),
        Version::V5 => reason(PacketKind::SubAck).boxed(),
    };
    (packet_id(), vec(reason, 1..4), properties_in(version, PacketKind::SubAck)).prop_map(
        |(packet_id, reasons, properties)| Packet::SubAck(SubAck { packet_id, reasons, properties }),
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet> {
    (packet_id(), vec(topic(), 1..4), properties_in(version, PacketKind::Unsubscribe)).prop_map(
        |(packet_id, filters, properties)| {
            Packet::Unsubscribe(Unsubscribe { packet_id, filters, properties })
        },
    )
}

fn unsuback(version: Version) -> impl Strategy<Value = Packet> {
    let reasons = match version {
        Version::V311 => Just(Vec::new()).boxed(),
        Version::V5 => vec(reason(PacketKind::UnsubAck), 1..4).boxed(),
    };
    (packet_id(), reasons, properties_in(version, PacketKind::UnsubAck)).prop_map(
        |(packet_id, reasons, properties)| Packet::UnsubAck(UnsubAck { packet_id, reasons, properties }),
    )
}

fn disconnect(version: Version) -> impl Strategy<Value = Packet> {
    (reason(PacketKind::Disconnect), properties_in(version, PacketKind::Disconnect)).prop_map(
        move |(reason, properties)| {
            let reason = if version == Version::V311 { ReasonCode::SUCCESS } else { reason };
            Packet::Disconnect(Disconnect { reason, properties })
        },
    )
}

fn auth() -> impl Strategy<Value = Packet> {
    (reason(PacketKind::Auth), text(), binary()).prop_map(|(reason, method, data)| {
        let properties = Properties::new().with(Property::AuthenticationMethod(method));
        Packet::Auth(Auth { reason, properties: properties.with(Property::AuthenticationData(data)) })
    })
}

/// A packet that the version has, of any kind.
pub(crate) fn packet(version: Version) -> BoxedStrategy<Packet> {
    let acks = prop_oneof![
        ack(version, PacketKind::PubAck, Packet::PubAck),
        ack(version, PacketKind::PubRec, Packet::PubRec),
        ack(version, PacketKind::PubRel, Packet::PubRel),
        ack(version, PacketKind::PubComp, Packet::PubComp),
    ];
    let both = prop_oneof![
        connect(version),
        connack(version),
        publish(version),
        acks,
        subscribe(version),
        suback(version),
        unsubscribe(version),
        unsuback(version),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        disconnect(version),
    ];
    match version {
        Version::V311 => both.boxed(),
        Version::V5 => prop_oneof![11 => both, 1 => auth()].boxed(),
    }
}

/// A version and a packet that it has.
pub(crate) fn any_packet() -> impl Strategy<Value = (Version, Packet)> {
    prop_oneof![Just(Version::V311), Just(Version::V5)]
        .prop_flat_map(|version| packet(version).prop_map(move |packet| (version, packet)))
}
