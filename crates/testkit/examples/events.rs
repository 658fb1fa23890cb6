//! How the controller keeps up with presence events on the wire: `cargo run -p fleetkey-testkit --example events
//! [THINGS…]`. The local IoT Core, which delivers 100 messages a second to one connection as AWS does, publishes a
//! thousand events a second for a minute; they come over TLS, shared by sixteen connections, to the engine that ships.
//!
//! One JSON object a size: the rate, what was lost, how long after its publishing an event reached the ledger, and that as
//! a part of the second that is allowed; last, how much longer it takes with the last size than with the first.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it measures by the real clock, prints what it has measured, and may fail"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleetkey_iotcore::clock::SystemClock;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::PresenceKind;
use fleetkey_operator::controller::{Event, Metrics, Observer, PresenceEvent, Report};
use fleetkey_operator::inventory::Watch;
use fleetkey_testkit::Bench;
use serde_json::{Value, json};

/// Events a second, and for how many seconds.
const RATE: u64 = 1000;
const SECONDS: u64 = 60;
/// Enough that none of them is likely to be drawn more often than a hundred times in a second: 62 ± 8.
const CONNECTIONS: usize = 16;
/// How often some are published.
const TICK: Duration = Duration::from_millis(10);
/// How long to wait for what has not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// When each event was published, and how long it took to the ledger; nanoseconds.
struct Lags {
    begun: Instant,
    published: Vec<AtomicU64>,
    taken: Mutex<Vec<u64>>,
}

impl Lags {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap()
    }

    fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

impl Observer for Lags {
    fn heard(&self, _now: Timestamp, event: &Event) {
        let Event::Presence { event, .. } = event else { return };
        let number = event.session_identifier.as_deref().and_then(|text| text.parse::<usize>().ok());
        if let Some(published) = number.and_then(|number| self.published.get(number)) {
            // What comes twice counts once.
            let at = published.swap(0, Ordering::Relaxed);
            if at > 0 {
                self.taken.lock().unwrap().push(self.now().saturating_sub(at));
            }
        }
    }

    fn told(&self, _now: Timestamp, _report: &Report) {}
}

fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let sizes = if sizes.is_empty() { vec![10_000, 100_000] } else { sizes };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let found: Vec<_> = sizes.into_iter().map(|things| runtime.block_on(measured(things))).collect();
    found.iter().for_each(|found| println!("{found}"));
    if let [first, .., last] = &found[..] {
        let growth = |name: &str| last[name].as_f64().unwrap() / first[name].as_f64().unwrap();
        println!(
            "{}",
            json!({ "growth": { "p50": growth("p50_ms"), "p99": growth("p99_ms"), "max": growth("max_ms") } })
        );
    }
}

async fn measured(things: u64) -> Value {
    let limited = |config: &mut fleetkey_iotcore::config::Config| {
        config.limits.deliveries_per_second = Some(100);
    };
    let bench = Bench::start_with(Arc::new(SystemClock), limited).await;
    let total = RATE * SECONDS;
    let lags = Arc::new(Lags {
        begun: Instant::now(),
        published: (0..total).map(|_| AtomicU64::new(0)).collect(),
        taken: Mutex::default(),
    });
    let mut engine = bench
        .engine(Default::default())
        .observed_by(Arc::new(Metrics::default()))
        .observed_by(Arc::new(Watch::default()));
    for thing in 0..things {
        engine.handle(connected(thing)).await;
    }
    let controller = bench.controller_of(CONNECTIONS, engine.observed_by(lags.clone())).await;
    let begun = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    let mut published = 0;
    while published < total {
        tick.tick().await;
        let due = u64::try_from(begun.elapsed().as_millis()).unwrap() * RATE / 1000;
        for number in published..due.min(total) {
            let at = lags.published.get(usize::try_from(number).unwrap()).unwrap();
            at.store(lags.now(), Ordering::Relaxed);
            let (client, certificate) = of(number % things);
            bench.core.rehearse(&client, &certificate, &number.to_string(), number % 2 == 0);
        }
        published = published.max(due.min(total));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let end = Instant::now() + PATIENCE;
    while (lags.taken() as u64) < total && Instant::now() < end {
        tick.tick().await;
    }
    controller.stop().await;
    let mut taken = lags.taken.lock().unwrap().clone();
    taken.sort_unstable();
    // Per mille, so that no rounding is needed.
    let at = |part: usize| *taken.get((taken.len() - 1) * part / 1000).unwrap() as f64 / 1e6;
    json!({
        "things": things,
        "connections": CONNECTIONS,
        "events": total,
        "events_per_second": (total as f64 / seconds).round(),
        "lost": total - taken.len() as u64,
        "p50_ms": at(500),
        "p99_ms": at(990),
        "max_ms": at(1000),
        "max_of_a_second": at(1000) / 1000.0,
        "resident_mib": resident().map(|kib| kib >> 10),
        "debug_assertions": cfg!(debug_assertions),
    })
}

fn of(thing: u64) -> (ClientId, CertificateId) {
    (ClientId::new(format!("press-{thing}")).unwrap(), CertificateId::of_der(&thing.to_be_bytes()))
}

/// So that the ledger and the inventory know the thing.
fn connected(thing: u64) -> Event {
    let (client, principal_identifier) = of(thing);
    let event = PresenceEvent {
        timestamp: Timestamp::from_secs(1),
        principal_identifier,
        session_identifier: Some(format!("before-{thing}")),
    };
    Event::Presence { kind: PresenceKind::Connected, client, event }
}

/// Of this process, in KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
