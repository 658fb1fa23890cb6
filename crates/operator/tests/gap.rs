//! The ledger after a gap in the evidence: what a controller heard while its disk refused, and took along when it was killed.
//! No I/O.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use fleetkey_operator::controller::Change;
use world::World;

/// What a controller heard while its disk refused is forgotten when it is killed. The next one gives whoever was heard the
/// time to be heard again; one that knows of no gap goes on where the disk left off.
#[test]
fn after_a_gap_in_the_evidence_a_soak_begins_anew() {
    let deactivated = |restart: fn(&mut World)| {
        let mut world = World::with(&[1, 2]);
        world.commit(2);
        world.disk_fails = true;
        world.connect(1, "pump-1");
        world.pass(8);
        world.disk_fails = false;
        restart(&mut world);
        world.connect(2, "pump-1");
        world.pass(4);
        let early = world.changes_of(1);
        world.pass(7);
        (early, world.changes_of(1))
    };
    let once = || vec![Change::Deactivate];
    assert_eq!(deactivated(World::restart), (once(), once()));
    assert_eq!(deactivated(World::restart_after_a_gap), (vec![], once()));
}

/// That it was in use was heard while the disk refused, and forgotten when the controller was killed.
#[test]
fn what_was_registered_before_a_gap_in_the_evidence_is_never_swept() {
    let swept = |restart: fn(&mut World), waited: u64| {
        let mut world = World::with(&[2]);
        world.commit(2);
        world.pass(100);
        world.register(3);
        world.pass(waited);
        world.disk_fails = true;
        let session = world.connect(3, "pump-1");
        world.disconnect(3, "pump-1", session);
        world.disk_fails = false;
        restart(&mut world);
        world.connect(2, "pump-1");
        world.pass(1000);
        world.changes_of(3).first().copied()
    };
    // Before its time, and when it is taken for a leftover and soaks.
    for waited in [0, 105] {
        let swept = |restart| swept(restart, waited);
        assert_eq!(
            (swept(World::restart), swept(World::restart_after_a_gap)),
            (Some(Change::Deactivate), None)
        );
    }
}

/// The next controller is killed likewise, and the one after it: whatever they hear, nothing follows from it before it is on the
/// disk that a soak began anew.
#[test]
fn while_the_disk_goes_on_refusing_after_a_gap_nothing_is_retired_and_the_gap_stays() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.disk_fails = true;
    world.connect(1, "pump-1");
    for _ in 0..3 {
        world.restart_after_a_gap();
        world.connect(2, "pump-1");
        world.pass(100);
        assert!(!world.ledger.is_whole(), "what marks a gap stays");
        assert_eq!(world.changes_of(1), []);
    }
    world.disk_fails = false;
    world.restart_after_a_gap();
    world.connect(2, "pump-1");
    world.pass(5);
    assert!(world.ledger.is_whole());
    assert_eq!(world.changes_of(1), []);
    world.pass(6);
    assert_eq!(world.changes_of(1), [Change::Deactivate]);
}
