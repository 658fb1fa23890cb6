//! The ledger on things that recovered by their claim: nothing is retired before an operator has decided. No I/O.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use fleetkey_model::certificate::CertificateStatus::{Active, Inactive, Revoked};
use fleetkey_model::retirement::RetireStatus;
use fleetkey_operator::controller::{Event, FreezeReason};
use world::{World, generation, thing};

/// Generation 2 came of a recovery; the ledger has never heard of the thing.
fn recovered() -> World {
    let mut world = World::with(&[1, 2]);
    world.recovered = Some(generation(2));
    world.commit(2);
    world
}

fn decided(mut world: World) -> World {
    world.recovered = None;
    world
}

#[test]
fn what_came_of_a_recovery_retires_nothing_and_the_device_is_told_so() {
    let mut world = recovered();
    world.pass(1000);
    assert_eq!((world.status(1), world.status(2)), (Some(Active), Some(Active)));
    assert_eq!(world.frozen(), Some(FreezeReason::Recovered));
    assert_eq!(world.last_answer(), Some(RetireStatus::Frozen));
    assert!(world.answers.last().unwrap().message.as_ref().unwrap().contains("recovery approve"));
}

#[test]
fn approved_it_retires_the_older_ones_like_any_other_once_the_device_asks_again() {
    let mut world = decided(recovered());
    world.pass(20);
    assert_eq!(world.frozen(), None, "the account is asked whether somebody has decided");
    world.request(2, "pump-1");
    world.pass(20);
    assert_eq!((world.status(1), world.status(2)), (Some(Inactive), Some(Active)));
}

#[test]
fn a_request_after_the_decision_counts_at_once() {
    let mut world = decided(recovered());
    world.now += 1;
    world.request(2, "pump-1");
    world.pass(1);
    assert_eq!((world.frozen(), world.last_answer()), (None, Some(RetireStatus::Pending)));
    world.pass(20);
    assert_eq!(world.status(1), Some(Inactive));
}

#[test]
fn a_restart_keeps_the_quarantine_and_learns_of_its_end() {
    let mut world = recovered();
    world.restart();
    world.pass(100);
    assert_eq!((world.frozen(), world.status(1)), (Some(FreezeReason::Recovered), Some(Active)));
    world.recovered = None;
    world.restart();
    world.pass(20);
    assert!(world.frozen().is_none() && world.disk.is_empty(), "as after a release");
}

#[test]
fn neither_a_rotation_nor_a_second_recovery_gets_round_it() {
    let mut world = recovered();
    world.register(3);
    world.commit(3);
    world.pass(200);
    assert_eq!((world.status(1), world.status(2)), (Some(Active), Some(Active)), "it rotated");
    let mut world = recovered();
    // The mark names the second one; the first asks.
    world.register(3);
    world.recovered = Some(generation(3));
    world.commit(2);
    world.pass(200);
    assert_eq!((world.status(1), world.frozen()), (Some(Active), Some(FreezeReason::Recovered)));
}

#[test]
fn a_retirement_under_way_is_held_when_somebody_recovers() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.pass(15);
    assert_eq!(world.status(1), Some(Inactive));
    world.register(3);
    world.recovered = Some(generation(3));
    world.commit(3);
    world.pass(300);
    assert_eq!(
        (world.status(1), world.status(2)),
        (Some(Inactive), Some(Active)),
        "neither revoked nor retired"
    );
}

#[test]
fn rejected_the_rightful_certificate_goes_on_as_if_nothing_had_been() {
    let mut world = recovered();
    world.pass(5);
    world.set(2, Revoked);
    world.recovered = None;
    world.pass(20);
    world.register(4);
    world.commit(4);
    world.pass(20);
    assert_eq!((world.frozen(), world.status(1), world.status(4)), (None, Some(Inactive), Some(Active)));
}

#[test]
fn a_release_without_a_decision_releases_nothing() {
    let mut world = recovered();
    world.event(Event::Release(thing()));
    world.request(2, "pump-1");
    world.pass(100);
    assert_eq!((world.frozen(), world.status(1)), (Some(FreezeReason::Recovered), Some(Active)));
}

#[test]
fn the_account_is_not_asked_without_end() {
    let mut world = recovered();
    let before = world.listings;
    world.pass(100);
    let asked = world.listings - before;
    assert!((5..=11).contains(&asked), "{asked} looks in 100 s");
}
