//! The table of devices: some of all of them by name, or of those that a filter leaves.
//!
//! Only what a page shows is drawn up; the rest is counted. Whom a filter leaves is worked out from all rows now and then, so
//! a device may be in the table a moment longer than its row says why.

use std::sync::Arc;

use fleetkey_dashboard::fleet::{Connection, DevicePage, DeviceQuery, DeviceRow, Filter};
use fleetkey_model::name::ThingName;
use fleetkey_operator::inventory::{Finding, Store, Thing, Watch, contains};

use super::super::super::now;
use super::Board;
use super::read::connection;

/// Who is connected and who is not, as far as is known; by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Presence {
    up: Vec<ThingName>,
    down: Vec<ThingName>,
}

/// What the rules find, and on which things, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) all: Vec<Finding>,
    things: Vec<ThingName>,
}

impl Presence {
    fn of(watch: &Watch) -> Self {
        let mut presence = Self::default();
        watch.each_thing(|store, name, thing| match connection(store, name, thing) {
            Connection::Up => presence.up.push(name.clone()),
            Connection::Down => presence.down.push(name.clone()),
            Connection::Unknown => {}
        });
        presence
    }

    /// How many are connected, and of how many it is observed whether they are.
    pub(super) fn counts(&self) -> (u64, u64) {
        let count = |names: &[ThingName]| u64::try_from(names.len()).unwrap_or(u64::MAX);
        (count(&self.up), count(&self.up).saturating_add(count(&self.down)))
    }
}

impl From<Vec<Finding>> for Found {
    fn from(all: Vec<Finding>) -> Self {
        let mut things: Vec<_> = all.iter().filter_map(|found| found.thing.clone()).collect();
        things.sort_unstable();
        things.dedup();
        Self { all, things }
    }
}

impl Board {
    /// What the rules find.
    pub(super) fn all_found(&self) -> Arc<Found> {
        let (watch, thresholds) = (self.watch.clone(), self.thresholds());
        self.found.look(&self.hub, move || Arc::new(watch.findings(now(), &thresholds).into()))
    }

    pub(super) fn presence(&self) -> Arc<Presence> {
        let watch = self.watch.clone();
        self.presence.look(&self.hub, move || Arc::new(Presence::of(&watch)))
    }

    /// One page of devices.
    pub(super) fn table(&self, query: &DeviceQuery) -> DevicePage {
        let rotating = self.settled(None).rotating();
        let row = |store: &Store, name: &ThingName, thing: &Thing| {
            self.row(store, name, thing, rotating.contains(name))
        };
        match query.filter {
            Filter::All => all(&self.watch, query, row),
            Filter::Connected => some(&self.watch, &self.presence().up, query, row),
            Filter::Disconnected => some(&self.watch, &self.presence().down, query, row),
            Filter::Rotating => some(&self.watch, rotating.iter(), query, row),
            Filter::Attention => some(&self.watch, &self.all_found().things, query, row),
        }
    }
}

/// Of all devices those whose name fits.
fn all(
    watch: &Watch,
    query: &DeviceQuery,
    row: impl Fn(&Store, &ThingName, &Thing) -> DeviceRow,
) -> DevicePage {
    if query.text.is_empty() {
        return watch.look(|store, _| {
            let mut rest = store.things_after(query.after.as_ref());
            let rows: Vec<_> =
                rest.by_ref().take(query.limit).map(|(name, thing)| row(store, name, thing)).collect();
            paged(rows, rest.next().is_some(), store.count_things())
        });
    }
    let (mut rows, mut more, mut total) = (Vec::new(), false, 0);
    watch.each_thing(|store, name, thing| {
        if contains(name.as_str(), &query.text) {
            total += 1;
            match query.after.as_ref().is_none_or(|after| name > after) {
                true if rows.len() < query.limit => rows.push(row(store, name, thing)),
                after => more |= after,
            }
        }
    });
    paged(rows, more, total)
}

/// The same of these, which come in the order of their names. One that is gone meanwhile is left out.
fn some<'a>(
    watch: &Watch,
    names: impl IntoIterator<Item = &'a ThingName>,
    query: &DeviceQuery,
    row: impl Fn(&Store, &ThingName, &Thing) -> DeviceRow,
) -> DevicePage {
    let (mut shown, mut more, mut total) = (Vec::new(), false, 0);
    for name in names.into_iter().filter(|name| contains(name.as_str(), &query.text)) {
        total += 1;
        match query.after.as_ref().is_none_or(|after| name > after) {
            true if shown.len() < query.limit => shown.push(name),
            after => more |= after,
        }
    }
    let rows = watch.look(|store, _| {
        let known = shown.into_iter().filter_map(|name| Some(row(store, name, store.thing(name)?)));
        known.collect()
    });
    paged(rows, more, total)
}

fn paged(rows: Vec<DeviceRow>, more: bool, total: usize) -> DevicePage {
    DevicePage { next: rows.last().filter(|_| more).map(|row| row.thing.clone()), rows, total }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_dashboard::fleet::Tone;
    use fleetkey_model::certificate::{CertificateId, CertificateStatus};
    use fleetkey_model::name::ClientId;
    use fleetkey_model::time::Timestamp;
    use fleetkey_model::topic::PresenceKind;
    use fleetkey_operator::controller::{Event, Observer, PresenceEvent};
    use fleetkey_operator::inventory::{Crawl, ListedCertificate, ListedThing};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn thing(n: u8) -> ThingName {
        ThingName::new(format!("press-{n:02}")).unwrap()
    }

    /// Twenty devices.
    fn watch() -> Watch {
        let mut store = Store::default();
        for n in 0..20u8 {
            let (id, status) = (CertificateId::of_der(&[n]), CertificateStatus::Active);
            store.listed_certificates(NOW, &[ListedCertificate { id, status, created_at: NOW }]);
            store.listed_things(NOW, &[ListedThing { name: thing(n), newest: Some(id), recovered: None }]);
        }
        Watch::new(store, Crawl::default())
    }

    fn row(_: &Store, name: &ThingName, _: &Thing) -> DeviceRow {
        DeviceRow {
            thing: name.clone(),
            connection: Connection::Unknown,
            state: String::new(),
            tone: Tone::Quiet,
            certificate: None,
            age: None,
            due: None,
        }
    }

    /// Page by page, and how many each page says there are.
    fn pages(
        mut page: impl FnMut(&DeviceQuery) -> DevicePage,
        text: &str,
        limit: usize,
    ) -> (Vec<ThingName>, usize) {
        let mut query = DeviceQuery { text: text.to_owned(), limit, ..DeviceQuery::default() };
        let (mut names, mut totals) = (Vec::new(), Vec::new());
        loop {
            let found = page(&query);
            names.extend(found.rows.into_iter().map(|row| row.thing));
            totals.push(found.total);
            assert!(totals.len() < 100, "it has an end");
            query.after = found.next;
            if query.after.is_none() {
                totals.dedup();
                assert_eq!(totals.len(), 1, "{totals:?}");
                return (names, totals[0]);
            }
        }
    }

    #[test]
    fn page_by_page_every_device_comes_once_whatever_is_asked_for() {
        let watch = watch();
        let names: Vec<ThingName> = (0..20).filter(|n| n % 3 == 0).map(thing).collect();
        for limit in [1, 3, 7, 20, 21] {
            for (text, many, few) in [("", 20, 7), ("PRESS-1", 10, 3), ("-07", 1, 0), ("oven", 0, 0)] {
                let (found, total) = pages(|query| all(&watch, query, row), text, limit);
                assert_eq!((found.len(), total), (many, many), "{text} by {limit}");
                assert!(found.is_sorted_by(|one, other| one < other));
                let (found, total) = pages(|query| some(&watch, &names, query, row), text, limit);
                assert_eq!((found.len(), total), (few, few), "{text} by {limit}");
                assert!(found.iter().all(|name| names.contains(name)));
            }
        }
    }

    #[test]
    fn who_was_heard_to_come_is_connected_or_not_and_nobody_else() {
        let watch = watch();
        watch.heard(NOW, &Event::PresenceMissed);
        let event = |kind, n: u8, seconds: u64| Event::Presence {
            kind,
            client: ClientId::live(&thing(n)),
            event: PresenceEvent {
                timestamp: Timestamp::from_secs(1_000_000 + seconds),
                principal_identifier: CertificateId::of_der(&[n]),
                session_identifier: Some(n.to_string().into()),
            },
        };
        for n in [3, 5, 4] {
            watch.heard(NOW, &event(PresenceKind::Connected, n, 1));
        }
        watch.heard(NOW, &event(PresenceKind::Disconnected, 4, 2));
        let presence = Presence::of(&watch);
        assert_eq!(presence.counts(), (2, 3), "of three of the twenty");
        assert_eq!((presence.up, presence.down), (vec![thing(3), thing(5)], vec![thing(4)]));
    }

    #[test]
    fn things_with_findings_are_named_once_each_in_order() {
        let mut store = watch().look(|store, _| store.clone());
        for n in [9, 2] {
            store.frozen(&thing(n), Some("two take turns".to_owned()));
        }
        let later = Timestamp::from_secs(1_000_000 + 400 * 86_400);
        let watch = Watch::new(store, Crawl::default());
        let found = Found::from(watch.findings(later, &Default::default()));
        assert!(found.all.len() > 20, "all are old, two are frozen: {}", found.all.len());
        assert_eq!(found.things, (0..20).map(thing).collect::<Vec<_>>());
    }
}
