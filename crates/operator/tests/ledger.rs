//! The ledger: what it retires, what it holds, what freezes it. No I/O.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use fleetkey_model::certificate::CertificateStatus::{Active, Inactive, Revoked};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::RetireStatus::{Frozen, Pending, Retired};
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::controller::{Change, Event, FreezeReason, Ignored, Report};
use world::{World, generation, thing};

#[test]
fn an_older_certificate_goes_through_inactive_and_revoked_to_deleted() {
    let mut world = World::with(&[1, 2]);
    world.connect(1, "pump-1");
    world.commit(2);
    assert_eq!((world.last_answer(), world.status(1)), (Some(Pending), Some(Active)));
    world.pass(9);
    assert_eq!((world.last_answer(), world.status(1)), (Some(Retired), Some(Inactive)));
    assert_eq!(world.answers.last().unwrap().retired, [generation(1)]);
    world.pass(20);
    assert_eq!(world.status(1), Some(Revoked));
    world.pass(30);
    assert_eq!((world.status(1), world.status(2)), (None, Some(Active)));
    let order: Vec<_> = world.changes.iter().map(|(_, _, change)| *change).collect();
    assert_eq!(order, [Change::Deactivate, Change::Revoke, Change::Delete]);
}

#[test]
fn a_certificate_that_is_already_deleted_is_done_with() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.pass(29);
    assert_eq!(world.status(1), Some(Revoked));
    // The account did it, and its answer was lost.
    world.certificates.remove(&generation(1));
    world.pass(1000);
    assert_eq!(world.changes_of(1), [Change::Deactivate, Change::Revoke, Change::Delete]);
    assert!(world.reports.iter().all(|report| !matches!(report, Report::Failing { .. })));
    assert!(world.ledger.record(&thing()).unwrap().older.is_empty());
}

#[test]
fn without_a_request_nothing_is_retired() {
    let mut world = World::with(&[1, 2]);
    world.connect(1, "pump-1");
    world.connect(2, "pump-1");
    world.pass(1000);
    assert_eq!((world.changes.len(), world.listings), (0, 0));
}

#[test]
fn a_verification_connection_is_no_witness() {
    let mut world = World::with(&[1, 2]);
    world.connect(2, "pump-1~verify");
    world.request(2, "pump-1~verify");
    world.pass(1000);
    assert_eq!((world.changes.len(), world.answers.len()), (0, 0));
    assert!(matches!(world.reports.as_slice(), [Report::Ignored { why: Ignored::OtherClient, .. }]));
}

#[test]
fn a_request_under_another_things_client_id_does_nothing() {
    let mut world = World::with(&[1, 2]);
    for client in ["pump-2", "pump-1~agent", "~controller", "PUMP-1"] {
        world.request(2, client);
    }
    let mut forged = world.attested(2, "pump-1");
    forged.thing = ThingName::new("pump-2").unwrap();
    world.event(Event::Attested { topic: thing(), attested: forged.clone() });
    forged.clientid = ClientId::new("pump-2").unwrap();
    world.event(Event::Attested { topic: thing(), attested: forged });
    world.pass(1000);
    assert_eq!((world.changes.len(), world.answers.len(), world.reports.len()), (0, 0, 6));
}

#[test]
fn a_principal_that_is_not_the_things_or_not_active_does_nothing() {
    let mut world = World::with(&[1, 2]);
    world.set(2, Inactive);
    world.request(2, "pump-1");
    world.pass(2);
    world.request(9, "pump-1");
    world.pass(1000);
    let why = world.reports.iter().map(|report| match report {
        Report::Ignored { why, .. } => *why,
        other => panic!("{other:?}"),
    });
    assert_eq!(why.collect::<Vec<_>>(), [Ignored::NotActive, Ignored::NotAttached]);
    assert_eq!((world.changes.len(), world.disk.len()), (0, 0));
}

#[test]
fn the_next_rotation_retires_every_older_generation() {
    let mut world = World::with(&[1, 2, 3]);
    world.commit(1);
    world.commit(3);
    world.pass(10);
    assert_eq!(
        (world.status(1), world.status(2), world.status(3)),
        (Some(Inactive), Some(Inactive), Some(Active))
    );
}

#[test]
fn an_older_certificate_in_use_by_the_agent_is_held_until_it_has_gone() {
    let mut world = World::with(&[1, 2]);
    let session = world.connect(1, "pump-1~agent");
    world.commit(2);
    world.pass(30);
    assert_eq!((world.status(1), world.last_answer()), (Some(Active), Some(Pending)));
    world.disconnect(1, "pump-1~agent", session);
    assert_eq!((world.status(1), world.last_answer()), (Some(Inactive), Some(Retired)));
}

#[test]
fn a_hold_survives_a_restart() {
    let mut world = World::with(&[1, 2]);
    let session = world.connect(1, "pump-1~agent");
    world.commit(2);
    world.restart();
    world.pass(30);
    assert_eq!(world.status(1), Some(Active));
    world.request(2, "pump-1");
    assert_eq!(world.status(1), Some(Active));
    world.disconnect(1, "pump-1~agent", session);
    world.pass(2);
    assert_eq!(world.status(1), Some(Inactive));
}

/// Whoever rotated with a stolen key is gone, and all that was told of the owner's return is that.
#[test]
fn an_older_certificate_stays_until_its_successor_has_shown_life_after_the_soak() {
    let mut world = World::with(&[1, 2]);
    world.connect(1, "pump-1");
    world.pass(1);
    let session = world.connect(2, "pump-1");
    world.request(2, "pump-1");
    world.pass(5);
    world.disconnect(2, "pump-1", session);
    world.pass(1000);
    assert_eq!((world.status(1), world.last_answer()), (Some(Active), Some(Pending)));
    assert!(world.listings < 10, "it is not asked for all the time: {}", world.listings);
    // The rightful device repeats its request until it hears that it is done with.
    world.request(2, "pump-1");
    world.pass(2);
    assert_eq!((world.status(1), world.last_answer()), (Some(Inactive), Some(Retired)));
}

#[test]
fn an_older_certificate_that_outlasts_its_soak_in_use_freezes() {
    let mut world = World::with(&[1, 2]);
    world.connect(1, "pump-1~agent");
    world.commit(2);
    world.pass(200);
    assert_eq!((world.frozen(), world.last_answer()), (Some(FreezeReason::OlderStays), Some(Frozen)));
    assert_eq!(world.changes.len(), 0);
    assert!(world.reports.iter().any(|report| matches!(report, Report::Frozen { .. })));
}

/// The rightful owner was thrown out by whoever started a rotation with a stolen key, and comes back.
#[test]
fn an_older_certificate_that_comes_back_is_never_retired() {
    let mut world = World::with(&[1, 2]);
    world.connect(1, "pump-1");
    world.commit(2);
    world.pass(3);
    let session = world.connect(1, "pump-1");
    world.pass(2);
    world.disconnect(1, "pump-1", session);
    world.pass(500);
    assert_eq!((world.status(1), world.frozen()), (Some(Active), Some(FreezeReason::OlderStays)));
}

#[test]
fn two_generations_that_take_turns_freeze_at_once() {
    for by_request in [false, true] {
        let mut world = World::with(&[1, 2]);
        world.commit(2);
        world.pass(2);
        world.connect(1, "pump-1");
        world.pass(2);
        if by_request {
            world.request(2, "pump-1");
        } else {
            world.connect(2, "pump-1");
        }
        world.pass(2);
        assert_eq!(world.frozen(), Some(FreezeReason::TakingTurns), "by request: {by_request}");
        world.pass(1000);
        assert_eq!(world.changes.len(), 0);
    }
}

/// A device that fell back within the soak and then rotated again is no thief.
#[test]
fn a_device_that_fell_back_and_rotated_again_is_not_frozen() {
    let mut world = World::with(&[1, 2]);
    world.connect(1, "pump-1");
    world.commit(2);
    world.connect(1, "pump-1");
    world.pass(20);
    assert_eq!((world.status(1), world.frozen()), (Some(Active), None));
    world.issue(3);
    world.commit(3);
    world.pass(10);
    assert_eq!((world.status(1), world.status(2), world.frozen()), (Some(Inactive), Some(Inactive), None));
}

#[test]
fn one_that_comes_back_under_a_second_witness_freezes() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.connect(1, "pump-1");
    world.issue(3);
    world.commit(3);
    world.pass(1);
    world.connect(1, "pump-1");
    world.pass(1);
    assert_eq!(world.frozen(), Some(FreezeReason::TakingTurns));
}

#[test]
fn an_older_certificate_that_asks_after_its_successor_freezes() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.pass(2);
    world.request(1, "pump-1");
    world.pass(2);
    assert_eq!((world.frozen(), world.last_answer()), (Some(FreezeReason::OlderAsked), Some(Frozen)));
}

/// A compromise told twice over makes a device rotate twice in a second, and the account tells no less than seconds.
#[test]
fn of_two_registered_in_one_second_the_one_that_asks_later_is_the_newer() {
    let mut world = World::with(&[1]);
    world.issue_at(2, 50);
    world.issue_at(3, 50);
    world.commit(2);
    world.commit(3);
    world.pass(20);
    assert_eq!((world.frozen(), world.last_answer()), (None, Some(Retired)));
    assert_eq!([1, 2, 3].map(|n| world.status(n)), [Some(Inactive), Some(Inactive), Some(Active)]);
}

#[test]
fn of_two_registered_in_one_second_the_one_that_was_followed_freezes_when_it_asks_again() {
    let mut world = World::with(&[]);
    world.issue_at(2, 50);
    world.issue_at(3, 50);
    world.commit(2);
    world.commit(3);
    world.pass(2);
    world.request(2, "pump-1");
    world.pass(2);
    assert_eq!((world.frozen(), world.last_answer()), (Some(FreezeReason::OlderAsked), Some(Frozen)));
}

#[test]
fn a_request_that_was_delayed_past_its_successor_is_ignored() {
    let mut world = World::with(&[1, 2]);
    let late = world.attested(1, "pump-1");
    world.commit(2);
    world.event(Event::Attested { topic: thing(), attested: late });
    world.pass(20);
    assert_eq!((world.frozen(), world.status(1)), (None, Some(Inactive)));
}

#[test]
fn the_others_are_kept_when_the_attested_certificate_is_taken_away() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.set(2, Revoked);
    world.pass(1000);
    assert_eq!((world.status(1), world.frozen()), (Some(Active), Some(FreezeReason::WitnessGone)));
}

#[test]
fn a_certificate_that_an_operator_activates_again_is_left_alone() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.pass(15);
    assert_eq!(world.status(1), Some(Inactive));
    world.set(1, Active);
    world.pass(1000);
    assert_eq!((world.status(1), world.frozen()), (Some(Active), Some(FreezeReason::Reactivated)));
}

#[test]
fn one_seen_after_it_was_deactivated_is_not_revoked() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.pass(15);
    world.connect(1, "pump-1");
    world.pass(1000);
    assert_eq!((world.status(1), world.frozen()), (Some(Inactive), Some(FreezeReason::OlderStays)));
}

#[test]
fn a_repeated_request_is_answered_from_the_ledger() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    let listings = world.listings;
    for _ in 0..100 {
        world.request(2, "pump-1");
    }
    assert_eq!((world.answers.len(), world.listings), (101, listings));
    assert_eq!(world.last_answer(), Some(Pending));
    world.pass(10);
    world.request(2, "pump-1");
    assert_eq!(world.last_answer(), Some(Retired));
}

#[test]
fn the_audit_heads_of_the_last_two_requests_are_kept_and_malformed_ones_are_served() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    let (first, second) = ("1".repeat(64), "2".repeat(64));
    let answers = world.answers.len();
    for audit in [&first, "no head", &second, &second, ""] {
        let mut attested = world.attested(2, "pump-1");
        attested.request.audit = Some(audit.to_owned());
        world.event(Event::Attested { topic: thing(), attested });
    }
    assert_eq!(world.answers.len(), answers + 5);
    world.restart();
    let kept = &world.disk[&thing()].audit;
    let kept = [&kept.last, &kept.before].map(|head| head.unwrap().to_string());
    assert_eq!(kept, [second.as_str(), first.as_str()]);
}

#[test]
fn a_thief_who_asks_with_an_older_certificate_does_not_push_the_audit_heads_out() {
    let mut world = World::with(&[1, 2]);
    for (n, digit) in [(2, "a"), (1, "b"), (1, "c"), (2, "d")] {
        world.pass(2);
        let mut attested = world.attested(n, "pump-1");
        attested.request.audit = Some(digit.repeat(64));
        world.event(Event::Attested { topic: thing(), attested });
    }
    assert_eq!(world.frozen(), Some(FreezeReason::OlderAsked));
    let kept = &world.disk[&thing()].audit;
    assert_eq!(kept.last.map(String::from), Some("a".repeat(64)));
}

#[test]
fn a_noisy_stranger_costs_one_listing_a_second() {
    let mut world = World::with(&[1, 2]);
    for _ in 0..100 {
        world.request(9, "pump-1");
    }
    assert!(world.listings <= 1, "{}", world.listings);
    world.pass(5);
    assert!(world.listings <= 6, "{}", world.listings);
}

#[test]
fn a_retirement_goes_on_after_a_restart_at_any_second() {
    for at in 0..70 {
        let mut world = World::with(&[1, 2]);
        world.commit(2);
        world.pass(at);
        world.restart();
        world.pass(10);
        world.request(2, "pump-1");
        world.pass(80 - at);
        let order: Vec<_> = world.changes.iter().map(|(_, _, change)| *change).collect();
        assert_eq!(order, [Change::Deactivate, Change::Revoke, Change::Delete], "restart after {at} s");
    }
}

#[test]
fn a_freeze_survives_a_restart_and_ends_with_a_release() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.request(1, "pump-1");
    world.pass(2);
    world.restart();
    assert_eq!(world.frozen(), Some(FreezeReason::OlderAsked));
    world.event(Event::Release(thing()));
    assert_eq!((world.frozen(), world.disk.len()), (None, 0));
    world.commit(2);
    world.pass(10);
    assert_eq!(world.status(1), Some(Inactive));
}

#[test]
fn nothing_is_answered_or_changed_while_the_disk_fails() {
    let mut world = World::with(&[1, 2]);
    world.disk_fails = true;
    world.commit(2);
    world.pass(100);
    assert_eq!((world.answers.len(), world.changes.len()), (0, 0));
    world.disk_fails = false;
    world.pass(100);
    assert_eq!((world.last_answer(), world.status(1)), (Some(Retired), None));
}

#[test]
fn throttling_and_outages_are_waited_out_with_growing_pauses() {
    for error in [ApiError::Throttled, ApiError::Unavailable("x".into())] {
        let mut world = World::with(&[1, 2]);
        world.account_fails = Some(error);
        world.commit(2);
        world.pass(100);
        assert!(world.listings < 12, "{}", world.listings);
        world.account_fails = None;
        world.pass(300);
        assert_eq!(world.status(1), None);
    }
}

#[test]
fn a_refusal_that_waiting_does_not_mend_is_reported() {
    let mut world = World::with(&[1, 2]);
    world.account_fails = Some(ApiError::Other("access denied".into()));
    world.commit(2);
    assert!(world.reports.iter().any(|report| matches!(report, Report::Failing { .. })));
}

#[test]
fn a_thing_that_is_gone_is_forgotten() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.certificates.clear();
    world.pass(20);
    assert_eq!((world.disk.len(), world.changes.len()), (0, 0));
    assert!(world.ledger.record(&thing()).is_none());
}

#[test]
fn a_device_that_rotates_without_end_fills_neither_answer_nor_ledger_nor_account() {
    let mut world = World::with(&(1..=200).collect::<Vec<_>>());
    (1..=198).for_each(|n| world.set(n, Revoked));
    world.commit(200);
    world.pass(12);
    assert_eq!((world.last_answer(), world.status(199)), (Some(Retired), Some(Inactive)));
    let named = &world.answers.last().unwrap().retired;
    assert!(named.len() <= 50 && named.contains(&generation(199)), "{} named", named.len());
    assert_eq!(world.disk[&thing()].older.len(), 101);
    assert_eq!(world.certificates.len(), 102);
}

#[test]
fn while_the_disk_fails_a_noisy_device_fills_no_memory() {
    let mut world = World::with(&[1, 2]);
    world.commit(2);
    world.disk_fails = true;
    for n in 0..1000 {
        let mut attested = world.attested(2, "pump-1");
        attested.request.id = format!("noise {n}");
        world.event(Event::Attested { topic: thing(), attested });
        world.request(2, "pump-2");
    }
    let (answers, reports) = (world.answers.len(), world.reports.len());
    world.disk_fails = false;
    world.pass(500);
    assert!(world.answers.len() < answers + 10, "{} answers", world.answers.len() - answers);
    assert!(world.reports.len() < reports + 100, "{} reports", world.reports.len() - reports);
    assert_eq!(world.status(1), None);
}
