//! How quick the dashboard of `fleetkey serve` is over a large fleet: `cargo build --workspace --bins`, then `cargo run -p
//! fleetkey-testkit --example boards [DEVICES…]`, by default 10 000 and 100 000.
//!
//! Runs the binary that was built: a local IoT Core, a set-up, and for each size a `serve` that finds the inventory of such a fleet on
//! disk, as one that was listed a moment ago; the fleet is that of `crates/operator/examples/scale.rs`. Each page is asked for over
//! HTTP, so times are a client's. A line a page: bytes and milliseconds, each as a part of what it may be, and how much longer the
//! median is than with the first size. It fails when a page is above its limits. The first look at each page is told apart.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "it measures by the real clock, prints what it has measured, and may fail; modules are shared"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fleetkey_iotcore::access_key::AccessKey;
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_operator::inventory::{Crawl, Snapshot, Watch};
use serde_json::{Value, json};

use browser::{Browser, Figures, millis};

#[path = "../../dashboard/examples/pages/browser.rs"]
mod browser;
#[path = "../../operator/examples/scale/fleet.rs"]
mod fleet;
#[path = "../../dashboard/tests/http/support/paths.rs"]
mod paths;

const ROUNDS: usize = 20;

#[tokio::main]
async fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let sizes = if sizes.is_empty() { vec![10_000, 100_000] } else { sizes };
    let account = Account::set_up();
    let (mut first, mut above) = (BTreeMap::new(), Vec::new());
    for devices in sizes {
        account.keep(devices);
        let serve =
            account.run(&["serve", "--listen", "127.0.0.1:0", "--json", "--fleet-dir", account.fleet()]);
        let link = serve.ready["dashboard_url"].as_str().unwrap();
        println!("{devices} devices\n{} growth   at first", Figures::HEAD);
        let browser = Browser::open(link).await;
        for (path, form) in asked(&browser, devices).await {
            // Whatever is worked out once and kept.
            let begun = browser.measure(&path, &form, 1).await;
            let Some((begun, figures)) = begun.zip(browser.measure(&path, &form, ROUNDS).await) else {
                println!("{path:.52} is not there");
                continue;
            };
            let before = *first.entry(path.clone() + &form).or_insert(figures.median);
            let growth = millis(figures.median) / millis(before);
            println!("{figures} {growth:>6.2} {:>7.2} ms", millis(begun.median));
            // What a campaign would be about is worked out from every device once, before an order: told, and not held to it.
            let is_page = form.is_empty();
            above.extend((is_page && figures.is_above()).then(|| format!("{} with {devices}", figures.path)));
        }
    }
    assert!(above.is_empty(), "above the limits: {above:?}");
}

/// Every page, what needs a look at all rows most of all, and what a campaign would be about. The next page is one that the page
/// before names.
async fn asked(browser: &Browser, devices: u64) -> Vec<(String, String)> {
    let middle = devices / 2;
    let mut asked = paths::pages(&format!("press-{middle}"), &browser.first("/policies").await);
    asked.extend(
        ["connected", "disconnected", "rotating", "attention"].map(|name| format!("/devices?filter={name}")),
    );
    asked.extend(
        [
            "status=INACTIVE",
            "status=REVOKED",
            "state=Degraded",
            "state=Ready",
            "older=300",
            "ends=30",
            "q=nothing-like-it",
        ]
        .map(|query| format!("/inventory?{query}")),
    );
    for list in ["/devices?q=9", "/findings", "/inventory?older=300"] {
        let page = browser.get(list).await;
        let next = page.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
        asked.extend(next.map(|path| path.replace("&amp;", "&")));
    }
    let mut asked: Vec<_> = asked
        .into_iter()
        .map(|path| (path.replace("pump-050000", &format!("press-{middle}")), String::new()))
        .collect();
    asked.dedup();
    for among in ["things=*", "things=press-9*", "older=300", "rule=aged"] {
        asked.push(("/campaigns".to_owned(), format!("name=all&why=yearly&{among}")));
    }
    asked
}

/// An account of its own, and a fleet that is set up in it.
struct Account {
    place: tempfile::TempDir,
    core: Option<Running>,
    key: Option<AccessKey>,
}

impl Account {
    fn set_up() -> Self {
        let mut account = Self { place: tempfile::tempdir().unwrap(), core: None, key: None };
        let data = account.place.path().join("account");
        let ports = ["--mqtt-port", "0", "--alpn-port", "0", "--rest", "127.0.0.1:0", "--json", "--data-dir"];
        let core = account.run(&[&["local"], &ports[..], &[data.to_str().unwrap()]].concat());
        account.key = AccessKey::read(&data.join("iotcore")).unwrap();
        account.core = Some(core);
        let known = ["mqtt_port", "alpn_port", "root_ca"].map(|name| {
            let value = &account.core.as_ref().unwrap().ready[name];
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        });
        let [mqtt, alpn, root] = known.each_ref().map(String::as_str);
        let mut command = account.command(&[
            "setup",
            "--json",
            "--fleet-dir",
            account.fleet(),
            "--mqtt-port",
            mqtt,
            "--alpn-port",
            alpn,
            "--root-ca",
            root,
        ]);
        assert!(command.stdout(Stdio::null()).status().unwrap().success(), "the fleet is set up");
        account
    }

    /// Where the fleet's files are.
    fn fleet(&self) -> &str {
        self.place.path().to_str().unwrap()
    }

    /// An inventory of so many devices that has just been taken.
    fn keep(&self, devices: u64) {
        let now = SystemClock.now();
        let mut store = fleet::filled(devices, now);
        store.swept_certificates(now, now);
        store.swept_things(now, now);
        store.joined(now);
        let done: Crawl =
            serde_json::from_value(json!({ "stage": "done", "begun": null, "next": null, "after": null }))
                .unwrap();
        let kept = Snapshot::at(&Path::new(self.fleet()).join("operator"));
        kept.write(&Watch::new(store, done)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).stdin(Stdio::null());
        if let (Some(core), Some(key)) = (&self.core, &self.key) {
            command
                .env("AWS_ENDPOINT_URL", core.ready["api_url"].as_str().unwrap())
                .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
                .env("AWS_ACCESS_KEY_ID", &key.access_key_id)
                .env("AWS_SECRET_ACCESS_KEY", key.secret_access_key.expose());
        }
        command
    }

    /// Runs a program until it is ready.
    fn run(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut events =
            lines.map_while(Result::ok).filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let ready = events.find(|event| event["event"] == "ready").expect("it gets ready");
        std::thread::spawn(move || events.for_each(drop));
        Running { child, ready }
    }
}

/// A program that is ended with its owner.
struct Running {
    child: Child,
    ready: Value,
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _asked = Command::new("kill").args(["-TERM", &pid]).status();
        let _ended = self.child.wait();
    }
}

/// Beside the directory of the examples.
fn binary() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let binary = program.parent().and_then(Path::parent).unwrap().join("fleetkey");
    assert!(binary.exists(), "{} is not there: cargo build --workspace --bins", binary.display());
    binary
}
