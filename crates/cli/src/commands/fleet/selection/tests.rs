//! Who is selected out of a small inventory, and who is left out of it.

use super::*;
use fleetkey_model::certificate::CertificateStatus::{Active, Inactive};
use fleetkey_operator::control_plane::CertificateSummary;
use fleetkey_operator::inventory::ListedThing;

const NOW: Timestamp = Timestamp::from_secs(1000);

fn thing(name: &str) -> ThingName {
    ThingName::new(name).unwrap()
}

fn id(name: &str) -> CertificateId {
    CertificateId::of_der(name.as_bytes())
}

/// A certificate of this name, registered then.
fn summary(name: &str, created: u64) -> CertificateSummary {
    CertificateSummary { id: id(name), status: Active, created_at: Timestamp::from_secs(created) }
}

/// What a selection comes to, which is counted alike out of the candidates.
fn of(watch: &Watch, selection: &Selection) -> (Vec<String>, Vec<(Why, usize)>) {
    let found = selection.of(watch, NOW);
    if let Some((count, left_out)) = selection.count_of(&candidates(watch), NOW) {
        assert_eq!((count, &left_out), (found.things.len(), &found.left_out), "counted alike");
    }
    (found.things.iter().map(ToString::to_string).collect(), found.left_out.by_reason().collect())
}

#[test]
fn who_is_in_a_group_and_fits_the_rest_is_selected() {
    let mut store = Store::default();
    for (name, created) in [("press-1", 1), ("press-2", 900), ("press-3", 1), ("oven-1", 1)] {
        store.listed(NOW, &thing(name), &[summary(name, created)]);
        store.witnessed(&thing(name), id(name), NOW);
    }
    let watch = Watch::new(store, Default::default());
    let named = |selection: &Selection| of(&watch, selection).0;
    assert_eq!(named(&Selection::default()), ["oven-1", "press-1", "press-2", "press-3"]);
    let members = Some(["press-1", "press-2", "gone"].map(thing).into());
    let grouped = Selection { members: members.clone(), ..Selection::default() };
    let expected = ["press-1", "press-2"].map(String::from).into();
    assert_eq!(of(&watch, &grouped), (expected, vec![(Why::Unlisted, 1)]));
    let aged = Selection { members, older_than: Some(Duration::from_secs(500)), ..Selection::default() };
    assert_eq!(named(&aged), ["press-1"]);
    let pattern = Selection { thing: Some("press-*".to_owned()), ..Selection::default() };
    assert_eq!(of(&watch, &pattern), (["press-1", "press-2", "press-3"].map(String::from).into(), vec![]));
    let among = Some([id("oven-1")].into());
    assert_eq!(named(&Selection { among, ..Selection::default() }), ["oven-1"]);
    assert_eq!(named(&Selection { members: Some(BTreeSet::new()), ..Selection::default() }), [""; 0]);
}

/// Nothing of these was provisioned by fleetkey: no attribute names a certificate, and the broker has attested none.
#[test]
fn a_fleet_that_others_have_provisioned_can_be_in_a_campaign() {
    let mut store = Store::default();
    store.listed(NOW, &thing("oven-1"), &[summary("old", 1), summary("new", 900)]);
    store.listed(NOW, &thing("oven-2"), &[summary("only", 1)]);
    let watch = Watch::new(store, Default::default());
    let all = ["oven-1", "oven-2"].map(String::from);
    assert_eq!(of(&watch, &Selection::default()), (all.into(), vec![]));
    let older_than = Some(Duration::from_secs(500));
    let aged = Selection { older_than, ..Selection::default() };
    assert_eq!(of(&watch, &aged).0, ["oven-2"], "the newest counts");
}

#[test]
fn who_is_meant_and_cannot_be_told_is_counted_with_the_reason() {
    let mut store = Store::new(BTreeMap::from([(id("claim"), "claim".to_owned())]));
    let listed = |name: &str, newest: Option<CertificateId>| ListedThing {
        name: thing(name),
        newest,
        recovered: None,
    };
    store.listed(NOW, &thing("press-1"), &[summary("press-1", 1), summary("older", 0)]);
    store.witnessed(&thing("press-1"), id("press-1"), NOW);
    let ended = CertificateSummary { status: Inactive, ..summary("ended", 1) };
    store.listed(NOW, &thing("bare-1"), &[ended]);
    store.listed_things(NOW, &[listed("bare-2", None), listed("elsewhere", Some(id("nobody has it")))]);
    store.listed(NOW, &thing("claimant"), &[summary("claim", 1)]);
    store.witnessed(&thing("claimant"), id("claim"), NOW);
    let watch = Watch::new(store, Default::default());
    let all = vec![(Why::Bare, 2), (Why::Detached, 1), (Why::Own, 1)];
    assert_eq!(of(&watch, &Selection::default()), (vec!["press-1".to_owned()], all));
    let bare = Selection { thing: Some("bare-*".to_owned()), ..Selection::default() };
    assert_eq!(of(&watch, &bare), (vec![], vec![(Why::Bare, 2)]), "of nobody else");
    for (found, expected) in [
        (vec!["older"], (vec![], vec![(Why::Other, 1)])),
        (vec!["older", "press-1"], (vec!["press-1".to_owned()], vec![])),
        (vec!["on no thing"], (vec![], vec![])),
    ] {
        let among = Some(found.into_iter().map(id).collect());
        assert_eq!(of(&watch, &Selection { among, ..Selection::default() }), expected);
    }
}

#[test]
fn a_device_whose_certificates_age_nobody_has_told_fits_no_age() {
    let mut store = Store::default();
    store.witnessed(&thing("press-1"), id("press-1"), NOW);
    store.attachments(id("press-1"), &[thing("press-1")]);
    let watch = Watch::new(store, Default::default());
    let older_than = Some(Duration::ZERO);
    let found = of(&watch, &Selection { older_than, ..Selection::default() });
    assert_eq!(found, (vec![], vec![(Why::Undated, 1)]));
    assert_eq!(of(&watch, &Selection::default()).0, ["press-1"]);
}

#[test]
fn the_reasons_are_told_in_words() {
    let mut left_out = LeftOut::default();
    assert_eq!((left_out.to_string().as_str(), left_out.json()), ("", serde_json::json!([])));
    left_out.add(Why::Bare, 0);
    left_out.add(Why::Bare, 2);
    let words = "no ACTIVE certificate is known to be theirs";
    assert_eq!(left_out.to_string(), format!(": 2 left out ({words})"));
    assert_eq!(left_out.json(), serde_json::json!([{ "devices": 2, "why": words }]));
}
