//! Trouble that does not go away: it may hold up what it concerns, but never the device's identity.

use std::time::Duration;

use fleetkey_lifecycle::event::{Event, Offline, StorageFault};
use fleetkey_lifecycle::status::StateName;
use fleetkey_lifecycle::{Action, SlotFacts, SlotId};
use fleetkey_model::retirement::{DeviceCommand, RetireStatus};
use fleetkey_model::secret::PrivateKeyPem;

use crate::world::{Fault, World, config, exported, issue};

const HOUR: Duration = Duration::from_secs(3600);

fn command(world: &mut World) {
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
}

fn fails_for_ever(world: &mut World, action: &'static str) {
    for _ in 0..1000 {
        world.fault(action, Fault::Storage(StorageFault::Io));
    }
}

fn current(world: &World) -> Option<SlotId> {
    world.record.as_ref().and_then(|record| record.current)
}

#[test]
fn a_lost_record_that_cannot_be_written_back_is_no_new_device() {
    let mut config = config();
    config.schedule.age = 10_000 * HOUR;
    let mut world = World::with(config);
    world.settle();
    world.trace.clear();
    world.record = None;
    world.crash();
    fails_for_ever(&mut world, "Persist");
    world.pass(HOUR);
    assert_eq!(world.count("GoLive"), 1, "the identity in the slots serves");
    assert_eq!(world.count("MakeKey") + world.count("RequestCertificate"), 0, "{:?}", world.trace);
    world.faults.clear();
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(1)));
    assert_eq!(world.record.as_ref().unwrap().next_slot, 2);
}

#[test]
fn without_a_record_an_identity_that_was_never_exported_is_found_beside_a_newer_candidate() {
    let mut world = World::provisioned();
    world.slots.get_mut(&SlotId(1)).unwrap().has_token = true;
    command(&mut world);
    while world.count("StoreCertificate") == 0 {
        world.step();
    }
    world.record = None;
    world.crash();
    world.pass(HOUR / 60);
    assert_eq!(current(&world), Some(SlotId(1)), "{:?}", world.trace);
    world.pass(HOUR);
    assert_eq!((current(&world), world.count("MakeKey")), (Some(SlotId(2)), 1), "{:?}", world.trace);
}

#[test]
fn a_disk_that_fills_up_during_the_soak_is_asked_again_with_pauses() {
    let mut world = World::provisioned();
    command(&mut world);
    world.settle();
    assert_eq!(world.machine.status().state, StateName::Soak);
    fails_for_ever(&mut world, "Persist");
    world.pass(HOUR);
    assert!(world.count("Persist") < 60, "{} attempts in an hour", world.count("Persist"));
    world.faults.clear();
    world.pass(HOUR);
    assert_eq!(world.machine.status().state, StateName::Idle);
}

#[test]
fn neither_an_export_that_fails_nor_a_slot_that_cannot_be_destroyed_stops_rotation() {
    for action in ["Export", "DestroySlot"] {
        let mut world = World::provisioned();
        fails_for_ever(&mut world, action);
        for generation in 2..5 {
            command(&mut world);
            world.pass(HOUR);
            assert_eq!(current(&world), Some(SlotId(generation)), "{action}: {:?}", world.trace);
        }
        assert!(world.count(action) < 120, "{action}: {} attempts in three hours", world.count(action));
        world.faults.clear();
        world.pass(HOUR);
        assert!(world.machine.status().exported);
        assert_eq!(world.slots.len(), 1, "{action}: the old slots are gone in the end");
    }
}

#[test]
fn a_certificate_that_ends_is_renewed_though_the_last_retirement_is_frozen() {
    for wish in [false, true] {
        let mut config = config();
        config.schedule.age = Duration::from_secs(24 * 3600);
        config.schedule.jitter = Duration::ZERO;
        config.schedule.expiry_margin = Duration::from_secs(48 * 3600);
        let mut world = World::with(config);
        world.settle();
        command(&mut world);
        world.retire_answers = vec![RetireStatus::Frozen; 100_000];
        world.settle();
        world.pass(HOUR);
        assert_eq!(current(&world), Some(SlotId(2)));
        if wish {
            command(&mut world);
            world.settle();
        }
        let facts = world.slots.get(&SlotId(2)).and_then(|slot| slot.certificate.clone()).unwrap();
        // The device comes back two days before the end, and the thing is still frozen.
        world.now = facts.not_after - Duration::from_secs(47 * 3600);
        world.give(Event::Tick);
        world.settle();
        assert_eq!(current(&world), Some(SlotId(3)), "wish: {wish}: {:?}", world.machine.status().blocked);
    }
}

#[test]
fn a_rotation_that_failed_or_was_taken_back_is_tried_again_before_the_certificate_ends() {
    let end = |world: &World, slot| {
        let facts = world.slots.get(&SlotId(slot)).and_then(|slot| slot.certificate.clone());
        facts.unwrap().not_after
    };
    let mut given_back = World::provisioned();
    given_back.now = end(&given_back, 1) - Duration::from_secs(16 * 3600);
    given_back.give(Event::Offline(Offline::Stage));
    given_back.settle();
    given_back.give(Event::Offline(Offline::Rollback));
    let mut failed = World::provisioned();
    failed.now = end(&failed, 1) - Duration::from_secs(16 * 3600);
    for _ in 0..8 {
        failed.fault("RegisterThing", Fault::Rejected(409, "ResourceConflict"));
    }
    failed.give(Event::Tick);
    for world in [&mut given_back, &mut failed] {
        world.pass(Duration::from_secs(15 * 3600));
        assert!(current(world) > Some(SlotId(1)), "{:?}", world.machine.status());
    }
}

#[test]
fn the_end_of_a_certificate_is_a_deadline_while_a_retirement_is_out() {
    let mut world = World::provisioned();
    command(&mut world);
    world.retire_answers = vec![RetireStatus::Pending; 1000];
    world.pass(HOUR);
    world.give(Event::LinkDown);
    world.pass(HOUR);
    let facts = world.slots.get(&SlotId(2)).and_then(|slot| slot.certificate.clone()).unwrap();
    let deadline = world.machine.next_deadline().unwrap();
    assert!(deadline < facts.not_after, "{deadline:?}");
}

#[test]
fn a_first_identity_is_not_given_up_for_a_bad_connection() {
    let mut world = World::new();
    for _ in 0..20 {
        world.fault("Verify", Fault::Refused);
    }
    world.pass(6 * HOUR);
    assert_eq!(current(&world), Some(SlotId(1)));
    assert_eq!(world.count("RegisterThing"), 1);
}

/// The claim template refuses an existing thing, and the thing exists because the first request was carried out.
#[test]
fn a_refusal_after_a_lost_answer_does_not_destroy_what_was_registered() {
    let mut world = World::new();
    world.fault("RegisterThing", Fault::AnswerLost);
    world.fault("RegisterThing", Fault::Rejected(409, "ResourceConflict"));
    // Not effective yet when it is probed.
    world.fault("Verify", Fault::Refused);
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(1)), "{:?}", world.trace);
}

/// The service's key was stored, and power failed before the record said so: the next answer brings another key.
#[test]
fn a_key_made_by_the_service_is_taken_again_after_a_crash() {
    let mut world = World::provisioned();
    command(&mut world);
    while world.count("RequestCertificate") == 0 {
        world.step();
    }
    let other = issue(SlotId(2000));
    let found = world.slots.get_mut(&SlotId(2)).unwrap();
    *found = SlotFacts { public_key: Some(b"the key of the first answer".to_vec()), ..found.clone() };
    world.crash();
    world.give(Event::LinkUp { slot: SlotId(1) });
    while !matches!(world.machine.poll(), Some(Action::RequestCertificate { .. })) {
        world.give(Event::Live { slot: SlotId(1) });
        world.give(exported(SlotId(1)));
    }
    let mut issued = other;
    issued.private_key = Some(PrivateKeyPem::new("key"));
    world.give(Event::Issued { slot: SlotId(2), issued });
    assert!(matches!(world.machine.poll(), Some(Action::StoreCertificate { .. })));
}

#[test]
fn a_compromised_key_is_replaced_though_the_first_attempts_are_given_up() {
    for during_another in [false, true] {
        let mut world = World::provisioned();
        world.fault("RegisterThing", Fault::Rejected(400, "InvalidParameters"));
        world.fault("RegisterThing", Fault::Rejected(400, "InvalidParameters"));
        if during_another {
            command(&mut world);
            world.step();
        }
        world.give(Event::Compromised);
        world.settle();
        assert_eq!(current(&world), Some(SlotId(1)), "both attempts at once: {:?}", world.trace);
        world.pass(24 * HOUR);
        assert_eq!(current(&world), Some(SlotId(4)), "{:?}", world.trace);
        world.pass(240 * HOUR);
        assert_eq!(current(&world), Some(SlotId(4)), "once it is replaced nothing follows");
    }
}
