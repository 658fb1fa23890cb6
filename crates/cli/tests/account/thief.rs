//! Somebody has a copy of a device's disk and rotates first. Retirement freezes, the finding names both generations, and
//! the operator decides, either way.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;
use crate::core::a_directory;
use crate::process::Process;
use crate::serve::Fleet;

/// A device, a copy of its disk at work, and a controller that lets older certificates soak for an hour.
struct Theft {
    fleet: Fleet,
    controller: Process,
    api: Api,
    /// Held: the copy works in it.
    _copy: TempDir,
    thief: Process,
    /// The certificate that both have had.
    stolen: String,
    /// The one that the copy has got.
    newer: String,
}

impl Theft {
    /// The copy rotates while the device is away; then the device comes back, and they take turns.
    fn frozen() -> Self {
        let mut theft = Self::attested();
        theft.fleet.start_agent();
        theft.fleet.wait("the freeze", || theft.finding().is_some());
        theft
    }

    /// The copy rotates while the device is away.
    fn attested() -> Self {
        let mut fleet = Fleet::of_one();
        let stolen = fleet.certificates().remove(0).0;
        let mut controller = Process::of(fleet.serve_patiently());
        let url = controller.event("serving")["url"].as_str().unwrap().to_owned();
        controller.event("ready");
        let api = Api::of(&url, fleet.path(), "operator");

        fleet.stop_agent();
        let copy = a_directory();
        let copied = std::process::Command::new("cp")
            .args(["-a", &format!("{}/.", fleet.path().display()), copy.path().to_str().unwrap()])
            .status();
        assert!(copied.unwrap().success());
        let mut thief = agent_of(copy.path());
        thief.json(|event| event["event"] == "went_live");
        rotate(copy.path());
        let committed = thief.json(|event| event["event"] == "committed");
        let newer = committed["certificate"].as_str().unwrap().to_owned();
        let theft = Self { fleet, controller, api, _copy: copy, thief, stolen, newer };
        let attested = |theft: &Self| theft.api.get("/things/press-1")["attested"] == *theft.newer;
        theft.fleet.wait("the attestation", || attested(&theft));
        theft
    }

    /// Since when the certificate that both have had soaks, as the ledger has it on disk.
    fn soaks_since(&self) -> Option<u64> {
        let text = std::fs::read(self.ledger().join("press-1.json")).ok()?;
        let kept: Value = serde_json::from_slice(&text).ok()?;
        kept["record"]["older"][&self.stolen]["since"].as_u64()
    }

    fn ledger(&self) -> PathBuf {
        self.fleet.path().join("operator/retirements")
    }

    fn finding(&self) -> Option<Value> {
        let found = self.api.get("/findings");
        found["findings"].as_array()?.iter().find(|found| found["rule"] == "frozen").cloned()
    }

    /// Both generations are there and work, and nothing is retired.
    fn nothing_is_retired(&self) {
        let finding = self.finding().unwrap();
        let saw = finding["saw"].as_str().unwrap();
        assert!([&self.stolen, &self.newer].iter().all(|id| saw.contains(&id[..8])), "{saw}");
        let mut there = self.fleet.certificates();
        there.sort();
        let mut both = [&self.stolen, &self.newer].map(|id| (id.clone(), "ACTIVE".to_owned()));
        both.sort();
        assert_eq!(there, both);
    }

    fn release(&self, why: &str) {
        assert_eq!(self.api.order("/things/press-1/release", why)["released"], true);
        assert_eq!(self.finding(), None);
    }

    /// The next controller does not wait; nothing but this certificate is left.
    fn ends_with(mut self, id: &str) {
        self.controller.kill();
        let mut hasty = Process::of(self.fleet.serve(self.fleet.core.url()));
        hasty.event("ready");
        self.fleet.only_is_left(id);
        hasty.signal("TERM");
        assert!(hasty.end().0.success());
        let directory = self.fleet.path().to_str().unwrap();
        let shown =
            crate::process::run(&["journal", "show", "--about", "press-1", "--fleet-dir", directory]).1;
        assert!(shown.contains("release") && shown.contains("operator (operator) says"), "{shown}");
    }
}

fn agent_of(fleet: &Path) -> Process {
    Process::start(&["device", "connect", "--serial", "press-1", "--data-dir", fleet.to_str().unwrap()])
}

fn rotate(fleet: &Path) {
    let words = ["device", "rotate", "--serial", "press-1", "--data-dir", fleet.to_str().unwrap()];
    let (code, out, errors) = crate::process::run(&words);
    assert_eq!(code, 0, "{out}\n{errors}");
}

/// The copy was a theft: its certificate is revoked, the thing released, and the device rotates away from the stolen one.
#[test]
fn a_thief_who_rotates_first_takes_nothing_and_is_thrown_out() {
    let mut theft = Theft::frozen();
    theft.nothing_is_retired();
    let newer = theft.newer.clone();
    theft.fleet.core.run(&["revoke", &newer, "--why", "stolen"], theft.fleet.path()).good();
    theft.thief.kill();
    theft.release("a stolen disk; its certificate is revoked");
    let own = theft.fleet.rotate();
    theft.ends_with(&own);
}

/// The copy was a move to other hardware: the old device is switched off, and its certificate goes as any older one.
#[test]
fn a_device_that_was_moved_keeps_the_newer_certificate() {
    let mut theft = Theft::frozen();
    theft.nothing_is_retired();
    theft.fleet.stop_agent();
    theft.release("the disk was moved to another board");
    let newer = theft.newer.clone();
    theft.ends_with(&newer);
}

/// The device comes back while the disk refuses, and the controller is killed before it could write that down: the next one
/// knows that something is missing, and lets older certificates soak anew.
#[test]
fn a_return_that_the_disk_did_not_take_before_a_kill_is_given_the_time_to_be_heard_again() {
    let mut theft = Theft::attested();
    let (ledger, begun) = (theft.ledger(), theft.soaks_since().unwrap());
    let (record, away) = (ledger.join("press-1.json"), ledger.join("away"));
    std::fs::rename(&record, &away).unwrap();
    std::fs::create_dir_all(record.join("in-the-way")).unwrap();
    assert!(ledger.join("whole").exists());
    theft.fleet.start_agent();
    theft.fleet.wait("the disk's refusal", || ledger.join("gap").exists());
    theft.fleet.stop_agent();
    theft.thief.kill();
    theft.controller.kill();
    std::fs::remove_dir_all(&record).unwrap();
    std::fs::rename(&away, &record).unwrap();

    theft.controller = Process::of(theft.fleet.serve_patiently());
    theft.controller.event("ready");
    theft.fleet.wait("a soak from the start", || theft.soaks_since() > Some(begun));
    theft.fleet.wait("a ledger that is whole", || ledger.join("whole").exists());
    assert!(!ledger.join("gap").exists());
    assert_eq!(theft.fleet.certificates().len(), 2);
}
