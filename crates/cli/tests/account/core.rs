//! A local IoT Core as a process of its own, and the commands that work on its account.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fleetkey_iotcore::access_key::AccessKey;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;

/// The local IoT Core of a data directory.
pub(crate) struct Core {
    process: Process,
    ready: Value,
    key: AccessKey,
    data: TempDir,
}

impl Core {
    /// An empty account, whose deprecated thing types may be deleted at once.
    pub(crate) fn empty() -> Self {
        Self::of(a_directory(), "1ms")
    }

    /// An account whose thing types have to rest before they go.
    pub(crate) fn resting(thing_types: &str) -> Self {
        Self::of(a_directory(), thing_types)
    }

    /// An empty account that keeps AWS's rates of calls and of Fleet Provisioning.
    pub(crate) fn throttled() -> Self {
        Self::with(a_directory(), "1ms", &["--account-rates", "true"])
    }

    /// An empty account that leaves the connections of ended certificates alone, as AWS does for some minutes.
    pub(crate) fn that_cuts_late() -> Self {
        Self::with(a_directory(), "1ms", &["--cut-delay", "1h"])
    }

    /// An account that is set up by `local --setup`, with a controller beside it.
    pub(crate) fn set_up_by_itself() -> Self {
        Self::with(a_directory(), "1ms", &["--setup", "--grace", "100ms"])
    }

    fn of(data: TempDir, type_deletion_delay: &str) -> Self {
        Self::with(data, type_deletion_delay, &[])
    }

    fn with(data: TempDir, type_deletion_delay: &str, more: &[&str]) -> Self {
        let directory = data.path().to_str().unwrap();
        let words = [
            "local",
            "--json",
            "--allow-reset",
            "--mqtt-port",
            "0",
            "--alpn-port",
            "0",
            "--rest",
            "127.0.0.1:0",
            "--deliveries-per-second",
            "100",
            "--type-deletion-delay",
            type_deletion_delay,
            "--data-dir",
            directory,
        ];
        let mut process = Process::start(&[&words[..], more].concat());
        let ready = process.event("ready");
        let key = AccessKey::read(&data.path().join("iotcore")).unwrap().unwrap();
        Self { process, ready, key, data }
    }

    /// A copy of this account, as it stands on disk, served beside it. The original must have ended.
    pub(crate) fn copy(stopped: &Path) -> Self {
        let data = a_directory();
        copy_tree(stopped, data.path());
        Self::of(data, "1ms")
    }

    /// Ends it; what stays on disk.
    pub(crate) fn stop(self) -> TempDir {
        self.process.signal("INT");
        let (status, _, errors) = self.process.end();
        assert!(status.success(), "{errors}");
        self.data
    }

    /// Where it keeps everything.
    pub(crate) fn directory(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.url().trim_start_matches("http://").parse().unwrap()
    }

    pub(crate) fn url(&self) -> &str {
        self.ready["api_url"].as_str().unwrap()
    }

    pub(crate) fn key(&self) -> &AccessKey {
        &self.key
    }

    /// What a program of the management events says, newest last.
    pub(crate) fn management_events(&self) -> Vec<Value> {
        let path = self.data.path().join("iotcore/events/management.jsonl");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Who was refused what by Fleet Provisioning, and which hooks have failed, each with how often; of what was not
    /// told yet.
    pub(crate) fn refusals(&self) -> BTreeMap<String, usize> {
        let mut refusals = BTreeMap::new();
        for line in self.process.errors_so_far() {
            let Some((_, told)) = line.split_once("fleetkey_iotcore::provisioning: ") else { continue };
            let told = told.split_once("refusal=").map_or(told, |(_, why)| why);
            let told = told.split_once(" template=").map_or(told, |(why, _)| why);
            *refusals.entry(told.to_owned()).or_default() += 1;
        }
        refusals
    }

    /// The calls of the REST API by operation: how many, and how many of them were throttled.
    pub(crate) fn calls(&self) -> BTreeMap<String, (u64, u64)> {
        let (_, report) = crate::serve::get(self.url(), "/_fleetkey/coverage");
        let report: Value = serde_json::from_str(&report).unwrap();
        let services = report["services"].as_object().unwrap().values();
        let calls = services.flat_map(|service| {
            let called = service["implemented"].as_object().unwrap().iter();
            called.map(|(name, count)| {
                let throttled = service["refused"][name]["ThrottlingException"].as_u64();
                (name.clone(), (count.as_u64().unwrap(), throttled.unwrap_or_default()))
            })
        });
        calls.filter(|(_, (count, _))| *count > 0).collect()
    }

    /// How often the account has refused to provision by a template since the last look at what it tells.
    pub(crate) fn refusals_of(&self, template: &str) -> usize {
        let topic = format!("/{template}/provision/");
        let refused = |line: &&String| line.contains("provisioning rejected") && line.contains(&topic);
        self.process.errors_so_far().iter().filter(refused).count()
    }

    /// A command on this account by way of `url`, with nothing else in its environment.
    pub(crate) fn command(&self, url: &str, arguments: &[&str], fleet: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetkey"));
        command
            .args(arguments)
            .args(["--json", "--fleet-dir"])
            .arg(fleet)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // Nobody but the account is asked: whoever asks an instance's metadata hears nothing.
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
            .env("AWS_ENDPOINT_URL", url)
            .env("AWS_ACCESS_KEY_ID", &self.key.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", self.key.secret_access_key.expose())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// What `fleetkey local env` prints, as a shell would have it.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let data = self.data.path().to_str().unwrap();
        let (code, out, errors) = crate::process::run(&["local", "env", "--data-dir", data]);
        assert_eq!(code, 0, "{errors}");
        let exports = out.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        exports.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
    }

    /// What `setup` has to be told of this place, besides where it is.
    pub(crate) fn setup(&self) -> Vec<String> {
        let port = |name: &str| self.ready[name].to_string();
        let root_ca = self.ready["root_ca"].as_str().unwrap().to_owned();
        ["setup", "--mqtt-port", &port("mqtt_port"), "--alpn-port", &port("alpn_port"), "--root-ca", &root_ca]
            .map(str::to_owned)
            .to_vec()
    }

    /// Runs a command to its end: what it said last.
    pub(crate) fn run(&self, arguments: &[&str], fleet: &Path) -> Outcome {
        Outcome::of(self.command(self.url(), arguments, fleet).spawn().unwrap())
    }

    /// Runs `setup` with these flags besides.
    pub(crate) fn set_up(&self, more: &[&str], fleet: &Path) -> Outcome {
        let words = self.setup();
        let arguments: Vec<_> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.run(&arguments, fleet)
    }

    /// Gives a device its first identity.
    pub(crate) fn provision(&self, serial: &str, fleet: &Path) {
        let fleet = fleet.to_str().unwrap();
        let (code, out, errors) =
            crate::process::run(&["device", "provision", "--serial", serial, "--data-dir", fleet]);
        assert_eq!(code, 0, "{out}\n{errors}");
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Its exit code; -1 when it was killed.
    pub(crate) code: i32,
    /// Its lines.
    pub(crate) lines: Vec<Value>,
    /// Its standard error.
    pub(crate) errors: String,
}

impl Outcome {
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            lines: text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same, if it went well.
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{:#?}", self.errors, self.lines);
        self
    }

    /// The last line.
    pub(crate) fn last(&self) -> &Value {
        self.lines.last().unwrap()
    }

    /// The calls that it has made, as IAM names them.
    pub(crate) fn calls(&self) -> std::collections::BTreeSet<String> {
        let calls = self.last()["calls"].as_array().unwrap().iter();
        calls.map(|call| call.as_str().unwrap().to_owned()).collect()
    }
}

/// In memory where there is such a thing: hundreds of runs wait for every line of their journal to be on disk.
pub(crate) fn a_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

/// Copies a directory with the files that are in it, modes included; an agent's socket is none.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            std::fs::set_permissions(&target, entry.metadata().unwrap().permissions()).unwrap();
            copy_tree(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
