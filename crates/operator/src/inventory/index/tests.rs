//! Whatever happens to the rows: what is found by the index is what is found by looking at them all.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;
use proptest::prelude::*;

use crate::control_plane::CertificateSummary;
use crate::controller::PresenceEvent;
use crate::inventory::census::{Described, ListedCertificate, ListedThing};
use crate::inventory::findings::{Finding, sort};
use crate::inventory::query::Query;
use crate::inventory::rules::View;
use crate::inventory::{Certificate, State, Store, Thresholds, condition, findings};

/// Everything happens within some hours, and the thresholds are minutes.
const MINUTE: u64 = 60;

#[derive(Debug, Clone)]
enum Happens {
    Connected(u8, u8, u64),
    Disconnected(u8, u8, u64),
    Attested(u8, u8),
    Witnessed(u8, u8),
    Frozen(u8, bool),
    PresenceMissed,
    Listed(u8, Vec<(u8, u8)>),
    Changed(u8, u8),
    ListedCertificates(Vec<(u8, u8)>),
    ListedThings(Vec<(u8, u8)>),
    Attachments(u8, Option<u8>),
    Described(u8, u64),
    SweptCertificates(u64),
    SweptThings(u64),
    Joined,
}

fn id(n: u8) -> CertificateId {
    CertificateId::of_der(&[n])
}

fn thing(n: u8) -> ThingName {
    ThingName::new(format!("press-{n}")).unwrap()
}

fn client(n: u8) -> ClientId {
    let name = format!("press-{}", n / 4);
    let text = [name.clone(), format!("{name}~verify"), format!("{name}~agent"), format!("claim~{name}")];
    ClientId::new(text[usize::from(n % 4)].clone()).unwrap()
}

const fn status(n: u8) -> CertificateStatus {
    match n {
        0 | 1 => CertificateStatus::Active,
        2 => CertificateStatus::Inactive,
        _ => CertificateStatus::Revoked,
    }
}

/// Registered minutes apart, the first of them before everything.
fn created(n: u8) -> Timestamp {
    Timestamp::from_secs(u64::from(n) * 10 * MINUTE)
}

const fn minute(at: u64) -> Timestamp {
    Timestamp::from_secs(at * MINUTE)
}

impl Happens {
    fn to(&self, store: &mut Store, now: Timestamp) {
        let presence = |n: u8, at: u64| PresenceEvent {
            timestamp: minute(at),
            principal_identifier: id(n),
            session_identifier: Some(format!("{n} {at}").into()),
        };
        let listed =
            |(n, s): &(u8, u8)| ListedCertificate { id: id(*n), status: status(*s), created_at: created(*n) };
        match self {
            Self::Connected(n, c, at) => store.connected(now, &client(*c), &presence(*n, *at)),
            Self::Disconnected(n, c, at) => store.disconnected(now, &client(*c), &presence(*n, *at)),
            Self::Attested(n, t) => store.attested(now, &thing(*t), id(*n), now),
            Self::Witnessed(n, t) => store.witnessed(&thing(*t), id(*n), now),
            Self::Frozen(t, is) => store.frozen(&thing(*t), is.then(|| "why".to_owned())),
            Self::PresenceMissed => store.presence_missed(now),
            Self::Listed(t, found) => {
                let summary = |(n, s): &(u8, u8)| CertificateSummary {
                    id: id(*n),
                    status: status(*s),
                    created_at: created(*n),
                };
                store.listed(now, &thing(*t), &found.iter().map(summary).collect::<Vec<_>>());
            }
            Self::Changed(n, s) => store.changed(now, id(*n), (*s < 4).then(|| status(*s))),
            Self::ListedCertificates(page) => {
                store.listed_certificates(now, &page.iter().map(listed).collect::<Vec<_>>());
            }
            Self::ListedThings(page) => {
                let row = |(t, n): &(u8, u8)| ListedThing {
                    name: thing(*t),
                    newest: Some(id(*n)),
                    recovered: None,
                };
                store.listed_things(now, &page.iter().map(row).collect::<Vec<_>>());
            }
            Self::Attachments(n, t) => {
                store.attachments(id(*n), &t.iter().map(|t| thing(*t)).collect::<Vec<_>>());
            }
            Self::Described(n, at) => store.described(id(*n), &Described { not_after: minute(*at) }),
            Self::SweptCertificates(begun) => store.swept_certificates(minute(*begun), now),
            Self::SweptThings(begun) => store.swept_things(minute(*begun), now),
            Self::Joined => store.joined(now),
        }
    }
}

fn happens() -> impl Strategy<Value = Happens> {
    let (n, t, c, at) = (0..8u8, 0..3u8, 0..12u8, 0..240u64);
    let pairs = proptest::collection::vec((0..8u8, 0..4u8), 0..5);
    prop_oneof![
        6 => (n.clone(), c.clone(), at.clone()).prop_map(|(n, c, at)| Happens::Connected(n, c, at)),
        3 => (n.clone(), c, at.clone()).prop_map(|(n, c, at)| Happens::Disconnected(n, c, at)),
        1 => (n.clone(), t.clone()).prop_map(|(n, t)| Happens::Attested(n, t)),
        3 => (n.clone(), t.clone()).prop_map(|(n, t)| Happens::Witnessed(n, t)),
        1 => (t.clone(), any::<bool>()).prop_map(|(t, is)| Happens::Frozen(t, is)),
        1 => Just(Happens::PresenceMissed),
        2 => (t.clone(), pairs.clone()).prop_map(|(t, found)| Happens::Listed(t, found)),
        2 => (n.clone(), 0..5u8).prop_map(|(n, s)| Happens::Changed(n, s)),
        3 => pairs.prop_map(Happens::ListedCertificates),
        2 => proptest::collection::vec((0..3u8, 0..8u8), 0..3).prop_map(Happens::ListedThings),
        2 => (n.clone(), proptest::option::of(t)).prop_map(|(n, t)| Happens::Attachments(n, t)),
        1 => (n, at.clone()).prop_map(|(n, at)| Happens::Described(n, at)),
        1 => at.clone().prop_map(Happens::SweptCertificates),
        1 => at.prop_map(Happens::SweptThings),
        1 => Just(Happens::Joined),
    ]
}

/// All rows looked at.
fn looked_for(store: &Store, now: Timestamp, thresholds: &Thresholds) -> Vec<Finding> {
    let (view, mut found) = (View { store, now, thresholds }, Vec::new());
    view.look_at_things(store.things.keys(), &mut found);
    view.look_at_certificates(store.certificates.keys(), &mut found);
    sort(&mut found);
    found
}

/// All rows asked of, one by one.
fn fitting(query: &Query, store: &Store, now: Timestamp) -> Vec<CertificateId> {
    let alone = |id: &CertificateId| {
        let among = Some([*id].into());
        Query { among, ..query.clone() }.count(store, now) == 1
    };
    store.certificates.keys().filter(|id| alone(id)).copied().collect()
}

/// All certificates whose thing is in a state, by a look at each.
fn in_state(state: State, store: &Store, now: Timestamp) -> Vec<CertificateId> {
    let is_in = |row: &Certificate| {
        let found = row.thing.as_ref().and_then(|thing| condition(store, thing, now));
        found.is_some_and(|condition| condition.state == state)
    };
    store.certificates.iter().filter(|(_, row)| is_in(row)).map(|(id, _)| *id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_overlooked(story in proptest::collection::vec(happens(), 1..60)) {
        let mut store = Store::new(BTreeMap::from([(id(0), "claim".to_owned())]));
        let span = |minutes: u64| Duration::from_secs(minutes * MINUTE);
        let thresholds = Thresholds {
            aged_after: span(60),
            expiring_within: span(30),
            idle_after: span(90),
            cut_within: span(10),
            connects: 1,
            claims_expected: false,
        };
        for (step, event) in story.iter().enumerate() {
            let now = minute(60 + 3 * step as u64);
            event.to(&mut store, now);
            prop_assert_eq!(findings(&store, now, &thresholds), looked_for(&store, now, &thresholds));
        }
        let now = minute(240);
        prop_assert_eq!(findings(&store, now, &thresholds), looked_for(&store, now, &thresholds));
        let statuses = [status(0), status(2), status(3)].map(Some);
        let things = [None, Some("press-1".to_owned()), Some("press-*".to_owned()), Some("*-2".to_owned())];
        for (status, thing) in statuses.into_iter().chain([None]).flat_map(|status| things.clone().map(|thing| (status, thing))) {
            for connected in [None, Some(true), Some(false)] {
                let query = Query { status, connected, thing: thing.clone(), ..Query::default() };
                let page = query.page(&store, now, None, None, 100);
                let found: Vec<_> = page.rows.iter().map(|row| row.certificate).collect();
                prop_assert_eq!(found, fitting(&query, &store, now));
            }
        }
        for state in State::ALL {
            let page = Query { state: Some(state), ..Query::default() }.page(&store, now, None, None, 100);
            let found: Vec<_> = page.rows.iter().map(|row| row.certificate).collect();
            prop_assert_eq!(found, in_state(state, &store, now));
        }
    }
}
