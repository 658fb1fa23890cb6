//! The controller's dashboard, as a browser without scripts sees it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, Process};
use crate::serve::Fleet;

/// A browser with one cookie.
struct Browser {
    address: String,
    cookie: String,
}

impl Browser {
    /// Opens the one-time link.
    fn open(url: &str) -> Self {
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut browser = Self { address: address.to_owned(), cookie: String::new() };
        let answer = browser.send("GET", &format!("/{path}"));
        let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        browser.cookie = set.unwrap_or_else(|| panic!("{answer}")).split(';').next().unwrap().to_owned();
        browser
    }

    fn send(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (address, cookie) = (&self.address, &self.cookie);
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\nsec-fetch-site: same-origin\r\n\
             accept: text/html\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Reads a page until all of this is on it.
    fn watch(&self, path: &str, words: &[&str]) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let page = self.send("GET", path);
            if words.iter().all(|word| page.contains(word)) {
                return page;
            }
            assert!(Instant::now() < end, "never {words:?} on {path}: {page}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whoever has the link sees the fleet as the controller knows it, has a device rotate, and follows it to the end of the
/// old certificate; the order is in the journal in their name.
#[test]
fn an_operator_sees_the_fleet_and_has_a_device_rotate() {
    let mut fleet = Fleet::of_one();
    let mut process = Process::of(fleet.serve(fleet.core.url()));
    process.event("serving");
    let url = process.event("ready")["dashboard_url"].as_str().unwrap().to_owned();
    let browser = Browser::open(&url);
    browser.watch("/devices", &["press-1", "1 device"]);
    let old = fleet.certificates().remove(0).0;
    let device = browser.watch("/devices/press-1", &["in use", "DevicePolicy", &old]);
    assert!(device.contains("ready"), "{device}");
    let pem = browser.send("GET", &format!("/devices/press-1/certificates/{old}"));
    assert!(pem.contains("BEGIN CERTIFICATE") && !pem.contains("PRIVATE KEY"), "{pem}");

    let ordered = browser.send("POST", "/devices/press-1/rotate");
    assert!(ordered.starts_with("HTTP/1.1 303"), "{ordered}");
    let new = fleet.committed();
    fleet.only_is_left(&new);
    let page = browser.watch("/devices/press-1/rotation", &["done", "command", &new]);
    assert!(!page.contains("under way"), "{page}");
    browser
        .watch("/devices/press-1", &["can no longer connect", "rotation ordered by session", "is deleted"]);
    browser.watch("/findings", &["all clear"]);

    process.signal("TERM");
    assert!(process.end().0.success());
    assert!(TcpStream::connect(&browser.address).is_err(), "the dashboard is gone");
    let directory = fleet.path().to_str().unwrap();
    let shown = crate::process::run(&["journal", "show", "--about", "press-1", "--fleet-dir", directory]);
    assert!(shown.1.contains("command rotate") && shown.1.contains("of the dashboard"), "{shown:?}");
}
