//! Measures the pages over a large fleet: time and size of each, as parts of what they may take; and how long an event needs
//! to reach an open page.
//!
//! `cargo run -p fleetkey-dashboard --example pages [devices] [rounds]` serves a fleet that is made up, by default of 100 000
//! devices; `… --example pages at LINK [rounds]` asks a dashboard that runs, by its one-time link. Times are a client's, over
//! loopback, so they are more than the server's. It fails when a page is above its limits. `… --example pages serve [devices]` prints the link to
//! a made-up fleet and serves it until it is killed, to look at pages without a broker.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a tool for developers: it prints, and gives up loudly; the fleet is the tests'"
)]

use std::sync::Arc;
use std::time::Duration;

use fleetkey_dashboard::access::Access;
use fleetkey_dashboard::hub::Hub;
use fleetkey_dashboard::server::{Dashboard, Parts};
use fleetkey_model::name::ThingName;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use browser::{Browser, Figures, millis};

#[path = "pages/browser.rs"]
mod browser;
#[path = "../tests/http/support/certificate.rs"]
mod certificate;
#[path = "../tests/http/support/fleet.rs"]
mod fleet;
#[path = "../tests/http/support/paths.rs"]
mod paths;

/// How late an event may reach a page.
const LATE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: usize| -> usize {
        arguments.get(index).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    if arguments.first().is_some_and(|first| first == "at") {
        let link = arguments.get(1).expect("the one-time link of a dashboard that runs");
        let browser = Browser::open(link).await;
        let asked = paths::pages(&browser.first("/devices").await, &browser.first("/policies").await);
        pages(&browser, &asked, number(2, 20)).await;
        return;
    }
    if arguments.first().is_some_and(|first| first == "serve") {
        let (dashboard, _hub) =
            serve(fleet::Sample::of(number(1, 12), "idle, and words of some length")).await;
        println!("{}", dashboard.url());
        std::future::pending::<()>().await;
    }
    let (devices, rounds) = (number(0, 100_000), number(1, 20));
    let sample = fleet::Sample::full(devices);
    let asked = paths::pages(sample.thing(devices / 2).as_str(), &sample.policy());
    let (dashboard, hub) = serve(sample).await;
    println!("{devices} devices, {rounds} rounds");
    let browser = Browser::open(dashboard.url()).await;
    pages(&browser, &asked, rounds).await;
    events(&browser, &hub, rounds).await;
    dashboard.stop().await;
}

async fn serve(sample: fleet::Sample) -> (Dashboard, Arc<Hub>) {
    let hub = Arc::new(Hub::new());
    let parts =
        Parts { fleet: Arc::new(sample), bench: None, hub: hub.clone(), clock: Arc::new(|| fleet::NOW) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (Dashboard::start(listener, parts, Access::default()).unwrap(), hub)
}

/// Gives up after the last page if one was above its limits. Pages that are not there, such as a campaign of a fleet that has
/// none, are told as such and not measured.
async fn pages(browser: &Browser, asked: &[String], rounds: usize) {
    println!("{}", Figures::HEAD);
    let mut above = Vec::new();
    for path in asked {
        match browser.measure(path, "", rounds).await {
            Some(figures) => {
                println!("{figures}");
                above.extend(figures.is_above().then(|| path.clone()));
            }
            None => println!("{path:.52} is not there"),
        }
    }
    assert!(above.is_empty(), "above the limits: {above:?}");
}

/// From the notice of a change to its line on an open stream.
async fn events(browser: &Browser, hub: &Hub, rounds: usize) {
    let mut stream = browser.send("/events?after=0", "").await;
    let mut seen = String::new();
    until(&mut stream, &mut seen, "event: hello").await;
    let mut spans = Vec::new();
    for round in 0..rounds {
        let thing = ThingName::new(format!("pump-{round:06}")).unwrap();
        let begun = Instant::now();
        hub.tell("rotation", Some(thing.clone()));
        until(&mut stream, &mut seen, thing.as_str()).await;
        spans.push(begun.elapsed());
    }
    spans.sort();
    let (median, worst) = (spans[spans.len() / 2], spans[spans.len() - 1]);
    let part = millis(worst) / millis(LATE);
    println!("an event: median {:.2} ms, worst {:.2} ms, {part:.4} of max", millis(median), millis(worst));
}

async fn until(stream: &mut TcpStream, seen: &mut String, text: &str) {
    while !seen.contains(text) {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the stream ended");
        seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
}
