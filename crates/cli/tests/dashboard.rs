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

#[path = "cli/process.rs"]
mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

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

    let ordered = browser.send("POST", "/devices/device-0002/rotate", "");
    assert!(ordered.starts_with("HTTP/1.1 303"), "{ordered}");
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
