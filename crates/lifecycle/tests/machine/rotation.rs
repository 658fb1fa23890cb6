//! The way that a rotation goes when nothing fails, and what starts and holds one.

use std::time::Duration;

use fleetkey_lifecycle::event::Event;
use fleetkey_lifecycle::status::StateName;
use fleetkey_lifecycle::{Notice, SlotId};
use fleetkey_model::retirement::{DeviceCommand, RetireStatus};
use fleetkey_model::time::Timestamp;

use crate::world::{Fault, World, config};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(31 * 24 * 3600);

fn rotate(world: &mut World) {
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    world.settle();
}

#[test]
fn a_device_without_an_identity_provisions_itself_by_claim() {
    let mut world = World::new();
    world.settle();
    let way = [
        "Preflight",
        "Persist",
        "MakeKey",
        "Persist",
        "Persist",
        "RequestCertificate",
        "StoreCertificate",
        "Persist",
        "Persist",
        "RegisterThing",
        "Persist",
        "Verify",
        "Persist",
        "GoLive",
        "Export",
    ];
    assert_eq!(world.trace, way);
    assert_eq!(world.machine.status().state, StateName::Idle);
}

#[test]
fn without_a_claim_there_is_nothing_to_do() {
    let mut settings = config();
    settings.has_claim = false;
    let mut world = World::with(settings);
    world.settle();
    assert!(world.trace.is_empty());
    assert_eq!(world.machine.status().state, StateName::Unprovisioned);
}

#[test]
fn age_rotates_though_the_certificate_ends_decades_later() {
    let mut world = World::provisioned();
    world.pass(Duration::from_secs(28 * 24 * 3600));
    assert!(world.trace.is_empty(), "not due yet: {:?}", world.trace);
    world.pass(MONTH - Duration::from_secs(28 * 24 * 3600));
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
}

#[test]
fn the_live_session_moves_only_after_the_commit() {
    let mut world = World::provisioned();
    rotate(&mut world);
    let position = |name: &str| world.trace.iter().rposition(|action| action == name).unwrap();
    assert_eq!(world.count("GoLive"), 1);
    assert_eq!(world.trace[position("GoLive") - 1], "Persist", "the commit: {:?}", world.trace);
    assert!(position("Verify") < position("GoLive"));
}

#[test]
fn the_old_identity_is_retired_after_the_soak_and_its_key_destroyed() {
    let mut world = World::provisioned();
    rotate(&mut world);
    assert_eq!(world.machine.status().state, StateName::Soak);
    assert!(world.accepts(SlotId(1)), "the old identity is in reserve during the soak");
    assert_eq!(world.count("RequestRetire"), 0);
    world.pass(Duration::from_secs(61));
    assert_eq!(world.count("RequestRetire"), 1);
    assert!(!world.slots.contains_key(&SlotId(1)), "the previous key is gone");
    assert_eq!(world.machine.status().state, StateName::Idle);
}

#[test]
fn a_device_that_wakes_for_minutes_retires_the_old_identity_after_the_soak_all_the_same() {
    let mut patient = config();
    patient.soak = DAY;
    let mut world = World::with(patient);
    world.settle();
    rotate(&mut world);
    let committed = world.now;
    while world.count("RequestRetire") == 0 {
        world.crash();
        world.pass(Duration::from_secs(600));
        world.now = world.now + Duration::from_secs(3000);
        assert!(world.now.since(committed) < 2 * DAY, "{:?}", world.machine.status());
    }
    assert!(world.now.since(committed) >= DAY, "not before its time");
}

#[test]
fn a_pending_retirement_is_asked_for_again_and_a_frozen_one_is_told() {
    let mut world = World::provisioned();
    world.retire_answers = vec![RetireStatus::Pending, RetireStatus::Frozen];
    rotate(&mut world);
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.count("RequestRetire"), 3);
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::Frozen { .. })));
    assert_eq!(world.machine.status().state, StateName::Idle);
}

#[test]
fn a_second_rotation_waits_until_the_first_is_retired_unless_the_key_is_compromised() {
    let mut world = World::provisioned();
    world.retire_answers = vec![RetireStatus::Pending; 1000];
    rotate(&mut world);
    rotate(&mut world);
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
    assert!(world.machine.status().blocked.unwrap().contains("not retired"));
    world.pass(Duration::from_secs(3600));
    assert!(world.machine.status().blocked.unwrap().contains("the controller has the request"));
    world.give(Event::Compromised);
    world.settle();
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(3)));
}

#[test]
fn nothing_is_asked_over_a_session_that_is_down() {
    let mut world = World::provisioned();
    world.give(Event::LinkDown);
    rotate(&mut world);
    assert_eq!(world.count("RequestCertificate"), 0);
    world.give(Event::LinkUp { slot: SlotId(1) });
    world.settle();
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
}

#[test]
fn a_clock_that_was_in_2099_for_a_moment_stops_nothing() {
    let mut world = World::provisioned();
    let right = world.now;
    world.now = Timestamp::from_secs(4_070_908_800);
    world.give(Event::Tick);
    world.settle();
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)), "it looks due: rotating is harmless");
    world.now = right;
    world.give(Event::Tick);
    world.pass(Duration::from_secs(120));
    assert_eq!(world.machine.status().state, StateName::Idle, "{:?}", world.trace);
    world.pass(MONTH);
    assert!(world.record.as_ref().unwrap().current >= Some(SlotId(3)), "and the age trigger still fires");
}

#[test]
fn a_clock_at_1970_is_held_at_the_floor() {
    let mut world = World::provisioned();
    world.now = Timestamp::from_secs(0);
    world.give(Event::Tick);
    world.settle();
    assert!(world.machine.now() >= world.record.as_ref().unwrap().time_floor);
    assert!(world.accepts(SlotId(1)));
}

#[test]
fn waits_end_on_a_device_whose_clock_never_leaves_1970() {
    let mut world = World::with(config());
    world.settle();
    world.now = Timestamp::from_secs(0);
    world.give(Event::Tick);
    world.fault("RegisterThing", Fault::NoAnswer);
    world.fault("Verify", Fault::Unreachable);
    rotate(&mut world);
    for _ in 0..200 {
        world.now = world.now + Duration::from_secs(30);
        world.give(Event::Tick);
        world.settle();
    }
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)), "{:?}", world.trace);
    assert_eq!(world.machine.status().state, StateName::Idle);
}

#[test]
fn a_hold_stops_what_only_time_asks_for() {
    let mut world = World::provisioned();
    world.give(Event::Hold(true));
    world.pass(MONTH);
    assert!(world.trace.is_empty(), "{:?}", world.trace);
    rotate(&mut world);
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)), "a command is obeyed");
    world.give(Event::Hold(false));
    world.pass(MONTH);
    assert!(world.record.as_ref().unwrap().current >= Some(SlotId(3)));
}
