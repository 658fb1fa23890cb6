//! Slots that the disk does not give: they are not empty, and no broker has refused them.

use std::time::Duration;

use fleetkey_lifecycle::event::StorageFault;
use fleetkey_lifecycle::status::{Alarm, StateName};
use fleetkey_lifecycle::{Event, Notice, SlotId};
use fleetkey_model::retirement::DeviceCommand;

use crate::world::{Fault, World, config};

const HOUR: Duration = Duration::from_secs(3600);

fn current(world: &World) -> Option<SlotId> {
    world.record.as_ref().and_then(|record| record.current)
}

fn command(world: &mut World) {
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
}

/// A rotation whose candidate is registered and not proved yet.
fn verifying() -> World {
    let mut world = World::provisioned();
    command(&mut world);
    while world.machine.status().state != StateName::Verifying {
        world.step();
    }
    world
}

/// A device in its soak on slot 2, with slot 1 in reserve.
fn soaking() -> World {
    let mut world = World::provisioned();
    command(&mut world);
    while current(&world) != Some(SlotId(2)) {
        world.step();
    }
    world
}

#[test]
fn a_registered_candidate_that_does_not_read_at_a_start_is_tried_once_it_reads() {
    let mut world = verifying();
    world.unread.insert(SlotId(2));
    world.crash();
    world.pass(HOUR / 60);
    assert_eq!(world.count("MakeKey"), 1, "it is not made anew: {:?}", world.trace);
    world.unread.clear();
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
}

#[test]
fn a_candidate_that_did_not_read_at_the_start_is_what_is_left_when_the_committed_one_is_refused() {
    let mut world = verifying();
    world.unread.insert(SlotId(2));
    world.crash();
    world.unread.clear();
    world.revoke(SlotId(1));
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
    assert_eq!(world.count("MakeKey"), 1);
}

#[test]
fn a_candidate_that_never_reads_again_makes_room_for_another() {
    let mut world = verifying();
    world.unread.insert(SlotId(2));
    world.crash();
    world.pass(24 * HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "{:?}", world.trace);
    assert!(!world.slots.contains_key(&SlotId(2)), "it is given to destruction");
}

#[test]
fn a_key_that_the_disk_does_not_give_makes_room_for_another_even_for_a_compromise() {
    let mut world = World::provisioned();
    for _ in 0..9 {
        world.fault("MakeKey", Fault::Storage(StorageFault::Io));
    }
    world.give(Event::Compromised);
    world.pass(24 * HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "{:?}", world.trace);
}

#[test]
fn a_committed_slot_that_never_reads_again_gives_way_after_a_verdict_to_one_that_does() {
    let mut world = soaking();
    world.unread.insert(SlotId(2));
    world.crash();
    world.pass(HOUR / 10);
    assert_eq!(current(&world), Some(SlotId(2)), "a disk may come to its senses");
    world.pass(HOUR);
    let fell_back = Notice::FellBack { from: SlotId(2), to: SlotId(1) };
    assert!(world.notices.contains(&fell_back), "{:?}", world.trace);
    assert!(current(&world) > Some(SlotId(2)), "and from there it rotates: {:?}", world.trace);
}

#[test]
fn a_device_whose_only_slot_never_reads_again_recovers_by_claim_after_the_verdict() {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.settle();
    world.unread.insert(SlotId(1));
    world.revoked.insert(SlotId(1));
    world.crash();
    world.pass(HOUR / 7);
    assert_eq!((world.count("RegisterThing"), world.machine.status().alarms.len()), (1, 0));
    world.pass(2 * HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
}

#[test]
fn a_device_whose_only_slot_reads_again_is_back_without_a_recovery() {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.settle();
    world.unread.insert(SlotId(1));
    world.crash();
    world.pass(HOUR / 12);
    assert!(!world.machine.status().alarms.contains(&Alarm::NoIdentityAccepted));
    world.unread.clear();
    world.pass(HOUR);
    assert_eq!((current(&world), world.machine.status().state), (Some(SlotId(1)), StateName::Idle));
    assert_eq!(world.count("Preflight"), 1, "{:?}", world.trace);
    assert_eq!(world.machine.status().certificate, world.certificate_of(SlotId(1)), "and it is known again");
}
