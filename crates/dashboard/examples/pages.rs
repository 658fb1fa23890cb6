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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

#[path = "../tests/http/support/fleet.rs"]
mod fleet;
#[path = "../tests/http/support/paths.rs"]
mod paths;

/// What a page may take (the product's limits).
const TIME: Duration = Duration::from_millis(50);
const SIZE: usize = 200_000;
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

/// Gives up after the last page if the median of one was too slow, or one too large. Pages that are not there, such as a campaign
/// of a fleet that has none, are told as such and not measured.
async fn pages(browser: &Browser, asked: &[String], rounds: usize) {
    println!("{:<52} {:>9} {:>6}  {:>9} {:>9} {:>6}", "page", "bytes", "of max", "median", "worst", "of max");
    let mut above = Vec::new();
    for path in asked {
        let (mut spans, mut size) = (Vec::new(), 0);
        for _ in 0..rounds {
            let begun = Instant::now();
            let answer = browser.get(path).await;
            spans.push(begun.elapsed());
            size = if answer.starts_with("HTTP/1.1 200") { answer.len() } else { 0 };
        }
        let path: String = path.chars().take(52).collect();
        if size == 0 {
            println!("{path:<52} is not there");
            continue;
        }
        spans.sort();
        let (median, worst) = (spans[spans.len() / 2], spans[spans.len() - 1]);
        println!(
            "{path:<52} {size:>9} {:>6.2}  {:>6.2} ms {:>6.2} ms {:>6.2}",
            ratio(size, SIZE),
            millis(median),
            millis(worst),
            millis(median) / millis(TIME)
        );
        if size >= SIZE || median >= TIME {
            above.push(path);
        }
    }
    assert!(above.is_empty(), "above the limits: {above:?}");
}

/// From the notice of a change to its line on an open stream.
async fn events(browser: &Browser, hub: &Hub, rounds: usize) {
    let mut stream = browser.send("/events?after=0").await;
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

fn ratio(part: usize, whole: usize) -> f64 {
    f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole).unwrap())
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// A browser that was let in.
struct Browser {
    address: String,
    cookie: String,
}

impl Browser {
    async fn open(link: &str) -> Self {
        let (address, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut browser = Self { address: address.to_owned(), cookie: String::new() };
        let answer = browser.get(&format!("/{path}")).await;
        let set =
            answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("the link is good");
        browser.cookie = set.split(';').next().unwrap().to_owned();
        browser
    }

    /// What a list's first entry is called, in an address.
    async fn first(&self, list: &str) -> String {
        let page = self.get(list).await;
        let link = page.split(&format!("<a href=\"{list}/")).nth(1).and_then(|rest| rest.split('"').next());
        link.unwrap_or("none").to_owned()
    }

    async fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        self.send(path).await.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn send(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let Self { address, cookie } = self;
        let kept = if path.starts_with("/events") { "keep-alive" } else { "close" };
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\naccept: text/html\r\nconnection: {kept}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}
