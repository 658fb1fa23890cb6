//! The ledger on newer certificates that are in use without asking: the next generation, a candidate that was rolled
//! back, a thief. No I/O.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use fleetkey_model::certificate::CertificateStatus::{Active, Inactive};
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::controller::{Event, FreezeReason, Report};
use world::{World, generation, thing};

fn contested(world: &World) -> usize {
    world.reports.iter().filter(|report| matches!(report, Report::Contested { .. })).count()
}

#[test]
fn a_newer_certificate_in_use_that_never_asks_freezes() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(2);
    world.connect(3, "pump-1");
    world.pass(88);
    assert_eq!(world.frozen(), None, "a device soaks before it asks");
    world.pass(10);
    assert_eq!(world.frozen(), Some(FreezeReason::NewcomerSilent));
}

#[test]
fn a_newer_certificate_that_asks_in_time_does_not_freeze() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(2);
    world.connect(3, "pump-1");
    world.pass(80);
    world.request(3, "pump-1");
    world.pass(100);
    assert_eq!((world.frozen(), world.status(3)), (None, Some(Active)));
}

/// Committed, and then without power for longer than it had to ask.
#[test]
fn a_device_that_was_away_in_its_soak_gets_its_time_again() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(2);
    let session = world.connect(3, "pump-1");
    world.pass(20);
    world.disconnect(3, "pump-1", session);
    world.pass(500);
    world.connect(3, "pump-1");
    world.pass(80);
    assert_eq!(world.frozen(), None);
    world.request(3, "pump-1");
    world.pass(12);
    assert_eq!((world.frozen(), world.status(2)), (None, Some(Inactive)));
}

/// Verification by takeover: the candidate holds the live session for a moment, several times, and is given up.
#[test]
fn a_device_that_rolled_back_after_takeovers_is_not_frozen() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(2);
    for _ in 0..5 {
        world.connect(3, "pump-1");
        world.pass(3);
        world.connect(2, "pump-1");
        world.pass(7);
    }
    world.pass(2000);
    assert_eq!((world.frozen(), contested(&world)), (None, 1));
    assert_eq!(world.status(3), Some(Active), "it was in use: nobody but the next commit may judge it");
    world.register(4);
    world.commit(4);
    world.pass(12);
    assert_eq!((world.status(3), world.frozen()), (Some(Inactive), None));
}

#[test]
fn a_device_that_fell_back_in_its_soak_is_not_frozen_even_by_a_restart() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(2);
    world.connect(3, "pump-1");
    world.pass(30);
    world.connect(2, "pump-1");
    world.pass(1);
    world.restart();
    world.pass(500);
    world.connect(2, "pump-1");
    world.pass(500);
    assert_eq!((world.frozen(), world.status(3)), (None, Some(Active)));
}

/// A thief made itself a certificate with the stolen key, and throws the device out; the device comes back, and so on.
#[test]
fn two_who_go_on_taking_the_session_from_each_other_freeze() {
    for by_request in [false, true] {
        let mut world = World::with(&[1, 2, 3]);
        world.commit(2);
        for _ in 0..7 {
            world.connect(3, "pump-1");
            world.pass(5);
            if by_request {
                world.request(2, "pump-1");
            } else {
                world.connect(2, "pump-1");
            }
            world.pass(5);
        }
        assert_eq!(world.frozen(), Some(FreezeReason::TakingTurns), "by request: {by_request}");
    }
}

#[test]
fn one_that_gave_way_and_comes_again_much_later_freezes_once_the_witness_is_back() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(2);
    world.connect(3, "pump-1");
    world.pass(1);
    world.connect(2, "pump-1");
    world.pass(1000);
    world.restart();
    world.connect(3, "pump-1");
    world.pass(1);
    world.connect(2, "pump-1");
    world.pass(1);
    assert_eq!(world.frozen(), Some(FreezeReason::TakingTurns));
}

#[test]
fn a_newer_certificate_at_work_beside_the_attested_one_freezes_sooner() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(2);
    world.connect(3, "pump-1~agent");
    world.pass(58);
    assert_eq!(world.frozen(), None);
    world.pass(4);
    assert_eq!(world.frozen(), Some(FreezeReason::NewcomerSilent));
}

/// The second of two newcomers is as good a newcomer as the first.
#[test]
fn every_newcomer_is_watched() {
    let mut world = World::with(&[1, 2, 3, 4]);
    world.commit(2);
    world.connect(3, "pump-1");
    world.pass(10);
    world.connect(4, "pump-1");
    world.pass(100);
    assert_eq!(world.frozen(), Some(FreezeReason::NewcomerSilent));
}

#[test]
fn a_newcomer_that_somebody_deactivates_is_forgotten_about() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(2);
    world.connect(3, "pump-1");
    world.pass(10);
    world.set(3, Inactive);
    let listings = world.listings;
    world.pass(1000);
    assert_eq!((world.frozen(), world.status(3)), (None, Some(Inactive)));
    assert!(world.listings < listings + 3, "{} listings", world.listings - listings);
}

/// It takes the session from the newcomer before the account could be asked about that.
#[test]
fn a_newcomer_that_could_not_be_judged_before_a_restart_is_judged_after_it() {
    let mut world = World::with(&[2]);
    world.commit(2);
    world.pass(5);
    world.register(3);
    world.account_fails = Some(ApiError::Throttled);
    world.connect(3, "pump-1");
    world.restart();
    world.now += 1;
    world.connect(2, "pump-1");
    world.account_fails = None;
    world.pass(1000);
    assert_eq!((world.status(3), contested(&world)), (Some(Active), 1), "it was in use: no leftover");
}

#[test]
fn a_newcomer_is_remembered_over_a_restart() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(2);
    world.connect(3, "pump-1");
    world.restart();
    world.pass(95);
    assert_eq!(world.frozen(), Some(FreezeReason::NewcomerSilent));
    world.event(Event::Release(thing()));
    world.request(3, "pump-1");
    assert_eq!(world.disk[&thing()].witness.certificate, generation(3));
}
