//! The committed identity is refused: what else is here is tried, and nothing is thrown away.

use std::time::Duration;

use fleetkey_lifecycle::event::{Event, StorageFault};
use fleetkey_lifecycle::status::{Alarm, StateName};
use fleetkey_lifecycle::{Notice, SlotId};
use fleetkey_model::retirement::{DeviceCommand, RetireStatus};

use crate::world::{Fault, World, config};

const HOUR: Duration = Duration::from_secs(3600);

fn rotate(world: &mut World) {
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    world.settle();
}

fn rotate_up_to(world: &mut World, action: &str) {
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    while world.count(action) == 0 {
        world.step();
    }
}

pub(crate) fn fell_back(from: u64, to: u64) -> Notice {
    Notice::FellBack { from: SlotId(from), to: SlotId(to) }
}

pub(crate) fn current(world: &World) -> Option<SlotId> {
    world.record.as_ref().and_then(|record| record.current)
}

pub(crate) fn soaking() -> World {
    let mut world = World::provisioned();
    rotate(&mut world);
    assert_eq!(world.machine.status().state, StateName::Soak);
    world.trace.clear();
    world.asked.clear();
    world
}

#[test]
fn the_older_identity_is_asked_with_only_after_three_refusals_of_the_committed_one() {
    let mut world = soaking();
    world.revoke(SlotId(2));
    world.pass(Duration::from_secs(150));
    let asked: Vec<u64> = world.asked.iter().map(|slot| slot.0).take(4).collect();
    assert_eq!(asked, [2, 2, 2, 1], "a controller that sees both take turns must think of a thief");
}

#[test]
fn the_older_identity_is_not_asked_with_while_the_committed_one_cannot_be_asked() {
    let mut world = soaking();
    world.live_refused.insert(SlotId(2));
    for _ in 0..3 {
        world.fault("Verify", Fault::Refused);
    }
    for _ in 0..400 {
        world.fault("Verify", Fault::Unreachable);
        world.fault("GoLive", Fault::Unreachable);
    }
    world.give(Event::LinkDown);
    world.give(Event::LinkRefused { slot: SlotId(2), why: "a hiccup".into() });
    world.pass(2 * HOUR);
    let older = world.asked.iter().filter(|&&slot| slot == SlotId(1)).count();
    assert_eq!(older, 1, "by the third refusal, and not again: {:?}", world.asked);
    assert!(world.asked.len() > 10, "{:?}", world.asked);
    assert_eq!(current(&world), Some(SlotId(2)));
}

#[test]
fn a_candidate_that_was_given_up_for_a_new_certificate_serves_when_the_identity_in_use_is_refused() {
    let mut world = World::provisioned();
    world.fault("RegisterThing", Fault::AnswerLost);
    world.fault("RegisterThing", Fault::Rejected(400, "InvalidCertificateOwnershipToken"));
    for _ in 0..100 {
        world.fault("Verify", Fault::Refused);
    }
    rotate_up_to(&mut world, "RequestCertificate");
    for _ in 0..100 {
        world.fault("RequestCertificate", Fault::NoAnswer);
    }
    while world.count("RequestCertificate") < 2 {
        world.pass(Duration::from_secs(60));
    }
    world.faults.remove("Verify");
    world.revoke(SlotId(1));
    world.pass(HOUR);
    assert_eq!((current(&world), world.count("StoreCertificate")), (Some(SlotId(2)), 1), "{:?}", world.trace);
}

#[test]
fn a_new_identity_that_is_refused_in_its_soak_gives_way_to_the_old_one() {
    let mut world = soaking();
    world.revoke(SlotId(2));
    assert_eq!(world.machine.status().state, StateName::Ladder);
    world.pass(Duration::from_secs(150));
    assert!(world.notices.contains(&fell_back(2, 1)), "{:?}", world.trace);
    assert!(world.slots.contains_key(&SlotId(2)), "what was refused is kept");
    assert!(world.count("Verify") >= 6, "three rounds of both: {:?}", world.trace);
    assert_eq!(world.count("RequestRetire"), 0);
    world.pass(24 * HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "and the rotation that failed is made up for");
}

#[test]
fn nothing_is_retired_for_a_committed_slot_that_is_damaged_and_the_old_one_serves_again() {
    let mut world = soaking();
    world.damaged.insert(SlotId(2));
    pass_until_it_falls_back(&mut world);
    assert!(world.count("RequestRetire") > 0, "its soak is over: {:?}", world.trace);
    assert!(world.retired.is_empty(), "the read-back came first");
    assert_eq!(current(&world), Some(SlotId(1)));
}

#[test]
fn a_slot_that_is_damaged_before_its_export_gives_way_at_once() {
    let mut world = World::provisioned();
    rotate_up_to(&mut world, "Verify");
    world.damaged.insert(SlotId(2));
    pass_until_it_falls_back(&mut world);
    assert_eq!(world.count("RequestRetire"), 0, "no soak has to end first: {:?}", world.trace);
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "and the rotation is made up for");
}

/// From slot 2 to slot 1, within two days.
fn pass_until_it_falls_back(world: &mut World) {
    let minute = Duration::from_secs(60);
    let fell_back = (0..2 * 24 * 60).any(|_| {
        world.pass(minute);
        world.notices.contains(&fell_back(2, 1))
    });
    assert!(fell_back, "{:?}", world.trace);
}

#[test]
fn an_identity_that_is_accepted_after_all_stays() {
    let mut world = soaking();
    world.give(Event::LinkRefused { slot: SlotId(2), why: "a hiccup".into() });
    world.settle();
    assert_eq!(world.trace, ["Verify"]);
    assert_eq!(world.machine.status().state, StateName::Soak);
    assert_eq!(current(&world), Some(SlotId(2)));
}

#[test]
fn a_network_that_is_down_is_no_refusal() {
    let mut world = soaking();
    world.revoked.insert(SlotId(1));
    for _ in 0..400 {
        world.fault("Verify", Fault::Unreachable);
        world.fault("GoLive", Fault::Unreachable);
    }
    world.revoke(SlotId(2));
    world.pass(2 * HOUR);
    let alarms = world.machine.status().alarms;
    assert_eq!(alarms, [], "nobody could be asked");
    assert_eq!(current(&world), Some(SlotId(2)));
}

#[test]
fn an_old_identity_is_not_even_asked_while_the_committed_one_cannot_be() {
    let mut world = soaking();
    // Every round: the new one cannot be asked, the old one would pass.
    world.give(Event::LinkDown);
    world.give(Event::LinkRefused { slot: SlotId(2), why: "once".into() });
    for round in 1..=20 {
        world.fault("Verify", Fault::Unreachable);
        world.settle();
        assert!(world.count("Verify") <= round, "one question a round: {:?}", world.trace);
        world.now = world.machine.next_deadline().unwrap();
        world.give(Event::Tick);
    }
    assert_eq!(current(&world), Some(SlotId(2)));
}

#[test]
fn when_nothing_is_accepted_it_says_so_and_goes_on_trying() {
    let mut world = soaking();
    world.revoked.insert(SlotId(1));
    world.revoke(SlotId(2));
    world.pass(HOUR);
    assert_eq!(world.machine.status().alarms, [Alarm::NoIdentityAccepted]);
    assert!(world.notices.contains(&Notice::Alarm(Alarm::NoIdentityAccepted)));
    assert_eq!(world.slots.len(), 2, "no slot is given up");
    assert_eq!(world.count("Preflight") + world.count("RequestCertificate"), 0);
    world.revoked.clear();
    world.pass(HOUR);
    assert_eq!(world.machine.status().alarms, []);
    assert_eq!(current(&world), Some(SlotId(2)));
}

#[test]
fn a_registered_candidate_takes_over_from_an_identity_that_was_taken_away() {
    let mut world = World::provisioned();
    world.fault("RegisterThing", Fault::AnswerLost);
    rotate_up_to(&mut world, "RegisterThing");
    world.revoke(SlotId(1));
    world.pass(Duration::from_secs(150));
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
    assert!(world.walked.contains(&(StateName::Ladder, StateName::Soak)));
}

#[test]
fn a_committed_slot_that_is_damaged_is_not_waited_for() {
    let mut world = soaking();
    world.revoked.insert(SlotId(2));
    world.slots.get_mut(&SlotId(2)).unwrap().certificate = None;
    world.crash();
    assert_eq!(world.machine.status().state, StateName::Ladder);
    world.pass(HOUR);
    assert!(world.notices.contains(&fell_back(2, 1)), "{:?}", world.trace);
}

#[test]
fn a_lost_record_tries_the_newest_slot_and_then_the_others() {
    let mut world = soaking();
    for slot in world.slots.values_mut() {
        slot.has_token = false;
    }
    world.record = None;
    world.revoked.insert(SlotId(2));
    world.crash();
    world.pass(HOUR);
    assert!(world.notices.contains(&fell_back(2, 1)), "{:?}", world.trace);
}

#[test]
fn a_lost_record_of_a_device_that_was_just_registered_is_no_new_device() {
    let mut world = World::new();
    while world.count("RegisterThing") == 0 {
        world.step();
    }
    world.record = None;
    world.crash();
    world.trace.clear();
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(1)), "{:?}", world.trace);
    assert_eq!(world.count("RequestCertificate"), 0, "the claim would refuse a thing that exists");
}

#[test]
fn a_soak_needs_traffic() {
    let mut world = soaking();
    world.give(Event::LinkDown);
    world.pass(24 * HOUR);
    assert_eq!(world.machine.status().state, StateName::Soak);
    world.give(Event::LinkUp { slot: SlotId(2) });
    world.settle();
    assert_eq!(world.machine.status().state, StateName::Soak, "a moment on the connection is no soak");
    world.pass(Duration::from_secs(3));
    assert_eq!(world.machine.status().state, StateName::Idle, "{:?}", world.trace);
}

#[test]
fn a_clock_that_leaps_does_not_end_a_soak() {
    let mut world = soaking();
    world.now = world.now + 48 * HOUR;
    world.give(Event::Tick);
    world.settle();
    assert_eq!(world.machine.status().state, StateName::Soak);
    world.pass(Duration::from_secs(3));
    assert_eq!(world.machine.status().state, StateName::Idle, "{:?}", world.trace);
}

#[test]
fn a_candidate_that_made_room_for_a_recovery_is_still_tried() {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.settle();
    world.trace.clear();
    rotate_up_to(&mut world, "RegisterThing");
    world.revoked.extend([SlotId(1), SlotId(2)]);
    for _ in 0..100 {
        world.fault("RegisterThing", Fault::Rejected(403, "AccessDenied"));
    }
    world.revoke(SlotId(1));
    world.pass(HOUR);
    assert!(world.count("RegisterThing") > 1, "the recovery was asked for: {:?}", world.trace);
    world.revoked.remove(&SlotId(2));
    world.pass(2 * HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
}

#[test]
fn slots_that_no_record_explains_go_with_the_next_commit() {
    let mut world = soaking();
    world.pass(HOUR);
    assert_eq!(world.slots.len(), 1);
    let mut stray = world.slots[&SlotId(2)].clone();
    stray.id = SlotId(77);
    world.slots.insert(SlotId(77), stray);
    world.crash();
    world.pass(HOUR);
    assert!(world.slots.contains_key(&SlotId(77)), "kept while it might be all there is");
    rotate(&mut world);
    world.pass(HOUR);
    assert_eq!(world.slots.keys().copied().collect::<Vec<_>>(), [SlotId(78)]);
}

#[test]
fn a_double_stops_what_can_wait_and_is_told_of() {
    let mut world = World::provisioned();
    for _ in 0..3 {
        world.give(Event::Displaced);
    }
    assert!(world.notices.contains(&Notice::Alarm(Alarm::DuplicateClientId)));
    rotate(&mut world);
    assert_eq!(world.count("Preflight"), 0);
    assert_eq!(world.machine.status().state, StateName::Deferred);
    assert!(world.machine.status().blocked.unwrap().contains("copy"));
    world.pass(Duration::from_secs(601));
    assert_eq!(current(&world), Some(SlotId(2)), "quiet for ten minutes: the wish is met");
    assert_eq!(world.machine.status().alarms, []);
}

#[test]
fn a_key_that_others_know_is_replaced_whoever_else_connects() {
    let mut world = World::provisioned();
    for _ in 0..3 {
        world.give(Event::Displaced);
    }
    world.give(Event::Compromised);
    world.settle();
    assert_eq!(current(&world), Some(SlotId(2)));
    assert_eq!(world.count("RequestRetire"), 1, "and the old one is not kept for the length of a soak");
}

#[test]
fn a_compromise_is_not_forgotten_in_a_crash_nor_when_falling_back() {
    let mut world = World::provisioned();
    world.retire_answers = vec![RetireStatus::Pending; 1000];
    world.fault("Preflight", Fault::Storage(StorageFault::Full));
    world.give(Event::Compromised);
    world.step();
    assert_eq!(world.record.as_ref().unwrap().compromised, Some(SlotId(1)));
    world.crash();
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
    world.revoke(SlotId(2));
    world.pass(Duration::from_secs(150));
    assert!(world.notices.contains(&fell_back(2, 1)));
    world.pass(24 * HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "the key in use is known to others: {:?}", world.trace);
}

/// Whoever copied the disk in the middle of a rotation has the candidate's key too.
#[test]
fn a_command_outlives_a_crash_and_a_rotation_that_was_given_up() {
    let mut world = World::provisioned();
    world.fault("RegisterThing", Fault::Rejected(400, "InvalidRequest"));
    world.give(Event::Command(DeviceCommand::Rotate { id: "c1".into() }));
    assert!(!world.machine.wishes_are_durable());
    assert!(world.step(), "it is made durable before anything else");
    assert_eq!(world.trace, ["Persist"]);
    assert!(world.machine.wishes_are_durable());
    world.crash();
    world.pass(24 * HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "{:?}", world.trace);
}

#[test]
fn a_command_that_the_disk_does_not_take_is_deferred() {
    let mut world = World::provisioned();
    for _ in 0..3 {
        world.fault("Persist", Fault::Storage(StorageFault::ReadOnly));
    }
    world.give(Event::Command(DeviceCommand::Rotate { id: "c1".into() }));
    world.settle();
    assert_eq!(world.trace, ["Persist"], "nothing is asked of the cloud");
    assert!(
        world.notices.iter().any(|notice| matches!(notice, Notice::Deferred { .. })),
        "{:?}",
        world.notices
    );
    assert_eq!(world.machine.status().state, StateName::Deferred);
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
}

#[test]
fn a_command_that_comes_twice_is_met_once() {
    let mut world = World::provisioned();
    for _ in 0..3 {
        world.give(Event::Command(DeviceCommand::Rotate { id: "c1".into() }));
        world.pass(HOUR);
        world.crash();
    }
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
    world.give(Event::Command(DeviceCommand::Rotate { id: "c2".into() }));
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "{:?}", world.trace);
}

#[test]
fn a_new_connection_does_not_cut_a_throttle_short() {
    let mut world = World::provisioned();
    world.fault("RequestCertificate", Fault::Rejected(403, "AccessDenied"));
    rotate_up_to(&mut world, "RequestCertificate");
    world.give(Event::LinkDown);
    world.give(Event::LinkUp { slot: SlotId(1) });
    world.settle();
    assert_eq!(world.count("RequestCertificate"), 1);
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
}

#[test]
fn a_compromise_during_a_rotation_is_followed_by_another() {
    let mut world = World::provisioned();
    rotate_up_to(&mut world, "StoreCertificate");
    world.give(Event::Compromised);
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "{:?}", world.trace);
    world.pass(240 * HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "and no more");
}

/// Verification by takeover moves the live session; the disk then refuses the commit.
#[test]
fn a_session_that_was_left_on_a_candidate_goes_back_to_the_committed_identity() {
    for refused in [false, true] {
        let mut world = World::provisioned();
        rotate_up_to(&mut world, "RegisterThing");
        world.step();
        world.fault("Persist", Fault::Storage(StorageFault::Full));
        world.trace.clear();
        if refused {
            world.give(Event::LinkDown);
            world.give(Event::LinkRefused { slot: SlotId(2), why: "deactivated".into() });
        } else {
            world.give(Event::LinkUp { slot: SlotId(2) });
        }
        world.settle();
        assert_eq!(world.count("GoLive"), 1, "{:?}", world.trace);
        assert_eq!(current(&world), Some(SlotId(1)), "the commit is not on the disk");
        world.pass(HOUR);
        assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
    }
}

#[test]
fn a_disk_without_room_defers_before_anything_is_asked() {
    let mut world = World::with(config());
    world.settle();
    world.trace.clear();
    for _ in 0..30 {
        world.fault("Preflight", Fault::Storage(StorageFault::Full));
    }
    rotate(&mut world);
    assert_eq!(world.machine.status().state, StateName::Deferred);
    assert_eq!(world.machine.status().alarms, [Alarm::Storage]);
    assert_eq!(world.trace, ["Persist", "Preflight"], "the command is remembered");
    world.pass(12 * HOUR);
    assert_eq!(current(&world), Some(SlotId(2)));
}
