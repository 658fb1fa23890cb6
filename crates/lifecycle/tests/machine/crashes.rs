//! A crash after every action, and a write that fails at every action: the device keeps an identity and arrives.

use std::time::Duration;

use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::event::{Event, StorageFault};
use fleetkey_lifecycle::status::StateName;
use fleetkey_model::retirement::DeviceCommand;

use crate::world::{Fault, World};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// From "rotation due" to "retired", crashing once after `k` actions; the number of actions it took.
fn rotate_with_crash_after(k: Option<usize>) -> usize {
    let mut world = World::provisioned();
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    let (mut actions, mut crashed) = (0, k.is_none());
    for _ in 0..400 {
        if k == Some(actions) && !crashed {
            crashed = true;
            world.crash();
            if world.record.as_ref().unwrap().next_slot == 2 {
                // The wish is not durable before the first record; asking again is the asker's part.
                world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
            }
        }
        if world.step() {
            actions += 1;
        } else if let Some(at) = world.machine.next_deadline() {
            world.now = at;
            world.give(Event::Tick);
        }
        let record = world.record.as_ref().unwrap();
        if crashed && record.current >= Some(SlotId(2)) && record.aftermath.is_none() {
            break;
        }
    }
    world.settle();
    let record = world.record.as_ref().unwrap();
    assert!(record.current >= Some(SlotId(2)), "k={k:?}: {:?}", world.trace);
    assert_eq!(world.machine.status().state, StateName::Idle, "k={k:?}: {:?}", world.trace);
    assert!(world.accepts(record.current.unwrap()), "k={k:?}");
    actions
}

#[test]
fn a_crash_after_any_action_loses_nothing() {
    let actions = rotate_with_crash_after(None);
    assert!(actions >= 14, "a rotation has {actions} actions");
    for k in 0..actions {
        rotate_with_crash_after(Some(k));
    }
}

#[test]
fn a_crash_at_any_point_of_the_first_provisioning_ends_provisioned() {
    for k in 0..13 {
        let mut world = World::new();
        for _ in 0..k {
            world.step();
        }
        world.crash();
        world.pass(DAY / 12);
        assert_eq!(world.machine.status().state, StateName::Idle, "k={k:?}: {:?}", world.trace);
        assert!(world.count("RegisterThing") <= 2, "k={k}");
    }
}

#[test]
fn a_write_that_fails_anywhere_only_delays() {
    for action in ["Persist", "MakeKey", "StoreCertificate", "Export", "DestroySlot"] {
        for ordinal in 0..6 {
            let mut world = World::provisioned();
            // The first `ordinal` writes of the kind succeed: they are run before the fault is armed.
            world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
            while world.count(action) < ordinal && world.step() {}
            world.fault(action, Fault::Storage(StorageFault::Full));
            world.pass(DAY);
            let current = world.record.as_ref().unwrap().current;
            assert_eq!(current, Some(SlotId(2)), "{action} {ordinal}: {:?}", world.trace);
            assert_eq!(world.machine.status().state, StateName::Idle, "{action} {ordinal}");
        }
    }
}

#[test]
fn a_certificate_that_does_not_fit_is_kept_in_hand_and_not_asked_for_again() {
    let mut world = World::provisioned();
    for _ in 0..12 {
        world.fault("StoreCertificate", Fault::Storage(StorageFault::Full));
    }
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    world.pass(DAY / 24);
    assert!(world.count("StoreCertificate") > 12, "{:?}", world.trace);
    assert_eq!(world.count("RequestCertificate"), 1);
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
}

#[test]
fn nothing_is_asked_of_the_cloud_while_the_disk_takes_no_writes() {
    let mut world = World::provisioned();
    for _ in 0..1000 {
        world.fault("Persist", Fault::Storage(StorageFault::ReadOnly));
    }
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    world.pass(DAY / 24);
    assert_eq!(world.count("RequestCertificate") + world.count("RegisterThing"), 0);
    assert!(world.accepts(SlotId(1)));
    assert!(world.machine.status().blocked.unwrap().contains("cannot be written"));
}

#[test]
fn a_lost_record_is_rebuilt_from_the_slots() {
    let mut world = World::provisioned();
    world.record = None;
    world.crash();
    assert!(world.step(), "the rebuilt record is made durable first");
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(1)));
    world.step();
    assert_eq!(world.trace.last().map(String::as_str), Some("GoLive"));
}

#[test]
fn a_record_that_claims_more_than_its_slot_holds_goes_back_to_the_same_key() {
    let mut world = World::provisioned();
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    while world.count("RegisterThing") == 0 {
        world.step();
    }
    world.slots.get_mut(&SlotId(2)).unwrap().certificate = None;
    world.crash();
    world.pass(DAY);
    assert_eq!(world.count("MakeKey"), 1);
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
}
