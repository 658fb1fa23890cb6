//! What does not fit: slots that hold less than the record says, answers to other questions, a list that is full.

use std::time::Duration;

use fleetkey_lifecycle::event::{Event, StorageFault};
use fleetkey_lifecycle::record::Phase;
use fleetkey_lifecycle::{Action, Notice, SlotFacts, SlotId};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::retirement::{ControllerAnswer, DeviceCommand, RequestOp, RetireStatus};

use crate::world::{Fault, World, exported, name_of};

const DAY: Duration = Duration::from_secs(24 * 3600);
const CANDIDATE: SlotId = SlotId(2);

fn ask(world: &mut World) {
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
}

fn current(world: &World) -> Option<SlotId> {
    world.record.as_ref().unwrap().current
}

/// A rotation that has durably come this far.
fn rotating(reached: fn(&Phase) -> bool) -> World {
    let mut world = World::provisioned();
    ask(&mut world);
    while !world.record.as_ref().unwrap().rotation.as_ref().is_some_and(|rotation| reached(&rotation.phase)) {
        assert!(world.step(), "{:?}", world.trace);
    }
    world.trace.clear();
    world
}

/// Steps until the machine wants this action, which is then running.
fn until(world: &mut World, name: &str) -> Action {
    for _ in 0..200 {
        match world.machine.poll() {
            Some(action) if name_of(&action) == name => return action,
            Some(action) => {
                let outcome = world.run(action);
                world.give(outcome);
            }
            None => {
                world.now = world.machine.next_deadline().unwrap();
                world.give(Event::Tick);
            }
        }
    }
    panic!("no {name}: {:?}", world.trace);
}

/// The slot has lost something; after a start the rotation goes on with this action and arrives.
fn mends(mut world: World, lose: impl FnOnce(&mut World), first: &str) {
    lose(&mut world);
    world.crash();
    world.trace.clear();
    world.settle();
    let of_the_rotation = |name: &&String| !["Persist", "Export", "GoLive"].contains(&name.as_str());
    assert_eq!(
        world.trace.iter().find(of_the_rotation).map(String::as_str),
        Some(first),
        "{:?}",
        world.trace
    );
    world.pass(DAY);
    assert_eq!(current(&world), Some(CANDIDATE), "{:?}", world.trace);
    assert!(world.accepts(CANDIDATE));
}

fn without_key(world: &mut World) {
    world.slots.insert(CANDIDATE, SlotFacts::empty(CANDIDATE));
}

fn without_certificate(world: &mut World) {
    world.slots.get_mut(&CANDIDATE).unwrap().certificate = None;
}

#[test]
fn a_slot_that_holds_less_than_the_record_says_is_filled_again() {
    mends(rotating(|phase| matches!(phase, Phase::KeyReady)), without_key, "MakeKey");
    mends(rotating(|phase| matches!(phase, Phase::Requested)), without_key, "MakeKey");
    mends(rotating(|phase| matches!(phase, Phase::CertStored { .. })), without_key, "MakeKey");
    let stored = || rotating(|phase| matches!(phase, Phase::CertStored { .. }));
    mends(stored(), without_certificate, "RequestCertificate");
}

#[test]
fn a_key_that_was_made_before_the_record_said_so_is_kept() {
    let mut world = rotating(|phase| matches!(phase, Phase::MakingKey));
    assert!(world.step());
    let key = world.slots[&CANDIDATE].public_key.clone();
    assert!(key.is_some());
    mends(world, |_| {}, "RequestCertificate");
}

#[test]
fn what_is_no_certificate_is_no_answer() {
    let mut world = World::provisioned();
    world.fault("RequestCertificate", Fault::NoCertificate);
    ask(&mut world);
    world.settle();
    assert_eq!((world.count("RequestCertificate"), world.count("StoreCertificate")), (1, 0));
    world.pass(DAY);
    assert_eq!(
        (world.count("MakeKey"), current(&world)),
        (1, Some(CANDIDATE)),
        "the same key is asked for again"
    );
}

#[test]
fn a_template_that_registers_another_thing_ends_the_rotation() {
    let mut world = World::provisioned();
    world.fault("RegisterThing", Fault::OtherThing);
    ask(&mut world);
    world.settle();
    let why = world.notices.iter().find_map(|notice| match notice {
        Notice::Abandoned { why, .. } => Some(why.as_str()),
        _ => None,
    });
    assert!(why.is_some_and(|why| why.contains("registered another")), "{:?}", world.notices);
    assert_eq!(current(&world), Some(SlotId(1)));
}

#[test]
fn a_retirement_that_could_not_be_asked_for_is_asked_for_again() {
    let mut world = World::provisioned();
    world.fault("RequestRetire", Fault::NoAnswer);
    world.fault("RequestRetire", Fault::NoAnswer);
    ask(&mut world);
    world.pass(DAY);
    assert_eq!(world.count("RequestRetire"), 3);
    assert_eq!(world.count("DestroySlot"), 1);
}

#[test]
fn an_answer_to_another_request_retires_nothing() {
    let mut world = World::provisioned();
    ask(&mut world);
    until(&mut world, "RequestRetire");
    let id = "of another rotation".to_owned();
    let status = RetireStatus::Retired;
    world.give(Event::RetireAnswered(answer_of(id, status, None)));
    assert_eq!(world.machine.record().previous, Some(SlotId(1)));
    assert!(!world.notices.iter().any(|notice| matches!(notice, Notice::Retired { .. })));
    world.pass(DAY);
    assert!(!world.slots.contains_key(&SlotId(1)), "its own answer does");
}

#[test]
fn an_answer_to_whoever_asked_on_the_certificate_before_retires_nothing() {
    let mut world = World::provisioned();
    ask(&mut world);
    until(&mut world, "RequestRetire");
    let (before, current) = (world.certificate_of(SlotId(1)), world.certificate_of(SlotId(2)));
    let id = world.machine.record().aftermath.as_ref().unwrap().id.clone();
    world.give(Event::RetireAnswered(answer_of(id.clone(), RetireStatus::Retired, before)));
    assert_eq!(world.machine.record().previous, Some(SlotId(1)));
    assert_eq!(world.machine.status().state, fleetkey_lifecycle::status::StateName::Retiring);
    assert!(matches!(world.notices.last(), Some(Notice::Waiting { .. })), "and it says why it waits");
    assert_eq!(world.machine.poll(), None, "it asks again in a while");
    world.give(Event::RetireAnswered(answer_of(id, RetireStatus::Retired, current)));
    world.settle();
    assert!(!world.slots.contains_key(&SlotId(1)), "the word of the one in use retires it");
}

fn answer_of(id: String, status: RetireStatus, witness: Option<CertificateId>) -> ControllerAnswer {
    ControllerAnswer { op: RequestOp::Retire, id, status, witness, retired: Vec::new(), message: None }
}

#[test]
fn one_action_runs_at_a_time_and_only_its_own_outcome_ends_it() {
    let mut world = World::provisioned();
    ask(&mut world);
    let action = until(&mut world, "GoLive");
    assert_eq!((world.machine.poll(), world.machine.next_deadline()), (None, None));
    world.give(Event::Live { slot: SlotId(77) });
    world.give(exported(SlotId(77)));
    assert_eq!(world.machine.poll(), None, "neither is its outcome");
    let outcome = world.run(action);
    world.give(outcome);
    world.settle();
    assert_eq!(world.machine.status().state, fleetkey_lifecycle::status::StateName::Soak);
}

#[test]
fn what_the_machine_was_told_can_be_looked_up() {
    let world = World::provisioned();
    assert_eq!(Some(world.machine.record()), world.record.as_ref());
    assert!(world.machine.slot(SlotId(1)).is_some_and(SlotFacts::is_complete));
    assert_eq!(world.machine.slot(CANDIDATE), None);
    assert_eq!(world.machine.config(), &crate::world::config());
}

#[test]
fn a_device_that_can_destroy_nothing_stops_rotating_before_its_record_is_full() {
    let mut world = World::provisioned();
    world.faults.insert("DestroySlot", vec![Fault::Storage(StorageFault::Io); 100_000]);
    let mut rotations = 0;
    while rotations < 40 {
        let before = current(&world);
        ask(&mut world);
        world.pass(DAY);
        if current(&world) == before {
            break;
        }
        rotations += 1;
    }
    let doomed = world.record.as_ref().unwrap().doomed.len();
    assert!((10..=16).contains(&doomed) && rotations < 40, "{doomed} doomed after {rotations} rotations");
    assert!(world.accepts(current(&world).unwrap()));
    world.faults.clear();
    world.pass(DAY * 2);
    assert_eq!(world.record.as_ref().unwrap().doomed, []);
    let before = current(&world);
    ask(&mut world);
    world.pass(DAY);
    assert!(current(&world) > before, "it rotates again");
}
