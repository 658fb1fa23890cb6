//! What the inventory comes to, in the text format of Prometheus: no series a device, however many there are.

use std::collections::BTreeMap;
use std::fmt::Write;

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::time::Timestamp;

use super::findings::Rule;
use super::store::{Certificate, Store};
use super::survey::Survey;

/// Upper bounds of the age histogram, in days.
const AGE_DAYS: [u64; 8] = [1, 7, 30, 60, 90, 180, 365, 730];
/// Upper bounds of the expiry histogram, in days.
const EXPIRY_DAYS: [u64; 6] = [7, 30, 90, 180, 365, 3650];
const DAY_SECONDS: u64 = 86_400;

/// Sums over all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Certificates by status; what no list has told is `UNKNOWN`.
    pub statuses: BTreeMap<&'static str, u64>,
    /// Things.
    pub things: u64,
    /// Certificates with an open connection.
    pub connected: u64,
    /// Ages of ACTIVE certificates in seconds: how many are at most each bound old, their number, their sum.
    pub ages: (Vec<u64>, u64, u64),
    /// Days to the end of ACTIVE certificates that were described, likewise.
    pub ends: (Vec<u64>, u64, u64),
}

impl Tally {
    /// Adds all rows up.
    pub fn of(store: &Store, now: Timestamp) -> Self {
        let mut tally = Self { things: store.things.len() as u64, ..Self::default() };
        store.certificates.values().for_each(|row| tally.add(now, row));
        tally
    }

    /// Adds a certificate.
    pub(super) fn add(&mut self, now: Timestamp, row: &Certificate) {
        *self.statuses.entry(row.status.map_or("UNKNOWN", CertificateStatus::as_str)).or_default() += 1;
        self.connected += u64::from(!row.open.is_empty());
        if row.status != Some(CertificateStatus::Active) {
            return;
        }
        if let Some(created) = row.created_at {
            let bounds = AGE_DAYS.map(|days| days * DAY_SECONDS);
            count(&mut self.ages, now.since(created).as_secs(), &bounds);
        }
        if let Some(end) = row.not_after {
            count(&mut self.ends, end.since(now).as_secs() / DAY_SECONDS, &EXPIRY_DAYS);
        }
    }
}

impl Default for Tally {
    /// Of nothing.
    fn default() -> Self {
        Self {
            statuses: BTreeMap::new(),
            things: 0,
            connected: 0,
            ages: (vec![0; AGE_DAYS.len()], 0, 0),
            ends: (vec![0; EXPIRY_DAYS.len()], 0, 0),
        }
    }
}

fn count((buckets, number, sum): &mut (Vec<u64>, u64, u64), value: u64, bounds: &[u64]) {
    let within = buckets.iter_mut().zip(bounds).filter(|(_, bound)| value <= **bound);
    within.for_each(|(bucket, _)| *bucket += 1);
    *number += 1;
    *sum = sum.saturating_add(value);
}

/// The page. Writing to a String cannot fail.
pub fn render(Survey { tally, findings, ages: known }: &Survey, now: Timestamp) -> String {
    let mut page = String::new();
    head(&mut page, "fleet_certificates", "gauge", "Certificates by status, as the account last told.");
    for (status, n) in &tally.statuses {
        let _ = writeln!(page, "fleetkey_fleet_certificates{{status=\"{status}\"}} {n}");
    }
    head(&mut page, "fleet_connected_certificates", "gauge", "Certificates with an open connection.");
    let _ = writeln!(page, "fleetkey_fleet_connected_certificates {}", tally.connected);
    let ages = AGE_DAYS.map(|days| days * DAY_SECONDS);
    histogram(&mut page, "fleet_certificate_age_seconds", "Ages of ACTIVE certificates.", &ages, &tally.ages);
    let help = "Days to the end of ACTIVE certificates.";
    histogram(&mut page, "fleet_certificate_expiry_days", help, &EXPIRY_DAYS, &tally.ends);
    head(&mut page, "fleet_findings", "gauge", "What deserves attention, by rule.");
    for rule in Rule::ALL {
        let n = findings.get(&rule).copied().unwrap_or_default();
        let (name, severity) = (rule.as_str(), rule.severity().as_str());
        let _ = writeln!(page, "fleetkey_fleet_findings{{rule=\"{name}\",severity=\"{severity}\"}} {n}");
    }
    head(&mut page, "fleet_inventory_age_seconds", "gauge", "How long ago each part was complete.");
    for (of, at) in [
        ("certificates", known.certificates),
        ("things", known.things),
        ("attachments", known.attachments),
        ("events", known.events),
    ] {
        if let Some(at) = at {
            let seconds = now.since(at).as_secs();
            let _ = writeln!(page, "fleetkey_fleet_inventory_age_seconds{{dataset=\"{of}\"}} {seconds}");
        }
    }
    page
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(page, "# HELP fleetkey_{name} {help}\n# TYPE fleetkey_{name} {kind}");
}

fn histogram(
    page: &mut String,
    name: &str,
    help: &str,
    bounds: &[u64],
    (buckets, number, sum): &(Vec<u64>, u64, u64),
) {
    head(page, name, "histogram", help);
    for (bound, n) in bounds.iter().zip(buckets) {
        let _ = writeln!(page, "fleetkey_{name}_bucket{{le=\"{bound}\"}} {n}");
    }
    let _ = writeln!(page, "fleetkey_{name}_bucket{{le=\"+Inf\"}} {number}");
    let _ = writeln!(page, "fleetkey_{name}_sum {sum}\nfleetkey_{name}_count {number}");
}
