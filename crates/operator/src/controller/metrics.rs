//! What the controller counts, in the text format of Prometheus. No series names a device.
//!
//! Not here: what the account holds, which is the inventory's, and serving it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;

use super::action::{Change, Event, Report};
use super::observer::Observer;
use super::record::{Record, Stage};
use super::service::Connections;

/// Counters since the start, and the age of the latest evidence.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    heard: BTreeMap<&'static str, u64>,
    changed: BTreeMap<&'static str, u64>,
    ignored: u64,
    witnessed: u64,
    held: u64,
    alarms: u64,
    failing: u64,
    /// The last record did not reach the disk.
    unwritable: bool,
    /// The latest moment, by the broker's clock, of what was heard.
    evidence: Timestamp,
}

impl Observer for Metrics {
    fn heard(&self, _now: Timestamp, event: &Event) {
        let (kind, at) = match event {
            Event::Attested { attested, .. } => ("attested", Some(attested.at)),
            Event::Presence { kind: PresenceKind::Connected, event, .. } => {
                ("connected", Some(event.timestamp))
            }
            Event::Presence { kind: PresenceKind::Disconnected, event, .. } => {
                ("disconnected", Some(event.timestamp))
            }
            Event::Registry { .. } => ("registry", None),
            Event::PresenceMissed => ("session_lost", None),
            Event::Persisted(_) => return self.counts().unwritable = false,
            Event::StorageFailed(_) => return self.counts().unwritable = true,
            _ => return,
        };
        let mut counts = self.counts();
        *counts.heard.entry(kind).or_default() += 1;
        counts.evidence = counts.evidence.max(at.unwrap_or_default());
    }

    fn told(&self, _now: Timestamp, report: &Report) {
        let mut counts = self.counts();
        let counter = match report {
            Report::Changed { change, .. } | Report::LeftoverChanged { change, .. } => {
                counts.changed.entry(word(*change)).or_default()
            }
            Report::Ignored { .. } => &mut counts.ignored,
            Report::Witnessed { .. } => &mut counts.witnessed,
            Report::Unheard { .. } => &mut counts.held,
            Report::Frozen { .. } | Report::Contested { .. } => &mut counts.alarms,
            Report::Failing { .. } => &mut counts.failing,
            Report::Leftover { .. } => return,
        };
        *counter += 1;
    }
}

impl Metrics {
    /// Whether the controller's records reach the disk: while they do not, nothing is retired.
    pub fn is_durable(&self) -> bool {
        !self.counts().unwritable
    }

    /// The counters, and what the ledger's records come to, where the controller told in time.
    pub fn render(&self, totals: Option<&Totals>, connections: Connections) -> String {
        let counts = self.counts();
        let mut page = Page::default();
        page.one(
            "controller_connected",
            "gauge",
            "Whether the controller hears the broker.",
            (connections.hearing > 0).into(),
        );
        page.one(
            "controller_ledger_writable",
            "gauge",
            "Whether the controller's records reach the disk; while they do not, nothing is retired.",
            (!counts.unwritable).into(),
        );
        for (name, help, n) in [
            ("controller_connections", "Connections that hear the broker.", connections.hearing),
            ("controller_connections_wanted", "Connections that there are to be.", connections.wanted),
        ] {
            page.one(name, "gauge", help, u64::try_from(n).unwrap_or(u64::MAX));
        }
        page.many(
            "controller_messages_total",
            "What the controller has heard.",
            "kind",
            counts.heard.iter().map(|(kind, n)| (*kind, *n)),
            "counter",
        );
        page.many(
            "retirements_total",
            "Steps taken with old certificates and leftovers.",
            "step",
            ["deactivate", "revoke", "delete"]
                .map(|step| (step, counts.changed.get(step).copied().unwrap_or(0))),
            "counter",
        );
        for (name, help, n) in [
            ("attestations_total", "Certificates that were attested for the first time.", counts.witnessed),
            ("requests_ignored_total", "Retire requests that count for nothing.", counts.ignored),
            ("retirements_held_total", "Things held for a connection that no event told of.", counts.held),
            ("alarms_total", "Things that were frozen or contested.", counts.alarms),
            (
                "controller_failures_total",
                "Changes and looks that failed and that waiting alone may not mend, or has not for a minute.",
                counts.failing,
            ),
        ] {
            page.one(name, "counter", help, n);
        }
        page.one(
            "controller_evidence_timestamp_seconds",
            "gauge",
            "The latest moment that the broker told of, by its clock.",
            counts.evidence.as_secs(),
        );
        drop(counts);
        let Some(totals) = totals else {
            return page.text;
        };
        page.one("fleet_things", "gauge", "Things with an attested certificate.", totals.things);
        page.one("fleet_frozen_things", "gauge", "Things that wait for an operator.", totals.frozen);
        page.many(
            "fleet_retiring_certificates",
            "Certificates on their way out.",
            "stage",
            totals.stages,
            "gauge",
        );
        page.text
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What many records come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    things: u64,
    frozen: u64,
    stages: [(&'static str, u64); 3],
}

impl Totals {
    pub(super) fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let (mut things, mut frozen) = (0, 0);
        let [mut soaking, mut inactive, mut revoked] = [0; 3];
        for record in records {
            things += 1;
            frozen += u64::from(record.frozen.is_some());
            for (_, older) in record.outgoing() {
                *match older.stage {
                    Stage::Soaking => &mut soaking,
                    Stage::Inactive => &mut inactive,
                    Stage::Revoked => &mut revoked,
                } += 1;
            }
        }
        Self { things, frozen, stages: [("soaking", soaking), ("inactive", inactive), ("revoked", revoked)] }
    }
}

/// A page in the text format (Prometheus, exposition formats).
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP fleetkey_{name} {help}\n# TYPE fleetkey_{name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        let _ = writeln!(self.text, "fleetkey_{name} {value}");
    }

    fn many(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
        kind: &str,
    ) {
        self.head(name, kind, help);
        for (of, value) in values {
            let _ = writeln!(self.text, "fleetkey_{name}{{{label}=\"{of}\"}} {value}");
        }
    }
}

const fn word(change: Change) -> &'static str {
    match change {
        Change::Deactivate => "deactivate",
        Change::Revoke => "revoke",
        Change::Delete => "delete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::certificate::CertificateId;
    use fleetkey_model::name::ThingName;

    #[test]
    fn reports_are_counted_and_no_series_names_a_thing() {
        let metrics = Metrics::default();
        let thing = ThingName::new("press-1").unwrap();
        let certificate = CertificateId::of_der(b"x");
        let change = Change::Deactivate;
        metrics.told(Timestamp::default(), &Report::Changed { thing: thing.clone(), certificate, change });
        metrics.told(Timestamp::default(), &Report::Unheard { thing, since: Timestamp::default() });
        metrics.heard(Timestamp::default(), &Event::PresenceMissed);
        let page = metrics.render(Some(&Totals::of([])), Connections { hearing: 3, wanted: 4 });
        for line in [
            "fleetkey_retirements_total{step=\"deactivate\"} 1",
            "fleetkey_retirements_total{step=\"revoke\"} 0",
            "fleetkey_retirements_held_total 1",
            "fleetkey_controller_messages_total{kind=\"session_lost\"} 1",
            "fleetkey_controller_connected 1",
            "fleetkey_controller_connections 3",
            "fleetkey_controller_connections_wanted 4",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
        assert!(!page.contains("press-1"));
    }
}
