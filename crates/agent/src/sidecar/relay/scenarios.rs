//! What the relay does, step by step, in situations that have a name.

use std::time::Duration;

use bytes::Bytes;
use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::event::{FailureKind, Tier};
use fleetkey_mqtt::{Connect, Packet, Property, Publish, QoS, ReasonCode, Version};

use super::model::{Kind, World};
use super::pace::Pace;
use super::{Input, LocalId, Report, Resumed, Token, Unpublished};

const PERSISTENT: Kind = Kind { version: Version::V311, clean: false, will: true };
const CLEAN: Kind = Kind { version: Version::V311, clean: true, will: true };
const FIVE: Kind = Kind { version: Version::V5, clean: true, will: true };

/// A client of that kind, connected and subscribed; its beginnings are past.
fn served(kind: Kind, survives: bool) -> World {
    let mut world = World::new(kind, survives);
    world.connect();
    world.come_to_rest();
    world.subscribe(&["down/a", "down/b"]);
    world.come_to_rest();
    world.pass(Duration::from_secs(2));
    world.reports.clear();
    world
}

fn identity(world: &mut World, slot: u64) {
    world.tell(Input::Identity(SlotId(slot)));
}

fn unsettled(world: &World) -> Option<(SlotId, Tier, FailureKind)> {
    world.reports.iter().find_map(|report| match report {
        Report::Unsettled { slot, failure } => Some((*slot, failure.tier, failure.kind)),
        _ => None,
    })
}

#[test]
fn a_rotation_holds_the_client_from_the_drain_to_the_connack_and_not_while_it_dials() {
    let mut world = served(PERSISTENT, true);
    identity(&mut world, 2);
    world.publish("up/a", QoS::AtLeastOnce);
    world.client_is_heard();
    assert_eq!(world.relay.snapshot().held_since, None, "the old link serves while the new one is dialled");
    world.dialed(true);
    assert!(world.relay.snapshot().held_since.is_some());
    world.publish("up/a", QoS::AtLeastOnce);
    world.client_is_heard();
    assert_eq!(world.relay.snapshot().waiting_up, 1, "it waits");
    world.arrive();
    let moved = Resumed { held: Duration::ZERO, session_present: true, repeated: 0, resubscribed: 0 };
    assert_eq!(world.reports, [Report::Settled { slot: SlotId(2), moved: Some(moved) }]);
    assert_eq!((world.broker.wills, world.broker.takeovers, world.broker.received.len()), (0, 0, 2));
}

#[test]
fn a_broker_that_answers_late_is_waited_for_until_the_drain_is_over_and_gets_the_message_again() {
    let mut world = served(PERSISTENT, true);
    world.publish("up/a", QoS::AtLeastOnce);
    world.client_is_heard();
    world.broker_hears(0);
    identity(&mut world, 2);
    world.dialed(true);
    assert_eq!(world.relay.deadline(), Some(world.now + Duration::from_millis(500)));
    // The answer is on a link that delivers nothing any more.
    world.pass(Duration::from_millis(500));
    world.cut(0);
    world.arrive();
    assert_eq!(world.broker.received.len(), 2, "once on either link");
    assert_eq!(world.client.confirmed.len(), 1);
}

#[test]
fn an_identity_that_is_refused_costs_no_message_and_the_one_before_serves_again_a_second_later() {
    for closes in [false, true] {
        let mut world = served(PERSISTENT, true);
        world.broker.closes = closes;
        world.refuse(SlotId(2));
        let at = world.now;
        identity(&mut world, 2);
        world.arrive();
        world.publish("up/a", QoS::AtLeastOnce);
        assert_eq!(unsettled(&world), Some((SlotId(2), Tier::Connack, FailureKind::Refused)));
        world.come_to_rest();
        assert_eq!(world.now - at, Duration::from_secs(1));
        assert_eq!(world.relay.snapshot().serving, Some(SlotId(1)));
        assert_eq!((world.closed_by_relay, world.broker.wills, world.broker.received.len()), (0, 0, 1));
    }
}

#[test]
fn a_broker_that_has_no_time_for_the_new_link_has_refused_nobody_and_the_one_before_serves_again() {
    let mut world = served(FIVE, true);
    world.broker.throttles = 3;
    identity(&mut world, 2);
    world.dialed(true);
    world.publish("up/a", QoS::AtLeastOnce);
    world.arrive();
    assert_eq!(unsettled(&world), Some((SlotId(2), Tier::Connack, FailureKind::Unreachable)));
    world.come_to_rest();
    let failed = world.reports.iter().filter(|report| matches!(report, Report::Failed { .. }));
    assert_eq!((failed.count(), world.broker.throttles), (2, 0));
    assert_eq!(world.relay.snapshot().serving, Some(SlotId(1)));
    assert_eq!((world.closed_by_relay, world.broker.wills, world.broker.received.len()), (0, 0, 1));
}

#[test]
fn an_identity_that_cannot_be_dialled_changes_nothing() {
    let mut world = served(PERSISTENT, true);
    identity(&mut world, 2);
    world.dialed(false);
    assert_eq!(unsettled(&world).map(|(slot, ..)| slot), Some(SlotId(2)));
    let snapshot = world.relay.snapshot();
    assert_eq!((snapshot.serving, snapshot.held_since), (Some(SlotId(1)), None));
}

#[test]
fn a_session_that_is_gone_is_subscribed_to_again_before_anything_else_is_sent() {
    let mut world = served(PERSISTENT, false);
    let filters = world.broker.filters();
    identity(&mut world, 2);
    world.dialed(true);
    world.publish("up/a", QoS::AtLeastOnce);
    world.arrive();
    assert_eq!(world.broker.filters(), filters);
    let resumed = Resumed { held: Duration::ZERO, session_present: false, repeated: 0, resubscribed: 2 };
    assert_eq!(world.reports, [Report::Settled { slot: SlotId(2), moved: Some(resumed) }]);
    world.judge();
}

#[test]
fn a_broker_that_sends_again_under_other_identifiers_does_not_make_a_command_come_twice() {
    let mut world = served(PERSISTENT, true);
    world.broker.renumbers = true;
    world.command("down/a", QoS::AtLeastOnce);
    world.relay_hears(0);
    world.client_hears();
    identity(&mut world, 2);
    world.dialed(true);
    // It is on its way while the client still owes its answer to the one before.
    world.command("down/a", QoS::AtLeastOnce);
    world.relay_hears(0);
    assert!(!world.client_hears(), "it waits for the link that comes");
    assert_eq!(world.relay.snapshot().serving, Some(SlotId(1)));
    world.acknowledge();
    world.arrive();
    assert_eq!(world.relay.snapshot().serving, Some(SlotId(2)));
    world.come_to_rest();
    assert_eq!(world.client.received.len(), 2);
    assert_eq!(world.relay.snapshot().unanswered_down, 0);
    world.judge();
}

#[test]
fn what_has_waited_goes_up_no_faster_than_the_broker_takes_it() {
    let mut world = served(PERSISTENT, true);
    world.relay.pace = Pace::new(3);
    identity(&mut world, 2);
    world.dialed(true);
    for _ in 0..8 {
        world.publish("up/a", QoS::AtLeastOnce);
    }
    world.arrive();
    let mut received = vec![world.broker.received.len()];
    for _ in 0..2 {
        assert_eq!(world.relay.deadline(), Some(world.now + Duration::from_secs(1)));
        world.pass(Duration::from_secs(1));
        world.arrive();
        received.push(world.broker.received.len());
    }
    assert_eq!(received, [3, 6, 8]);
}

#[test]
fn more_subscriptions_than_one_subscribe_takes_are_made_again_in_several() {
    let mut world = served(PERSISTENT, false);
    let names: Vec<String> = (0..17).map(|number| format!("many/{number}")).collect();
    for name in &names {
        world.subscribe(&[name]);
        world.arrive();
    }
    identity(&mut world, 2);
    // The broker of this world takes no SUBSCRIBE of more than eight.
    world.arrive();
    assert_eq!(world.broker.filters().len(), 19);
}

#[test]
fn subscriptions_of_a_session_older_than_we_are_cannot_be_made_again_and_the_client_is_told() {
    let mut world = served(PERSISTENT, false);
    // The sidecar has begun anew; the broker has not.
    world.restart();
    world.come_to_rest();
    world.pass(Duration::from_secs(2));
    identity(&mut world, 2);
    world.come_to_rest();
    assert_eq!(world.closed_by_relay, 1);
    world.judge();
}

#[test]
fn a_clean_client_of_3_1_1_gets_nothing_of_an_earlier_run_and_leaves_nothing() {
    let mut world = served(CLEAN, true);
    world.command("down/a", QoS::AtLeastOnce);
    world.die();
    world.command("down/a", QoS::AtLeastOnce);
    while world.pass_to_deadline() {
        world.arrive();
    }
    assert!(!world.broker.holds_a_session(), "it was emptied, and ends with that connection");
    world.connect();
    world.come_to_rest();
    assert_eq!(world.client.received, []);
    assert_eq!(world.broker.wills, 1);
}

#[test]
fn a_clean_client_of_5_ends_its_session_with_its_disconnect() {
    let mut world = served(FIVE, true);
    world.disconnect();
    world.arrive();
    assert!(!world.broker.holds_a_session());
    assert_eq!(world.broker.wills, 0);
}

#[test]
fn what_a_later_connack_narrows_is_told_and_held_to_and_what_it_widens_holds_again() {
    let mut world = served(FIVE, true);
    let first = world.broker.offers.clone();
    world.broker.offers = fleetkey_mqtt::Properties::new()
        .with(Property::ReceiveMaximum(2))
        .with(Property::MaximumPacketSize(100))
        .with(Property::RetainAvailable(0))
        .with(Property::TopicAliasMaximum(8));
    identity(&mut world, 2);
    world.come_to_rest();
    let what = vec!["receive maximum", "maximum packet size", "retain"];
    assert_eq!(world.reports.first(), Some(&Report::Narrowed { what }), "aliases are used in neither case");

    for _ in 0..5 {
        world.publish("up/a", QoS::AtLeastOnce);
        world.client_is_heard();
    }
    let snapshot = world.relay.snapshot();
    assert_eq!((snapshot.unanswered_up, snapshot.waiting_up), (2, 3));
    world.arrive();
    assert_eq!(world.broker.received.len(), 5);

    let retained = || Publish { retain: true, ..Publish::new("up/a", "6") };
    let (local, large) = (world.local(), Publish::new("up/a", "7".repeat(100)));
    for message in [retained(), large] {
        world.tell(Input::Client(local, Packet::Publish(message)));
    }
    world.arrive();
    assert_eq!((world.relay.snapshot().dropped_up, world.broker.received.len()), (2, 5));

    world.broker.offers = first;
    identity(&mut world, 3);
    let settled = |report: &Report| matches!(report, Report::Settled { slot: SlotId(3), .. });
    while !world.reports.iter().any(settled) {
        assert!(world.pass_to_deadline(), "stuck: {:?}", world.relay);
        world.arrive();
    }
    world.tell(Input::Client(local, Packet::Publish(retained())));
    world.arrive();
    assert_eq!((world.relay.snapshot().dropped_up, world.broker.received.len()), (2, 6));
    assert_eq!((world.closed_by_relay, world.client.said.clone()), (0, vec![]));
    let told = world.reports.iter().filter(|report| matches!(report, Report::Narrowed { .. }));
    assert_eq!(told.count(), 1);
}

#[test]
fn a_client_that_is_held_for_too_long_is_told_the_truth() {
    let mut world = served(FIVE, true);
    world.cut(0);
    let since = world.now;
    while world.closed_by_relay == 0 {
        world.dialed(false);
        assert!(world.pass_to_deadline());
    }
    assert_eq!(world.now - since, Duration::from_secs(10));
    assert_eq!(world.client.said, [ReasonCode::SERVER_BUSY]);
    world.come_to_rest();
    world.judge();
}

#[test]
fn a_client_that_is_held_has_its_pings_answered() {
    let mut world = served(PERSISTENT, true);
    world.cut(0);
    world.ping();
    world.client_is_heard();
    assert!(world.client_hears(), "PINGRESP");
}

#[test]
fn a_link_that_ends_again_and_again_before_anything_is_answered_ends_the_client() {
    let mut world = served(FIVE, true);
    for _ in 0..3 {
        world.cut(0);
        world.arrive();
        while world.closed_by_relay == 0 && world.relay.snapshot().serving.is_none() {
            world.pass_to_deadline();
            world.arrive();
        }
    }
    assert_eq!(world.client.said, [ReasonCode::UNSPECIFIED_ERROR]);
}

#[test]
fn a_client_whose_id_somebody_else_takes_is_told_and_does_not_fight_for_it() {
    let mut world = served(FIVE, true);
    world.farewell(ReasonCode::SESSION_TAKEN_OVER);
    assert_eq!(world.client.said, [ReasonCode::SESSION_TAKEN_OVER]);
    assert_eq!(world.relay.deadline(), None);
}

#[test]
fn a_message_of_the_agents_goes_on_the_link_with_its_identity_or_not_at_all() {
    let mut world = served(PERSISTENT, true);
    let publish = |token, slot| {
        let (topic, payload) = ("up/agent".into(), Bytes::from_static(b"4711"));
        Input::Publish { token: Token(token), on: SlotId(slot), topic, payload }
    };
    world.tell(publish(1, 2));
    world.tell(publish(2, 1));
    world.arrive();
    world.tell(publish(3, 1));
    world.cut(0);
    let told = |token, outcome| Report::Published(Token(token), outcome);
    assert_eq!(
        world.reports.get(..3).unwrap(),
        [told(1, Err(Unpublished::NoLink)), told(2, Ok(())), told(3, Err(Unpublished::Lost))]
    );
    world.come_to_rest();
    assert_eq!(world.broker.received.len(), 1, "it is not sent again");
    assert_eq!(world.client.received, [], "and its client hears nothing of it");
}

#[test]
fn a_client_that_breaks_the_rules_is_disconnected_and_its_will_published() {
    let id = fleetkey_mqtt::PacketId::new(9);
    let twice = Publish { qos: QoS::AtLeastOnce, packet_id: id, ..Publish::new("up/a", "1") };
    let alias = Publish {
        properties: fleetkey_mqtt::Properties::new().with(Property::TopicAlias(1)),
        ..Publish::new("up/a", "1")
    };
    let table = [
        (vec![Publish::new("up/+", "1")], ReasonCode::TOPIC_NAME_INVALID),
        (vec![alias], ReasonCode::TOPIC_ALIAS_INVALID),
        (vec![Publish::new("up/a", vec![0; 128 * 1024 + 1])], ReasonCode::PACKET_TOO_LARGE),
        (vec![twice.clone(), twice], ReasonCode::PROTOCOL_ERROR),
    ];
    for (messages, reason) in table {
        let mut world = served(FIVE, true);
        let local = world.local();
        for message in messages {
            world.tell(Input::Client(local, Packet::Publish(message)));
        }
        world.arrive();
        assert_eq!((world.client.said.clone(), world.broker.wills), (vec![reason], 1));
    }
}

#[test]
fn a_client_without_a_sign_of_life_is_dead_and_one_that_is_not_read_is_not() {
    let mut world = World::new(FIVE, true);
    let connect = Connect { keep_alive: 10, ..Connect::new(Version::V5, "plc") };
    world.connect_with(connect);
    world.arrive();
    world.pass(Duration::from_secs(14));
    world.ping();
    world.arrive();
    world.pass(Duration::from_millis(14_999));
    assert_eq!(world.client.said, []);
    world.pass(Duration::from_millis(1));
    world.arrive();
    assert_eq!(world.client.said, [ReasonCode::KEEP_ALIVE_TIMEOUT]);
}

#[test]
fn that_a_client_is_read_no_further_is_told_once_and_it_is_read_again() {
    let mut world = served(PERSISTENT, true);
    world.cut(0);
    for _ in 0..40 {
        world.publish("up/a", QoS::AtLeastOnce);
        world.client_is_heard();
    }
    assert!(!world.relay.wants_client());
    let full = world.reports.iter().filter(|report| matches!(report, Report::Full { .. }));
    assert_eq!(full.count(), 1);
    world.come_to_rest();
    assert!(world.relay.wants_client());
    assert_eq!(world.client.confirmed.len(), 40);
    world.judge();
}

#[test]
fn a_broker_that_falls_silent_is_left() {
    let mut world = served(PERSISTENT, true);
    world.pass(Duration::from_secs(30));
    world.pass(Duration::from_secs(10));
    assert!(matches!(&world.reports[..], [Report::Lost { why }] if why.contains("does not answer")));
    world.come_to_rest();
    world.judge();
}

#[test]
fn a_device_without_an_identity_turns_clients_away() {
    let mut world = World::without_identity(FIVE);
    world.connect();
    world.arrive();
    assert_eq!(world.client.refused, 1);
    assert!(matches!(&world.reports[..], [Report::Turned { why }] if why.contains("no identity")));
}

#[test]
fn extended_authentication_is_refused() {
    let mut world = World::new(FIVE, true);
    let properties = fleetkey_mqtt::Properties::new().with(Property::AuthenticationMethod("SCRAM".into()));
    world.connect_with(Connect { properties, ..Connect::new(Version::V5, "plc") });
    world.arrive();
    assert_eq!(world.client.refused, 1);
}

#[test]
fn a_second_client_takes_the_place_of_the_first() {
    let mut world = served(PERSISTENT, true);
    let connect = Connect { clean_start: false, ..Connect::new(Version::V311, "plc") };
    world.tell(Input::Connect(LocalId(99), Box::new(connect)));
    assert_eq!(world.closed_by_relay, 1);
    world.arrive();
    assert!(world.relay.has_client());
    assert_eq!(world.broker.wills, 1, "the first was cut off");
}

#[test]
fn another_client_is_refused_while_the_place_is_taken() {
    let mut world = served(PERSISTENT, true);
    world.tell(Input::Connect(LocalId(99), Box::new(Connect::new(Version::V311, "intruder"))));
    assert!(matches!(&world.reports[..], [Report::Turned { why }] if why.contains("intruder")));
    assert_eq!((world.closed_by_relay, world.broker.wills), (0, 0));
}

#[test]
fn what_a_client_published_before_its_disconnect_is_sent_before_its_link_ends() {
    let mut world = served(PERSISTENT, true);
    identity(&mut world, 2);
    world.dialed(true);
    world.publish("up/a", QoS::AtMostOnce);
    world.disconnect();
    world.come_to_rest();
    assert_eq!(world.broker.received.len(), 1);
    assert_eq!(world.broker.wills, 0);
}

#[test]
fn the_end_is_said_to_both_sides() {
    let mut world = served(FIVE, true);
    world.tell(Input::Stop);
    world.arrive();
    assert!(world.relay.has_stopped());
    assert_eq!(world.client.said, [ReasonCode::SERVER_SHUTTING_DOWN]);
    assert_eq!(world.broker.wills, 0);
}
