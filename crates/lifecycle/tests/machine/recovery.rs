//! Recovery by claim: the last rung, rare by design.

use std::time::Duration;

use fleetkey_lifecycle::event::StorageFault;
use fleetkey_lifecycle::record::{Authority, Reason};
use fleetkey_lifecycle::status::StateName;
use fleetkey_lifecycle::{Event, Notice, SlotId};
use fleetkey_model::retirement::DeviceCommand;

use crate::world::{Fault, World, config};

const HOUR: Duration = Duration::from_secs(3600);

/// A device whose only identity was taken away.
fn lost() -> World {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.settle();
    world.trace.clear();
    world.revoke(SlotId(1));
    world
}

fn current(world: &World) -> Option<SlotId> {
    world.record.as_ref().and_then(|record| record.current)
}

#[test]
fn a_device_whose_identities_are_all_refused_recovers_by_claim_after_the_verdict() {
    let mut world = lost();
    world.pass(Duration::from_secs(590));
    assert_eq!(world.count("Preflight"), 0, "not before ten minutes are over");
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
    assert!(world.walked.contains(&(StateName::Ladder, StateName::Preflight)));
    assert!(world.record.as_ref().unwrap().recovery_at.is_some());
}

#[test]
fn a_recovery_that_is_refused_is_not_tried_again_for_a_day() {
    for rejection in [Fault::Rejected(403, "AccessDenied"), Fault::Rejected(404, "ResourceNotFound")] {
        let mut world = lost();
        for _ in 0..100 {
            world.fault("RegisterThing", rejection.clone());
        }
        world.pass(23 * HOUR);
        assert_eq!(world.count("RegisterThing"), 1);
        assert_eq!(current(&world), Some(SlotId(1)));
        assert!(world.slots.contains_key(&SlotId(1)), "what is refused is kept");
        world.pass(48 * HOUR);
        assert!((2..=3).contains(&world.count("RegisterThing")), "{}", world.count("RegisterThing"));
        world.faults.clear();
        world.pass(48 * HOUR);
        assert!(current(&world) > Some(SlotId(1)), "the window is open: {:?}", world.trace);
    }
}

#[test]
fn an_attempt_to_recover_counts_though_the_device_crashed_in_it() {
    let mut world = lost();
    world.fault("RegisterThing", Fault::Rejected(404, "ResourceNotFound"));
    while world.count("RequestCertificate") == 0 {
        if !world.step() {
            world.now = world.machine.next_deadline().unwrap();
            world.give(Event::Tick);
        }
    }
    let rotation = world.record.as_ref().and_then(|record| record.rotation.clone()).unwrap();
    assert_eq!((rotation.reason, rotation.authority), (Reason::Recovery, Authority::Recovery));
    world.crash();
    world.pass(12 * HOUR);
    assert_eq!(world.count("RegisterThing"), 1);
    world.pass(24 * HOUR);
    assert_eq!(world.count("RegisterThing"), 2);
    assert_eq!(current(&world), Some(SlotId(3)));
}

#[test]
fn a_rotation_that_hangs_on_a_refused_identity_makes_room() {
    let mut world = lost();
    world.crash();
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.settle();
    world.fault("RegisterThing", Fault::NoAnswer);
    world.give(Event::Compromised);
    while world.count("RequestCertificate") < 2 {
        world.step();
    }
    world.revoke(SlotId(1));
    world.pass(2 * HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "{:?}", world.trace);
}

#[test]
fn without_a_recovery_template_nothing_is_asked_by_claim() {
    let mut world = World::provisioned();
    world.revoke(SlotId(1));
    world.pass(72 * HOUR);
    assert_eq!(world.count("RequestCertificate"), 0);
    assert_eq!(world.machine.status().state, StateName::Ladder);
}

#[test]
fn a_recovery_ends_when_the_committed_identity_is_accepted_again() {
    let mut world = lost();
    for _ in 0..10_000 {
        world.fault("RequestCertificate", Fault::NoAnswer);
    }
    while world.count("RequestCertificate") == 0 {
        if !world.step() {
            world.now = world.machine.next_deadline().unwrap();
            world.give(Event::Tick);
        }
    }
    world.revoked.clear();
    world.give(Event::LinkUp { slot: SlotId(1) });
    world.pass(HOUR);
    assert_eq!(world.machine.status().state, StateName::Idle, "{:?}", world.machine.status().blocked);
    assert_eq!(current(&world), Some(SlotId(1)));
}

/// A new disk in an old device: the claim template refuses a thing that exists.
#[test]
fn a_device_whose_thing_exists_already_asks_for_recovery_once_a_day() {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    for _ in 0..1000 {
        world.fault("RegisterThing", Fault::Rejected(409, "ResourceConflict"));
    }
    let mut attempts = Vec::new();
    for _ in 0..20_000 {
        if !world.step() {
            world.now = world.machine.next_deadline().unwrap();
            world.give(Event::Tick);
        }
        if let Some(at) = world.record.as_ref().and_then(|record| record.recovery_at) {
            attempts.push(at);
        }
    }
    attempts.dedup();
    assert!(attempts.len() >= 3, "{attempts:?}");
    assert!(attempts.windows(2).all(|pair| pair[1].since(pair[0]) >= 24 * HOUR), "{attempts:?}");
    world.faults.clear();
    world.pass(48 * HOUR);
    assert!(current(&world).is_some());
}

#[test]
fn a_first_identity_that_was_revoked_gives_way_to_recovery_after_a_day() {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.revoked.insert(SlotId(1));
    world.pass(23 * HOUR);
    assert_eq!(world.count("RegisterThing"), 1);
    world.pass(4 * HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
}

/// A device that was registered and then lay in a box without a network was not refused there.
#[test]
fn a_day_of_refusals_counts_from_the_first_refusal_and_not_while_nobody_was_asked() {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.fault("Verify", Fault::Refused);
    for _ in 0..2000 {
        world.fault("Verify", Fault::Unreachable);
    }
    world.revoked.insert(SlotId(1));
    world.pass(60 * HOUR);
    world.faults.clear();
    world.pass(20 * HOUR);
    assert!(world.count("Verify") > 100, "{}", world.count("Verify"));
    assert_eq!(world.count("RegisterThing"), 1, "the only key is kept");
    world.revoked.clear();
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(1)), "{:?}", world.trace);
}

#[test]
fn a_first_identity_that_is_not_effective_yet_is_not_given_up_for_a_leap_of_the_clock() {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.revoked.insert(SlotId(1));
    world.pass(HOUR / 20);
    world.now = world.now + 24 * 365 * 73 * HOUR;
    world.give(Event::Tick);
    world.pass(HOUR / 20);
    assert!(world.count("Verify") > 3, "{:?}", world.trace);
    world.revoked.clear();
    world.pass(HOUR / 2);
    assert_eq!(current(&world), Some(SlotId(1)), "{:?}", world.trace);
}

#[test]
fn a_recovered_identity_that_is_refused_for_a_day_gives_way_to_another() {
    let mut world = lost();
    world.revoked.insert(SlotId(2));
    world.pass(23 * HOUR);
    assert_eq!(world.count("RegisterThing"), 1);
    assert_eq!(world.machine.status().state, StateName::Verifying);
    world.pass(5 * HOUR);
    assert_eq!(current(&world), Some(SlotId(3)), "{:?}", world.trace);
}

/// Each try leaves a slot behind; the oldest of them make room for the next.
#[test]
fn recovery_is_tried_for_as_long_as_it_takes() {
    let mut world = lost();
    for _ in 0..1000 {
        world.fault("RegisterThing", Fault::Rejected(403, "AccessDenied"));
    }
    world.pass(40 * 24 * HOUR);
    assert!(world.count("RegisterThing") >= 25, "{}", world.count("RegisterThing"));
    world.faults.clear();
    world.pass(48 * HOUR);
    assert!(current(&world) > Some(SlotId(1)), "{:?}", world.machine.status());
    assert!(world.slots.len() <= 2, "{:?}", world.slots.keys());
}

/// The claim is deactivated, as it should be when a batch is done.
#[test]
fn a_recovery_without_an_answer_does_not_keep_the_ladder_from_an_identity_that_is_given_back() {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.settle();
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    world.settle();
    assert_eq!((current(&world), world.machine.status().previous), (Some(SlotId(2)), Some(SlotId(1))));
    for _ in 0..100_000 {
        world.fault("RequestCertificate", Fault::NoAnswer);
    }
    world.revoked.insert(SlotId(1));
    world.revoke(SlotId(2));
    world.pass(10 * 24 * HOUR);
    world.revoked.remove(&SlotId(1));
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(1)), "{:?}", world.machine.status());
}

/// The claim refuses a thing that exists: a certificate that may be registered is the only one there will be.
#[test]
fn a_first_certificate_that_may_be_registered_is_not_given_up_for_a_servers_trouble() {
    for trouble in
        [Fault::NoAnswer, Fault::Rejected(500, "InternalError"), Fault::Rejected(503, "Unavailable")]
    {
        let mut world = World::new();
        world.fault("RegisterThing", trouble);
        world.fault("RegisterThing", Fault::Rejected(409, "ResourceConflict"));
        world.revoked.insert(SlotId(1));
        world.pass(3 * HOUR);
        assert_eq!(world.count("RequestCertificate"), 1, "{:?}", world.trace);
        world.registered.insert(world.certificate_of(SlotId(1)).unwrap());
        world.revoked.clear();
        world.pass(HOUR);
        assert_eq!(current(&world), Some(SlotId(1)), "{:?}", world.trace);
    }
}

/// A request that is delivered twice: the second answer is "exists already", and it is the one that is heard.
#[test]
fn a_first_certificate_is_tried_before_a_no_is_believed() {
    let mut world = World::new();
    world.fault("RegisterThing", Fault::Rejected(409, "ResourceConflict"));
    while world.count("RegisterThing") == 0 {
        world.step();
    }
    world.pass(HOUR / 12);
    let told =
        |notice: &Notice| matches!(notice, Notice::RegistrationRefused { why, .. } if why.contains("409"));
    assert!(world.notices.iter().any(told), "{:?}", world.notices);
    world.registered.insert(world.certificate_of(SlotId(1)).unwrap());
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(1)), "{:?}", world.trace);
    assert_eq!(world.count("RequestCertificate"), 1);
}

#[test]
fn refusals_under_a_clock_in_2099_do_not_hold_the_recovery_up() {
    let mut world = lost();
    let right = world.now;
    world.now = right + 24 * 365 * 73 * HOUR;
    world.give(Event::Tick);
    world.settle();
    world.now = right;
    world.give(Event::Tick);
    world.pass(HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
}

#[test]
fn a_candidate_that_is_accepted_is_not_given_up_because_the_disk_refuses_its_commit() {
    let mut config = config();
    config.has_recovery = true;
    let mut world = World::with(config);
    world.settle();
    world.trace.clear();
    world.fault("RegisterThing", Fault::AnswerLost);
    world.give(Event::Compromised);
    while world.count("RegisterThing") == 0 {
        world.step();
    }
    for _ in 0..60 {
        world.fault("Persist", Fault::Storage(StorageFault::Full));
    }
    world.revoke(SlotId(1));
    world.pass(12 * HOUR);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
    assert_eq!(world.record.as_ref().unwrap().recovery_at, None, "{:?} {:?}", world.trace, world.notices);
}
