//! Presence events get lost: whoever is connected and was not heard of holds the retirement until it is known who it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use fleetkey_model::certificate::CertificateStatus::{Active, Inactive};
use fleetkey_model::retirement::RetireStatus;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;
use fleetkey_operator::control_plane::{ApiError, Connected};
use fleetkey_operator::controller::{Change, FreezeReason, Report};
use world::{World, thing};

fn since(second: u64) -> Connected {
    Connected::Since(Timestamp::from_secs(second))
}

fn committed() -> World {
    let mut world = World::with(&[1, 2]);
    world.connect(1, "pump-1");
    world.commit(2);
    world
}

/// A thief with the old key has rotated and asked. The owner takes the session back, and the event of it is lost: its
/// certificate, the only one that it has, stays.
#[test]
fn a_connection_that_no_event_told_of_holds_the_older_certificates() {
    let mut world = committed();
    world.connected = since(world.now + 5);
    world.pass(2000);
    assert_eq!(world.status(1), Some(Active));
    assert_eq!(world.frozen(), None);
    let told = world.reports.iter().filter(|report| matches!(report, Report::Unheard { .. }));
    assert_eq!(told.count(), 1, "once, however long it lasts");
}

/// The device's own connection was not heard of. Its next request is attested, and tells whose it is.
#[test]
fn a_request_on_that_connection_ends_the_hold_at_once() {
    let mut world = committed();
    world.connected = since(world.now + 5);
    world.pass(30);
    assert_eq!((world.status(1), world.last_answer()), (Some(Active), Some(RetireStatus::Pending)));
    world.request(2, "pump-1");
    world.pass(2);
    assert_eq!((world.status(1), world.last_answer()), (Some(Inactive), Some(RetireStatus::Retired)));
}

/// The event was only late.
#[test]
fn a_late_event_ends_the_hold() {
    let mut world = committed();
    world.connected = since(world.now + 5);
    world.pass(30);
    world.connect(2, "pump-1");
    world.connected = since(world.now);
    world.pass(2);
    assert_eq!(world.status(1), Some(Inactive));
}

/// Whoever was heard of holds nothing, nor does nobody, nor an account that does not tell.
#[test]
fn a_connection_that_was_heard_of_holds_nothing() {
    for connected in [Connected::No, Connected::Untold, since(101)] {
        let mut world = committed();
        world.connected = connected;
        world.pass(12);
        assert_eq!(world.status(1), Some(Inactive), "{connected:?}");
        assert_eq!(world.asked, 1, "once for a plan");
    }
}

/// An account that does not answer is asked again; nothing is done without its word.
#[test]
fn an_account_that_does_not_answer_is_asked_again() {
    let mut world = committed();
    world.account_fails = Some(ApiError::Unavailable("no answer".into()));
    world.pass(60);
    assert_eq!(world.status(1), Some(Active));
    world.account_fails = None;
    world.pass(400);
    assert_eq!(world.changes_of(1).first(), Some(&Change::Deactivate));
    assert!(world.ledger.record(&thing()).unwrap().frozen.is_none());
}

/// Before a restart it was heard of; after it the witness has to show life once, as after any, and that tells who it is.
#[test]
fn after_a_restart_the_next_request_ends_the_hold() {
    let mut world = committed();
    world.connected = since(101);
    world.restart();
    world.pass(20);
    assert_eq!(world.status(1), Some(Active));
    world.request(2, "pump-1");
    world.pass(2);
    assert_eq!((world.status(1), world.asked), (Some(Inactive), 1));
}

/// A certificate was in use while the account was away, and the controller is killed before the account can be asked. The
/// broker has its acknowledgement and tells nothing twice.
fn used_unjudged_and_killed(world: &mut World, n: u8) {
    world.account_fails = Some(ApiError::Unavailable("no answer".into()));
    world.now += 1;
    let session = world.connect(n, "pump-1");
    world.now += 1;
    world.disconnect(n, "pump-1", session);
    world.restart();
    world.account_fails = None;
    world.now += 1;
    // The device is back.
    world.connect(2, "pump-1");
}

#[test]
fn a_return_that_nobody_could_judge_before_a_kill_is_judged_after_it() {
    let mut world = committed();
    used_unjudged_and_killed(&mut world, 1);
    world.pass(30);
    assert_eq!((world.frozen(), world.status(1)), (Some(FreezeReason::TakingTurns), Some(Active)));
}

#[test]
fn a_use_that_nobody_could_judge_before_a_kill_makes_no_leftover_of_its_certificate() {
    let mut world = committed();
    world.register(3);
    used_unjudged_and_killed(&mut world, 3);
    world.pass(500);
    assert_eq!((world.changes_of(3), world.frozen()), (Vec::new(), None));
    // The disk keeps what was seen no longer than until it is judged.
    let record = serde_json::to_value(&world.disk[&thing()]).unwrap();
    assert!(record.get("sightings").is_none(), "{record}");
}

/// An older certificate came back for a moment, and the witness after it: the events of both come in the wrong order, or the end of the
/// first before its beginning. They have taken turns all the same.
#[test]
fn a_return_that_is_heard_of_late_is_evidence_as_if_it_had_come_in_time() {
    for end_comes_first in [false, true] {
        let mut world = committed();
        let (came, left) = (world.now + 1, world.now + 2);
        world.now += 3;
        if end_comes_first {
            world.presence_at(PresenceKind::Disconnected, 1, 77, left);
        } else {
            world.connect(2, "pump-1");
        }
        world.presence_at(PresenceKind::Connected, 1, 77, came);
        world.pass(1);
        world.connect(2, "pump-1");
        world.pass(2);
        assert_eq!(world.frozen(), Some(FreezeReason::TakingTurns), "the end first: {end_comes_first}");
    }
}
