//! One hook, once: a program in a process group of its own, or a signal to a process that is known by name.
//!
//! A program gets an environment of its own, nothing of ours, and no standard input; what it prints goes to the agent's
//! standard error. When its time is over it is asked to end, then killed, and with it whatever it has started in its
//! group; so is what it leaves behind at its end, and what runs when the agent stops. What makes a session of its own
//! escapes that.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::Command;

use super::Occurrence;
use crate::config::hooks::{Hook, Target};

/// How long a program has between the request to end and its death.
const GRACE: Duration = Duration::from_secs(2);
/// The kernel keeps so many bytes of a process's name (proc(5), comm).
const COMM: usize = 15;

/// A process group that is killed when the value is dropped.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            // ESRCH: all of it has ended.
            let _ = killpg(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Runs a hook to its end, with `path` for its `PATH`; else why it has failed, for people.
pub(super) async fn run(hook: &Hook, occurrence: &Occurrence, path: &OsStr) -> Result<(), String> {
    let environment = environment(occurrence, path);
    match &hook.target {
        Target::Exec { program, arguments } => execute(program, arguments, hook.timeout, environment).await,
        Target::Reload { unit } => {
            let arguments = ["--no-ask-password", "reload", "--", unit].map(str::to_owned);
            execute(Path::new("systemctl"), &arguments, hook.timeout, environment).await
        }
        Target::Signal { signal, pid_file, process } => send(*signal, pid_file, process),
    }
}

async fn execute(
    program: &Path,
    arguments: &[String],
    limit: Duration,
    environment: Vec<(&'static str, OsString)>,
) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).current_dir("/");
    command.stdin(Stdio::null()).stdout(std::io::stderr()).stderr(Stdio::inherit());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let group = Group(leader);
    let Ok(ended) = tokio::time::timeout(limit, child.wait()).await else {
        group.signal(Signal::SIGTERM);
        let _ = tokio::time::timeout(GRACE, child.wait()).await;
        return Err(format!("it took longer than {} and was ended", humantime::format_duration(limit)));
    };
    let status = ended.map_err(|error| format!("it cannot be waited for: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
}

fn environment(occurrence: &Occurrence, path: &OsStr) -> Vec<(&'static str, OsString)> {
    let certificate = occurrence.certificate.map_or_else(String::new, |id| id.to_string());
    vec![
        ("PATH", path.to_owned()),
        ("FLEETKEY_EVENT", occurrence.on.as_str().into()),
        ("FLEETKEY_THING", occurrence.thing.as_str().into()),
        ("FLEETKEY_CERTIFICATE", certificate.into()),
        ("FLEETKEY_EXPORT", occurrence.export.clone().into()),
    ]
}

/// The file may be older than the process that has its number now: only one of the right name is sent anything.
fn send(signal: Signal, pid_file: &Path, process: &str) -> Result<(), String> {
    let shown = pid_file.display();
    let mut text = String::new();
    let read = std::fs::File::open(pid_file).and_then(|file| file.take(64).read_to_string(&mut text));
    read.map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let pid = text.trim().parse::<i32>().ok().filter(|&pid| pid > 1);
    let pid = pid.ok_or_else(|| format!("{shown} holds no process number"))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    let name = name.map_err(|_| format!("process {pid} of {shown} does not run"))?;
    let wanted = process.get(..COMM).unwrap_or(process);
    if name.trim_end() != wanted {
        return Err(format!("process {pid} of {shown} is {}, not {process}", name.trim_end()));
    }
    kill(Pid::from_raw(pid), signal)
        .map_err(|error| format!("process {pid} cannot be sent {signal}: {error}"))
}
