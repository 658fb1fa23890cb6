//! A rotation in steps that an operator orders, days apart: what each waits for, what it changes, and the way back.

use std::time::Duration;

use fleetkey_lifecycle::event::{Event, Offline, StorageFault};
use fleetkey_lifecycle::machine::Standing;
use fleetkey_lifecycle::record::Met;
use fleetkey_lifecycle::status::StateName;
use fleetkey_lifecycle::{Notice, SlotId};
use fleetkey_model::retirement::{DeviceCommand, RetireStatus};

use crate::world::{Fault, World, config};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

const ONE: SlotId = SlotId(1);
const TWO: SlotId = SlotId(2);

fn order(world: &mut World, order: Offline) {
    assert_eq!(world.machine.weigh(order), Ok(Standing::Open), "{order:?}");
    world.give(Event::Offline(order));
    world.settle();
    assert!(world.machine.wishes_are_durable());
}

fn state(world: &World) -> StateName {
    world.machine.status().state
}

fn current(world: &World) -> Option<SlotId> {
    world.record.as_ref().and_then(|record| record.current)
}

fn staged() -> World {
    let mut world = World::provisioned();
    order(&mut world, Offline::Stage);
    assert_eq!(state(&world), StateName::Staged);
    world
}

fn switched() -> World {
    let mut world = staged();
    order(&mut world, Offline::Switch);
    assert_eq!(state(&world), StateName::Soak);
    world
}

#[test]
fn what_is_staged_has_proved_itself_and_waits_for_the_switch_whatever_is_due() {
    let mut world = staged();
    assert_eq!((current(&world), world.count("Verify")), (Some(ONE), 1));
    assert!(world.machine.status().staged.unwrap().verified.is_some());
    world.give(Event::Command(DeviceCommand::Rotate { id: "c1".into() }));
    world.pass(60 * DAY);
    assert_eq!((state(&world), current(&world), world.count("MakeKey")), (StateName::Staged, Some(ONE), 1));
    order(&mut world, Offline::Switch);
    assert_eq!((current(&world), world.count("Verify")), (Some(TWO), 2), "it is tried once more");
    assert_eq!(world.machine.status().met, Some(Met { order: Offline::Switch, slot: TWO }));
    world.pass(HOUR);
    assert_eq!(state(&world), StateName::Idle);
    assert_eq!(world.count("MakeKey"), 1, "the commit has met the age and the command");
}

#[test]
fn each_order_again_changes_nothing() {
    let mut world = staged();
    for (again, after) in [
        (Offline::Stage, StateName::Staged),
        (Offline::Switch, StateName::Soak),
        (Offline::Retire, StateName::Idle),
        (Offline::Retire, StateName::Idle),
    ] {
        if world.machine.weigh(again) == Ok(Standing::Open) {
            order(&mut world, again);
        }
        let before = world.trace.len();
        assert_eq!(world.machine.weigh(again), Ok(Standing::Noted), "{again:?}");
        world.give(Event::Offline(again));
        world.settle();
        assert_eq!((state(&world), world.trace.len()), (after, before), "{again:?}");
    }
    assert_eq!(world.machine.weigh(Offline::Switch), Ok(Standing::Noted), "it was carried out");
}

#[test]
fn orders_that_make_no_sense_are_passed_over_with_a_reason() {
    let mut unprovisioned = config();
    unprovisioned.has_claim = false;
    let nobody = World::with(unprovisioned);
    assert!(nobody.machine.weigh(Offline::Stage).unwrap_err().contains("no identity"));
    let mut world = World::provisioned();
    assert!(world.machine.weigh(Offline::Switch).unwrap_err().contains("nothing is staged"));
    assert!(world.machine.weigh(Offline::Rollback).unwrap_err().contains("nothing to go back"));
    assert_eq!(world.machine.weigh(Offline::Retire), Ok(Standing::Noted), "nothing older is left");
    for order in [Offline::Switch, Offline::Rollback] {
        world.give(Event::Offline(order));
        world.settle();
    }
    assert!(world.trace.is_empty(), "{:?}", world.trace);
    let mut early = World::provisioned();
    early.fault("RequestCertificate", Fault::NoAnswer);
    order(&mut early, Offline::Stage);
    assert!(early.machine.weigh(Offline::Switch).unwrap_err().contains("not ready"));
    assert!(early.machine.weigh(Offline::Retire).unwrap_err().contains("the switch comes first"));
}

#[test]
fn to_retire_ends_the_soak_but_only_the_session_on_the_new_identity_asks() {
    let mut settings = config();
    settings.soak = 24 * HOUR;
    let mut world = World::with(settings);
    world.settle();
    order(&mut world, Offline::Stage);
    order(&mut world, Offline::Switch);
    world.give(Event::LinkDown);
    order(&mut world, Offline::Retire);
    assert_eq!((state(&world), world.count("RequestRetire")), (StateName::Soak, 0));
    world.give(Event::LinkUp { slot: TWO });
    world.settle();
    assert_eq!((world.count("RequestRetire"), state(&world)), (1, StateName::Idle));
    assert!(!world.accepts(ONE) && !world.slots.contains_key(&ONE));
}

#[test]
fn the_way_back_leads_to_an_identity_that_passes_now_and_what_was_left_goes_with_the_next() {
    let mut world = switched();
    let verified = world.count("Verify");
    order(&mut world, Offline::Rollback);
    assert_eq!((current(&world), world.count("Verify")), (Some(ONE), verified + 1));
    assert!(world.notices.contains(&Notice::WentBack { from: TWO, to: ONE }));
    assert_eq!(world.machine.weigh(Offline::Rollback), Ok(Standing::Noted));
    assert!(world.machine.weigh(Offline::Retire).unwrap_err().contains("went back"));
    world.pass(20 * HOUR);
    assert_eq!((current(&world), world.count("MakeKey")), (Some(ONE), 1), "time waits for a day");
    assert!(world.accepts(TWO), "nobody was asked to retire it");
    order(&mut world, Offline::Stage);
    order(&mut world, Offline::Switch);
    order(&mut world, Offline::Retire);
    assert_eq!((current(&world), state(&world)), (Some(SlotId(3)), StateName::Idle));
    assert!(!world.accepts(ONE) && !world.accepts(TWO));
    assert_eq!(world.slots.len(), 1);
}

#[test]
fn there_is_no_way_back_to_what_was_asked_to_be_retired_or_is_refused() {
    let mut asked = switched();
    asked.retire_answers = vec![RetireStatus::Pending];
    order(&mut asked, Offline::Retire);
    assert_eq!(state(&asked), StateName::Retiring);
    assert!(asked.machine.weigh(Offline::Rollback).unwrap_err().contains("no way back"));
    let mut refused = switched();
    refused.revoked.insert(ONE);
    order(&mut refused, Offline::Rollback);
    assert_eq!((current(&refused), refused.machine.status().going_back), (Some(TWO), false));
    assert!(refused.notices.iter().any(|notice| matches!(notice, Notice::CannotGoBack { to: ONE, .. })));
    let mut known = switched();
    known.machine.handle(known.now, Event::Compromised);
    assert!(known.machine.weigh(Offline::Rollback).unwrap_err().contains("known to others"));
}

#[test]
fn on_the_way_back_nobody_is_asked_to_retire_and_a_network_that_is_down_ends_nothing() {
    let mut world = switched();
    for _ in 0..200 {
        world.fault("Verify", Fault::Unreachable);
    }
    world.give(Event::Offline(Offline::Rollback));
    world.pass(2 * HOUR);
    assert_eq!((state(&world), world.count("RequestRetire")), (StateName::Soak, 0));
    assert!(world.machine.weigh(Offline::Retire).unwrap_err().contains("way back"));
    world.faults.clear();
    world.pass(HOUR);
    assert_eq!(current(&world), Some(ONE));
}

#[test]
fn what_is_staged_can_be_given_up_at_any_time_and_leaves_nothing_on_the_disk() {
    for action in ["MakeKey", "RequestCertificate", "StoreCertificate", "RegisterThing", "Verify", "none"] {
        let mut world = World::provisioned();
        let fault = match action {
            "MakeKey" | "StoreCertificate" => Fault::Storage(StorageFault::Full),
            "Verify" => Fault::Unreachable,
            _ => Fault::NoAnswer,
        };
        world.fault(action, fault);
        world.give(Event::Offline(Offline::Stage));
        world.settle();
        world.give(Event::Offline(Offline::Rollback));
        world.pass(20 * HOUR);
        assert_eq!((current(&world), world.slots.len()), (Some(ONE), 1), "{action}: {:?}", world.trace);
        assert_eq!((world.count("MakeKey"), world.machine.status().failures), (1, 0), "{action}");
    }
}

#[test]
fn what_is_staged_and_given_up_stays_on_the_disk_while_nobody_knows_that_the_other_serves() {
    let (mut off_line, mut refused) = (staged(), staged());
    off_line.fault("GoLive", Fault::Unreachable);
    off_line.give(Event::LinkDown);
    refused.revoke(ONE);
    for (world, what) in [(&mut off_line, "off line"), (&mut refused, "in doubt")] {
        world.give(Event::Offline(Offline::Rollback));
        while world.record.as_ref().is_some_and(|record| record.rotation.is_some()) {
            assert!(world.step(), "{what}: the order is carried out");
        }
        let record = world.record.as_ref().unwrap();
        assert_eq!((&record.doomed[..], world.slots.contains_key(&TWO)), (&[][..], true), "{what}");
    }
    refused.pass(HOUR);
    let back = Notice::FellBack { from: ONE, to: TWO };
    assert!(refused.notices.contains(&back), "it brings the device back: {:?}", refused.notices);
}

#[test]
fn a_key_that_others_know_waits_for_no_switch() {
    let mut world = staged();
    world.give(Event::Compromised);
    world.settle();
    assert!(
        current(&world) > Some(TWO),
        "whoever saw the key may have seen the candidate's: {:?}",
        world.trace
    );
    assert!(world.machine.weigh(Offline::Rollback).is_err());
}

#[test]
fn what_is_staged_serves_when_the_identity_in_use_is_refused() {
    let mut world = staged();
    world.revoke(ONE);
    world.pass(HOUR);
    assert_eq!(current(&world), Some(TWO));
}

#[test]
fn for_a_hiccup_of_the_broker_what_is_staged_is_not_committed() {
    let mut world = staged();
    world.trace.clear();
    world.fault("Verify", Fault::Refused);
    world.give(Event::LinkRefused { slot: ONE, why: "a hiccup".into() });
    world.pass(HOUR);
    assert_eq!(world.count("Verify"), 2, "refused, and then accepted after all");
    assert_eq!((state(&world), current(&world)), (StateName::Staged, Some(ONE)));
}

#[test]
fn where_a_proof_takes_the_session_over_it_waits_for_the_switch() {
    let mut settings = config();
    settings.stage_unverified = true;
    let mut world = World::with(settings);
    world.settle();
    let before = world.count("Verify");
    order(&mut world, Offline::Stage);
    assert_eq!((state(&world), world.count("Verify")), (StateName::Staged, before));
    assert_eq!(world.machine.status().staged.unwrap().verified, None);
    order(&mut world, Offline::Switch);
    assert_eq!((current(&world), world.count("Verify")), (Some(TWO), before + 1));
}

#[test]
fn a_switch_to_what_is_refused_by_now_rolls_back_and_the_old_identity_serves_on() {
    let mut world = staged();
    world.revoked.insert(TWO);
    world.give(Event::Offline(Offline::Switch));
    world.pass(HOUR);
    assert_eq!((current(&world), state(&world)), (Some(ONE), StateName::Idle));
    assert!(world.machine.weigh(Offline::Switch).unwrap_err().contains("nothing is staged"));
}

#[test]
fn a_rotation_that_is_due_by_itself_can_be_held_on_its_way() {
    let mut world = World::provisioned();
    world.fault("RequestCertificate", Fault::NoAnswer);
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
    world.settle();
    assert_eq!(state(&world), StateName::Requested);
    world.give(Event::Offline(Offline::Stage));
    world.pass(DAY);
    assert_eq!((state(&world), current(&world)), (StateName::Staged, Some(ONE)));
}

#[test]
fn to_stage_is_taken_up_again_when_the_cloud_refuses_and_after_the_last_retirement() {
    let mut world = World::provisioned();
    world.fault("RequestCertificate", Fault::Rejected(400, "InvalidCertificateSigningRequest"));
    world.give(Event::Offline(Offline::Stage));
    world.pass(DAY);
    assert_eq!((state(&world), world.count("MakeKey")), (StateName::Staged, 2));
    let mut soaking = switched();
    soaking.give(Event::Offline(Offline::Stage));
    soaking.settle();
    assert_eq!((state(&soaking), soaking.count("MakeKey")), (StateName::Soak, 1), "one after the other");
    soaking.pass(HOUR);
    assert_eq!(state(&soaking), StateName::Staged);
}

/// Crashes before the `nth` action after `orders` begin, and again before each of the next few.
fn with_crashes(orders: &[Offline], nth: usize) -> World {
    let mut world = World::provisioned();
    let mut left = nth;
    for order in orders {
        world.give(Event::Offline(*order));
        for _ in 0..60 {
            if left == 0 {
                world.crash();
                // An order that was not durable is given again, as whoever gave it would.
                world.give(Event::Offline(*order));
                left = 7;
            }
            left -= 1;
            if !world.step() {
                break;
            }
        }
        world.pass(Duration::from_secs(30));
    }
    world
}

#[test]
fn crashes_anywhere_lead_to_the_same_end() {
    let table: [(&[Offline], SlotId); 3] = [
        (&[Offline::Stage, Offline::Switch, Offline::Retire], TWO),
        (&[Offline::Stage, Offline::Rollback], ONE),
        (&[Offline::Stage, Offline::Switch, Offline::Rollback], ONE),
    ];
    for (orders, end) in table {
        for nth in 0..40 {
            let mut world = with_crashes(orders, nth);
            world.pass(10 * HOUR);
            assert_eq!(current(&world), Some(end), "{orders:?} {nth}: {:?}", world.trace);
            assert!(world.accepts(end));
        }
    }
}

#[test]
fn a_disk_that_takes_no_writes_takes_no_order_and_the_order_stands() {
    let mut world = staged();
    for _ in 0..30 {
        world.fault("Persist", Fault::Storage(StorageFault::ReadOnly));
    }
    world.give(Event::Offline(Offline::Switch));
    world.settle();
    assert!(!world.machine.wishes_are_durable());
    world.pass(4 * HOUR);
    assert_eq!(current(&world), Some(TWO));
}

#[test]
fn the_controller_is_told_of_what_is_staged_on_the_session_in_use_and_again() {
    let mut world = World::provisioned();
    world.fault("TellStaged", Fault::NoAnswer);
    order(&mut world, Offline::Stage);
    assert!(world.machine.status().staged.unwrap().tried_to_tell);
    world.pass(HOUR);
    assert_eq!(world.count("TellStaged"), 2, "until it was taken");
    world.give(Event::LinkDown);
    world.pass(DAY);
    assert_eq!(world.count("TellStaged"), 2);
    world.give(Event::LinkUp { slot: ONE });
    world.settle();
    assert_eq!(world.count("TellStaged"), 3, "a controller may have forgotten");
    order(&mut world, Offline::Rollback);
    world.give(Event::LinkUp { slot: ONE });
    world.pass(DAY);
    assert_eq!(world.count("TellStaged"), 3);
}
