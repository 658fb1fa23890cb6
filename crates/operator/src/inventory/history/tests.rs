//! Histories from rows and lines.

use super::*;
use crate::control_plane::CertificateSummary;

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(second)
}

fn press() -> ThingName {
    ThingName::new("press-1").unwrap()
}

fn id(text: &str) -> CertificateId {
    CertificateId::of_der(text.as_bytes())
}

fn line(second: u64, phase: &str, action: &str, what: &str, why: Option<&str>) -> Kept {
    let [who, phase, action, what] = ["arn:a", phase, action, what].map(str::to_owned);
    Kept { at: at(second), who, phase, action, what, why: why.map(str::to_owned) }
}

/// The old one was registered at 1, superseded at 5 and is gone; the new one is ACTIVE.
fn store() -> Store {
    let mut store = Store::default();
    let summary = |text: &str, second| CertificateSummary {
        id: id(text),
        status: CertificateStatus::Active,
        created_at: at(second),
    };
    store.listed(at(2), &press(), &[summary("old", 1)]);
    store.listed(at(5), &press(), &[summary("old", 1), summary("new", 4)]);
    store.witnessed(&press(), id("new"), at(5));
    store.changed(at(6), id("old"), Some(CertificateStatus::Inactive));
    store
}

fn told(store: &Store, lines: &[Kept]) -> Vec<(u64, Option<CertificateId>, String)> {
    let thing = press();
    let mut history = History::of(store, &thing);
    history.learn(lines);
    let found = history.told(store, lines.to_vec());
    found.into_iter().map(|found| (found.at.as_secs(), found.certificate, found.what)).collect()
}

#[test]
fn what_the_account_and_the_broker_told_is_a_history_without_any_journal() {
    let (mut store, old, new) = (store(), Some(id("old")), Some(id("new")));
    let event = |second, of, what: &str| (second, of, what.to_owned());
    let begun = [
        event(1, old, "registered"),
        event(4, new, "registered"),
        event(5, old, "superseded"),
        event(5, new, "attested"),
    ];
    let found = told(&store, &[]);
    assert_eq!(found.len(), 5);
    assert!(begun.iter().all(|event| found.contains(event)), "{found:?}");
    assert_eq!(found.last(), Some(&event(6, old, "INACTIVE")));
    store.changed(at(9), id("old"), None);
    let found = told(&store, &[]);
    assert!(begun.iter().all(|event| found.contains(event)), "it is remembered: {found:?}");
    assert_eq!(found.last(), Some(&event(9, old, "deleted")));
}

#[test]
fn a_change_in_a_journal_is_told_once_with_who_and_why() {
    let old = id("old");
    let of = format!("certificate {old} of press-1");
    let lines = [
        line(5, "begun", "deactivate", &of, Some("older than new")),
        line(6, "done", "deactivate", &of, None),
        line(7, "done", "release", "thing press-1", Some("seen to")),
        line(7, "done", "release", "thing press-10", Some("another's")),
        line(8, "begun", "revoke", &format!("certificate {old}"), Some("by command")),
        line(8, "failed", "revoke", &format!("certificate {old}"), Some("throttled")),
        line(8, "done", "disconnect", "client press-1~verify", None),
        line(8, "done", "disconnect", "client press-12", None),
        line(9, "begun", "delete", &of, None),
    ];
    let (store, thing) = (store(), press());
    let found = History::of(&store, &thing).told(&store, lines.to_vec());
    let journal: Vec<_> = found.iter().filter(|found| found.told_by == "journal").collect();
    let whats: Vec<_> = journal.iter().map(|found| found.what.as_str()).collect();
    let unended = "delete begun, and no end of it is on record";
    assert_eq!(whats, ["deactivate", "release", "revoke failed", "disconnect", unended]);
    assert_eq!((journal[0].at, journal[0].certificate), (at(6), Some(old)));
    assert_eq!(
        (journal[0].who.as_deref(), journal[0].why.as_deref()),
        (Some("arn:a"), Some("older than new"))
    );
    assert!(!found.iter().any(|found| found.what == "INACTIVE"), "the journal has told it: {found:?}");
}

#[test]
fn a_certificate_that_only_a_journal_remembers_is_found_by_its_lines() {
    let (store, thing, gone) = (store(), press(), id("gone"));
    let of = line(3, "done", "delete", &format!("certificate {gone} of press-1"), None);
    let mut history = History::of(&store, &thing);
    assert!(!history.words().contains(&gone.short()));
    assert!(history.learn(std::slice::from_ref(&of)) && !history.learn(std::slice::from_ref(&of)));
    assert!(history.words().contains(&gone.short()));
    let revoked = line(2, "done", "revoke", &format!("certificate {gone}"), None);
    let found = history.told(&store, vec![of, revoked]);
    let of_it: Vec<_> = found.iter().filter(|found| found.certificate == Some(gone)).collect();
    assert_eq!(of_it.iter().map(|found| found.what.as_str()).collect::<Vec<_>>(), ["revoke", "delete"]);
}

#[test]
fn what_was_detached_before_it_went_is_still_told() {
    let (mut store, old) = (store(), Some(id("old")));
    let event = |second, what: &str| (second, old, what.to_owned());
    store.attachments(id("old"), &[]);
    let found = told(&store, &[]);
    assert!(found.contains(&event(1, "registered")) && found.contains(&event(6, "INACTIVE")), "{found:?}");
    store.changed(at(9), id("old"), None);
    let found = told(&store, &[]);
    assert!(found.contains(&event(1, "registered")), "{found:?}");
    assert_eq!(found.last(), Some(&event(9, "deleted")));
}

#[test]
fn a_second_deactivation_that_no_journal_has_is_told() {
    let (mut store, old) = (store(), id("old"));
    let of = format!("certificate {old} of press-1");
    let lines = [line(6, "done", "deactivate", &of, None), line(7, "done", "reactivate", &of, None)];
    let inactive = |store: &Store| {
        let found = told(store, &lines).into_iter().filter(|(_, _, what)| what == "INACTIVE");
        found.map(|(second, ..)| second).collect::<Vec<_>>()
    };
    assert_eq!(inactive(&store), [0; 0], "what the account last told is from before");
    store.changed(at(7), old, Some(CertificateStatus::Active));
    store.changed(at(8), old, Some(CertificateStatus::Inactive));
    assert_eq!(inactive(&store), [8]);
}
