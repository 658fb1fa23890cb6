//! Looking at all rows without holding the controller up: part by part, and between two parts it gets its turn.
//!
//! What is seen is no single moment's state; sums and lists of findings need none.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::findings::{Finding, Rule, Thresholds, certificates_of, sort};
use super::query::{Query, unsettled};
use super::rules::View;
use super::store::{Ages, Certificate, Store, Thing};
use super::tally::Tally;
use super::watch::Watch;

/// How many rows are looked at before others get their turn: a millisecond or two.
const PART: usize = 2048;

/// What all rows come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Sums.
    pub tally: Tally,
    /// How many findings there are by each rule that found something.
    pub findings: BTreeMap<Rule, u64>,
    /// How old the knowledge is.
    pub ages: Ages,
}

impl Store {
    /// How many things there are.
    pub fn count_things(&self) -> usize {
        self.things.len()
    }

    /// The things after this one, by name; every thing after none.
    pub fn things_after(&self, after: Option<&ThingName>) -> impl Iterator<Item = (&ThingName, &Thing)> {
        let things = self.things.range::<ThingName, _>((after.map_or(Unbounded, Excluded), Unbounded));
        things.map(|(name, row)| (name, row.as_ref()))
    }
}

impl Watch {
    /// The certificates that a rule finds something of at `now`; of a thing as a whole, all that it has.
    pub fn found_by(&self, rule: Rule, now: Timestamp, thresholds: &Thresholds) -> BTreeSet<CertificateId> {
        let found = self.findings(now, thresholds);
        self.look(|store, _| certificates_of(store, rule, &found))
    }

    /// Everything that deserves attention at `now`, the gravest first.
    pub fn findings(&self, now: Timestamp, thresholds: &Thresholds) -> Vec<Finding> {
        let suspects = self.look(|store, _| store.suspects(now, thresholds));
        let mut found = Vec::new();
        let mut look = |act: &dyn Fn(&View<'_>, &mut Vec<Finding>)| {
            self.look(|store, _| act(&View { store, now, thresholds }, &mut found));
            // The lock is not fair: whoever waits for it has to be let in.
            std::thread::yield_now();
        };
        for part in suspects.things.chunks(PART) {
            look(&|view, found| view.look_at_things(part, found));
        }
        for part in suspects.certificates.chunks(PART) {
            look(&|view, found| view.look_at_certificates(part, found));
        }
        sort(&mut found);
        found
    }

    /// What all rows come to at `now`.
    pub fn survey(&self, now: Timestamp, thresholds: &Thresholds) -> Survey {
        let (mut tally, mut findings) = (Tally::default(), BTreeMap::new());
        for finding in self.findings(now, thresholds) {
            *findings.entry(finding.rule).or_default() += 1;
        }
        self.each(&|store| &store.certificates, |_, _, row| tally.add(now, row));
        let (things, ages) = self.look(|store, _| (store.things.len(), store.ages));
        tally.things = u64::try_from(things).unwrap_or(u64::MAX);
        Survey { tally, findings, ages }
    }

    /// How many certificates fit, as [`Query::count`] has it.
    pub fn count(&self, query: &Query, now: Timestamp) -> usize {
        let (few, unsettled) = self.look(|store, _| {
            let all = (*query == Query::default()).then_some(store.certificates.len());
            let few = all.or_else(|| query.count_few(store, now));
            let ids = unsettled(store).filter(|_| few.is_none() && query.state.is_some());
            (few, ids.copied().collect::<BTreeSet<_>>())
        });
        few.unwrap_or_else(|| {
            // Both come in the order of their ids.
            let (mut total, mut unsettled) = (0, unsettled.into_iter().peekable());
            self.each_certificate(|store, id, row| {
                while unsettled.next_if(|next| next < id).is_some() {}
                let settled = unsettled.next_if_eq(id).is_none();
                total += usize::from(query.fits_settled((store, settled), now, (id, row)));
            });
            total
        })
    }

    /// Shows every thing, a part at a time. Whoever looks holds the controller up for the length of a part.
    pub fn each_thing(&self, show: impl FnMut(&Store, &ThingName, &Thing)) {
        self.each(&|store| &store.things, show);
    }

    /// Shows every certificate, likewise.
    pub fn each_certificate(&self, show: impl FnMut(&Store, &CertificateId, &Certificate)) {
        self.each(&|store| &store.certificates, show);
    }

    /// Shows every row of a kind, a part at a time.
    pub(super) fn each<K: Ord + Clone, R>(
        &self,
        rows: &dyn Fn(&Store) -> &BTreeMap<K, Box<R>>,
        mut show: impl FnMut(&Store, &K, &R),
    ) {
        let mut after = None;
        while self.part(rows, &mut after, &mut show) {
            // The lock is not fair: whoever waits for it has to be let in.
            std::thread::yield_now();
        }
    }

    /// Shows the next rows of a kind after `after`, the last one shown; whether there were any.
    pub(super) fn part<K: Ord + Clone, R>(
        &self,
        rows: &dyn Fn(&Store) -> &BTreeMap<K, Box<R>>,
        after: &mut Option<K>,
        mut show: impl FnMut(&Store, &K, &R),
    ) -> bool {
        let last = self.look(|store, _| {
            let from = after.as_ref().map_or(Unbounded, Excluded);
            let part = rows(store).range((from, Unbounded)).take(PART);
            part.map(|(key, row)| (key, show(store, key, row))).last().map(|(key, ())| key.clone())
        });
        let any = last.is_some();
        *after = last;
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::census::{ListedCertificate, ListedThing};
    use crate::inventory::{State, findings};
    use fleetkey_model::certificate::CertificateStatus;

    const NOW: Timestamp = Timestamp::from_secs(100 * 86_400);

    /// More rows than a part has: every third thing is frozen, and every certificate is old.
    fn store() -> Store {
        let mut store = Store::default();
        for n in 0..u32::try_from(2 * PART + 1).unwrap() {
            let (id, name) =
                (CertificateId::of_der(&n.to_be_bytes()), ThingName::new(format!("p-{n}")).unwrap());
            let status = CertificateStatus::Active;
            let created_at = Timestamp::from_secs(86_400);
            store.listed_certificates(NOW, &[ListedCertificate { id, status, created_at }]);
            store
                .listed_things(NOW, &[ListedThing { name: name.clone(), newest: Some(id), recovered: None }]);
            store.frozen(&name, (n % 3 == 0).then(|| "why".to_owned()));
        }
        store
    }

    #[test]
    fn a_count_in_parts_is_that_of_the_whole() {
        let store = store();
        let watch = Watch::new(store.clone(), Default::default());
        let state = |state| Query { state: Some(state), ..Query::default() };
        let named = |part: &str| Query { named: Some(part.to_owned()), ..Query::default() };
        let old = Query { older_than: Some(std::time::Duration::from_secs(86_400)), ..Query::default() };
        let revoked = Query { status: Some(CertificateStatus::Revoked), ..Query::default() };
        let both = Query { named: Some("P-1".to_owned()), ..state(State::Ready) };
        for query in
            [Query::default(), state(State::Ready), state(State::Degraded), named("7"), both, old, revoked]
        {
            assert_eq!(watch.count(&query, NOW), query.count(&store, NOW), "{query:?}");
        }
        assert!(watch.count(&state(State::Degraded), NOW) > 0 && watch.count(&state(State::Ready), NOW) > 0);
    }

    #[test]
    fn in_parts_every_row_is_seen_once() {
        let store = store();
        let thresholds = Thresholds::default();
        let watch = Watch::new(store.clone(), Default::default());
        let whole = findings(&store, NOW, &thresholds);
        assert_eq!(watch.findings(NOW, &thresholds), whole);
        let survey = watch.survey(NOW, &thresholds);
        assert_eq!(survey.tally, Tally::of(&store, NOW));
        assert_eq!(survey.findings.values().sum::<u64>(), whole.len() as u64);
    }
}
