//! What a session does, one rule a test.

use fleetkey_mqtt::session::{Ack, Event, OutboxError, Outgoing, ProtocolError, Session, SessionConfig};
use fleetkey_mqtt::{
    Connect, Disconnect, Packet, PacketId, PacketKind, Properties, Property, PubAck, Publish, QoS,
    ReasonCode, SubAck, SubscribeFilter, Text, UnsubAck, Version,
};

use super::{happened, message, transmitted};

fn connected() -> Session {
    let mut session = Session::new(SessionConfig::default());
    session.connected(Version::V5, false, 65535);
    session
}

fn publishes(packets: &[Packet]) -> Vec<(&str, u16, bool)> {
    packets.iter().map(publish).collect()
}

fn publish(packet: &Packet) -> (&str, u16, bool) {
    let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
    let payload = std::str::from_utf8(&publish.payload).unwrap();
    (payload, publish.packet_id.map_or(0, PacketId::get), publish.dup)
}

fn answer(session: &mut Session, id: u16) {
    session.handle(Packet::PubAck(PubAck::new(PacketId::new(id).unwrap()))).unwrap();
}

#[test]
fn with_its_session_present_a_message_goes_out_again_with_dup_under_its_identifier() {
    let mut session = connected();
    for payload in ["a", "b"] {
        session.publish(message(payload, QoS::AtLeastOnce)).unwrap();
    }
    assert_eq!(publishes(&transmitted(&mut session)), [("a", 1, false), ("b", 2, false)]);
    session.connected(Version::V5, true, 65535);
    assert_eq!(publishes(&transmitted(&mut session)), [("a", 1, true), ("b", 2, true)]);
}

#[test]
fn without_its_session_a_message_goes_out_as_new_under_another_identifier() {
    let mut session = connected();
    for payload in ["a", "b"] {
        session.publish(message(payload, QoS::AtLeastOnce)).unwrap();
    }
    transmitted(&mut session);
    answer(&mut session, 1);
    session.publish(message("c", QoS::AtLeastOnce)).unwrap();
    session.connected(Version::V5, false, 65535);
    assert_eq!(publishes(&transmitted(&mut session)), [("b", 3, false), ("c", 4, false)]);
}

#[test]
fn in_flight_stays_within_the_smaller_of_both_windows() {
    let mut session = Session::new(SessionConfig { max_in_flight: 3, ..SessionConfig::default() });
    for number in 0..5 {
        session.publish(message(&number.to_string(), QoS::AtLeastOnce)).unwrap();
    }
    session.connected(Version::V5, false, 65535);
    assert_eq!(transmitted(&mut session).len(), 3);
    session.connected(Version::V5, true, 2);
    assert_eq!(transmitted(&mut session).len(), 2);
    answer(&mut session, 1);
    assert_eq!(publishes(&transmitted(&mut session)), [("2", 3, true)]);
    assert_eq!((session.in_flight(), session.unacknowledged()), (2, 4));
}

#[test]
fn a_refused_message_is_told_and_not_sent_again() {
    let mut session = connected();
    let token = session.publish(message("a", QoS::AtLeastOnce)).unwrap();
    transmitted(&mut session);
    let ack = PubAck::with_reason(PacketId::FIRST, ReasonCode::NOT_AUTHORIZED);
    session.handle(Packet::PubAck(ack)).unwrap();
    assert_eq!(happened(&mut session), [Event::Refused(token, ReasonCode::NOT_AUTHORIZED)]);
    session.connected(Version::V5, false, 65535);
    assert_eq!(transmitted(&mut session), []);
}

#[test]
fn a_throttled_message_waits_and_goes_out_again_in_its_place_a_bounded_number_of_times() {
    let mut session =
        Session::new(SessionConfig { put_off: 1, max_in_flight: 2, ..SessionConfig::default() });
    session.connected(Version::V5, false, 65535);
    for payload in ["first", "second", "third"] {
        session.publish(message(payload, QoS::AtLeastOnce)).unwrap();
    }
    assert_eq!(transmitted(&mut session).len(), 2);
    let throttle = |session: &mut Session, id: u16| {
        let ack = PubAck::with_reason(PacketId::new(id).unwrap(), ReasonCode::QUOTA_EXCEEDED);
        session.handle(Packet::PubAck(ack)).unwrap();
    };
    throttle(&mut session, 1);
    throttle(&mut session, 2);
    assert_eq!(happened(&mut session), [Event::Throttled], "told once");
    assert!(transmitted(&mut session).is_empty());
    session.unthrottle();
    let again = transmitted(&mut session);
    assert_eq!(publishes(&again), [("first", 3, false), ("second", 4, false)], "as new messages");
    throttle(&mut session, 3);
    assert!(matches!(happened(&mut session)[..], [Event::Refused(_, ReasonCode::QUOTA_EXCEEDED)]));
    answer(&mut session, 4);
    assert_eq!(session.unacknowledged(), 1, "the third");
}

#[test]
fn a_message_is_taken_back_while_it_waits_and_once_its_connection_is_gone() {
    let mut session = connected();
    let sent = session.publish(message("sent", QoS::AtLeastOnce)).unwrap();
    transmitted(&mut session);
    let waiting = session.publish(message("waiting", QoS::AtLeastOnce)).unwrap();
    assert!(!session.withdraw(sent), "an answer may still come");
    assert!(session.withdraw(waiting) && !session.withdraw(waiting));
    session.disconnected();
    assert!(session.withdraw(sent));
    session.connected(Version::V5, true, 10);
    assert_eq!((transmitted(&mut session).len(), session.unacknowledged()), (0, 0));
}

#[test]
fn what_another_session_has_answered_is_not_taken_for_a_message_that_came_before() {
    let mut session = connected();
    let old = came(&mut session, 5, false).unwrap();
    session.forget_received();
    session.disconnected();
    session.connected(Version::V5, true, 10);
    session.acknowledge(old);
    assert!(came(&mut session, 5, true).is_some(), "a new message of the same number");
    assert_eq!(transmitted(&mut session).len(), 0, "nobody has it yet");
}

#[test]
fn no_matching_subscribers_is_a_delivery() {
    let mut session = connected();
    let token = session.publish(message("a", QoS::AtLeastOnce)).unwrap();
    transmitted(&mut session);
    let ack = PubAck::with_reason(PacketId::FIRST, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    session.handle(Packet::PubAck(ack)).unwrap();
    assert_eq!(happened(&mut session), [Event::Delivered(token)]);
}

#[test]
fn a_full_outbox_takes_nothing_and_loses_nothing() {
    let mut session = Session::new(SessionConfig { outbox_limit: 1, ..SessionConfig::default() });
    session.publish(message("a", QoS::AtLeastOnce)).unwrap();
    assert_eq!(session.publish(message("b", QoS::AtLeastOnce)), Err(OutboxError::Full));
    session.connected(Version::V5, false, 65535);
    assert_eq!(transmitted(&mut session).len(), 1);
    assert_eq!(session.publish(message("b", QoS::AtLeastOnce)), Err(OutboxError::Full));
    answer(&mut session, 1);
    assert!(session.publish(message("b", QoS::AtLeastOnce)).is_ok());
}

#[test]
fn the_outbox_is_bounded_in_bytes_too() {
    let config = SessionConfig { outbox_bytes: 100, ..SessionConfig::default() };
    let mut session = Session::new(config);
    let of = |bytes| message(&"x".repeat(bytes), QoS::AtLeastOnce);
    assert!(session.publish(of(60)).is_ok());
    assert_eq!(session.publish(of(60)), Err(OutboxError::Full));
    assert!(session.publish(of(20)).is_ok());
    assert_eq!(session.publish(of(100)), Err(OutboxError::TooLarge { size: 108, limit: 100 }));
}

#[test]
fn a_message_that_no_broker_could_take_is_refused_at_once() {
    let mut session = connected();
    let qos = QoS::AtLeastOnce;
    let alias = Properties::new().with(Property::TopicAlias(1));
    let large = vec![0; 200 * 1024];
    let refused = [
        (Outgoing::new("t", "", QoS::ExactlyOnce), "QoS 2"),
        (Outgoing::new("a/#", "", qos), "'#'"),
        (Outgoing::new("a\0", "", qos), "U+0000"),
        (Outgoing::new("", "", qos), "no topic"),
        (Outgoing { properties: alias, ..Outgoing::new("t", "", qos) }, "topic alias"),
        (Outgoing::new("t", large, qos), "204810 bytes"),
    ];
    for (outgoing, why) in refused {
        let error = session.publish(outgoing).expect_err(why);
        assert!(error.to_string().contains(why) && !error.retryable(), "{error}");
    }
    assert_eq!(session.unacknowledged(), 0);
}

#[test]
fn a_message_larger_than_the_broker_takes_comes_back() {
    let mut session = connected();
    session.limit_packet_size(20);
    let long = session.publish(message(&"x".repeat(30), QoS::AtLeastOnce)).unwrap();
    session.publish(message("y", QoS::AtLeastOnce)).unwrap();
    assert_eq!(publishes(&transmitted(&mut session)), [("y", 1, false)]);
    assert_eq!(happened(&mut session), [Event::Refused(long, ReasonCode::PACKET_TOO_LARGE)]);
}

#[test]
fn paused_it_drains_what_is_in_flight_and_starts_nothing() {
    let mut session = connected();
    session.publish(message("a", QoS::AtLeastOnce)).unwrap();
    transmitted(&mut session);
    session.pause();
    session.publish(message("b", QoS::AtLeastOnce)).unwrap();
    session.publish(message("c", QoS::AtMostOnce)).unwrap();
    assert_eq!(transmitted(&mut session), []);
    session.connected(Version::V5, true, 65535);
    assert_eq!(publishes(&transmitted(&mut session)), [("a", 1, true)]);
    answer(&mut session, 1);
    assert_eq!((session.in_flight(), session.unacknowledged()), (0, 2));
    session.resume();
    assert_eq!(publishes(&transmitted(&mut session)), [("b", 2, false), ("c", 0, false)]);
}

fn filters(filters: &[&str]) -> Vec<SubscribeFilter> {
    filters.iter().map(|filter| SubscribeFilter::new(*filter, QoS::AtLeastOnce)).collect()
}

fn suback(session: &mut Session, id: u16, reasons: &[ReasonCode]) -> Result<(), ProtocolError> {
    let packet_id = PacketId::new(id).unwrap();
    session.handle(Packet::SubAck(SubAck {
        packet_id,
        reasons: reasons.to_vec(),
        properties: Properties::new(),
    }))
}

fn subscribed_filters(packets: &[Packet]) -> Vec<String> {
    let of = |packet: &Packet| match packet {
        Packet::Subscribe(subscribe) => {
            subscribe.filters.iter().map(|f| f.filter.to_string()).collect::<Vec<_>>()
        }
        _ => Vec::new(),
    };
    packets.iter().flat_map(of).collect()
}

#[test]
fn granted_subscriptions_are_made_again_when_the_broker_lost_them() {
    let mut session = connected();
    let token = session.subscribe(filters(&["a", "b", "c"]));
    assert_eq!(subscribed_filters(&transmitted(&mut session)), ["a", "b", "c"]);
    let granted = ReasonCode::GRANTED_QOS_1;
    suback(&mut session, 1, &[granted, ReasonCode::NOT_AUTHORIZED, granted]).unwrap();
    let reasons = vec![granted, ReasonCode::NOT_AUTHORIZED, granted];
    assert_eq!(happened(&mut session), [Event::Subscribed(token, reasons)]);

    session.unsubscribe(vec!["c".into()]);
    transmitted(&mut session);
    let packet_id = PacketId::new(2).unwrap();
    let ack = UnsubAck { packet_id, reasons: vec![ReasonCode::SUCCESS], properties: Properties::new() };
    session.handle(Packet::UnsubAck(ack)).unwrap();

    session.connected(Version::V5, true, 65535);
    assert_eq!(transmitted(&mut session), []);
    session.publish(message("m", QoS::AtLeastOnce)).unwrap();
    session.connected(Version::V5, false, 65535);
    let sent = transmitted(&mut session);
    assert_eq!(subscribed_filters(&sent[..1]), ["a"], "before the messages: an echo is not missed");
    assert_eq!(publishes(&sent[1..]).len(), 1);
}

#[test]
fn an_unanswered_request_is_sent_again_on_the_next_connection() {
    let mut session = connected();
    session.subscribe(filters(&["a"]));
    assert_eq!(subscribed_filters(&transmitted(&mut session)), ["a"]);
    session.connected(Version::V5, true, 65535);
    assert_eq!(subscribed_filters(&transmitted(&mut session)), ["a"]);
    session.connected(Version::V5, false, 65535);
    assert_eq!(subscribed_filters(&transmitted(&mut session)), ["a"], "once, not twice");
}

#[test]
fn a_filter_subscribed_to_twice_is_made_again_once() {
    let mut session = connected();
    session.subscribe(filters(&["a"]));
    session.subscribe(filters(&["a", "b"]));
    transmitted(&mut session);
    suback(&mut session, 1, &[ReasonCode::GRANTED_QOS_1]).unwrap();
    suback(&mut session, 2, &[ReasonCode::GRANTED_QOS_1; 2]).unwrap();
    session.connected(Version::V5, false, 65535);
    assert_eq!(subscribed_filters(&transmitted(&mut session)), ["a", "b"]);
}

#[test]
fn filters_that_cannot_be_sent_are_answered_without_the_broker() {
    let mut session = connected();
    let token = session.subscribe(filters(&["a\0"]));
    assert_eq!(happened(&mut session), [Event::Subscribed(token, vec![ReasonCode::TOPIC_FILTER_INVALID])]);
    let token = session.unsubscribe(vec![Text::empty()]);
    assert_eq!(happened(&mut session), [Event::Unsubscribed(token)]);
    assert_eq!(transmitted(&mut session), []);
}

#[test]
fn an_unsubscription_of_3_1_1_has_no_reasons() {
    let mut session = Session::new(SessionConfig::default());
    session.connected(Version::V311, false, 65535);
    let token = session.unsubscribe(vec!["a".into()]);
    transmitted(&mut session);
    let ack = UnsubAck { packet_id: PacketId::FIRST, reasons: Vec::new(), properties: Properties::new() };
    session.handle(Packet::UnsubAck(ack)).unwrap();
    assert_eq!(happened(&mut session), [Event::Unsubscribed(token)]);
}

#[test]
fn a_message_of_qos_0_is_delivered_with_its_sending_and_needs_no_acknowledgement() {
    let mut session = connected();
    let token = session.publish(message("a", QoS::AtMostOnce)).unwrap();
    assert_eq!(happened(&mut session), []);
    assert_eq!(publishes(&transmitted(&mut session)), [("a", 0, false)]);
    assert_eq!(happened(&mut session), [Event::Delivered(token)]);
    session.handle(Packet::Publish(Publish::new("t", "in"))).unwrap();
    let events = happened(&mut session);
    assert!(matches!(&events[..], [Event::Message(incoming)] if incoming.ack.is_none()));
}

fn came(session: &mut Session, id: u16, dup: bool) -> Option<Ack> {
    let packet_id = PacketId::new(id);
    let publish = Publish { dup, qos: QoS::AtLeastOnce, packet_id, ..Publish::new("t", "in") };
    session.handle(Packet::Publish(publish)).unwrap();
    match session.poll_event() {
        Some(Event::Message(incoming)) => incoming.ack,
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_that_comes_again_is_not_given_twice_and_answered_when_its_consumer_is_done() {
    let puback = |id| Packet::PubAck(PubAck::new(PacketId::new(id).unwrap()));
    let mut session = connected();
    let early = came(&mut session, 1, false).unwrap();
    let late = came(&mut session, 2, false).unwrap();
    assert_eq!(came(&mut session, 2, true), None, "on the same connection");
    session.disconnected();
    session.acknowledge(early);
    session.connected(Version::V5, true, 65535);
    assert_eq!(transmitted(&mut session), [], "not before the broker sends it again");
    assert_eq!((came(&mut session, 1, true), came(&mut session, 2, true)), (None, None));
    assert_eq!(transmitted(&mut session), [puback(1)]);
    session.acknowledge(late);
    session.acknowledge(late);
    assert_eq!(transmitted(&mut session), [puback(2)]);
}

#[test]
fn an_acknowledgement_of_a_lost_session_does_not_meet_a_new_message() {
    let mut session = connected();
    let old = came(&mut session, 1, false).unwrap();
    session.connected(Version::V5, false, 65535);
    assert!(came(&mut session, 1, false).is_some());
    session.acknowledge(old);
    assert_eq!(transmitted(&mut session), []);
}

#[test]
fn the_brokers_word_at_the_end_is_told() {
    let mut session = connected();
    session.handle(Packet::Disconnect(Disconnect::new(ReasonCode::SESSION_TAKEN_OVER))).unwrap();
    assert_eq!(happened(&mut session), [Event::Disconnected(ReasonCode::SESSION_TAKEN_OVER)]);
}

#[test]
fn what_a_broker_may_not_send_is_an_error() {
    let exactly_once =
        Publish { qos: QoS::ExactlyOnce, packet_id: Some(PacketId::FIRST), ..Publish::new("t", "") };
    let alias = Properties::new().with(Property::TopicAlias(1));
    let connect = Packet::Connect(Box::new(Connect::new(Version::V5, "c")));
    let cases = [
        (Packet::Publish(exactly_once), ProtocolError::ExactlyOnce),
        (Packet::Publish(Publish::new("a/+", "")), ProtocolError::Wildcard),
        (Packet::Publish(Publish { properties: alias, ..Publish::new("", "") }), ProtocolError::TopicAlias),
        (connect, ProtocolError::Unexpected(PacketKind::Connect)),
        (Packet::PubRec(PubAck::new(PacketId::FIRST)), ProtocolError::Unexpected(PacketKind::PubRec)),
        (Packet::PingReq, ProtocolError::Unexpected(PacketKind::PingReq)),
    ];
    for (packet, error) in cases {
        assert_eq!(connected().handle(packet), Err(error));
    }
    let mut session = connected();
    session.subscribe(filters(&["a", "b"]));
    transmitted(&mut session);
    let error = ProtocolError::Reasons { packet: PacketKind::SubAck, expected: 2, got: 1 };
    assert_eq!(suback(&mut session, 1, &[ReasonCode::SUCCESS]), Err(error));
    session.disconnected();
    assert_eq!(session.handle(Packet::PingResp), Err(ProtocolError::NotConnected));
}

#[test]
fn an_answer_to_nothing_is_let_pass() {
    let mut session = connected();
    answer(&mut session, 9);
    suback(&mut session, 9, &[ReasonCode::SUCCESS]).unwrap();
    assert_eq!(happened(&mut session), []);
}
