//! States from what an account and a broker have told.

use super::CertificateStatus::{Active, Inactive, Revoked};
use super::*;
use crate::control_plane::CertificateSummary;
use crate::inventory::condition as condition_of;
use fleetkey_model::name::ThingName;
use std::collections::BTreeMap;

const DAY: u64 = 86_400;

fn id(n: u8) -> CertificateId {
    CertificateId::of_der(&[n])
}

fn press() -> ThingName {
    ThingName::new("press-1").unwrap()
}

fn day(day: u64) -> Timestamp {
    Timestamp::from_secs(day * DAY)
}

/// Certificates registered on these days, with their status; the first of them attested.
fn store(certificates: &[(u64, CertificateStatus)]) -> Store {
    let mut store = Store::default();
    let summary = |(n, (at, status)): (usize, &(u64, CertificateStatus))| CertificateSummary {
        id: id(u8::try_from(n).unwrap()),
        status: *status,
        created_at: day(*at),
    };
    let listed: Vec<_> = certificates.iter().enumerate().map(summary).collect();
    store.listed(day(20), &press(), &listed);
    store.witnessed(&press(), id(0), day(10));
    store
}

fn state(store: &Store, now: u64) -> Option<State> {
    condition_of(store, &press(), day(now)).map(|condition| condition.state)
}

#[test]
fn one_that_is_active_and_attested_is_ready_whatever_lies_retired_beside_it() {
    assert_eq!(state(&store(&[(10, Active)]), 20), Some(State::Ready));
    assert_eq!(state(&store(&[(10, Active), (5, Inactive), (1, Revoked)]), 20), Some(State::Ready));
    assert_eq!(state(&Store::default(), 20), None);
}

#[test]
fn another_that_is_active_is_a_rotation_until_it_was_given_up() {
    assert_eq!(state(&store(&[(10, Active), (5, Active)]), 20), Some(State::Rotating), "an older one");
    let mut newer = store(&[(10, Active), (19, Active)]);
    newer.listening(day(19));
    newer.listening(day(21));
    assert_eq!(state(&newer, 19), Some(State::Rotating));
    assert_eq!(state(&newer, 21), Some(State::BackOff), "it was never used");
}

/// An inventory that was taken without a controller, or after one was away, knows of no use because nobody was there.
#[test]
fn no_rotation_counts_as_given_up_where_nobody_has_listened() {
    let mut store = store(&[(10, Active), (19, Active)]);
    let silent = |store: &Store| condition_of(store, &press(), day(30)).unwrap();
    assert_eq!(silent(&store).state, State::Rotating);
    assert!(silent(&store).why.unwrap().contains("nobody has listened"));
    store.listening(day(15));
    store.listening(day(20) - Duration::from_secs(1));
    assert_eq!(silent(&store).state, State::Rotating, "it was there for less than a day, and then ended");
    store.listening(day(20));
    assert_eq!(silent(&store).state, State::BackOff);
    store.presence_missed(day(25));
    store.listening(day(25) + Duration::from_secs(DAY - 1));
    assert_eq!(silent(&store).state, State::Rotating, "after a gap it begins anew");
}

/// The list of things may name a certificate before the list of certificates has it.
#[test]
fn a_newest_certificate_that_no_list_has_yet_is_a_rotation() {
    let mut store = Store::default();
    let summary = CertificateSummary { id: id(0), status: Active, created_at: day(10) };
    store.listed(day(20), &press(), &[summary]);
    let listed =
        |newest| crate::inventory::ListedThing { name: press(), newest: Some(newest), recovered: None };
    store.listed_things(day(20), &[listed(id(0))]);
    assert_eq!(state(&store, 20), Some(State::Ready));
    store.listed_things(day(21), &[listed(id(7))]);
    assert_eq!(state(&store, 21), Some(State::Rotating));
    store.witnessed(&press(), id(0), day(21));
    assert_eq!(state(&store, 21), Some(State::Ready), "what was attested is the one in use");
}

/// A fleet that somebody else has provisioned has certificates in use, too.
#[test]
fn where_nobody_tells_which_it_is_the_newest_active_one_is_current() {
    let current = |store: &Store| current(store, store.thing(&press()).unwrap());
    let unattested = |own: BTreeMap<CertificateId, String>, certificates: &[(u8, u64, CertificateStatus)]| {
        let mut store = Store::new(own);
        let summary = |(n, at, status): &(u8, u64, CertificateStatus)| CertificateSummary {
            id: id(*n),
            status: *status,
            created_at: day(*at),
        };
        store.listed(day(20), &press(), &certificates.iter().map(summary).collect::<Vec<_>>());
        store
    };
    let all = [(1, 5, Active), (2, 9, Active), (3, 12, Inactive), (4, 15, Active)];
    let claim = || BTreeMap::from([(id(4), "claim".to_owned())]);
    let mut store = unattested(claim(), &all);
    assert_eq!(current(&store), Some(id(2)), "neither what has ended nor what is the operator's own");
    assert_eq!(state(&store, 20), Some(State::Rotating));
    let listed = crate::inventory::ListedThing { name: press(), newest: Some(id(1)), recovered: None };
    store.listed_things(day(21), &[listed]);
    assert_eq!(current(&store), Some(id(1)), "the attribute tells");
    store.witnessed(&press(), id(3), day(22));
    assert_eq!(current(&store), Some(id(3)), "the broker has the last word");
    assert_eq!(current(&unattested(claim(), &all[2..])), None);
    let one = unattested(BTreeMap::new(), &all[..1]);
    assert_eq!((current(&one), state(&one, 20)), (Some(id(1)), Some(State::Ready)));
}

#[test]
fn what_asks_for_a_person_is_degraded() {
    assert_eq!(state(&store(&[(10, Inactive), (5, Active)]), 20), Some(State::Degraded), "the attested one");
    assert_eq!(state(&store(&[(10, Revoked)]), 20), Some(State::Degraded), "none is left");
    let mut frozen = store(&[(10, Active)]);
    frozen.frozen(&press(), Some("why".into()));
    assert_eq!(state(&frozen, 20), Some(State::Degraded));
    frozen.frozen(&press(), None);
    assert_eq!(state(&frozen, 20), Some(State::Ready));
    let mut short = store(&[(10, Active)]);
    short.described(id(0), &crate::inventory::Described { not_after: day(30) });
    assert_eq!((state(&short, 29), state(&short, 30)), (Some(State::Ready), Some(State::Degraded)));
}

#[test]
fn words_are_read_as_they_are_written() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    assert_eq!("back-off".parse(), Ok(State::BackOff));
    assert!("fine".parse::<State>().is_err());
}
