//! What counts as a refusal, and what does not.

use std::time::Duration;

use fleetkey_lifecycle::event::Event;
use fleetkey_lifecycle::{Notice, SlotId};
use fleetkey_model::retirement::DeviceCommand;

use crate::world::{Fault, World, issue};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn rotate(world: &mut World) {
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    world.settle();
}

fn abandoned(world: &World) -> bool {
    world.notices.iter().any(|notice| matches!(notice, Notice::Abandoned { .. } | Notice::RolledBack { .. }))
}

/// One step, or on to the next moment. Every other verification is the control, which passes.
fn refuse_only_the_candidate(world: &mut World) {
    if abandoned(world) {
        return;
    }
    if !world.step() {
        world.now = world.machine.next_deadline().unwrap();
        world.give(Event::Tick);
    }
    let is_candidates = world.count("Verify").is_multiple_of(2);
    let queue = world.faults.get_mut("Verify").unwrap();
    if queue.is_empty() && is_candidates {
        queue.push(Fault::Refused);
    }
}

#[test]
fn a_candidate_that_is_refused_while_the_old_one_passes_is_rolled_back() {
    let mut world = World::provisioned();
    world.fault("Verify", Fault::Refused);
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    for _ in 0..200 {
        refuse_only_the_candidate(&mut world);
    }
    assert!(abandoned(&world), "{:?}", world.trace);
    world.faults.clear();
    world.settle();
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(1)));
    assert_eq!(world.count("GoLive"), 0, "the live session was never touched");
    assert!(!world.slots.contains_key(&SlotId(2)), "the candidate is destroyed");
}

#[test]
fn a_clock_that_leaps_does_not_condemn_a_candidate_that_is_not_effective_yet() {
    let mut world = World::provisioned();
    world.fault("Verify", Fault::Refused);
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    while world.count("Verify") < 8 {
        refuse_only_the_candidate(&mut world);
    }
    world.now = world.now + DAY;
    world.give(Event::Tick);
    while world.count("Verify") < 12 {
        refuse_only_the_candidate(&mut world);
        assert!(!abandoned(&world), "{:?}", world.trace);
    }
    world.faults.clear();
    world.settle();
    world.pass(DAY);
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
}

#[test]
fn when_both_identities_are_refused_nothing_is_given_up() {
    let mut world = World::provisioned();
    for _ in 0..40 {
        world.fault("Verify", Fault::Refused);
    }
    rotate(&mut world);
    world.pass(Duration::from_secs(3000));
    assert!(!abandoned(&world));
    world.faults.clear();
    world.pass(DAY);
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
}

#[test]
fn no_answer_throttling_and_a_403_are_never_refusals() {
    let mut world = World::provisioned();
    for fault in [
        Fault::NoAnswer,
        Fault::Rejected(429, "Throttled"),
        Fault::Rejected(403, "AccessDenied"),
        Fault::Rejected(500, "InternalError"),
    ] {
        world.fault("RequestCertificate", fault.clone());
        world.fault("RegisterThing", fault);
    }
    world.fault("Verify", Fault::Unreachable);
    rotate(&mut world);
    world.pass(DAY);
    assert!(!abandoned(&world));
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
    assert_eq!(world.count("MakeKey"), 1, "the same key and CSR all along");
}

#[test]
fn a_request_that_is_wrong_for_good_is_given_up_and_tried_anew_later() {
    let mut world = World::provisioned();
    world.fault("RegisterThing", Fault::Rejected(409, "ResourceConflict"));
    rotate(&mut world);
    assert!(abandoned(&world));
    assert!(world.accepts(SlotId(1)));
    assert_eq!(world.record.as_ref().unwrap().failures, 1);
    rotate(&mut world);
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(3)), "a number is never used twice");
}

#[test]
fn a_registration_whose_answer_was_lost_is_found_out_by_a_probe() {
    let mut world = World::provisioned();
    world.fault("RegisterThing", Fault::AnswerLost);
    rotate(&mut world);
    world.pass(DAY / 24);
    assert_eq!(world.count("RegisterThing"), 1, "it is not asked for twice");
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
}

#[test]
fn a_spent_token_leads_back_to_the_same_key() {
    let mut world = World::provisioned();
    for _ in 0..200 {
        world.fault("RegisterThing", Fault::Rejected(429, "Throttled"));
    }
    rotate(&mut world);
    world.pass(Duration::from_secs(2 * 3600));
    world.faults.clear();
    world.pass(DAY);
    assert!(world.count("RequestCertificate") >= 2);
    assert_eq!(world.count("MakeKey"), 1);
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
}

#[test]
fn a_certificate_for_another_key_is_no_answer() {
    let mut world = World::provisioned();
    world.fault("RequestCertificate", Fault::ForeignCertificate);
    rotate(&mut world);
    assert_eq!(world.count("StoreCertificate"), 0);
    world.pass(Duration::from_secs(600));
    assert_eq!(world.record.as_ref().unwrap().current, Some(SlotId(2)));
}

#[test]
fn an_outcome_that_nothing_awaits_changes_nothing() {
    let mut world = World::provisioned();
    let before = world.machine.status();
    world.give(Event::Issued { slot: SlotId(9), issued: issue(SlotId(9)) });
    world.give(Event::Persisted);
    world.give(Event::Verified { slot: SlotId(9) });
    assert_eq!(world.machine.status(), before);
    assert!(world.machine.poll().is_none());
}
