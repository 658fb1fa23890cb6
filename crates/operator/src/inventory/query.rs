//! Questions to the store: which certificates, a page at a time.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde::Serialize;

use super::state::{self, Condition, State};
use super::store::{Certificate, Store};

/// So many rows are looked up one by one; of more, a page is found by going through all.
const FEW: usize = 4096;
/// Where the search itself takes time, it is given up after so many.
const RARE: usize = 256;

/// Which certificates; what is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Of this status.
    pub status: Option<CertificateStatus>,
    /// Of things whose name matches (`*` any run of characters, `?` any one).
    pub thing: Option<String>,
    /// Registered at least so long ago.
    pub older_than: Option<Duration>,
    /// Not seen for at least so long; never seen counts.
    pub unseen_for: Option<Duration>,
    /// Connected now, or not.
    pub connected: Option<bool>,
    /// Only these: what a rule has found.
    pub among: Option<BTreeSet<CertificateId>>,
    /// Of things whose name contains this, any case.
    pub named: Option<String>,
    /// Known to end by then, or to have ended.
    pub ends_by: Option<Timestamp>,
    /// Of things in this state.
    pub state: Option<State>,
}

/// When a thing's certificate is to be rotated that was registered then and ends then, as far as that is known: what the
/// devices themselves go by, which is theirs to say.
pub type Due<'a> = &'a dyn Fn(&ThingName, Timestamp, Option<Timestamp>) -> Timestamp;

/// A page of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The rows, by certificate id.
    pub rows: Vec<Row>,
    /// What to go on after; `None` on the last page.
    pub next: Option<CertificateId>,
}

/// A certificate as it is shown. Moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its id.
    pub certificate: CertificateId,
    /// The thing that it is on.
    pub thing: Option<ThingName>,
    /// Its status; `null` while the account has not told.
    pub status: Option<CertificateStatus>,
    /// Since when that is known.
    pub status_since: Option<Timestamp>,
    /// `current` ([`super::current`]), `older`, `own` (the operator's), or nothing that is known.
    pub part: Option<&'static str>,
    /// The state of its thing.
    pub state: Option<State>,
    /// When it was registered.
    pub created_at: Option<Timestamp>,
    /// How long ago that was, in seconds.
    pub age: Option<u64>,
    /// When its device rotates it, if the fleet's settings are known: of a current one.
    pub rotation_due: Option<Timestamp>,
    /// Its end, if it was described.
    pub not_after: Option<Timestamp>,
    /// When it last connected.
    pub connected_at: Option<Timestamp>,
    /// The last sign of it.
    pub seen_at: Option<Timestamp>,
    /// The client ids that it is connected as now.
    pub connections: Vec<String>,
    /// When the account last told of it.
    pub told_at: Option<Timestamp>,
}

impl Query {
    /// The first `limit` certificates after `after` that fit.
    pub fn page(
        &self,
        store: &Store,
        now: Timestamp,
        due: Option<Due<'_>>,
        after: Option<CertificateId>,
        limit: usize,
    ) -> Listing {
        let few = self.few(store);
        let mut fitting =
            rows(store, few.as_deref(), after).filter(|(id, row)| self.fits(store, now, id, row));
        let shown = |(id, row): (&CertificateId, &Certificate)| shown(store, now, *id, row, due);
        let rows: Vec<_> = fitting.by_ref().take(limit).map(shown).collect();
        let more = fitting.next().is_some();
        Listing { next: rows.last().filter(|_| more).map(|row| row.certificate), rows }
    }

    /// How many fit.
    pub fn count(&self, store: &Store, now: Timestamp) -> usize {
        let few = self.few(store);
        rows(store, few.as_deref(), None).filter(|(id, row)| self.fits(store, now, id, row)).count()
    }

    /// The only certificates that can fit, where a condition leaves so few. Where all of them leave many, a page of those
    /// that fit is found before many rows were looked at.
    fn few(&self, store: &Store) -> Option<Cow<'_, BTreeSet<CertificateId>>> {
        let among = self.among.as_ref().map(Cow::Borrowed);
        let status = || few(store.index().of(self.status?)?);
        let connected = || {
            let now = store.connected_now();
            let asked = self.connected == Some(true) && now.len() <= FEW;
            asked.then(|| now.copied().collect())
        };
        let named = || few(named(store, self.thing.as_ref()?));
        // Things are in the order of their names, and half as many: where few names fit, a look at each is quicker than at the
        // names of all rows; where many do, that is soon known.
        let containing = || {
            let part = self.named.as_deref().filter(|part| !part.is_empty())?;
            at_most(RARE, containing(store, part))
        };
        // Of what is not settled something may be Ready all the same.
        let state =
            || few(unsettled(store)).filter(|_| self.state.is_some_and(|state| state != State::Ready));
        let found = || status().or_else(connected).or_else(named).or_else(state).or_else(containing);
        among.or_else(|| found().map(Cow::Owned))
    }

    /// Whether a certificate is one of them.
    pub fn fits(&self, store: &Store, now: Timestamp, id: &CertificateId, row: &Certificate) -> bool {
        self.fits_itself(now, id, row)
            && self.state.is_none_or(|state| state_of(store, row, now) == Some(state))
    }

    /// The same as [`Self::fits`], where it is known whether the certificate is one of [`unsettled`]: asked of every row, a look
    /// into the index each is too much.
    pub(super) fn fits_settled(
        &self,
        (store, settled): (&Store, bool),
        now: Timestamp,
        (id, row): (&CertificateId, &Certificate),
    ) -> bool {
        let state = || {
            let thing = row.thing.as_ref()?;
            if settled { Some(State::Ready) } else { Some(condition(store, thing, now)?.state) }
        };
        self.fits_itself(now, id, row) && self.state.is_none_or(|wanted| state() == Some(wanted))
    }

    /// How many fit, where a condition leaves so few that this is quick.
    pub(super) fn count_few(&self, store: &Store, now: Timestamp) -> Option<usize> {
        let few = self.few(store)?;
        Some(rows(store, Some(&few), None).filter(|(id, row)| self.fits(store, now, id, row)).count())
    }

    fn fits_itself(&self, now: Timestamp, id: &CertificateId, row: &Certificate) -> bool {
        let long_ago =
            |moment: Option<Timestamp>, span: Duration| now.since(moment.unwrap_or_default()) >= span;
        self.status.is_none_or(|status| row.status == Some(status))
            && self.connected.is_none_or(|connected| connected != row.open.is_empty())
            && self.older_than.is_none_or(|span| row.created_at.is_some() && long_ago(row.created_at, span))
            && self.unseen_for.is_none_or(|span| long_ago(row.seen_at, span))
            && self.among.as_ref().is_none_or(|among| among.contains(id))
            && self
                .thing
                .as_ref()
                .is_none_or(|pattern| row.thing.as_ref().is_some_and(|thing| like(pattern, thing.as_str())))
            && self.ends_by.is_none_or(|by| row.not_after.is_some_and(|end| end <= by))
            && self.named.as_ref().is_none_or(|part| {
                part.is_empty() || row.thing.as_ref().is_some_and(|thing| contains(thing.as_str(), part))
            })
    }
}

/// Rows by id, from the one after `after` on.
fn rows<'a>(
    store: &'a Store,
    few: Option<&'a BTreeSet<CertificateId>>,
    after: Option<CertificateId>,
) -> Box<dyn Iterator<Item = (&'a CertificateId, &'a Certificate)> + 'a> {
    let from = (after.map_or(Unbounded, Excluded), Unbounded);
    match few {
        Some(ids) => Box::new(ids.range(from).filter_map(|id| Some((id, store.certificate(id)?)))),
        None => Box::new(store.certificates.range(from).map(|(id, row)| (id, row.as_ref()))),
    }
}

fn few<'a>(ids: impl IntoIterator<Item = &'a CertificateId>) -> Option<BTreeSet<CertificateId>> {
    at_most(FEW, ids)
}

fn at_most<'a>(
    most: usize,
    ids: impl IntoIterator<Item = &'a CertificateId>,
) -> Option<BTreeSet<CertificateId>> {
    let found: BTreeSet<_> = ids.into_iter().take(most + 1).copied().collect();
    (found.len() <= most).then_some(found)
}

/// The certificates of things whose name matches.
fn named<'a>(store: &'a Store, pattern: &'a str) -> impl Iterator<Item = &'a CertificateId> {
    let (start, _) = plain(pattern);
    let from = store.things.range::<str, _>((Included(start), Unbounded));
    let begins = from.take_while(move |(name, _)| name.as_str().starts_with(start));
    begins.filter(move |(name, _)| like(pattern, name.as_str())).flat_map(|(_, row)| &row.certificates)
}

/// The certificates of things whose name contains this.
fn containing<'a>(store: &'a Store, part: &'a str) -> impl Iterator<Item = &'a CertificateId> {
    let things = store.things.iter().filter(move |(name, _)| contains(name.as_str(), part));
    things.flat_map(|(_, row)| &row.certificates)
}

/// The certificates of things that are not settled.
pub(super) fn unsettled(store: &Store) -> impl Iterator<Item = &CertificateId> {
    let things = store.index().unsettled().iter().filter_map(|name| store.thing(name));
    things.flat_map(|thing| &thing.certificates)
}

/// The state of a certificate's thing. Nearly all are settled, and looked up at once.
fn state_of(store: &Store, row: &Certificate, now: Timestamp) -> Option<State> {
    let thing = row.thing.as_ref()?;
    if !store.index().unsettled().contains(thing) {
        return Some(State::Ready);
    }
    condition(store, thing, now).map(|condition| condition.state)
}

/// How a thing's certificates are, and why; `None` of a thing of which the account has told no certificate.
pub fn condition(store: &Store, thing: &ThingName, now: Timestamp) -> Option<Condition> {
    state::condition(store, store.thing(thing)?, now)
}

fn shown(store: &Store, now: Timestamp, id: CertificateId, row: &Certificate, due: Option<Due<'_>>) -> Row {
    let told = Some(row.told_at).filter(|at| *at > Timestamp::default());
    let part = part(store, id, row);
    Row {
        certificate: id,
        thing: row.thing.clone(),
        status: row.status,
        status_since: row.status.map(|_| row.status_since),
        part,
        state: state_of(store, row, now),
        created_at: row.created_at,
        age: row.created_at.map(|created| now.since(created).as_secs()),
        rotation_due: due
            .filter(|_| part == Some("current"))
            .and_then(|due| Some(due(row.thing.as_ref()?, row.created_at?, row.not_after))),
        not_after: row.not_after,
        connected_at: row.connected_at,
        seen_at: row.seen_at,
        connections: row.open.iter().map(|open| open.client.to_string()).collect(),
        told_at: told,
    }
}

/// What part a certificate plays for its thing, by which one is [`state::current`].
fn part(store: &Store, id: CertificateId, row: &Certificate) -> Option<&'static str> {
    if store.own.contains_key(&id) {
        return Some("own");
    }
    let thing = store.thing(row.thing.as_ref()?)?;
    let current = state::current(store, thing)?;
    if id == current {
        return Some("current");
    }
    let created = store.certificate(&current)?.created_at?;
    (row.created_at? < created).then_some("older")
}

/// Whether `text` contains `part`, any case, without a copy: it is asked of every row. Only where its first byte stands is the
/// rest compared.
pub fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let Some((first, others)) = part.split_first() else { return true };
    let (small, large) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        if (*byte == small || *byte == large)
            && after.get(..others.len()).is_some_and(|span| span.eq_ignore_ascii_case(others))
        {
            return true;
        }
        rest = after;
    }
    false
}

/// Whether a text matches: `*` any run of characters, `?` any one.
pub fn like(pattern: &str, text: &str) -> bool {
    // What stands before the first of them decides for nearly every row, and costs a comparison.
    let (start, rest) = plain(pattern);
    text.strip_prefix(start)
        .is_some_and(|text| if rest.contains('?') { wild(rest, text) } else { runs(rest, text) })
}

/// The same for a pattern without `?`, by searching: names are many.
fn runs(pattern: &str, text: &str) -> bool {
    let Some((others, last)) = pattern.rsplit_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_suffix(last) else {
        return false;
    };
    others.split('*').all(|run| text.split_once(run).map(|(_, rest)| text = rest).is_some())
}

/// What a pattern begins with, and the rest from its first `*` or `?` on.
fn plain(pattern: &str) -> (&str, &str) {
    pattern.split_at(pattern.find(['*', '?']).unwrap_or(pattern.len()))
}

fn wild(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern.as_str().trim_start_matches('*');
            rest.is_empty()
                || text.char_indices().any(|(at, _)| text.get(at..).is_some_and(|text| wild(rest, text)))
        }
        Some(first) => {
            let mut text = text.chars();
            text.next().is_some_and(|char| first == '?' || first == char)
                && wild(pattern.as_str(), text.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::census::{ListedCertificate, ListedThing};

    fn id(n: u8) -> CertificateId {
        CertificateId::of_der(&[n])
    }

    /// Ten certificates a day apart, each of a thing of its own but the first, which is the second thing's older one.
    fn store() -> Store {
        let mut store = Store::default();
        let now = Timestamp::from_secs(1_000_000);
        let thing = |n: u8| ThingName::new(format!("press-{n}")).unwrap();
        let listed = |n: u8| ListedCertificate {
            id: id(n),
            status: if n == 3 { CertificateStatus::Inactive } else { CertificateStatus::Active },
            created_at: Timestamp::from_secs(u64::from(n) * 86_400),
        };
        store.listed_certificates(now, &(1..=10).map(listed).collect::<Vec<_>>());
        let things = (2..=10).map(|n| ListedThing { name: thing(n), newest: Some(id(n)), recovered: None });
        store.listed_things(now, &things.collect::<Vec<_>>());
        store.attachments(id(1), &[thing(2)]);
        store
    }

    fn found(query: &Query) -> usize {
        query.count(&store(), Timestamp::from_secs(11 * 86_400))
    }

    #[test]
    fn conditions_are_taken_together() {
        assert_eq!(found(&Query::default()), 10);
        let inactive = Some(CertificateStatus::Inactive);
        assert_eq!(found(&Query { status: inactive, ..Query::default() }), 1);
        let older_than = Some(Duration::from_secs(8 * 86_400));
        assert_eq!(found(&Query { older_than, ..Query::default() }), 3);
        assert_eq!(found(&Query { older_than, status: inactive, ..Query::default() }), 1);
        assert_eq!(found(&Query { thing: Some("press-1*".into()), ..Query::default() }), 1);
        assert_eq!(found(&Query { connected: Some(true), ..Query::default() }), 0);
        for (part, many) in [("PRESS-1", 1), ("s-", 10), ("", 10), ("pump", 0), ("a name longer than any", 0)]
        {
            assert_eq!(found(&Query { named: Some(part.into()), ..Query::default() }), many, "{part}");
        }
        let ends_by = Some(Timestamp::AWS_CERTIFICATE_END);
        assert_eq!(found(&Query { ends_by, ..Query::default() }), 0, "no end is known");
        assert_eq!(
            found(&Query { unseen_for: older_than, ..Query::default() }),
            10,
            "never is longer than any"
        );
    }

    #[test]
    fn pages_join_without_gap_or_repetition() {
        let (store, now) = (store(), Timestamp::from_secs(11 * 86_400));
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page =
                Query::default().page(&store, now, Some(&|_, at, _| at + Duration::from_secs(60)), after, 3);
            all.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let ids: BTreeSet<_> = all.iter().map(|row| row.certificate).collect();
        assert_eq!((all.len(), ids.len()), (10, 10));
        let row = |n| all.iter().find(|row| row.certificate == id(n)).unwrap();
        assert_eq!((row(1).part, row(2).part), (Some("older"), Some("current")));
        assert_eq!(
            (row(1).rotation_due, row(2).rotation_due),
            (None, Some(Timestamp::from_secs(2 * 86_400 + 60)))
        );
    }

    #[test]
    fn patterns_are_those_of_serials() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("?b", "ab", true),
            ("?", "", false),
            ("**x", "yx", true),
            ("", "a", false),
            ("a*b*a", "aba", true),
            ("a*b*a", "ab", false),
            ("a*a", "a", false),
            ("*ab*b", "aab", false),
            ("*ab*b", "aabb", true),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
            assert_eq!(wild(pattern, text), fits, "{pattern} {text}");
        }
    }
}
