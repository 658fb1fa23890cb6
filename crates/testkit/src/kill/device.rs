//! One device whose agent is the shipping binary under supervision: started, ordered to rotate, struck, at rest.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleetkey_agent::status::client::{self, DeviceState};
use fleetkey_lifecycle::Status;
use fleetkey_lifecycle::status::StateName;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{SerialNumber, ThingName};
use tokio::sync::watch;
use tokio::time::timeout;

use super::eye::{Aim, Eye};
use super::leftovers::leftovers;
use super::point::{Point, durable_state};
use crate::bench::Bench;
use crate::trace::{Ended, Program, Signal, TraceError, Traced};

/// How long a device may take to come to rest before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(45);
/// How often a condition is looked at when no news wakes us.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How many of the agent's last log lines are told when it gets stuck.
const LINES: usize = 60;

/// Where a device lives: its directory, its configuration, its thing.
#[derive(Debug, Clone)]
pub struct Home {
    /// Which thing it is.
    pub thing: ThingName,
    /// Its state directory.
    pub state_dir: PathBuf,
    config: PathBuf,
    binary: PathBuf,
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// What sees its calls.
    pub eye: Eye,
    home: Home,
    process: Traced,
    log: Log,
}

/// Why a device is not at rest.
#[derive(Debug)]
pub struct Unsettled {
    /// What was waited for, or what is wrong.
    pub what: String,
    /// What was known last.
    pub last: String,
    /// What the agent said last.
    pub log: Vec<String>,
}

impl std::error::Error for Unsettled {}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; last seen: {}", self.what, self.last)?;
        self.log.iter().try_for_each(|line| writeln!(f, "  | {line}"))
    }
}

/// How an ordered rotation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// The process was killed on the way.
    Killed,
    /// It came to its end.
    Over,
}

impl Home {
    /// A new device on the bench: its directory and a configuration with waits of milliseconds.
    pub fn new(bench: &Bench, binary: &Path, serial: &str) -> Self {
        let dir = bench.path("killed").join(serial);
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("agent.toml");
        std::fs::write(&config, configuration(bench, serial)).unwrap();
        let dir = dir.canonicalize().unwrap();
        Self {
            thing: SerialNumber::new(serial).unwrap().thing(),
            state_dir: dir.join("state"),
            config,
            binary: binary.to_owned(),
        }
    }

    /// The device's certificates that could connect.
    pub fn active(&self, bench: &Bench) -> Vec<CertificateId> {
        let known = bench.core.account().thing_certificates(&self.thing).unwrap_or_default();
        known.iter().filter(|known| known.status == CertificateStatus::Active).map(|known| known.id).collect()
    }

    /// Starts the binary; with an aim, its calls count from its first instruction.
    ///
    /// # Errors
    /// When it does not start, or ptrace is not permitted.
    pub async fn start(&self, aim: Option<Aim>) -> Result<Agent, TraceError> {
        let eye = Eye::on(&self.state_dir);
        if let Some(aim) = aim {
            eye.begin_at_start(aim);
        }
        let program = Program {
            path: self.binary.clone(),
            arguments: vec!["run".into(), "--config".into(), self.config.clone().into_os_string()],
        };
        let mut process = Traced::start(program, eye.clone()).await?;
        let log = Log::of(process.stderr());
        Ok(Agent { eye, home: self.clone(), process, log })
    }
}

impl Agent {
    /// Orders a rotation and lets it run until the aim is met or it is over.
    ///
    /// # Errors
    /// When neither comes about.
    pub async fn strike(&mut self, aim: Aim) -> Result<Course, Unsettled> {
        self.eye.begin(aim);
        let dir = self.home.state_dir.clone();
        // The order may be killed in the middle of it: what became of it, the device tells.
        let order = tokio::task::spawn_blocking(move || client::rotate(&dir, false));
        let mut records = self.eye.records();
        let over = async {
            while !self.eye.is_over() {
                if records.changed().await.is_err() {
                    break;
                }
            }
        };
        let course = tokio::select! {
            ended = timeout(PATIENCE, self.process.ended()) => match ended {
                Ok(Ended::Killed(Signal::SIGKILL)) => Some(Course::Killed),
                _ => None,
            },
            () = over => Some(self.over().await),
        };
        self.eye.end();
        let _ = order.await;
        match course {
            Some(course) => Ok(course),
            None => Err(self.unsettled("waiting for the rotation or for the kill".into(), String::new())),
        }
    }

    /// The last call of all may be the one that it is killed at.
    async fn over(&mut self) -> Course {
        if !self.eye.has_killed() {
            return Course::Over;
        }
        self.process.ended().await;
        Course::Killed
    }

    /// Kills the process as it stands.
    pub async fn kill(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.ended().await;
    }

    /// Stops the process in good order.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub async fn stop(mut self) -> Result<(), Unsettled> {
        self.process.signal(Signal::SIGTERM);
        match timeout(PATIENCE, self.process.ended()).await {
            Ok(Ended::Exited(0)) => Ok(()),
            ended => Err(self.unsettled("SIGTERM should end it with 0".into(), format!("{ended:?}"))),
        }
    }

    /// Whether nothing is left of the process, not even an entry in the process table.
    pub fn is_gone(&self) -> bool {
        !self.process.is_known()
    }

    /// Waits until the device is at rest or the eye has struck, with the point.
    ///
    /// # Errors
    /// When neither comes about.
    pub async fn at_rest_or_struck(&mut self) -> Result<Option<Point>, Unsettled> {
        match self.at_rest().await {
            Err(error) if !self.eye.has_killed() => Err(error),
            _ => {
                if self.eye.has_killed() {
                    self.process.ended().await;
                }
                let struck = self.eye.struck();
                self.eye.end();
                Ok(struck)
            }
        }
    }

    /// Waits until the device is at rest: nothing under way by its record, nothing on disk but what the identity in
    /// use needs, connected, its files exported.
    ///
    /// # Errors
    /// When it does not get there, or its process ends.
    pub async fn at_rest(&mut self) -> Result<Status, Unsettled> {
        let mut last = String::from("nothing");
        let settled = timeout(PATIENCE, async {
            loop {
                if let Some(ended) = self.process.end() {
                    last = format!("{ended:?}");
                    return None;
                }
                match self.look(&mut last).await {
                    Some(status) => return Some(status),
                    None => self.news().await,
                }
            }
        });
        match settled.await.ok().flatten() {
            Some(status) => Ok(status),
            None => Err(self.unsettled("waiting for the device to come to rest".into(), last)),
        }
    }

    /// An error that tells what the agent said.
    pub fn unsettled(&self, what: String, last: String) -> Unsettled {
        Unsettled { what, last, log: self.log.lines() }
    }

    async fn look(&self, last: &mut String) -> Option<Status> {
        let dir = self.home.state_dir.clone();
        let asked = tokio::task::spawn_blocking(move || client::status_of(&dir)).await.ok()?;
        *last = format!("{}, {asked:?}", durable_state(&self.home.state_dir));
        let Ok(DeviceState::Running(report)) = asked else { return None };
        let status = report.status;
        let settled =
            status.previous.is_none() && status.candidate.is_none() && status.state == StateName::Idle;
        // A write that is under way shows as a leftover too; one that stays is a leftover.
        let found = leftovers(&self.home.state_dir, status.current);
        if !found.is_empty() {
            *last = format!("{last}; in the state directory: {}", found.join(", "));
        }
        let tidy = self.eye.is_idle() && found.is_empty();
        (tidy && settled && status.connected && status.exported).then_some(status)
    }

    /// A log line, a record, or a moment.
    async fn news(&self) {
        let (mut records, mut lines) = (self.eye.records(), self.log.news.clone());
        lines.mark_unchanged();
        tokio::select! {
            _ = records.changed() => {}
            _ = lines.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// The last lines of a log, and news of each.
#[derive(Debug)]
struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
    news: watch::Receiver<()>,
}

impl Log {
    fn of(stderr: Option<ChildStderr>) -> Self {
        let lines = Arc::<Mutex<VecDeque<String>>>::default();
        let (told, news) = watch::channel(());
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines()) {
                let Ok(line) = line else { break };
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == LINES {
                    kept.pop_front();
                }
                kept.push_back(line);
                told.send_replace(());
            }
        });
        Self { lines, news }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// `agent.toml` of a device that has no patience.
fn configuration(bench: &Bench, serial: &str) -> String {
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let names = &bench.fleet.names;
    format!(
        "serial = \"{serial}\"\nstate = \"state\"\n\
         [endpoint]\nhost = \"{host}\"\nport = {port}\nroots = [{root}]\n\
         [templates]\nclaim = \"{claim}\"\nrotation = \"{rotation}\"\n\
         [claim]\ncertificate = {certificate}\nkey = {key}\n\
         [session]\nconnect_spacing = \"0s\"\nreconnect_cap = \"50ms\"\n\
         [rotation]\nsoak = \"50ms\"\nretire_retry = \"200ms\"\nrefusals = 3\nrefused_over = \"500ms\"\n\
         backoff = \"20ms\"\nbackoff_cap = \"100ms\"\nfailure_cap = \"100ms\"\n\
         [timeouts]\nconnect = \"5s\"\nanswer = \"2s\"\ndrain = \"20ms\"\n",
        host = bench.core.endpoint(),
        port = bench.core.ports().mqtt,
        root = quoted(bench.core.root_ca_path()),
        claim = names.claim_template,
        rotation = names.rotation_template,
        certificate = quoted(&bench.report.claim.certificate),
        key = quoted(&bench.report.claim.key),
    )
}
