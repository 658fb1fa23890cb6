//! The ledger on leftovers: what rotations that were given up have left attached. No I/O.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use fleetkey_model::certificate::CertificateStatus::{Active, Inactive, Revoked};
use fleetkey_model::retirement::RetireStatus::Retired;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::controller::Change::{Deactivate, Delete, Revoke};
use fleetkey_operator::controller::{Event, FreezeReason, Report};
use world::{World, generation, thing};

/// A device at work on generation 2, with nothing older, and generation 3 registered and abandoned at second 200.
fn abandoned() -> World {
    let mut world = World::with(&[2]);
    world.commit(2);
    world.pass(200 - world.now);
    world.register(3);
    world
}

#[test]
fn a_leftover_goes_through_inactive_and_revoked_to_deleted() {
    let mut world = abandoned();
    world.pass(109);
    assert_eq!(world.status(3), Some(Active), "it has its time, and a soak");
    world.pass(2);
    assert_eq!(world.status(3), Some(Inactive));
    world.pass(20);
    assert_eq!(world.status(3), Some(Revoked));
    world.pass(30);
    assert_eq!((world.status(3), world.status(2), world.frozen()), (None, Some(Active), None));
    assert_eq!(world.changes_of(3), [Deactivate, Revoke, Delete]);
    let named = world.reports.iter().filter(|report| {
        matches!(report, Report::Leftover { certificate, .. } | Report::LeftoverChanged { certificate, .. }
            if *certificate == generation(3))
    });
    assert_eq!(named.count(), 4);
}

#[test]
fn a_candidate_that_was_seen_verifying_is_a_leftover_all_the_same() {
    let mut world = abandoned();
    for _ in 0..3 {
        let session = world.connect(3, "pump-1~verify");
        world.pass(10);
        world.disconnect(3, "pump-1~verify", session);
    }
    world.pass(85);
    assert_eq!((world.status(3), world.frozen()), (Some(Inactive), None));
}

#[test]
fn the_record_names_what_is_a_leftover() {
    let mut world = abandoned();
    world.pass(112);
    let record = &world.disk[&thing()];
    assert_eq!(record.leftovers.keys().collect::<Vec<_>>(), [&generation(3)]);
    assert!(record.older.is_empty());
    assert_eq!(record.status(), Retired, "a device that asks is not kept waiting by it");
}

#[test]
fn without_a_witness_nothing_is_swept() {
    let mut world = World::with(&[1, 2, 3]);
    world.connect(1, "pump-1");
    world.pass(1000);
    assert_eq!((world.changes.len(), world.listings), (0, 0));
}

/// Nothing shows that the device has another identity left: the witness was last seen before the candidate was even
/// registered, or before it had had its time.
#[test]
fn while_the_witness_shows_no_life_nothing_is_swept() {
    for last_sign in [0, 50, 99] {
        let mut world = World::with(&[2]);
        world.now += 1;
        let session = world.connect(2, "pump-1");
        world.request(2, "pump-1");
        world.pass(200 - world.now);
        world.register(3);
        world.pass(last_sign);
        world.request(2, "pump-1");
        world.disconnect(2, "pump-1", session);
        world.pass(5000);
        assert_eq!(world.changes.len(), 0, "last sign after {last_sign} s");
        world.connect(3, "pump-1~verify");
        world.connect(2, "pump-1~agent");
        world.connect(2, "pump-1~verify");
        world.pass(500);
        assert_eq!(world.changes.len(), 0, "only the live session is a sign of life");
        world.connect(2, "pump-1");
        world.pass(12);
        assert_eq!(world.status(3), Some(Inactive));
    }
}

/// The account may be looked at for any reason: that changes nothing.
#[test]
fn a_look_without_a_sign_of_life_sweeps_nothing() {
    let mut world = abandoned();
    world.restart();
    world.pass(500);
    let listings = world.listings;
    world.connect(9, "pump-1~agent");
    world.pass(500);
    assert!(world.listings > listings);
    assert_eq!((world.status(3), world.disk[&thing()].leftovers.len()), (Some(Active), 0));
}

#[test]
fn a_request_of_the_witness_is_a_sign_of_life() {
    let mut world = abandoned();
    world.restart();
    world.pass(150);
    assert_eq!(world.status(3), Some(Active), "who was connected before a restart may have gone");
    world.request(2, "pump-1");
    world.pass(12);
    assert_eq!(world.status(3), Some(Inactive));
    world.pass(1000);
    assert_eq!(world.status(3), Some(Inactive), "what cannot be undone needs another sign");
    world.request(2, "pump-1");
    world.pass(2);
    assert_eq!(world.status(3), Some(Revoked));
}

#[test]
fn after_a_gap_in_the_presence_events_an_open_session_is_no_sign_of_life() {
    let mut world = abandoned();
    world.event(Event::PresenceMissed);
    world.pass(1000);
    assert_eq!(world.changes.len(), 0);
    world.connect(2, "pump-1");
    world.pass(12);
    assert_eq!(world.status(3), Some(Inactive));
}

/// The device comes back after days, with its old identity first, and goes on where it was.
#[test]
fn a_device_that_comes_back_late_has_a_soak_to_use_its_candidate() {
    let mut world = World::with(&[2]);
    world.now += 1;
    let session = world.connect(2, "pump-1");
    world.request(2, "pump-1");
    world.register(3);
    world.disconnect(2, "pump-1", session);
    world.pass(5000);
    world.connect(2, "pump-1");
    world.pass(5);
    world.connect(3, "pump-1~verify");
    world.connect(3, "pump-1");
    world.pass(50);
    assert_eq!((world.status(3), world.disk[&thing()].leftovers.len()), (Some(Active), 0));
    world.request(3, "pump-1");
    world.pass(12);
    assert_eq!((world.status(3), world.status(2), world.frozen()), (Some(Active), Some(Inactive), None));
}

#[test]
fn a_leftover_that_asks_after_all_is_the_witness() {
    let mut world = abandoned();
    world.pass(105);
    assert_eq!(world.disk[&thing()].leftovers.len(), 1);
    world.request(3, "pump-1");
    world.pass(12);
    // It asks until it hears that it is done with.
    world.request(3, "pump-1");
    world.pass(1000);
    assert_eq!((world.status(3), world.status(2), world.frozen()), (Some(Active), None, None));
}

#[test]
fn a_leftover_that_connects_as_the_agent_after_all_is_left_alone() {
    let mut world = abandoned();
    world.pass(105);
    let session = world.connect(3, "pump-1~agent");
    world.pass(5);
    world.disconnect(3, "pump-1~agent", session);
    world.pass(1000);
    assert_eq!((world.status(3), world.changes_of(3).len()), (Some(Active), 0));
}

/// Its connection ends when it becomes INACTIVE, and only that is heard.
#[test]
fn the_end_of_an_unheard_connection_is_use_too() {
    let mut world = abandoned();
    world.disconnect(3, "pump-1", 77);
    world.pass(1000);
    assert_eq!((world.status(3), world.frozen()), (Some(Active), None));
}

#[test]
fn a_leftover_that_was_in_use_when_it_was_deactivated_freezes_before_it_is_revoked() {
    let mut world = abandoned();
    world.pass(112);
    assert_eq!(world.status(3), Some(Inactive));
    world.connect(3, "pump-1");
    world.pass(1000);
    assert_eq!((world.status(3), world.frozen()), (Some(Inactive), Some(FreezeReason::NewcomerSilent)));
}

#[test]
fn one_that_an_operator_activates_again_freezes() {
    let mut world = abandoned();
    world.pass(115);
    world.set(3, Active);
    world.pass(1000);
    assert_eq!((world.status(3), world.frozen()), (Some(Active), Some(FreezeReason::Reactivated)));
}

#[test]
fn while_frozen_nothing_is_swept() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.request(1, "pump-1");
    world.pass(2);
    assert_eq!(world.frozen(), Some(FreezeReason::OlderAsked));
    world.register(3);
    world.connect(2, "pump-1");
    world.pass(1000);
    assert_eq!((world.changes.len(), world.status(3)), (0, Some(Active)));
}

#[test]
fn a_freeze_stops_a_sweep_on_its_way() {
    for after in [105, 112] {
        let mut world = World::with(&[1, 2]);
        world.set(1, Revoked);
        world.commit(2);
        world.pass(200 - world.now);
        world.register(3);
        world.pass(after);
        let changes = world.changes_of(3).len();
        world.set(2, Revoked);
        world.request(2, "pump-1");
        world.pass(2000);
        assert_eq!(world.frozen(), Some(FreezeReason::WitnessGone), "after {after} s");
        assert_eq!(world.changes_of(3).len(), changes);
        assert_ne!(world.status(3), Some(Revoked));
    }
}

#[test]
fn the_last_identity_is_kept_when_the_witness_is_taken_away_before_the_sweep() {
    let mut world = abandoned();
    world.set(2, Revoked);
    world.pass(1000);
    assert_eq!((world.changes.len(), world.status(3)), (0, Some(Active)));
}

#[test]
fn what_somebody_else_deactivated_is_left_to_them() {
    let mut world = abandoned();
    world.set(3, Inactive);
    world.pass(1000);
    assert_eq!((world.changes_of(3).len(), world.status(3), world.frozen()), (0, Some(Inactive), None));
}

#[test]
fn the_next_commit_takes_leftovers_along_wherever_they_are() {
    for after in [50, 105, 112, 135] {
        let mut world = abandoned();
        world.pass(after);
        world.register(4);
        world.commit(4);
        world.pass(12);
        assert_ne!(world.status(3), Some(Active), "after {after} s");
        world.pass(100);
        assert_eq!((world.status(3), world.status(2), world.frozen()), (None, None, None));
        assert_eq!(world.changes_of(3), [Deactivate, Revoke, Delete]);
    }
}

/// A thief with the old key makes itself a certificate and keeps it for later.
#[test]
fn a_certificate_that_a_thief_registers_and_never_uses_is_swept() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.register(3);
    world.connect(3, "pump-1~verify");
    world.request(3, "pump-1~verify");
    world.pass(200);
    assert_eq!((world.status(3), world.status(2), world.frozen()), (None, Some(Active), None));
}

#[test]
fn a_certificate_that_a_thief_registers_and_uses_freezes() {
    for client in ["pump-1", "pump-1~agent"] {
        let mut world = World::with(&[1, 2]);
        world.commit(2);
        world.pass(20);
        world.register(3);
        for _ in 0..10 {
            world.connect(3, client);
            world.pass(5);
            world.connect(2, "pump-1");
            world.pass(5);
        }
        assert!(world.frozen().is_some(), "as {client}");
        world.pass(1000);
        assert_eq!((world.status(3), world.changes_of(2).len()), (Some(Active), 0));
    }
}

#[test]
fn a_sweep_goes_on_after_a_restart_at_any_second() {
    for at in 0..170 {
        let mut world = abandoned();
        world.pass(at);
        world.restart();
        // The device has connected again: the controller was away, its broker perhaps too.
        world.connect(2, "pump-1");
        world.pass(180 - at);
        assert_eq!(world.changes_of(3), [Deactivate, Revoke, Delete], "restart after {at} s");
    }
}

#[test]
fn a_change_whose_answer_was_lost_goes_on() {
    let mut world = abandoned();
    world.pass(105);
    world.account_fails = Some(ApiError::Unavailable("x".into()));
    world.pass(10);
    world.set(3, Inactive);
    world.account_fails = None;
    world.pass(300);
    assert_eq!((world.status(3), world.frozen()), (None, None));
}

#[test]
fn nothing_is_swept_before_the_decision_is_durable() {
    let mut world = abandoned();
    world.disk_fails = true;
    world.pass(1000);
    assert_eq!(world.changes.len(), 0);
    world.disk_fails = false;
    world.pass(500);
    assert_eq!(world.status(3), None);
}

#[test]
fn a_device_that_registers_without_end_fills_neither_ledger_nor_account() {
    let mut world = World::with(&[1]);
    world.commit(1);
    (2..=200).for_each(|n| world.register(n));
    world.pass(140);
    assert!(world.certificates.len() <= 102, "{}", world.certificates.len());
    assert!(world.disk[&thing()].leftovers.len() <= 101);
}

#[test]
fn looking_for_leftovers_costs_a_look_a_span() {
    let mut world = World::with(&[1]);
    world.commit(1);
    world.pass(1000);
    assert!((9..=13).contains(&world.listings), "{}", world.listings);
}

#[test]
fn a_device_that_is_away_is_not_looked_at() {
    let mut world = World::with(&[1]);
    world.now += 1;
    let session = world.connect(1, "pump-1");
    world.request(1, "pump-1");
    world.disconnect(1, "pump-1", session);
    let listings = world.listings;
    world.pass(1000);
    assert_eq!((world.listings, world.ledger.next_deadline()), (listings, None));
}

#[test]
fn what_a_device_holds_ready_for_a_switch_is_no_leftover_for_as_long_as_it_tells() {
    let mut world = abandoned();
    world.pass(10);
    world.tell_staged(2);
    assert!(world.answers.iter().all(|answer| answer.id == "r2"), "there is no answer");
    for _ in 0..5 {
        world.pass(900);
        world.restart();
        world.connect(2, "pump-1");
        world.tell_staged(2);
    }
    assert_eq!((world.status(3), world.changes_of(3).len()), (Some(Active), 0));
    world.pass(1);
    world.register(4);
    world.pass(500);
    assert_eq!((world.status(3), world.status(4)), (Some(Active), None), "what came after it is not held");
    world.pass(600);
    assert_eq!(world.changes_of(3), [Deactivate, Revoke, Delete], "nobody has told for too long");
}

#[test]
fn what_is_held_ready_and_was_taken_for_a_leftover_is_left_alone_again() {
    let mut world = abandoned();
    world.pass(105);
    assert_eq!(world.disk[&thing()].leftovers.len(), 1, "it soaks");
    world.tell_staged(2);
    world.pass(500);
    assert_eq!(world.status(3), Some(Active));
    world.commit(3);
    world.pass(20);
    assert_eq!((world.status(2), world.status(3), world.frozen()), (Some(Inactive), Some(Active), None));
}

#[test]
fn only_the_witness_is_believed_about_what_is_held_ready() {
    let mut world = abandoned();
    for stranger in [3, 9] {
        world.tell_staged(stranger);
    }
    world.connect(2, "pump-1");
    world.pass(112);
    assert_eq!(world.status(3), Some(Inactive));
    let mut unknown = World::with(&[1, 2]);
    unknown.tell_staged(2);
    unknown.pass(500);
    assert_eq!((unknown.disk.len(), unknown.status(1)), (0, Some(Active)), "it asks for nobody's retirement");
}
