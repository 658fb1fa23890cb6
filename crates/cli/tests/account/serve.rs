//! The controller as a process of its own, over HTTP and MQTT, against an account that is another process.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fleetkey_operator::chain::{self, CONTROLLER_JOURNAL_FILE};
use serde_json::Value;
use tempfile::TempDir;

use crate::core::{Core, Outcome, a_directory};
use crate::inventory::Clients;
use crate::process::{PATIENCE, Process};
use crate::proxy::{Proxy, Side, Stop};

/// Every step of a retirement within a second.
pub(crate) const HASTE: [&str; 11] = [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--soak",
    "100ms",
    "--grace",
    "100ms",
    "--delete-after",
    "100ms",
    "--leftover-after",
    "1day",
];

/// The calls to kill at. Undisturbed there are twenty-five: who we are; whether the account publishes registry events; four
/// that list the thing's certificates and ask whether it has recovered, thrice more before each change; 10 asks who is
/// connected, 11 makes INACTIVE, 16 REVOKED, and from 21 on it goes.
const CALLS: [usize; 5] = [5, 10, 11, 16, 22];

/// An account with a fleet of one device that is connected.
pub(crate) struct Fleet {
    pub(crate) core: Core,
    clients: Clients,
    directory: TempDir,
    agent: Process,
}

impl Fleet {
    pub(crate) fn of_one() -> Self {
        let (core, directory) = (Core::empty(), a_directory());
        core.set_up(&[], directory.path()).good();
        core.provision("press-1", directory.path());
        let fleet = directory.path().to_str().unwrap();
        let agent = Process::start(&["device", "connect", "--serial", "press-1", "--data-dir", fleet]);
        let clients = Clients::of(&core);
        // One that is on no thing: the inventory has to ask whose it is.
        clients.wait(clients.iot.create_keys_and_certificate().send()).unwrap();
        let fleet = Self { core, clients, directory, agent };
        fleet.wait("the agent", || fleet.status()["connected"] == true);
        fleet
    }

    pub(crate) fn clients(&self) -> &Clients {
        &self.clients
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn device(&self, command: &str, more: &[&str]) -> String {
        let fleet = self.path().to_str().unwrap();
        let arguments = ["device", command, "--serial", "press-1", "--data-dir", fleet];
        let arguments: Vec<_> = arguments.iter().chain(more).copied().collect();
        let (code, out, errors) = crate::process::run(&arguments);
        assert_eq!(code, 0, "{out}\n{errors}");
        out
    }

    fn status(&self) -> Value {
        let told: Value = serde_json::from_str(&self.device("status", &["--json"])).unwrap();
        told["status"].clone()
    }

    /// The id and the status of every certificate of the device's thing.
    pub(crate) fn certificates(&self) -> Vec<(String, String)> {
        self.clients.wait(async {
            let iot = &self.clients.iot;
            let principals = iot.list_thing_principals().thing_name("press-1").send().await.unwrap();
            let mut found = Vec::new();
            for arn in principals.principals() {
                let id = arn.rsplit_once('/').unwrap().1;
                // One may go meanwhile.
                if let Ok(described) = iot.describe_certificate().certificate_id(id).send().await {
                    let status = described.certificate_description().unwrap().status().unwrap().to_string();
                    found.push((id.to_owned(), status));
                }
            }
            found
        })
    }

    /// Has the device rotate, and waits until it has committed.
    pub(crate) fn rotate(&mut self) -> String {
        self.device("rotate", &[]);
        self.committed()
    }

    /// Waits until the device has committed to another certificate.
    pub(crate) fn committed(&mut self) -> String {
        let committed = self.agent.json(|event| event["event"] == "committed");
        committed["certificate"].as_str().unwrap().to_owned()
    }

    /// Waits until the broker has refused the device's certificate.
    pub(crate) fn refused(&mut self) {
        self.wait("the refusal", || self.status()["connected"] == false);
    }

    /// Waits until a message of the device's reaches the broker, or does not any more.
    pub(crate) fn can_speak(&self, wanted: bool) {
        let fleet = self.path().to_str().unwrap();
        let words = [
            "device",
            "publish",
            "device/press-1/telemetry",
            "x",
            "--serial",
            "press-1",
            "--data-dir",
            fleet,
        ];
        self.wait("a message", || (crate::process::run(&words).0 == 0) == wanted);
    }

    /// Waits until only this certificate is left, and it is ACTIVE.
    pub(crate) fn only_is_left(&self, id: &str) {
        let wanted = [(id.to_owned(), "ACTIVE".to_owned())];
        self.wait("the older certificates to go", || {
            let found = self.certificates();
            assert!(found.iter().any(|(other, status)| other == id && status == "ACTIVE"), "{found:?}");
            found == wanted
        });
    }

    /// Waits for a condition that only other processes bring about.
    pub(crate) fn wait(&self, what: &str, met: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !met() {
            assert!(Instant::now() < end, "{what}: {:?}", self.certificates());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// AWS dates certificates to the second.
    pub(crate) fn a_second_passes(&self) {
        let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let begun = second();
        self.wait("the next second", || second() > begun);
    }

    /// Older certificates soak for an hour.
    pub(crate) fn serve_patiently(&self) -> Child {
        let words = HASTE.map(|word| if word == "--soak" { "--soak=1h" } else { word });
        let words: Vec<_> =
            words.into_iter().enumerate().filter(|(at, _)| *at != 4).map(|(_, word)| word).collect();
        self.core.command(self.core.url(), &words, self.path()).spawn().unwrap()
    }

    pub(crate) fn stop_agent(&mut self) {
        self.agent.kill();
    }

    /// The agent of another device that was provisioned, once it is connected.
    pub(crate) fn agent_of(&self, serial: &str) -> Process {
        let fleet = self.path().to_str().unwrap();
        let mut agent = Process::start(&["device", "connect", "--serial", serial, "--data-dir", fleet]);
        agent.json(|event| event["event"] == "link_up");
        agent
    }

    pub(crate) fn start_agent(&mut self) {
        let fleet = self.path().to_str().unwrap();
        self.agent = Process::start(&["device", "connect", "--serial", "press-1", "--data-dir", fleet]);
    }

    /// Waits until the device says that it is connected.
    pub(crate) fn connected(&mut self) {
        self.agent.json(|event| event["event"] == "link_up");
    }

    pub(crate) fn serve(&self, url: &str) -> Child {
        self.core.command(url, &HASTE, self.path()).spawn().unwrap()
    }
}

/// A controller that serves, and the URL of its pages.
fn serving(fleet: &Fleet) -> (Process, String) {
    let mut process = Process::of(fleet.serve(fleet.core.url()));
    let url = process.event("serving")["url"].as_str().unwrap().to_owned();
    process.event("ready");
    (process, url)
}

/// Status line and body.
pub(crate) fn get(url: &str, path: &str) -> (String, String) {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// Waits until the account was walked to its end.
pub(crate) fn inventory_is_taken(url: &str) {
    until("the inventory", || {
        get(url, "/metrics").1.contains("fleet_inventory_age_seconds{dataset=\"attachments\"}")
    });
}

/// Waits for a condition that only other processes bring about.
pub(crate) fn until(what: &str, met: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A device rotates, and its old certificate goes; the controller tells how it is, keeps a journal that names the
/// requests, ends on SIGTERM, and has called what `--print-iam` says, all of it.
#[test]
fn a_rotated_device_loses_its_old_certificate_and_every_step_is_on_record() {
    let mut fleet = Fleet::of_one();
    let (process, url) = serving(&fleet);
    assert!(get(&url, "/healthz").0.contains("200") && get(&url, "/readyz").0.contains("200"));
    assert!(get(&url, "/readyz").1.contains("4 of 4 connections"));
    inventory_is_taken(&url);
    let id = fleet.rotate();
    fleet.only_is_left(&id);

    let (_, page) = get(&url, "/metrics");
    for line in [
        "fleetkey_controller_connected 1",
        "fleetkey_controller_connections 4",
        "fleetkey_controller_connections_wanted 4",
        "fleetkey_retirements_total{step=\"deactivate\"} 1",
        "fleetkey_retirements_total{step=\"revoke\"} 1",
        "fleetkey_fleet_things 1",
        "fleetkey_fleet_frozen_things 0",
        "fleetkey_fleet_certificates{status=\"ACTIVE\"} 4",
        "fleetkey_fleet_findings{rule=\"frozen\",severity=\"critical\"} 0",
        "fleetkey_aws_requests_total{api=\"iot:GetConnection\",code=\"200\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    assert!(!page.contains("press-1") && !page.contains("x509_"), "no series a device");
    everything_that_is_graphed_is_there(&page);

    // What it does by itself besides: it closes recovery windows.
    let recovery = |words: &[&str]| fleet.core.run(&[&["recovery"], words].concat(), fleet.path()).good();
    recovery(&["open", "--serial", "press-1", "--for", "1s", "--why", "x"]);
    fleet.wait("the window to be closed", || {
        let list = recovery(&["list"]);
        list.last()["closed_at"] != Value::Null && list.last()["settled"] == true
    });

    process.signal("TERM");
    let (status, lines, errors) = process.end();
    assert!(status.success(), "{errors}");
    let lines = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let outcome = Outcome { code: 0, lines, errors };
    crate::least_privilege::exact(&fleet.core, &["serve"], &[outcome]);
    every_step_is_on_record(&fleet, &id);
}

/// What people's own dashboards and alerts are made of: these names stay.
const SERIES: [(&str, &str); 7] = [
    ("fleet_certificates", "{status="),
    ("fleet_certificate_age_seconds_bucket", "{le="),
    ("fleet_certificate_expiry_days_bucket", "{le="),
    ("fleet_findings", "{rule=\"aged\",severity="),
    ("fleet_inventory_age_seconds", "{dataset="),
    ("aws_requests_total", "{api=\"iot:ListCertificates\",code="),
    ("aws_throttled_total", ""),
];

/// Dashboard and alerts name series of this page and no others.
fn everything_that_is_graphed_is_there(page: &str) {
    for (name, labels) in SERIES {
        assert!(page.contains(&format!("fleetkey_{name}{labels}")), "{name}{labels} in\n{page}");
    }
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    for file in ["grafana/fleetkey.json", "grafana/alerts.yml"] {
        let text = std::fs::read_to_string(deploy.join(file)).unwrap();
        let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
        let series: BTreeSet<_> = words.filter(|word| word.starts_with("fleetkey_")).collect();
        assert!(series.len() > 5, "{file}");
        for name in series {
            let family = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            let known = [Some(name), family].into_iter().flatten();
            let is_there = known.map(|name| format!("# TYPE {name} ")).any(|line| page.contains(&line));
            assert!(is_there, "{file} names {name}, which /metrics has not");
        }
    }
}

fn every_step_is_on_record(fleet: &Fleet, witness: &str) {
    let path = fleet.path().join("operator").join(CONTROLLER_JOURNAL_FILE);
    let head = chain::verify(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len() as u64, head.lines);
    let done: Vec<_> = entries.iter().filter(|entry| entry["phase"] == "done").collect();
    let steps: Vec<_> = done.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(steps, ["deactivate", "revoke", "delete"]);
    assert!(entries[0]["why"].as_str().unwrap().contains(witness), "{:#}", entries[0]);
    // Under the same request id as the account's own record has it.
    let events = fleet.core.management_events();
    for request in done.iter().flat_map(|entry| entry["calls"].as_array().unwrap()) {
        let id = &request["request"];
        let is_change = request["call"].as_str().unwrap() != "iot:ListAttachedPolicies";
        assert!(!is_change || events.iter().any(|event| event["requestID"] == *id), "{request}");
    }
    let directory = fleet.path().to_str().unwrap();
    let verify = ["journal", "verify", "--fleet-dir", directory];
    assert_eq!(crate::process::run(&verify).0, 0);
    let shown = crate::process::run(&["journal", "show", "--about", witness, "--fleet-dir", directory]);
    assert!(
        shown.1.contains("deactivate certificate") && shown.1.contains("because older than"),
        "{shown:?}"
    );
    std::fs::write(&path, text.replacen("deactivate", "reactivate", 1)).unwrap();
    let (code, out, _) = crate::process::run(&verify);
    assert!(code == 1 && out.contains("the journal was changed"), "{out}");
    // Without its head it is still handed on; without itself it is not passed over.
    std::fs::write(&path, &text).unwrap();
    std::fs::remove_file(path.with_file_name(format!("{CONTROLLER_JOURNAL_FILE}.head"))).unwrap();
    let run = |verb: &str| crate::process::run(&["journal", verb, "--fleet-dir", directory]);
    let (code, out, _) = run("verify");
    assert!(code == 1 && out.contains("its end may have been cut"), "{out}");
    let (code, out, errors) = run("export");
    assert!(code == 1 && out.contains(witness) && errors.contains("its end may have been cut"), "{errors}");
    std::fs::remove_file(&path).unwrap();
    let (code, out, errors) = run("show");
    assert!(
        code == 0 && out.contains("DevicePolicy") && errors.is_empty(),
        "it is as if it had never been: {errors}"
    );
    std::fs::write(path.with_file_name(format!("{CONTROLLER_JOURNAL_FILE}.head")), "").unwrap();
    let (code, out, errors) = run("show");
    assert!(
        code == 1 && out.contains("DevicePolicy") && errors.contains(CONTROLLER_JOURNAL_FILE),
        "{errors}"
    );
}

/// Killed before or after the account has seen any of its calls, the next controller ends what it began; the device's
/// own certificate is never touched.
#[test]
fn a_controller_killed_at_any_call_is_continued_by_the_next() {
    let mut fleet = Fleet::of_one();
    // With the inventory taken, what is called is what the retirement takes.
    let (process, url) = serving(&fleet);
    inventory_is_taken(&url);
    process.signal("TERM");
    assert!(process.end().0.success());
    let sides = [Side::Before, Side::After];
    for (at, side) in CALLS.into_iter().flat_map(|at| sides.map(|side| (at, side))) {
        let proxy = Proxy::start(fleet.core.address(), Some(Stop { at, side }));
        let mut first = Process::of(fleet.serve(&proxy.url()));
        first.event("ready");
        let id = fleet.rotate();
        let held = proxy.held().recv_timeout(PATIENCE);
        assert!(held.is_ok(), "call {at} never came: {:?}", proxy.calls());
        first.kill();
        let (second, _) = serving(&fleet);
        fleet.only_is_left(&id);
        second.signal("TERM");
        assert!(second.end().0.success());
    }
    chain::verify(&fleet.path().join("operator").join(CONTROLLER_JOURNAL_FILE)).unwrap();
}

/// What it cannot serve it says, with a way out.
#[test]
fn a_fleet_that_is_not_there_and_an_open_address_are_refused() {
    let core = Core::empty();
    let refused = core.run(&["serve"], a_directory().path());
    assert!(
        refused.code == 1 && refused.errors.contains("there is no fleetkey data directory"),
        "{}",
        refused.errors
    );
    let refused = core.run(&["serve", "--listen", "0.0.0.0:0"], a_directory().path());
    assert!(refused.code == 1 && refused.errors.contains("loopback"), "{}", refused.errors);
}
