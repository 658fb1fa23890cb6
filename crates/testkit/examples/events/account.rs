//! An account in this process, and the binary that was built, which works on it. Part of the example `events`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_iotcore::config::Config;
use fleetkey_iotcore::server::{self, Handle, Listeners};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::{Crawl, Snapshot, Watch};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleet;

/// What AWS delivers to one connection a second; the rest is discarded (AWS IoT Core quotas).
const DELIVERIES: u32 = 100;

/// An account of its own, and a fleet that is set up in it.
pub(crate) struct Account {
    /// The account: told of events that nobody has brought about.
    pub(crate) core: Handle,
    place: TempDir,
}

impl Account {
    pub(crate) async fn set_up() -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut config = Config::new(place.path().join("iotcore"));
        config.limits.deliveries_per_second = Some(DELIVERIES);
        let listeners = Listeners::loopback().await.unwrap();
        let core = server::start(config, listeners, Arc::new(SystemClock)).await.unwrap();
        let account = Self { core, place };
        let (mqtt, alpn) = (account.core.ports().mqtt.to_string(), account.core.ports().alpn.to_string());
        let root = account.core.root_ca_path().to_str().unwrap().to_owned();
        let words = ["setup", "--mqtt-port", &mqtt, "--alpn-port", &alpn, "--root-ca", &root];
        account.says(&words).await;
        account
    }

    /// Where the fleet's files are.
    fn fleet(&self) -> PathBuf {
        self.place.path().join("fleet")
    }

    /// An inventory of so many devices that has just been taken, and a ledger in which each was attested.
    pub(crate) fn keep(&self, devices: u64) {
        let now = SystemClock.now();
        let ledger = self.fleet().join("operator/retirements");
        std::fs::create_dir_all(&ledger).unwrap();
        for n in 0..devices {
            let text = record(n, now).to_string();
            std::fs::write(ledger.join(format!("{}.json", fleet::thing(n))), text).unwrap();
        }
        let mut store = fleet::filled(devices, now);
        store.swept_certificates(now, now);
        store.swept_things(now, now);
        store.joined(now);
        let done = json!({ "stage": "done", "begun": null, "next": null, "after": null });
        let done: Crawl = serde_json::from_value(done).unwrap();
        let kept = Snapshot::at(&self.fleet().join("operator"));
        kept.write(&Watch::new(store, done)).unwrap();
    }

    /// A new token that may read.
    pub(crate) async fn token(&self) -> String {
        let words = ["token", "create", "--name", "events", "--role", "auditor"];
        self.says(&words).await["token"].as_str().unwrap().to_owned()
    }

    /// A controller that is ready.
    pub(crate) async fn serve(&self, connections: &str) -> Running {
        let words = ["serve", "--listen", "127.0.0.1:0", "--connections", connections];
        let child = self.command(&words).stdout(Stdio::piped()).spawn().unwrap();
        tokio::task::spawn_blocking(move || Running::of(child)).await.unwrap()
    }

    /// Runs a command to its end: the last line that it said.
    async fn says(&self, words: &[&str]) -> Value {
        let child = self.command(words).stdout(Stdio::piped()).spawn().unwrap();
        // Off the runtime's threads: the account answers on them.
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{words:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        let (address, key) = (self.core.rest_address().unwrap(), self.core.access_key());
        command
            .args(words)
            .args(["--json", "--fleet-dir"])
            .arg(self.fleet())
            .stdin(Stdio::null())
            .env("AWS_ENDPOINT_URL", format!("http://{address}"))
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
            .env("AWS_ACCESS_KEY_ID", &key.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", key.secret_access_key.expose());
        command
    }
}

/// A controller that is ended with its owner.
pub(crate) struct Running {
    child: Child,
    /// What it said when it began to serve.
    pub(crate) serving: Value,
}

impl Running {
    fn of(mut child: Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut events =
            lines.map_while(Result::ok).filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let serving = events.find(|event| event["event"] == "serving").expect("it serves");
        let ready = events.find(|event| event["event"] == "ready").expect("it gets ready");
        assert!(ready["connections"].as_u64() > Some(1), "{ready}");
        std::thread::spawn(move || events.for_each(drop));
        Self { child, serving }
    }

    /// Its memory in bytes, where the system tells.
    pub(crate) fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kib << 10)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _asked = Command::new("kill").args(["-TERM", &pid]).status();
        let _ended = self.child.wait();
    }
}

/// What the ledger keeps of a device: its newer certificate is the attested one, and the older one waits to be revoked.
fn record(n: u64, now: Timestamp) -> Value {
    let ago = |days: u64| (now - Duration::from_secs(days * fleet::DAY - n % fleet::DAY)).as_millis();
    let days = if n.is_multiple_of(100) { 370 } else { 30 };
    let (old, new) = (fleet::id(n, 0).to_string(), fleet::id(n, 1));
    let session = format!("00000000-0000-4000-8000-{n:012}");
    let since = (now + Duration::from_secs(fleet::DAY)).as_millis();
    let record = json!({
        "thing": fleet::thing(n),
        "witness": { "certificate": new, "created_at": ago(days), "at": ago(days) },
        "request": format!("rotation-{session}"),
        "begun": ago(380),
        "audit": { "last": fleet::id(n, 2), "before": fleet::id(n, 3) },
        "older": { old: { "stage": "inactive", "since": since, "returned": null, "returns": 0 } },
        "leftovers": {},
        "staged": null,
        "newcomers": {},
        "frozen": null,
        "seen": { "live": { "principal": new, "since": ago(1), "session": session, "open": true }, "agent": null },
    });
    json!({ "format": 1, "record": record })
}

/// Beside the directory of the examples.
fn binary() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let binary = program.parent().and_then(Path::parent).unwrap().join("fleetkey");
    assert!(binary.exists(), "{} is not there: cargo build --workspace --bins", binary.display());
    binary
}
