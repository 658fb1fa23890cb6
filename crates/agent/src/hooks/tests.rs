//! Hooks that run, fail, take too long and run again; each test has a state directory and a status of its own.

use std::path::Path;
use std::sync::Arc;

use fleetkey_lifecycle::{Config, Found, Machine};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;
use nix::sys::signal::Signal;

use super::*;
use crate::SystemClock;
use crate::config::hooks::Target;
use crate::store::testing::Disk as TestDisk;

struct Bench {
    on: TestDisk,
    hooks: Hooks,
}

struct Running {
    status: watch::Sender<Status>,
    events: broadcast::Receiver<AgentEvent>,
    task: tokio::task::JoinHandle<()>,
    ended: crate::disk::Ended,
}

fn shell(script: &str, timeout: Duration) -> Hook {
    let arguments = vec!["-c".to_owned(), script.to_owned()];
    Hook { target: Target::Exec { program: "/bin/sh".into(), arguments }, timeout }
}

fn status(current: u64, previous: Option<u64>) -> Status {
    let config = Config::new(SerialNumber::new("dev-1").unwrap());
    let mut status = Machine::new(config, Found::default(), Timestamp::default()).status();
    status.current = Some(SlotId(current));
    status.previous = previous.map(SlotId);
    status.exported = true;
    status
}

impl Bench {
    fn new(after_commit: Vec<Hook>, after_retire: Vec<Hook>) -> Self {
        Self { on: TestDisk::new(), hooks: Hooks { after_commit, after_retire } }
    }

    /// Writes a line with what it was told to `log` beside the state directory's files.
    fn noting(script: &str) -> (Self, PathBuf) {
        let mut bench = Self::new(Vec::new(), Vec::new());
        let log = bench.on.root().join("log");
        let hook =
            shell(&format!("{script}; echo $FLEETKEY_EVENT >> {}", log.display()), Duration::from_secs(60));
        bench.hooks = Hooks { after_commit: vec![hook.clone()], after_retire: vec![hook] };
        (bench, log)
    }

    /// Reloads a unit by a `systemctl` of the test's own, which stands before the computer's on the `PATH`, and writes
    /// what it was told to `log`. Written by a process of its own: a file that this one still had open for writing, in
    /// a child that another test has just forked, could not be run.
    fn reloading(script: &str, timeout: Duration) -> (Self, PathBuf) {
        let mut bench = Self::new(Vec::new(), Vec::new());
        let (log, bin) = (bench.on.root().join("log"), bench.on.root().join("bin"));
        std::fs::create_dir(&bin).unwrap();
        let script = format!("#!/bin/sh\necho \"$@\" >> {}\n{script}\n", log.display());
        let written = std::process::Command::new("/bin/sh")
            .args(["-c", r#"printf %s "$1" > "$2" && chmod 700 "$2""#, "sh", &script])
            .arg(bin.join("systemctl"))
            .status();
        assert!(written.unwrap().success());
        let unit = "my-bridge.service".to_owned();
        bench.hooks.after_commit = vec![Hook { target: Target::Reload { unit }, timeout }];
        (bench, log)
    }

    async fn start(&self, first: Status) -> Running {
        let disk = crate::disk::testing::start(&self.on).await;
        let ended = disk.ended();
        let (sender, status) = watch::channel(first);
        let (told, events) = broadcast::channel(64);
        let (hooks, export) = (self.hooks.clone(), self.on.root().join("export"));
        let clock = FlooredClock::new(Arc::new(SystemClock));
        let path = format!("{}:{PATH}", self.on.root().join("bin").display()).into();
        let task = tokio::spawn(Runner { hooks, export, path, status, disk, events: told, clock }.run());
        Running { status: sender, events, task, ended }
    }
}

impl Running {
    async fn event(&mut self) -> AgentEvent {
        let event = tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await;
        event.expect("no hook ran within a minute").unwrap()
    }

    async fn ran(&mut self, wanted: Occasion) {
        let event = self.event().await;
        assert!(matches!(event, AgentEvent::HookRan { on, .. } if on == wanted), "{event:?}");
    }

    /// As a crash: whatever runs is killed, nothing more is noted.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        self.ended.wait().await;
    }
}

/// What the `systemctl` of [`Bench::reloading`] was told, each time.
const RELOAD: &str = "--no-ask-password reload -- my-bridge.service";

async fn has_lines(log: &Path, count: usize) {
    let there = async {
        while lines(log).len() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), there).await.expect("what was run writes its lines");
}

fn lines(log: &Path) -> Vec<String> {
    std::fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn each_runs_once_after_a_commit_and_after_a_retirement_whatever_restarts_between() {
    let (bench, log) = Bench::noting("true");
    let mut running = bench.start(status(1, None)).await;
    running.ran(Occasion::Commit).await;
    running.kill().await;
    let mut running = bench.start(status(1, None)).await;
    running.status.send_replace(status(2, Some(1)));
    running.ran(Occasion::Commit).await;
    running.kill().await;
    // The retirement is over before anybody looks again.
    let mut running = bench.start(status(2, None)).await;
    running.ran(Occasion::Retire).await;
    running.status.send_replace(status(3, Some(2)));
    running.ran(Occasion::Commit).await;
    assert_eq!(lines(&log), ["commit", "commit", "retire", "commit"]);
    // An operator goes back: another identity is in use, and nothing was retired.
    running.status.send_replace(status(2, Some(3)));
    running.ran(Occasion::Commit).await;
    running.kill().await;
}

#[tokio::test]
async fn what_was_running_at_a_crash_runs_again_and_what_had_run_does_not() {
    let bench = Bench::new(Vec::new(), Vec::new());
    let (log, go) = (bench.on.root().join("log"), bench.on.root().join("go"));
    let first = shell(&format!("echo first >> {}", log.display()), Duration::from_secs(60));
    let wait =
        format!("echo second >> {0}; until test -e {1}; do sleep 0.01; done", log.display(), go.display());
    let hooks =
        Hooks { after_commit: vec![first, shell(&wait, Duration::from_secs(60))], after_retire: vec![] };
    let bench = Bench { hooks, ..bench };
    let mut running = bench.start(status(1, None)).await;
    running.ran(Occasion::Commit).await;
    has_lines(&log, 2).await;
    running.kill().await;
    std::fs::write(&go, "").unwrap();
    let mut running = bench.start(status(1, None)).await;
    running.ran(Occasion::Commit).await;
    assert_eq!(lines(&log), ["first", "second", "second"]);
    running.kill().await;
}

#[tokio::test]
async fn one_that_takes_too_long_is_ended_with_all_that_it_has_started() {
    let bench = Bench::new(Vec::new(), Vec::new());
    let pid = bench.on.root().join("pid");
    let script = format!("trap '' TERM; sleep 1000 & echo $! > {}; wait; sleep 1000", pid.display());
    let hooks =
        Hooks { after_commit: vec![shell(&script, Duration::from_millis(300))], after_retire: vec![] };
    let bench = Bench { hooks, ..bench };
    let mut running = bench.start(status(1, None)).await;
    let event = running.event().await;
    assert!(matches!(&event, AgentEvent::HookFailed { why, .. } if why.contains("300ms")), "{event:?}");
    if let Ok(pid) = std::fs::read_to_string(&pid) {
        is_gone(pid.trim()).await;
    }
    running.kill().await;
}

async fn is_gone(pid: &str) {
    let gone = async {
        let stat = format!("/proc/{pid}/stat");
        // Nobody may reap it in a container.
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it still runs");
}

#[tokio::test]
async fn a_unit_is_reloaded_once_for_each_identity_without_anybody_being_asked() {
    let (bench, log) = Bench::reloading("test -z \"$HOME\"", Duration::from_secs(60));
    let mut running = bench.start(status(1, None)).await;
    running.ran(Occasion::Commit).await;
    running.status.send_replace(status(2, Some(1)));
    running.ran(Occasion::Commit).await;
    running.kill().await;
    assert_eq!(lines(&log), [RELOAD, RELOAD]);
}

#[tokio::test]
async fn a_reload_that_takes_too_long_is_ended_and_one_that_fails_says_so() {
    let (bench, log) = Bench::reloading("echo $$ > ${0%/*}/pid; exec sleep 1000", Duration::from_millis(300));
    let mut running = bench.start(status(1, None)).await;
    let event = running.event().await;
    let AgentEvent::HookFailed { hook, why, .. } = &event else { panic!("{event:?}") };
    assert_eq!((hook.as_str(), why.contains("300ms")), ("reload of my-bridge.service", true), "{event:?}");
    assert!(lines(&log).len() <= 1, "it is not begun again at once");
    if let Ok(pid) = std::fs::read_to_string(bench.on.root().join("bin/pid")) {
        is_gone(pid.trim()).await;
    }
    running.kill().await;
    let (bench, _) = Bench::reloading("exit 5", Duration::from_secs(60));
    let mut running = bench.start(status(1, None)).await;
    let event = running.event().await;
    assert!(matches!(&event, AgentEvent::HookFailed { why, .. } if why.contains('5')), "{event:?}");
    running.kill().await;
}

#[tokio::test]
async fn a_reload_that_a_crash_has_met_is_made_again() {
    let script = "until test -e ${0%/*}/go; do sleep 0.01; done";
    let (bench, log) = Bench::reloading(script, Duration::from_secs(60));
    let running = bench.start(status(1, None)).await;
    has_lines(&log, 1).await;
    running.kill().await;
    std::fs::write(bench.on.root().join("bin/go"), "").unwrap();
    let mut running = bench.start(status(1, None)).await;
    running.ran(Occasion::Commit).await;
    running.kill().await;
    let mut running = bench.start(status(1, None)).await;
    running.status.send_replace(status(2, None));
    running.ran(Occasion::Commit).await;
    running.kill().await;
    assert_eq!(lines(&log), [RELOAD, RELOAD, RELOAD], "the crash cost one more, the second start none");
}

#[tokio::test]
async fn one_that_fails_holds_up_no_later_identity() {
    let fails = shell("test $FLEETKEY_EVENT = commit && exit 7", Duration::from_secs(60));
    let bench = Bench::new(vec![fails], Vec::new());
    let mut running = bench.start(status(1, None)).await;
    for slot in [2, 3] {
        let event = running.event().await;
        assert!(matches!(&event, AgentEvent::HookFailed { why, .. } if why.contains('7')), "{event:?}");
        running.status.send_replace(status(slot, None));
    }
    running.kill().await;
}

#[tokio::test]
async fn a_program_is_told_what_it_needs_and_nothing_of_ours() {
    let bench = Bench::new(Vec::new(), Vec::new());
    let log = bench.on.root().join("log");
    let hook = Hook {
        target: Target::Exec {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), format!("/usr/bin/env > {}", log.display())],
        },
        timeout: Duration::from_secs(60),
    };
    let bench = Bench { hooks: Hooks { after_commit: vec![hook], after_retire: vec![] }, ..bench };
    let mut running = bench.start(status(1, None)).await;
    running.ran(Occasion::Commit).await;
    let mut names: Vec<String> =
        lines(&log).iter().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str()));
    names.sort();
    let told = ["FLEETKEY_CERTIFICATE", "FLEETKEY_EVENT", "FLEETKEY_EXPORT", "FLEETKEY_THING", "PATH"];
    assert_eq!(names, told, "the shell adds PWD and the like itself");
    running.kill().await;
}

#[tokio::test]
async fn a_signal_goes_only_to_the_process_that_bears_the_name() {
    let mut process =
        tokio::process::Command::new("/bin/sleep").arg("1000").kill_on_drop(true).spawn().unwrap();
    // The kernel lets a parent go on before the new program bears its name.
    let comm = format!("/proc/{}/comm", process.id().unwrap());
    let named = async {
        while std::fs::read_to_string(&comm).is_ok_and(|name| name.trim() != "sleep") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), named).await.expect("it bears its name");
    let bench = Bench::new(Vec::new(), Vec::new());
    let pid_file = bench.on.root().join("pid");
    std::fs::write(&pid_file, format!("{}\n", process.id().unwrap())).unwrap();
    let send = |name: &str| Hook {
        target: Target::Signal { signal: Signal::SIGTERM, pid_file: pid_file.clone(), process: name.into() },
        timeout: Duration::from_secs(1),
    };
    let occurrence = Occurrence {
        on: Occasion::Commit,
        thing: SerialNumber::new("dev-1").unwrap().thing(),
        slot: SlotId(1),
        certificate: None,
        export: "/".into(),
    };
    let refused = run::run(&send("mosquitto"), &occurrence, PATH.as_ref()).await.unwrap_err();
    assert!(refused.contains("not mosquitto"), "{refused}");
    run::run(&send("sleep"), &occurrence, PATH.as_ref()).await.unwrap();
    assert!(!process.wait().await.unwrap().success());
    std::fs::write(&pid_file, "1\n").unwrap();
    assert!(
        run::run(&send("sleep"), &occurrence, PATH.as_ref()).await.unwrap_err().contains("no process number")
    );
}
