//! How `fleetkey serve` keeps up with presence events on the wire: `cargo build --workspace --bins`, then `cargo run -p
//! fleetkey-testkit --example events [DEVICES…]`, by default 10 000 and 100 000.
//!
//! The local IoT Core, which delivers 100 messages a second to one connection as AWS does, publishes a thousand events a second
//! for a minute, or until each device has come; they come over TLS, shared by sixteen connections, to the binary that was built,
//! which finds inventory and ledger of such a fleet (that of `crates/operator/examples/scale.rs`) on disk. Whoever follows its API (`/api/v1/events`) sees each: the
//! lag is from the broker's own time of the event to there.
//!
//! One JSON object a size: the rate, what was lost, the lag, memory, and each as a part of what it may be; last, how many times
//! what the first size takes the last one takes. It fails when the rate was not reached, an event is lost, one takes a second, or
//! memory takes 300 MB.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "it measures by the real clock, prints what it has measured, and may fail; modules are shared"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use fleetkey_model::name::ClientId;
use serde_json::{Value, json};

use account::Account;
use follower::{Follower, Taken};

#[path = "events/account.rs"]
mod account;
#[path = "../../operator/examples/scale/fleet.rs"]
mod fleet;
#[path = "events/follower.rs"]
mod follower;

/// Events a second, and for how many seconds at least.
const RATE: u64 = 1000;
const SECONDS: u64 = 60;
/// Enough that none of them is likely to be drawn more often than a hundred times in a second: 62 ± 8.
const CONNECTIONS: &str = "16";
/// How often some are published.
const TICK: Duration = Duration::from_millis(10);
/// How long to wait for what has not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an event may take, in milliseconds.
const MOST_MS: f64 = 1000.0;
/// How much memory the controller may have, in bytes.
const MOST_BYTES: u64 = 300_000_000;

#[tokio::main]
async fn main() -> ExitCode {
    let sizes: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let sizes = if sizes.is_empty() { vec![10_000, 100_000] } else { sizes };
    let account = Account::set_up().await;
    let (token, mut found) = (account.token().await, Vec::new());
    for devices in sizes {
        found.push(measured(&account, &token, devices).await);
    }
    if let [first, .., last] = &found[..] {
        println!("{}", json!({ "growth": growth(first, last) }));
    }
    let above: Vec<_> = found.iter().flat_map(Found::above).collect();
    if above.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{}", json!({ "above": above }));
    ExitCode::FAILURE
}

/// What a fleet of one size takes; printed when it is known.
struct Found {
    devices: u64,
    /// Published a second.
    rate: f64,
    lost: u64,
    /// Of half, of 99 %, and of all.
    lags_ms: [f64; 3],
    /// How long after the first event the one was published that took longest.
    worst_after: Duration,
    /// Bytes of the controller, where the system tells.
    resident: Option<u64>,
}

impl Found {
    fn told(&self) -> Value {
        let [half, most, all] = self.lags_ms;
        json!({
            "devices": self.devices,
            "connections": CONNECTIONS,
            "events": events(self.devices),
            "events_per_second": self.rate.round(),
            "lost": self.lost,
            "p50_ms": half,
            "p99_ms": most,
            "max_ms": all,
            "max_of_a_second": all / MOST_MS,
            "max_at_s": self.worst_after.as_secs(),
            "resident_mib": self.resident.map(|bytes| bytes >> 20),
            "resident_of_300_mb": self.resident.map(|bytes| bytes as f64 / MOST_BYTES as f64),
            "debug_assertions": cfg!(debug_assertions),
        })
    }

    /// What is above its limit, in words.
    fn above(&self) -> Vec<String> {
        let Self { devices, rate, lost, lags_ms: [.., lag], resident, .. } = self;
        let slow = rate.round() < RATE as f64 * 0.99;
        let slow = slow.then(|| format!("{rate:.0} events a second were published"));
        let lost = (*lost > 0).then(|| format!("{lost} events were lost"));
        let lag = (*lag >= MOST_MS).then(|| format!("an event took {lag:.0} ms"));
        let large = resident.filter(|bytes| *bytes >= MOST_BYTES);
        let large = large.map(|bytes| format!("the controller has {} MB", bytes / 1_000_000));
        let all = [slow, lost, lag, large].into_iter().flatten();
        all.map(|words| format!("{words}, with {devices} devices")).collect()
    }
}

/// So many that each device has connected at the end.
fn events(devices: u64) -> u64 {
    devices.max(RATE * SECONDS)
}

async fn measured(account: &Account, token: &str, devices: u64) -> Found {
    account.keep(devices);
    let serve = account.serve(CONNECTIONS).await;
    let follower = Follower::start(serve.serving["url"].as_str().unwrap(), token).await;
    let total = events(devices);
    let rate = publish(account, devices, total).await;
    let end = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(TICK);
    while follower.seen() < total && Instant::now() < end {
        tick.tick().await;
    }
    let taken = follower.end();
    let worst_after = worst_after(&taken);
    let mut lags: Vec<_> = taken.into_iter().map(|taken| taken.lag).collect();
    lags.sort_unstable();
    // Per mille, so that no rounding is needed.
    let at = |part: usize| lags.get(lags.len().saturating_sub(1) * part / 1000).copied().unwrap_or_default();
    let lags_ms = [500, 990, 1000].map(|part| at(part) as f64);
    let lost = total.saturating_sub(lags.len() as u64);
    let found = Found { devices, rate, lost, lags_ms, worst_after, resident: serve.resident() };
    println!("{}", found.told());
    found
}

/// When the event was published that took longest, after the first.
fn worst_after(taken: &[Taken]) -> Duration {
    let worst = taken.iter().max_by_key(|taken| taken.lag);
    let first = taken.iter().map(|taken| taken.at).min();
    worst.zip(first).map(|(worst, first)| worst.at.since(first)).unwrap_or_default()
}

/// Has the broker tell of connections that come and go; how many a second it was.
async fn publish(account: &Account, devices: u64, total: u64) -> f64 {
    let begun = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    let mut published = 0;
    while published < total {
        tick.tick().await;
        let due = (u64::try_from(begun.elapsed().as_millis()).unwrap() * RATE / 1000).min(total);
        for number in published..due {
            let device = number % devices;
            let client = ClientId::live(&fleet::thing(device));
            // Each comes, and at its next turn goes.
            let begins = (number / devices).is_multiple_of(2);
            account.core.rehearse(&client, &fleet::id(device, 1), &number.to_string(), begins);
        }
        published = published.max(due);
    }
    total as f64 / begun.elapsed().as_secs_f64()
}

/// How many times what the first size takes the last one takes.
fn growth(first: &Found, last: &Found) -> Value {
    let lag = |at: usize| last.lags_ms[at].max(1.0) / first.lags_ms[at].max(1.0);
    let resident = first.resident.zip(last.resident);
    json!({
        "devices": last.devices as f64 / first.devices as f64,
        "p50": lag(0),
        "p99": lag(1),
        "max": lag(2),
        "resident": resident.map(|(first, last)| last as f64 / first as f64),
    })
}
