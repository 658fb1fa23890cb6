//! What all rows come to for the first page; who is connected is counted with the table.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetkey_dashboard::fleet::{Bar, Figures};
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::{Watch, current};

/// Bars of the chart of ages.
const AGES: u32 = 6;

/// The sums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) figures: Figures,
    pub(super) ages: Vec<Bar>,
    /// Devices that are in no bar of them.
    pub(super) ages_unknown: u64,
    pub(super) ends: Vec<Bar>,
    pub(super) ends_unknown: u64,
}

impl Sums {
    /// Counts.
    pub(super) fn of(watch: &Watch, now: Timestamp, age: Duration) -> Self {
        let (mut devices, mut aged, mut ending) = (0u64, 0u64, 0u64);
        let mut statuses = BTreeMap::<CertificateStatus, u64>::new();
        let mut ages = bars(age);
        let mut ends = BTreeMap::<String, u64>::new();
        watch.each_certificate(|_, _, row| {
            if let (Some(status), Some(_)) = (row.status, &row.thing) {
                *statuses.entry(status).or_default() += 1;
            }
        });
        watch.each_thing(|store, _, thing| {
            devices += 1;
            let Some(row) = current(store, thing).and_then(|id| store.certificate(&id)) else { return };
            if let Some(created) = row.created_at {
                aged += 1;
                count(&mut ages, now.since(created), age);
            }
            if let Some(end) = row.not_after {
                ending += 1;
                *ends.entry(end.to_string().chars().take(4).collect()).or_default() += 1;
            }
        });
        let of = |status| Some(statuses.get(&status).copied().unwrap_or_default());
        let figures = Figures {
            devices: Some(devices),
            active: of(CertificateStatus::Active),
            inactive: of(CertificateStatus::Inactive),
            revoked: of(CertificateStatus::Revoked),
            ..Figures::default()
        };
        Self {
            figures,
            ages,
            ages_unknown: devices.saturating_sub(aged),
            ends: ends.into_iter().map(|(label, count)| Bar { label, count }).collect(),
            ends_unknown: devices.saturating_sub(ending),
        }
    }
}

/// In equal parts up to the age at which a rotation is due, and one for what is older.
fn bars(age: Duration) -> Vec<Bar> {
    let part = age / (AGES - 1);
    let label = |index: u32| match index + 1 == AGES {
        true => "older".to_owned(),
        false => format!("to {}", short(part * (index + 1))),
    };
    (0..AGES).map(|index| Bar { label: label(index), count: 0 }).collect()
}

fn count(bars: &mut [Bar], age: Duration, due: Duration) {
    let part = (due / (AGES - 1)).as_millis().max(1);
    let index = usize::try_from(age.as_millis() / part).unwrap_or(usize::MAX);
    let index = index.min(bars.len().saturating_sub(1));
    if let Some(bar) = bars.get_mut(index) {
        bar.count += 1;
    }
}

/// A span in the largest unit that it has at least two of.
pub(super) fn short(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or_else(|| format!("{seconds} s"), |(length, name)| format!("{} {name}", seconds / length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::certificate::CertificateId;
    use fleetkey_model::name::ThingName;
    use fleetkey_operator::inventory::{Crawl, Described, ListedCertificate, ListedThing, Store};

    const DAY: u64 = 86_400;

    #[test]
    fn certificates_in_use_are_counted_by_their_age_and_what_is_on_no_thing_is_not() {
        let mut store = Store::default();
        for (n, age) in [(1, 1), (2, 59), (3, 61), (4, 1)] {
            let (id, now) = (CertificateId::of_der(&[n]), Timestamp::from_secs(100 * DAY));
            let created_at = Timestamp::from_secs((100 - age) * DAY);
            let status = CertificateStatus::Active;
            store.listed_certificates(now, &[ListedCertificate { id, status, created_at }]);
            if n < 4 {
                let name = ThingName::new(format!("press-{n}")).unwrap();
                store.listed_things(now, &[ListedThing { name, newest: Some(id), recovered: None }]);
            }
        }
        let watch = Watch::new(store, Crawl::default());
        let sums = Sums::of(&watch, Timestamp::from_secs(100 * DAY), Duration::from_secs(60 * DAY));
        assert_eq!((sums.figures.devices, sums.figures.active), (Some(3), Some(3)));
        let counts: Vec<_> = sums.ages.iter().map(|bar| (bar.label.as_str(), bar.count)).collect();
        let expected =
            [("to 12 d", 1), ("to 24 d", 0), ("to 36 d", 0), ("to 48 d", 0), ("to 60 d", 1), ("older", 1)];
        assert_eq!(counts, expected);
    }

    /// In an account that others provisioned no attribute tells which is the newest: the table goes by the newest that may
    /// connect, and so do the charts. Of whom nothing is known, that is said.
    #[test]
    fn certificates_of_things_that_others_provisioned_are_in_use_too_and_the_rest_is_not_known() {
        let (mut store, now) = (Store::default(), Timestamp::from_secs(100 * DAY));
        for n in [1, 2] {
            let (id, status) = (CertificateId::of_der(&[n]), CertificateStatus::Active);
            let created_at = Timestamp::from_secs(99 * DAY);
            store.listed_certificates(now, &[ListedCertificate { id, status, created_at }]);
            let name = ThingName::new(format!("oven-{n}")).unwrap();
            store.listed_things(now, &[ListedThing { name: name.clone(), newest: None, recovered: None }]);
            if n == 1 {
                store.attachments(id, &[name]);
                store.described(id, &Described { not_after: Timestamp::from_secs(200 * DAY) });
            }
        }
        let watch = Watch::new(store, Crawl::default());
        let sums = Sums::of(&watch, now, Duration::from_secs(60 * DAY));
        assert_eq!((sums.figures.devices, sums.ages[0].count), (Some(2), 1));
        assert_eq!((sums.ends.len(), sums.ages_unknown, sums.ends_unknown), (1, 1, 1));
    }
}
