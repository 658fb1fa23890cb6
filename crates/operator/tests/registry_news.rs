//! What the registry tells of things: reason to look, and no more. Lost, repeated, late and forged events change nothing
//! but when the account is asked, and how often that may be is bounded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use fleetkey_model::certificate::CertificateStatus::{Active, Inactive, Revoked};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::RecordChange;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::controller::{Action, Event, FreezeReason, Ledger};
use world::{World, config, generation, thing};

const CHANGES: [RecordChange; 3] = [RecordChange::Created, RecordChange::Updated, RecordChange::Deleted];

fn news(thing: &ThingName, change: RecordChange) -> Event {
    Event::Registry { thing: thing.clone(), change }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(second)
}

fn numbered(n: usize) -> ThingName {
    ThingName::new(format!("pump-{n}")).unwrap()
}

/// Answers a list of nothing; whose it was.
fn listed(ledger: &mut Ledger, second: u64) -> Option<ThingName> {
    let Some(Action::List(thing)) = ledger.poll(at(second)) else { return None };
    ledger.handle(at(second), Event::Listed { thing: thing.clone(), answer: Ok(Vec::new()) });
    Some(thing)
}

#[test]
fn a_thing_that_nobody_has_heard_of_is_looked_at_once_however_often_it_is_told_of() {
    let mut ledger = Ledger::new(config(), []);
    for change in CHANGES.into_iter().cycle().take(100) {
        ledger.handle(at(100), news(&thing(), change));
    }
    assert_eq!(ledger.next_deadline(), Some(at(100)));
    assert_eq!(listed(&mut ledger, 100), Some(thing()));
    assert_eq!((listed(&mut ledger, 200), ledger.next_deadline()), (None, None), "nothing is kept of it");
    ledger.handle(at(300), news(&thing(), RecordChange::Updated));
    assert_eq!(listed(&mut ledger, 300), Some(thing()), "later news is another reason");
}

#[test]
fn one_thing_at_a_time_is_looked_at_and_none_that_changes_without_end_keeps_the_others_waiting() {
    let mut ledger = Ledger::new(config(), []);
    let [noisy, quiet] = [numbered(1), numbered(2)];
    ledger.handle(at(100), news(&noisy, RecordChange::Updated));
    ledger.handle(at(100), news(&quiet, RecordChange::Created));
    assert_eq!(listed(&mut ledger, 100), Some(noisy.clone()));
    assert_eq!(listed(&mut ledger, 100), None, "no faster than one a second");
    assert_eq!(ledger.next_deadline(), Some(at(100) + config().look_again));
    let looked: Vec<_> = (101..110)
        .filter_map(|second| {
            ledger.handle(at(second), news(&noisy, RecordChange::Updated));
            listed(&mut ledger, second)
        })
        .collect();
    assert_eq!(looked[0], quiet);
    assert!(looked[1..].iter().all(|thing| *thing == noisy));
}

/// Somebody makes a hundred thousand things: what is beyond the first thousand the next list of the account tells.
#[test]
fn news_of_more_things_than_can_be_looked_at_is_let_go() {
    let mut ledger = Ledger::new(config(), []);
    (0..100_000).for_each(|n| ledger.handle(at(100), news(&numbered(n), RecordChange::Created)));
    let looked = (100..10_000).filter(|second| listed(&mut ledger, *second).is_some()).count();
    assert_eq!(looked, 1024);
}

#[test]
fn whatever_is_told_and_whenever_certificates_go_as_they_would_have_without() {
    let run = |told: &dyn Fn(u64) -> Vec<RecordChange>| {
        let mut world = World::with(&[1, 2]);
        world.connect(1, "pump-1");
        world.commit(2);
        for second in 0..120 {
            told(second).into_iter().for_each(|change| world.event(news(&thing(), change)));
            world.pass(1);
        }
        (world.changes, world.answers, world.disk)
    };
    let without = run(&|_| Vec::new());
    assert_eq!(without.0.len(), 3);
    assert!(run(&|_| CHANGES.to_vec()) == without, "all the time");
    assert!(
        run(&|second| vec![RecordChange::Deleted; usize::from(second % 7 == 0)]) == without,
        "it is not gone"
    );
}

#[test]
fn news_takes_no_certificate_without_an_attestation() {
    let mut world = World::with(&[1, 2]);
    world.connect(1, "pump-1");
    for _ in 0..200 {
        world.event(news(&thing(), RecordChange::Updated));
        world.pass(10);
    }
    assert!(world.changes.is_empty() && world.listings > 100);
    assert_eq!((world.status(1), world.status(2)), (Some(Active), Some(Active)));
    assert_eq!(world.ledger.records().count(), 0);
}

/// A controller that was away hears from the registry that a certificate was revoked by hand; a look on time's word alone
/// would have come much later.
#[test]
fn what_somebody_else_has_done_is_seen_when_the_registry_tells_of_it() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.pass(3);
    world.set(1, Revoked);
    let listings = world.listings;
    world.event(news(&thing(), RecordChange::Updated));
    world.pass(1);
    assert_eq!(world.listings, listings + 1);
    assert_eq!(world.changes_of(1), [], "nothing is done over what somebody else has");
}

/// An operator's decision on a recovery takes an attribute of the thing away, which the registry tells.
#[test]
fn a_recovery_that_was_decided_on_is_noticed_at_once() {
    let mut world = World::with(&[1, 2]);
    world.recovered = Some(generation(2));
    world.commit(2);
    assert_eq!(world.frozen(), Some(FreezeReason::Recovered));
    world.pass(2);
    world.recovered = None;
    world.event(news(&thing(), RecordChange::Updated));
    world.pass(2);
    assert_eq!(world.frozen(), None);
}

#[test]
fn an_account_that_refuses_is_not_asked_again_and_again_for_news() {
    let mut world = World::with(&[1, 2]);
    world.account_fails = Some(ApiError::Throttled);
    world.event(news(&thing(), RecordChange::Updated));
    let throttled = world.listings;
    assert_eq!(throttled, 1);
    (0..50).for_each(|_| world.event(news(&thing(), RecordChange::Updated)));
    assert_eq!(world.listings, throttled, "the account has asked for a pause");
    world.account_fails = None;
    world.pass(config().longest_pause.as_secs() + 2);
    assert!(world.listings > throttled);
    assert_eq!(Duration::from_secs(1), config().look_again);
    assert_eq!(world.status(1), Some(Active));
    assert_ne!(world.status(2), Some(Inactive));
}
