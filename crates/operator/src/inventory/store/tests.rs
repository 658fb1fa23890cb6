//! Rows after events and lists.

use super::*;

fn id(n: u8) -> CertificateId {
    CertificateId::of_der(&[n])
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn client(text: &str) -> ClientId {
    ClientId::new(text).unwrap()
}

fn event(n: u8, seconds: u64, session: &str) -> PresenceEvent {
    PresenceEvent {
        timestamp: at(seconds),
        principal_identifier: id(n),
        session_identifier: Some(session.into()),
    }
}

#[test]
fn a_client_id_is_connected_with_one_certificate_at_a_time() {
    let mut store = Store::default();
    store.connected(at(1), &client("a"), &event(1, 1, "s1"));
    store.connected(at(2), &client("a"), &event(2, 2, "s2"));
    assert!(store.certificate(&id(1)).unwrap().open.is_empty());
    assert_eq!(store.certificate(&id(2)).unwrap().open.len(), 1);
    store.disconnected(at(3), &client("a"), &event(1, 2, "s1"));
    assert_eq!(store.certificate(&id(2)).unwrap().open.len(), 1, "the end of the one that was taken over");
    store.disconnected(at(4), &client("a"), &event(2, 4, "s2"));
    assert!(store.certificate(&id(2)).unwrap().open.is_empty());
}

#[test]
fn an_end_that_overtakes_its_beginning_still_ends_it() {
    let mut store = Store::default();
    store.disconnected(at(2), &client("a"), &event(1, 2, "s1"));
    store.connected(at(3), &client("a"), &event(1, 1, "s1"));
    let row = store.certificate(&id(1)).unwrap();
    assert!(row.open.is_empty() && row.connected_at == Some(at(1)));
}

/// By a connection that was lost before it had acknowledged the beginning, and comes back after the end.
#[test]
fn a_beginning_that_is_told_again_after_its_end_opens_nothing() {
    let mut store = Store::default();
    store.connected(at(1), &client("a"), &event(1, 1, "s1"));
    store.disconnected(at(2), &client("a"), &event(1, 2, "s1"));
    store.connected(at(3), &client("a"), &event(1, 1, "s1"));
    assert!(store.certificate(&id(1)).unwrap().open.is_empty());
    store.connected(at(4), &client("a"), &event(1, 4, "s2"));
    assert_eq!(store.certificate(&id(1)).unwrap().open.len(), 1);
}

#[test]
fn late_and_repeated_events_change_nothing() {
    let mut store = Store::default();
    store.connected(at(5), &client("a"), &event(2, 5, "s2"));
    let before = store.clone();
    store.connected(at(5), &client("a"), &event(2, 5, "s2"));
    store.connected(at(5), &client("a"), &event(1, 1, "s1"));
    assert_eq!(store.certificate(&id(2)), before.certificate(&id(2)));
    assert!(store.certificate(&id(1)).is_none());
}

#[test]
fn what_a_whole_sweep_has_not_listed_is_gone() {
    let mut store = Store::default();
    let listed = |n| ListedCertificate { id: id(n), status: CertificateStatus::Active, created_at: at(1) };
    store.listed_certificates(at(10), &[listed(1), listed(2)]);
    store.listed_certificates(at(20), &[listed(1)]);
    store.swept_certificates(at(15), at(21));
    assert!(store.certificate(&id(1)).is_some() && store.certificate(&id(2)).is_none());
    assert_eq!(store.ages().certificates, Some(at(21)));
}

#[test]
fn attachments_follow_what_the_account_tells_last() {
    let mut store = Store::default();
    let [a, b] = ["a", "b"].map(|name| ThingName::new(name).unwrap());
    let summary = CertificateSummary { id: id(1), status: CertificateStatus::Active, created_at: at(1) };
    store.listed(at(1), &a, &[summary]);
    store.attachments(id(1), std::slice::from_ref(&b));
    assert_eq!(store.certificate(&id(1)).unwrap().thing.as_ref(), Some(&b));
    assert!(store.thing(&a).unwrap().certificates.is_empty());
    store.listed(at(2), &b, &[]);
    assert_eq!(store.certificate(&id(1)).unwrap().thing, None);
}

fn told_of_both(store: &mut Store) -> ThingName {
    let press = ThingName::new("press-1").unwrap();
    let status = CertificateStatus::Active;
    let summary = |n| CertificateSummary { id: id(n), status, created_at: at(n.into()) };
    store.listed(at(10), &press, &[summary(1), summary(2)]);
    press
}

#[test]
fn what_is_detached_before_it_is_deleted_stays_in_its_things_past() {
    let mut store = Store::default();
    let press = told_of_both(&mut store);
    store.attachments(id(1), &[]);
    let row = store.thing(&press).unwrap();
    assert!(!row.certificates.contains(&id(1)) && row.former.contains(&id(1)) && row.past.is_empty());
    store.changed(at(20), id(1), None);
    let row = store.thing(&press).unwrap();
    assert_eq!((row.past.len(), row.past[0].certificate, row.past[0].gone_at), (1, id(1), at(20)));
    assert!(row.former.is_empty());
}

#[test]
fn what_moves_to_another_thing_leaves_the_first_ones_past() {
    let mut store = Store::default();
    let press = told_of_both(&mut store);
    let other = ThingName::new("press-2").unwrap();
    store.attachments(id(1), &[]);
    store.attachments(id(1), std::slice::from_ref(&other));
    assert!(store.thing(&press).unwrap().former.is_empty());
    store.changed(at(20), id(1), None);
    assert!(store.thing(&press).unwrap().past.is_empty());
    assert_eq!(store.thing(&other).unwrap().past.len(), 1);
}

#[test]
fn silence_counts_only_while_somebody_listens() {
    let mut store = Store::default();
    store.listening(at(10));
    store.listening(at(70));
    assert_eq!(store.ages().listened_after(at(0)).as_secs(), 60);
    assert_eq!(store.ages().listened_after(at(50)).as_secs(), 20);
    assert_eq!((store.ages().watching_since, store.ages().events), (None, None), "no event was heard");
    store.presence_missed(at(100));
    assert_eq!(store.ages().listened_after(at(0)).as_secs(), 0, "a gap begins it anew");
    store.connected(at(130), &client("a"), &event(1, 129, "s1"));
    assert_eq!(store.ages().listened_after(at(0)).as_secs(), 30);
}
