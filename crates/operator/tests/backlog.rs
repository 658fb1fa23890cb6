//! An account that refuses changes, and much that is due: neither makes the controller deaf, and neither stays unsaid.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test"
)]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::Attested;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::controller::{Action, Change, Event, Report};
use world::{World, generation, thing};

fn failures(world: &World) -> usize {
    world.reports.iter().filter(|report| matches!(report, Report::Failing { .. })).count()
}

#[test]
fn a_change_that_is_refused_is_tried_less_and_less_often_though_lists_go_through() {
    let mut world = World::with(&[1, 2]);
    world.changes_fail = Some(ApiError::Other("access denied".into()));
    world.commit(2);
    world.pass(3600);
    assert!((5..40).contains(&world.tries), "{} tries in an hour", world.tries);
    assert_eq!(failures(&world), world.tries, "each is told");
    world.changes_fail = None;
    world.pass(400);
    assert_eq!(world.changes_of(1).first(), Some(&Change::Deactivate), "it is gone on with");
}

#[test]
fn a_failure_that_may_pass_is_told_when_it_has_not_for_a_minute() {
    let mut world = World::with(&[1, 2]);
    world.changes_fail = Some(ApiError::Unavailable("no answer".into()));
    world.commit(2);
    world.pass(30);
    assert!(world.tries > 1 && failures(&world) == 0, "{} tries", world.tries);
    world.pass(170);
    assert_eq!(failures(&world), 1, "{} tries", world.tries);
}

#[test]
fn throttled_changes_close_the_way_for_longer_and_longer_though_lists_go_through() {
    let mut world = World::with(&[1, 2]);
    world.changes_fail = Some(ApiError::Throttled);
    world.commit(2);
    world.pass(3600);
    assert!((5..40).contains(&world.tries), "{} tries in an hour", world.tries);
}

/// What is heard of one thing is judged before what is due for another.
#[test]
fn evidence_comes_before_what_is_due() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.changes_fail = Some(ApiError::Unavailable("no answer".into()));
    let other = ThingName::new("pump-2").unwrap();
    let attested = Attested {
        thing: other.clone(),
        clientid: ClientId::new("pump-2").unwrap(),
        ..world.attested(2, "pump-1")
    };
    let now = attested.at;
    world.ledger.handle(now, Event::Attested { topic: other.clone(), attested });
    assert_eq!(world.ledger.poll_of(now, &other), Some(Action::List(other.clone())));
    let answer = Ok(world.certificates.get(&generation(2)).copied().into_iter().collect());
    world.ledger.handle(now, Event::Listed { thing: other.clone(), answer });
    let mut steps = Vec::new();
    while let Some(action) = world.ledger.poll_of(now, &other) {
        if let Action::Persist(record) = &action {
            world.ledger.handle(now, Event::Persisted(record.thing.clone()));
        }
        steps.push(action);
    }
    assert!(matches!(steps.first(), Some(Action::Persist(record)) if record.thing == other), "{steps:?}");
    assert!(steps.iter().any(|step| matches!(step, Action::Answer { thing, .. } if *thing == other)));
    assert!(!steps.iter().any(|step| matches!(step, Action::Change { .. } | Action::Ask(_))), "{steps:?}");
    assert!(world.ledger.poll_of(now, &thing()).is_none(), "nothing was heard of it");
}
