//! The read model and the orders that the pages ask for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_dashboard::fleet::{
    Answer, Bar, Certificate, Connection, Device, DevicePage, DeviceQuery, DeviceRow, Direction, Done,
    Figures, Filter, FindingPage, FindingQuery, Fleet, Holder, HookTest, Incident, InventoryPage,
    InventoryQuery, JournalPage, Known, Order, Outlook, Overview, Plan, Policy, PolicyVersion, Provisioning,
    Question, Refused, Rotation, Site, Tone, Verdict, Work,
};
use fleetkey_iotcore::registry::{CertificateRecord, Registry};
use fleetkey_lifecycle::Status;
use fleetkey_lifecycle::status::StateName;
use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::inventory::contains;
use super::{Board, Entry, Standing, finding, policies, words};

/// Certificates on a device's page.
const CERTIFICATES: usize = 20;
/// Bars of the chart of ages.
const AGES: u32 = 6;

impl Fleet for Board {
    fn site(&self) -> Site {
        let scope = self.account.scope();
        Site {
            name: "local IoT Core".to_owned(),
            endpoint: self.endpoint.clone(),
            account: scope.account.to_string(),
            region: scope.region.to_string(),
        }
    }

    fn overview(&self) -> Overview {
        let now = self.account.now();
        let statuses = self.statuses();
        let (figures, starting) = self.figures(&statuses);
        let registry = self.account.store().read();
        let in_use: Vec<&CertificateRecord> = statuses
            .values()
            .filter_map(|standing| registry.certificate(&standing.status.certificate?))
            .collect();
        let unknown = figures
            .devices
            .unwrap_or_default()
            .saturating_sub(u64::try_from(in_use.len()).unwrap_or(u64::MAX));
        Overview {
            starting,
            figures,
            ages: self.ages(&in_use, now),
            ages_caption: format!("due at {}", humantime::format_duration(self.age)),
            ages_unknown: unknown,
            expiries: years(&in_use),
            expiries_unknown: unknown,
        }
    }

    fn devices(&self, query: &DeviceQuery) -> DevicePage {
        let now = self.account.now();
        let statuses = self.statuses();
        let registry = self.account.store().read();
        let found = |name: &&ThingName| {
            contains(name.as_str(), &query.text) && shown(query.filter, statuses.get(*name))
        };
        let total = registry.things().map(|thing| &thing.name).filter(found).count();
        let mut rest = registry.things_after(query.after.as_ref()).map(|thing| &thing.name).filter(found);
        let rows: Vec<DeviceRow> = rest
            .by_ref()
            .take(query.limit)
            .map(|name| row(name, statuses.get(name), &registry, now))
            .collect();
        let more = rest.next().is_some();
        let next = rows.last().filter(|_| more).map(|row| row.thing.clone());
        DevicePage { rows, next, total }
    }

    fn device(&self, thing: &ThingName) -> Option<Device> {
        let now = self.account.now();
        let state = self.state();
        let entry = state.members.get(thing);
        let standing = entry.map(Entry::standing);
        let status = standing.as_ref().map(|standing| &standing.status);
        let registry = self.account.store().read();
        if entry.is_none() && registry.thing(thing).is_none() {
            return None;
        }
        let (certificates, more_certificates) = certificates(thing, status, &registry);
        Some(Device {
            row: row(thing, standing.as_ref(), &registry, now),
            blocked: status.and_then(|status| status.blocked.clone()),
            alarms: status
                .iter()
                .flat_map(|status| &status.alarms)
                .map(|alarm| words::alarm(*alarm).to_owned())
                .collect(),
            certificates,
            more_certificates,
            rotation: entry.and_then(|entry| entry.rotation.clone()),
            timeline: entry.map(|entry| entry.timeline.iter().cloned().collect()).unwrap_or_default(),
            obeys: entry.is_some_and(Entry::runs),
        })
    }

    fn outlook(&self, thing: &ThingName) -> Outlook {
        self.foreseen(thing)
    }

    fn rotations(&self, limit: usize) -> Vec<Rotation> {
        let state = self.state();
        let last = state.members.values().filter_map(|entry| entry.rotation.as_ref());
        let mut all: Vec<&Rotation> = last.chain(&state.past).collect();
        all.sort_by_key(|rotation| std::cmp::Reverse(rotation.started()));
        all.into_iter().take(limit).cloned().collect()
    }

    fn findings(&self, query: &FindingQuery) -> FindingPage {
        let now = self.account.now();
        let state = self.state();
        let of = |(thing, entry): (&ThingName, &Entry)| {
            (thing.clone(), finding::of(thing, entry, &entry.standing().status, now))
        };
        finding::page(state.members.iter().map(of), query)
    }

    fn incidents(&self, limit: usize) -> Vec<Incident> {
        self.state().incidents.iter().take(limit).cloned().collect()
    }

    fn policies(&self) -> Known<Vec<Policy>> {
        Known::Told(policies::all(&self.account))
    }

    fn policy_versions(&self, name: &str) -> Known<Vec<PolicyVersion>> {
        Known::Told(policies::versions(&self.account, name))
    }

    fn inventory(&self, query: &InventoryQuery) -> Option<InventoryPage> {
        Some(self.stock(query))
    }

    fn journal(&self, before: Option<u64>, limit: usize) -> Option<JournalPage> {
        Some(self.entered(before, limit))
    }

    fn provisioning(&self) -> Known<Provisioning> {
        Known::Told(self.doors())
    }

    fn plan(&self, direction: Direction) -> Known<Arc<Plan>> {
        Known::Told(Arc::new(self.planned(direction)))
    }

    fn builds(&self) -> Option<String> {
        Some("trial".to_owned())
    }

    fn work(&self) -> Option<Work> {
        self.works.last()
    }

    fn tests_hook(&self) -> bool {
        true
    }

    fn hook_test(&self) -> Option<HookTest> {
        self.tested()
    }

    fn decides(&self) -> bool {
        true
    }

    fn decide(&self, question: &Question) -> Result<Option<Verdict>, Refused> {
        let device = self.device(&question.thing);
        let device = device.ok_or_else(|| Refused(format!("there is no device {}", question.thing)))?;
        let in_use = device.certificates.iter().find(|known| known.holder == Holder::InUse);
        let in_use =
            in_use.ok_or_else(|| Refused(format!("{} has no certificate in use", question.thing)))?;
        policies::decide(&self.account, in_use.id, question).map(Some)
    }

    fn perform<'a>(&'a self, order: Order, by: &'a str) -> Answer<'a> {
        match order {
            Order::Rotate(things) => Box::pin(self.rotate(things, by)),
            Order::Certificate { thing, certificate, fate, why } => {
                Box::pin(async move { self.decide_fate(thing, certificate, fate, (by, &why)).await })
            }
            Order::TestHook => Box::pin(async move { self.test_hook() }),
            Order::Build { direction, plan, why } => {
                Box::pin(async move { self.build(direction, &plan, (by, why)) })
            }
            Order::Campaign(_) => Box::pin(async {
                Err::<Done, Refused>(Refused(
                    "`fleetkey serve` carries campaigns out, not a trial".to_owned(),
                ))
            }),
        }
    }
}

impl Board {
    pub(super) fn statuses(&self) -> BTreeMap<ThingName, Standing> {
        let state = self.state();
        state.members.iter().map(|(thing, entry)| (thing.clone(), entry.standing())).collect()
    }

    fn figures(&self, statuses: &BTreeMap<ThingName, Standing>) -> (Figures, Option<String>) {
        let certificates = {
            let registry = self.account.store().read();
            let mut counts = BTreeMap::<CertificateStatus, u64>::new();
            for record in registry.certificates().filter(|record| !record.things.is_empty()) {
                *counts.entry(record.status).or_default() += 1;
            }
            counts
        };
        let devices = self.account.store().read().things().count();
        let count = |status| Some(certificates.get(&status).copied().unwrap_or(0));
        let of = |wanted: fn(&Status) -> bool| {
            number(statuses.values().filter(|standing| wanted(&standing.status)).count())
        };
        let state = self.state();
        let (sent, received) = state.traffic.as_ref().map(super::Traffic::figures).unzip();
        let figures = Figures {
            devices: number(devices),
            connected: of(|status| status.connected),
            observed: number(statuses.len()).filter(|observed| Some(*observed) != number(devices)),
            active: count(CertificateStatus::Active),
            inactive: count(CertificateStatus::Inactive),
            revoked: count(CertificateStatus::Revoked),
            rotating: of(rotating),
            rotated: Some(state.rotated),
            failed: Some(state.failed),
            sent,
            received,
        };
        (figures, state.starting.clone())
    }

    /// In equal parts up to the age at which a rotation is due, and one bar for what is older.
    fn ages(&self, in_use: &[&CertificateRecord], now: Timestamp) -> Vec<Bar> {
        let part = (self.age / (AGES - 1)).max(Duration::from_millis(1));
        let label = |index: u32| match index + 1 == AGES {
            true => "older".to_owned(),
            false => format!("to {}", short(part * (index + 1))),
        };
        let mut bars: Vec<Bar> = (0..AGES).map(|index| Bar { label: label(index), count: 0 }).collect();
        for record in in_use {
            let index = now.since(record.created_at).as_millis() / part.as_millis().max(1);
            let index = usize::try_from(index).unwrap_or(usize::MAX).min(bars.len().saturating_sub(1));
            if let Some(bar) = bars.get_mut(index) {
                bar.count += 1;
            }
        }
        bars
    }
}

fn years(in_use: &[&CertificateRecord]) -> Vec<Bar> {
    let mut counts = BTreeMap::<String, u64>::new();
    for record in in_use {
        let year = record.not_after.to_string().chars().take(4).collect();
        *counts.entry(year).or_default() += 1;
    }
    counts.into_iter().map(|(label, count)| Bar { label, count }).collect()
}

fn row(thing: &ThingName, standing: Option<&Standing>, registry: &Registry, now: Timestamp) -> DeviceRow {
    let Some(Standing { status, runs }) = standing else {
        return DeviceRow {
            thing: thing.clone(),
            connection: Connection::Unknown,
            state: "not served here".to_owned(),
            tone: Tone::Quiet,
            certificate: None,
            age: None,
            due: None,
        };
    };
    let record = status.certificate.as_ref().and_then(|id| registry.certificate(id));
    DeviceRow {
        thing: thing.clone(),
        connection: if status.connected { Connection::Up } else { Connection::Down },
        state: if *runs { words::state(status.state) } else { "not running" }.to_owned(),
        tone: tone(status, *runs),
        certificate: status.certificate,
        age: record.map(|record| now.since(record.created_at)),
        due: status.due,
    }
}

fn tone(status: &Status, runs: bool) -> Tone {
    if !status.alarms.is_empty() {
        Tone::Bad
    } else if !runs {
        // Whoever stopped it knows.
        Tone::Quiet
    } else if status.failures > 0 || status.state == StateName::Ladder {
        Tone::Warn
    } else if rotating(status) {
        Tone::Busy
    } else if status.connected {
        Tone::Good
    } else {
        Tone::Warn
    }
}

fn rotating(status: &Status) -> bool {
    words::phase(status.state).is_some()
}

fn shown(filter: Filter, standing: Option<&Standing>) -> bool {
    match (filter, standing) {
        (Filter::All, _) => true,
        (_, None) => false,
        (Filter::Connected, Some(Standing { status, .. })) => status.connected,
        (Filter::Disconnected, Some(Standing { status, .. })) => !status.connected,
        (Filter::Rotating, Some(Standing { status, .. })) => rotating(status),
        (Filter::Attention, Some(Standing { status, runs })) => tone(status, *runs) >= Tone::Warn,
    }
}

/// The newest certificates of a thing, and how many there are beyond.
fn certificates(
    thing: &ThingName,
    status: Option<&Status>,
    registry: &Registry,
) -> (Vec<Certificate>, usize) {
    let mut records: Vec<&CertificateRecord> =
        registry.principals_of(thing).iter().filter_map(|id| registry.certificate(id)).collect();
    records.sort_by_key(|record| std::cmp::Reverse((record.created_at, record.id)));
    let in_use = in_use(&records, status);
    let since = in_use.and_then(|id| registry.certificate(&id)).map(|record| record.created_at);
    let more = records.len().saturating_sub(CERTIFICATES);
    let shown = records.into_iter().take(CERTIFICATES).map(|record| {
        let holder = match (Some(record.id) == in_use, since) {
            (true, _) => Holder::InUse,
            (false, Some(since)) if record.created_at > since => Holder::Candidate,
            (false, _) => Holder::Former,
        };
        certificate(record, holder)
    });
    (shown.collect(), more)
}

/// What the device says; of one that nobody here serves, the newest that may connect.
fn in_use(records: &[&CertificateRecord], status: Option<&Status>) -> Option<CertificateId> {
    match status {
        Some(status) => status.certificate,
        None => {
            records.iter().find(|record| record.status == CertificateStatus::Active).map(|record| record.id)
        }
    }
}

fn certificate(record: &CertificateRecord, holder: Holder) -> Certificate {
    let facts = CertificateFacts::from_pem(&record.pem).ok();
    Certificate {
        id: record.id,
        status: record.status,
        holder,
        created: record.created_at,
        modified: record.last_modified,
        not_before: record.not_before,
        not_after: record.not_after,
        subject: facts.as_ref().map(CertificateFacts::subject).unwrap_or_default(),
        issuer: facts.as_ref().map(CertificateFacts::issuer).unwrap_or_default(),
        policies: record.policies.iter().map(ToString::to_string).collect(),
        pem: record.pem.clone(),
        told: None,
    }
}

fn number(count: usize) -> Option<u64> {
    u64::try_from(count).ok()
}

/// A span with its largest unit alone.
fn short(span: Duration) -> String {
    let text = humantime::format_duration(Duration::from_millis(
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
    ));
    text.to_string().split(' ').next().unwrap_or_default().to_owned()
}
