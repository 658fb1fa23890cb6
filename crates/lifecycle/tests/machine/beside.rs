//! An identity that is accepted beside the live session, and refused as the live session.

use std::time::Duration;

use fleetkey_lifecycle::event::Event;
use fleetkey_lifecycle::{Notice, SlotId};

use crate::ladder::{current, fell_back, soaking};
use crate::world::{Fault, World};

const HOUR: Duration = Duration::from_secs(3600);

/// Lets time pass in which the session, while it is down, is tried again and again and refused.
fn pass_with_a_refused_session(world: &mut World, span: Duration) {
    let end = world.now + span;
    while world.now < end {
        if !world.machine.status().connected {
            let slot = current(world).unwrap();
            world.give(Event::LinkRefused { slot, why: "not authorised".into() });
        }
        world.pass(Duration::from_secs(10));
    }
}

/// A policy that lets it prove itself beside the live session, and not be the live session.
#[test]
fn an_identity_that_passes_only_beside_the_live_session_gives_way_in_its_soak() {
    let mut world = soaking();
    world.live_refused.insert(SlotId(2));
    world.give(Event::LinkDown);
    pass_with_a_refused_session(&mut world, Duration::from_secs(300));
    assert!(world.notices.contains(&fell_back(2, 1)), "{:?}", world.trace);
    assert!(world.machine.status().connected);
}

#[test]
fn an_identity_that_passes_gives_way_to_none_for_a_session_that_was_refused_long_ago() {
    let mut world = soaking();
    world.give(Event::LinkDown);
    for _ in 0..100 {
        world.fault("Verify", Fault::Unreachable);
        world.fault("GoLive", Fault::Unreachable);
    }
    for _ in 0..8 {
        world.give(Event::LinkRefused { slot: SlotId(2), why: "whoever it is".into() });
        world.settle();
    }
    // The broker lets everybody in again, and the agent only has not come to trying its session.
    world.faults.remove("Verify");
    world.pass(HOUR);
    assert!(world.asked.len() > 12, "{:?}", world.asked);
    assert_eq!(current(&world), Some(SlotId(2)), "{:?}", world.trace);
}

#[test]
fn falling_back_from_a_refused_session_happens_once() {
    let mut world = soaking();
    world.live_refused.extend([SlotId(1), SlotId(2)]);
    world.give(Event::LinkDown);
    pass_with_a_refused_session(&mut world, 12 * HOUR);
    let fallen = world.notices.iter().filter(|notice| matches!(notice, Notice::FellBack { .. })).count();
    assert_eq!(fallen, 1, "the disk is not worn out by going to and fro");
    world.live_refused.clear();
    world.pass(24 * HOUR);
    assert!(world.machine.status().connected, "{:?}", world.machine.status());
}
