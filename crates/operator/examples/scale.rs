//! How the inventory does with many devices: `cargo run --release -p fleetkey-operator --example scale [DEVICES…]`.
//! One JSON object a size: questions in milliseconds (the worst of ten), events a second, resident memory, and each as a part of
//! what it may be; last, how many times what the first size takes the last one takes. It fails when a question takes 50 ms or
//! memory 300 MB.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it measures by the real clock, prints what it has measured, and may fail"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;
use fleetkey_operator::controller::{Event, Observer, PresenceEvent};
use fleetkey_operator::inventory::{Crawl, History, Query, State, Thresholds, Watch};
use serde_json::{Value, json};

use fleet::{DAY, filled, id, thing};

#[path = "scale/fleet.rs"]
mod fleet;

const NOW: Timestamp = Timestamp::from_secs(400 * DAY);
/// Events that are put in.
const EVENTS: u64 = 60_000;

/// How long a question may take, in milliseconds.
const MOST_MS: f64 = 50.0;
/// How much memory the process may have, in bytes.
const MOST_BYTES: u64 = 300_000_000;

fn main() -> ExitCode {
    let sizes: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let sizes = if sizes.is_empty() { vec![10_000, 100_000] } else { sizes };
    let found: Vec<_> = sizes.into_iter().map(measured).collect();
    if let [first, .., last] = &found[..] {
        println!("{}", json!({ "growth": growth(first, last) }));
    }
    let above: Vec<_> = found.iter().flat_map(above).collect();
    if above.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{}", json!({ "above": above }));
    ExitCode::FAILURE
}

/// What a fleet of one size takes; printed when it is known.
struct Found {
    devices: u64,
    /// The worst of ten of each question, in milliseconds.
    questions: BTreeMap<&'static str, f64>,
    events_per_second: f64,
    /// Bytes, where the system tells.
    resident: Option<u64>,
}

fn measured(devices: u64) -> Found {
    let watch = Watch::new(filled(devices, NOW), Crawl::default());
    let begun = Instant::now();
    (0..EVENTS).for_each(|n| watch.heard(NOW, &event(n, n % devices)));
    let events = begun.elapsed();
    let questions = questions(&watch, devices);
    let events_per_second = (EVENTS as f64 / events.as_secs_f64()).round();
    let found = Found { devices, questions, events_per_second, resident: resident() };
    println!(
        "{}",
        json!({
            "devices": devices,
            "questions_ms": found.questions,
            "worst_of_50_ms": found.questions.values().copied().fold(0.0, f64::max) / MOST_MS,
            "findings": watch.findings(NOW, &Thresholds::default()).len(),
            "events_per_second": found.events_per_second,
            "resident_mib": found.resident.map(|bytes| bytes >> 20),
            "resident_of_300_mb": found.resident.map(|bytes| bytes as f64 / MOST_BYTES as f64),
            "debug_assertions": cfg!(debug_assertions),
        })
    );
    found
}

/// Each question that pages and API ask, and how long it takes at worst.
fn questions(watch: &Watch, devices: u64) -> BTreeMap<&'static str, f64> {
    let page = |query: &Query| watch.look(|store, _| query.page(store, NOW, None, None, 100).rows.len());
    let named = |thing: String| Query { thing: Some(thing), ..Query::default() };
    let in_state = |state| Query { state: Some(state), ..Query::default() };
    let [exact, part] = [format!("press-{}", devices - 1), format!("*-{}", devices - 1)].map(named);
    let ended = Query { status: Some(CertificateStatus::Revoked), ..Query::default() };
    let away = Query { connected: Some(false), ..Query::default() };
    let aged = Query { older_than: Some(Duration::from_secs(300 * DAY)), ..Query::default() };
    let [degraded, ready] = [State::Degraded, State::Ready].map(in_state);
    let thresholds = Thresholds::default();
    let history = || watch.look(|store, _| History::of(store, &thing(7)).told(store, Vec::new()).len());
    BTreeMap::from([
        ("list", worst(|| page(&Query::default()))),
        ("filter_by_name", worst(|| page(&exact))),
        ("filter_by_part_of_name", worst(|| page(&part))),
        ("filter_by_status", worst(|| page(&ended))),
        ("filter_by_connection", worst(|| page(&away))),
        ("filter_by_age", worst(|| page(&aged))),
        ("filter_by_state", worst(|| page(&degraded))),
        ("ready", worst(|| page(&ready))),
        ("count_by_state", worst(|| watch.look(|store, _| degraded.count(store, NOW)))),
        ("history", worst(history)),
        ("findings", worst(|| watch.findings(NOW, &thresholds).len())),
        ("survey", worst(|| watch.survey(NOW, &thresholds).findings.len())),
    ])
}

/// What is above its limit, in words.
fn above(found: &Found) -> Vec<String> {
    let slow = found.questions.iter().filter(|(_, span)| **span >= MOST_MS);
    let slow = slow.map(|(name, span)| format!("{name}: {span:.1} ms with {} devices", found.devices));
    let large = found.resident.filter(|bytes| *bytes >= MOST_BYTES);
    let large = large.map(|bytes| format!("memory: {} MB with {} devices", bytes / 1_000_000, found.devices));
    slow.chain(large).collect()
}

/// How many times what the first size takes the last one takes.
fn growth(first: &Found, last: &Found) -> Value {
    let times = |name: &&'static str| Some((*name, last.questions.get(name)? / first.questions.get(name)?));
    let questions: BTreeMap<_, _> = first.questions.keys().filter_map(times).collect();
    let resident = first.resident.zip(last.resident);
    json!({
        "devices": last.devices as f64 / first.devices as f64,
        "questions": questions,
        "events_per_second": last.events_per_second / first.events_per_second,
        "resident": resident.map(|(first, last)| last as f64 / first as f64),
    })
}

fn event(n: u64, device: u64) -> Event {
    Event::Presence {
        kind: if n % 3 == 2 { PresenceKind::Disconnected } else { PresenceKind::Connected },
        client: ClientId::live(&thing(device)),
        event: PresenceEvent {
            timestamp: Timestamp::from_millis(NOW.as_millis() + n),
            principal_identifier: id(device, 1),
            session_identifier: Some(n.to_string().into()),
        },
    }
}

/// The longest of ten, in milliseconds.
fn worst(question: impl Fn() -> usize) -> f64 {
    let spans = (0..10).map(|_| {
        let begun = Instant::now();
        std::hint::black_box(question());
        begun.elapsed()
    });
    spans.max().unwrap_or_default().as_secs_f64() * 1000.0
}

/// Of this process, in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib << 10)
}
