//! `fleetkey up` with its dashboard: the link that it prints opens a page on which a fleet rotates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits for another process by the real clock"
)]
#![expect(dead_code, reason = "the module is shared; not every test uses all of it")]

#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/process.rs"]
mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keys::{every_page, no_key_is_shown};
use process::{PATIENCE, Process};
use serde_json::Value;

fn up(data: &str, rest: &[&str]) -> Process {
    let mut arguments = vec!["up", "--json", "--data-dir", data, "--mqtt-port", "0", "--alpn-port", "0"];
    arguments.extend(rest);
    Process::start(&arguments)
}

/// A browser with one cookie.
struct Browser {
    address: String,
    cookie: String,
}

impl Browser {
    /// Opens the link of the `ready` event.
    fn open(ready: &Value) -> Self {
        let url = ready["dashboard_url"].as_str().expect("the ready event names the dashboard");
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut browser = Self { address: address.to_owned(), cookie: String::new() };
        let answer = browser.send("GET", &format!("/{path}"), "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a session");
        browser.cookie = set.split(';').next().unwrap().to_owned();
        browser
    }

    /// Sends a form, and expects to be led on.
    fn order(&self, path: &str, form: &str) {
        let answer = self.send("POST", path, form);
        assert!(answer.starts_with("HTTP/1.1 303"), "{path} {form}: {answer}");
    }

    fn page(&self, path: &str) -> String {
        self.send("GET", path, "")
    }

    fn send(&self, method: &str, path: &str, form: &str) -> String {
        let mut stream = self.request(method, path, form);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn request(&self, method: &str, path: &str, form: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (address, cookie, length) = (&self.address, &self.cookie, form.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\nsec-fetch-site: same-origin\r\n\
             accept: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{form}"
        )
        .unwrap();
        stream
    }

    /// Reads the page at every event until it contains all of `words`.
    fn watch(&self, path: &str, words: &[&str]) -> String {
        let mut events = BufReader::new(self.request("GET", "/events?after=0", "")).lines();
        loop {
            let page = self.page(path);
            if words.iter().all(|word| page.contains(word)) {
                return page;
            }
            let told = events.by_ref().map(Result::unwrap).find(|line| line.starts_with("event: "));
            assert!(told.is_some(), "the events ended before {words:?} were on {path}: {page}");
        }
    }
}

#[test]
fn a_newcomer_watches_a_fleet_rotate_and_orders_a_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = up(dir.path().to_str().unwrap(), &["--devices", "3", "--rotate-every", "1h"]);
    let browser = Browser::open(&process.event("ready"));
    // Opened before there is a single device, it shows each as it comes.
    browser.watch("/", &["device-0001", "device-0002", "device-0003", "all clear"]);
    assert!(browser.page("/devices").contains("3 devices"));

    // A first certificate has none before it to retire: nothing is under way.
    browser.watch("/rotations", &["device-0001", "device-0002", "device-0003", "done", "0 under way"]);
    let several = "thing=device-0002&thing=device-0002&thing=never-was-one";
    let asked = browser.send("POST", "/devices/rotate", several);
    assert!(
        asked.contains("Rotate 1 device?") && asked.contains("1 name left out: no such device"),
        "{asked}"
    );
    let refused = browser.send("POST", "/devices/rotate", &format!("{several}&confirm=yes"));
    assert!(refused.starts_with("HTTP/1.1 409") && refused.contains("no device never-was-one"), "{refused}");
    let ordered = browser.send("POST", "/devices/rotate", "thing=device-0002&confirm=yes");
    assert!(ordered.contains("1 device was told to rotate."), "{ordered}");
    let rotated = process.event("rotated");
    assert_eq!((&rotated["thing"], &rotated["reason"]), (&"device-0002".into(), &"command".into()));
    let page = browser.watch("/devices/device-0002/rotation", &["REVOKED", "done"]);
    let after = rotated["certificate"].as_str().unwrap();
    assert!(
        page.contains(after) && page.contains("ACTIVE") && page.contains("rotation ordered by session"),
        "{page}"
    );
    assert!(!page.contains("under way"), "every phase was passed: {page}");
    let device = browser.page("/devices/device-0002");
    assert!(device.contains("in use") && device.contains("former"), "{device}");
    let pem = browser.page(&format!("/devices/device-0002/certificates/{after}"));
    assert!(pem.contains("BEGIN CERTIFICATE") && !pem.contains("PRIVATE KEY"), "{pem}");

    process.signal("INT");
    let (status, lines, errors) = process.end();
    assert!(status.success(), "{}\n{errors}", lines.join("\n"));
    assert!(TcpStream::connect(&browser.address).is_err(), "the dashboard is gone");
}

/// The first step on the bench lets go of the device again; until it is connected nobody counts it as such, and it is nobody's
/// hindrance.
#[test]
fn a_device_on_the_bench_that_does_not_run_is_not_connected_and_leaves_the_others_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = up(dir.path().to_str().unwrap(), &["--devices", "1", "--rotate-every", "1h"]);
    let browser = Browser::open(&process.event("ready"));
    browser.watch("/", &["device-0001", "all clear", "connected</dt><dd>1</dd>"]);
    browser.order("/try/bench-1/provision", "");
    let listed = browser.page("/devices?q=bench-1");
    assert!(listed.contains("not connected") && listed.contains("not running"), "{listed}");
    assert!(browser.page("/devices?filter=connected").contains("1 device"));
    let overview = browser.page("/");
    assert!(overview.contains("connected</dt><dd>1</dd>"), "{overview}");
    let device = browser.page("/devices/bench-1");
    assert!(device.contains("cannot be ordered from here") && !device.contains("Rotate now"), "{device}");
    let both = "thing=bench-1&thing=device-0001";
    let asked = browser.send("POST", "/devices/rotate", both);
    let one = ["Rotate 1 device?", "1 device left out: they cannot be told from here"];
    assert!(one.iter().all(|words| asked.contains(words)), "{asked}");
    let told = browser.send("POST", "/devices/rotate", &format!("{both}&confirm=yes"));
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("1 device was told to rotate"), "{told}");
    browser.order("/try/bench-1/connect", "");
    browser.watch("/devices?q=bench-1", &["</svg>connected</span>", "idle"]);
    assert!(browser.page("/devices/bench-1").contains("Rotate now"));
    process.signal("INT");
    assert!(process.end().0.success());
}

#[test]
fn an_address_that_others_can_reach_is_refused_and_no_dashboard_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let (status, _, errors) = up(data, &["--dashboard", "0.0.0.0:0"]).end();
    assert!(!status.success() && errors.contains("loopback"), "{errors}");
    let mut process = up(data, &["--no-dashboard", "--devices", "1", "--for", "1s"]);
    assert!(process.event("ready")["dashboard_url"].is_null());
    let (status, lines, errors) = process.end();
    assert!(status.success(), "{}\n{errors}", lines.join("\n"));
}

/// Orders what a page plans, by the plan that it shows.
fn carry_out(browser: &Browser, path: &str, why: &str) {
    let asked = browser.send("POST", path, "");
    let mark = asked.split("name=\"plan\" value=\"").nth(1).unwrap_or_else(|| panic!("{asked}"));
    let mark = mark.split('"').next().unwrap();
    browser.order(path, &format!("confirm=yes&plan={mark}&why={why}&fleet=trial"));
}

/// The devices come to rest before anything is removed, so that the trial's verdict is a good one.
#[test]
fn a_trial_is_taken_down_and_set_up_again_from_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = up(dir.path().to_str().unwrap(), &["--devices", "2", "--rotate-every", "1h"]);
    let browser = Browser::open(&process.event("ready"));
    process.event("progress");
    let settled = browser.page("/setup");
    assert!(settled.contains("steps keep") && !settled.contains("Carry it out"), "{settled}");
    browser.watch("/cleanup", &["thing device-0002", "claim certificate", "Carry it out …"]);
    carry_out(&browser, "/cleanup", "the+end");
    let gone = ["looked again: nothing of the fleet is left", "There is nothing to do"];
    browser.watch("/cleanup", &gone);
    assert!(browser.page("/devices").contains("0 devices"));
    let journal = browser.page("/journal");
    for words in ["thing device-0001", "policy DevicePolicy", "controller certificate", "the end"] {
        assert!(journal.contains(words), "{words}: {journal}");
    }
    carry_out(&browser, "/setup", "once+more");
    browser.watch("/setup", &["made or changed; start `fleetkey up` again", "steps keep"]);
    browser.watch("/provisioning", &["CertRotationTemplate-rotate", "ACTIVE"]);
    carry_out(&browser, "/cleanup", "once+and+for+all");
    // The second is carried out like the first.
    browser.watch("/cleanup", &gone);
    assert!(browser.page("/journal").contains("once and for all"));
    process.signal("INT");
    let (status, lines, errors) = process.end();
    assert!(status.success(), "{}\n{errors}", lines.join("\n"));
    let summary: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!((&summary["event"], &summary["lost"]), (&"summary".into(), &0.into()), "{summary}");
}

/// While some may recover, that is how the account is to be: a set-up would not shut them out, and neither does it.
#[test]
fn a_recovery_window_that_is_open_is_nothing_for_set_up_to_change() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut process = up(data, &["--devices", "1", "--rotate-every", "1h"]);
    let browser = Browser::open(&process.event("ready"));
    process.event("progress");
    let window = ["recovery", "open", "--serial", "device-0001", "--for", "1h", "--why", "flood"];
    let (code, _, errors) = process::run(&[window.as_slice(), &["--fleet-dir", data]].concat());
    assert_eq!(code, 0, "{errors}");
    browser.watch("/provisioning", &["serials that match device-0001", "closes"]);
    let plan = browser.page("/setup");
    assert!(plan.contains("steps keep") && !plan.contains("Carry it out"), "{plan}");
    carry_out(&browser, "/cleanup", "the+end");
    browser.watch("/cleanup", &["looked again: nothing of the fleet is left"]);
    carry_out(&browser, "/setup", "once+more");
    browser.watch("/setup", &["made or changed", "steps keep"]);
    browser.watch("/provisioning", &["No thing that exists can be provisioned again"]);
    process.signal("INT");
    assert!(process.end().0.success());
}

/// From the moment before a message is published to the one in which the open page shows it, over the broker, the subscriber and
/// the stream of events. The figures are told, not asserted.
#[test]
fn a_message_that_the_broker_hears_is_on_the_open_page() {
    const ROUNDS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let mut process = up(dir.path().to_str().unwrap(), &["--devices", "1", "--rotate-every", "1h"]);
    let browser = Browser::open(&process.event("ready"));
    browser.watch("/", &["all clear"]);
    for (verb, form) in [("provision", ""), ("connect", ""), ("subscribe", "filter=device/bench-1/%23")] {
        browser.order(&format!("/try/bench-1/{verb}"), form);
    }
    browser.watch("/try/bench-1", &["hears device/bench-1/#"]);
    let mut events = BufReader::new(browser.request("GET", "/events?after=0", "")).lines();
    let mut spans: Vec<Duration> = Vec::new();
    for round in 0..ROUNDS {
        let payload = format!("round-{round}-of-{ROUNDS}");
        let form = format!("topic=device/bench-1/x&payload={payload}");
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| browser.order("/try/bench-1/publish", &form));
            let shown = || browser.page("/try/bench-1").contains(&format!("device/bench-1/x: {payload}"));
            while !shown() {
                let told = events.by_ref().map(Result::unwrap).find(|line| line.starts_with("event: "));
                assert!(told.is_some(), "the events ended before {payload} was shown");
            }
            spans.push(begun.elapsed());
        });
    }
    spans.sort();
    let millis = |span: Duration| span.as_secs_f64() * 1000.0;
    let (median, worst) = (millis(spans[ROUNDS / 2]), millis(spans[ROUNDS - 1]));
    println!(
        "published to shown: median {median:.1} ms, worst {worst:.1} ms, {:.3} of a second",
        worst / 1000.0
    );
    process.signal("INT");
    assert!(process.end().0.success());
}

/// Of devices that have rotated, of one on the bench, of claims and authorities: their certificates are on the pages, their keys
/// are not.
#[test]
fn no_page_shows_a_line_of_any_key_that_lies_in_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = up(dir.path().to_str().unwrap(), &["--devices", "2", "--rotate-every", "1h"]);
    let browser = Browser::open(&process.event("ready"));
    browser.watch("/", &["all clear"]);
    browser.order("/try/bench-1/provision", "");
    browser.watch("/try/bench-1", &["The device's page"]);
    browser.order("/devices/device-0002/rotate", "");
    browser.watch("/devices/device-0002/rotation", &["REVOKED", "done"]);
    let pages = every_page(&["/", "/api/devices", "/api/status?serial=bench-1"], |path| browser.page(path));
    assert!(pages.len() > 30, "{} pages", pages.len());
    no_key_is_shown(dir.path(), &pages);
    process.signal("INT");
    assert!(process.end().0.success());
}

/// `fleetkey up` with one device and these variables.
fn up_with(data: &str, variables: &[(&str, &str)], rest: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetkey"));
    command.args(["up", "--json", "--data-dir", data, "--mqtt-port", "0", "--alpn-port", "0"]);
    command.args(["--devices", "1", "--rotate-every", "1h"]).args(rest).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::of(command.spawn().unwrap())
}

fn end(process: Process) -> String {
    process.signal("INT");
    let (status, lines, errors) = process.end();
    assert!(status.success(), "{}\n{errors}", lines.join("\n"));
    errors
}

/// `API_TOKEN` lets scripts in, `FLASK_SECRET` keeps a browser's session over a restart, `SKIP_AUTH` lets everybody in on this
/// computer, says so, and is refused elsewhere.
#[test]
fn the_demos_environment_is_honoured() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let variables = [("API_TOKEN", "a-token"), ("FLASK_SECRET", "a secret of at least 32 characters")];
    let mut process = up_with(data, &variables, &[]);
    let mut browser = Browser::open(&process.event("ready"));
    process.event("progress");
    let session = std::mem::replace(&mut browser.cookie, "x-api-token-instead=1".to_owned());
    assert!(browser.page("/").starts_with("HTTP/1.1 303"), "nobody without a session");
    let asked = |token: &str| {
        let mut stream = TcpStream::connect(&browser.address).unwrap();
        let address = &browser.address;
        write!(stream, "GET /api/devices HTTP/1.1\r\nhost: {address}\r\nx-api-token: {token}\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(asked("a-token").starts_with("HTTP/1.1 200") && asked("another").starts_with("HTTP/1.1 401"));
    end(process);

    let mut process = up_with(data, &variables, &["--dashboard", &browser.address]);
    process.event("progress");
    browser.cookie = session;
    assert!(browser.page("/").starts_with("HTTP/1.1 200"), "the session has outlived the restart");
    end(process);

    let mut process = up_with(data, &[("SKIP_AUTH", "1")], &[]);
    let link = process.event("ready")["dashboard_url"].as_str().unwrap().to_owned();
    process.event("progress");
    let address = link.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let open = Browser { address, cookie: String::new() };
    for path in ["/", "/devices", "/provisioning", "/settings"] {
        assert!(open.page(path).contains("SKIP_AUTH is set"), "{path}");
    }
    assert!(end(process).contains("SKIP_AUTH"), "the log warns");
    let (status, _, errors) = up_with(data, &[("SKIP_AUTH", "1")], &["--dashboard", "0.0.0.0:0"]).end();
    assert!(!status.success() && errors.contains("SKIP_AUTH") && errors.contains("loopback"), "{errors}");
}
