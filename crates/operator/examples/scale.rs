//! How the inventory does with many devices: `cargo run --release -p fleetkey-operator --example scale [DEVICES…]`.
//! One JSON object a size: questions in milliseconds (the worst of ten), events a second, resident memory.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it measures by the real clock, prints what it has measured, and may fail"
)]

use std::time::{Duration, Instant};

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;
use fleetkey_operator::controller::{Event, Observer, PresenceEvent};
use fleetkey_operator::inventory::{Crawl, History, Query, State, Thresholds, Watch};
use serde_json::json;

use fleet::{DAY, filled, id, thing};

#[path = "scale/fleet.rs"]
mod fleet;

const NOW: Timestamp = Timestamp::from_secs(400 * DAY);
/// Events that are put in.
const EVENTS: u64 = 60_000;

fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let sizes = if sizes.is_empty() { vec![10_000, 100_000] } else { sizes };
    sizes.into_iter().for_each(|devices| println!("{}", measured(devices)));
}

fn measured(devices: u64) -> serde_json::Value {
    let watch = Watch::new(filled(devices, NOW), Crawl::default(), []);
    let page = |query: &Query| watch.look(|store, _| query.page(store, NOW, None, None, 100).rows.len());
    let named = |thing: String| Query { thing: Some(thing), ..Query::default() };
    let [exact, part] = [format!("press-{}", devices - 1), format!("*-{}", devices - 1)].map(named);
    let ended = Query { status: Some(CertificateStatus::Revoked), ..Query::default() };
    let away = Query { connected: Some(false), ..Query::default() };
    let aged = Query { older_than: Some(Duration::from_secs(300 * DAY)), ..Query::default() };
    let degraded = Query { state: Some(State::Degraded), ..Query::default() };
    let thresholds = Thresholds::default();
    let begun = Instant::now();
    (0..EVENTS).for_each(|n| watch.heard(NOW, &event(n, n % devices)));
    let events = begun.elapsed();
    json!({
        "devices": devices,
        "list_ms": worst(|| page(&Query::default())),
        "filter_by_name_ms": worst(|| page(&exact)),
        "filter_by_part_of_name_ms": worst(|| page(&part)),
        "filter_by_status_ms": worst(|| page(&ended)),
        "filter_by_connection_ms": worst(|| page(&away)),
        "filter_by_age_ms": worst(|| page(&aged)),
        "filter_by_state_ms": worst(|| page(&degraded)),
        "ready_ms": worst(|| page(&Query { state: Some(State::Ready), ..Query::default() })),
        "count_by_state_ms": worst(|| watch.look(|store, _| degraded.count(store, NOW))),
        "history_ms": worst(|| watch.look(|store, _| History::of(store, &thing(7)).told(store, Vec::new()).len())),
        "findings": watch.findings(NOW, &thresholds).len(),
        "findings_ms": worst(|| watch.findings(NOW, &thresholds).len()),
        "survey_ms": worst(|| watch.survey(NOW, &thresholds).findings.len()),
        "events_per_second": (60_000.0 / events.as_secs_f64()).round(),
        "resident_mib": resident().map(|kib| kib >> 10),
    })
}

fn event(n: u64, device: u64) -> Event {
    Event::Presence {
        kind: if n % 3 == 2 { PresenceKind::Disconnected } else { PresenceKind::Connected },
        client: ClientId::live(&thing(device)),
        event: PresenceEvent {
            timestamp: Timestamp::from_millis(NOW.as_millis() + n),
            principal_identifier: id(device, 1),
            session_identifier: Some(n.to_string()),
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

/// Of this process, in KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
