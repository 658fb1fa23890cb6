//! One process, its group, and its end.
//!
//! A process is started as the leader of a group of its own, with nothing of our environment, in its code's
//! directory. `/bin/sh` stands before it for a moment, for what can only be done between fork and exec: the answer
//! channel becomes descriptor 3 and standard output joins standard error, no core is dumped, and Python's memory is
//! limited (Node reserves more than it uses, and has a limit of its own). When the answer is there, the time is over,
//! or the run is dropped, the whole group is killed. A process that makes a session of its own leaves the group and
//! escapes; Lambda's would be frozen.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Duration, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{Interpreter, Outcome, Run, answer, api, environment};

const PYTHON: &str = include_str!("bootstrap.py");
const NODE: &str = include_str!("bootstrap.js");
/// `$1` is the memory limit in KiB, or nothing; the rest is the program.
const SHELL: &str =
    r#"umask 077; ulimit -c 0; test -z "$1" || ulimit -S -d "$1"; shift; exec "$@" 3>&1 1>&2"#;
/// Bytes kept of what a function prints.
const LOG: usize = 1024 * 1024;
/// How long what was printed may take to arrive after the group is dead: longer only if a process escaped.
const DRAIN: Duration = Duration::from_millis(200);

/// How a run ended, and what it printed.
#[derive(Debug)]
pub(in crate::functions) struct Ended {
    pub(in crate::functions) outcome: Outcome,
    pub(in crate::functions) log: Vec<u8>,
}

/// A process group that is killed when the value is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // ESRCH: all of it has ended.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Runs a function once.
///
/// # Errors
/// When no process can be started, for people.
pub(in crate::functions) async fn run(run: Run<'_>) -> Result<Ended, String> {
    match &run.interpreter {
        Interpreter::Bootstrap => own_runtime(&run).await,
        Interpreter::Python(_) | Interpreter::Node(_) => with_interpreter(&run).await,
    }
}

async fn with_interpreter(run: &Run<'_>) -> Result<Ended, String> {
    let (mut child, group) = start(run, environment::of(run))?;
    let (Some(stdin), Some(channel)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the process has no pipes".to_owned());
    };
    // Not waited for: a process may answer without having read all.
    let _feeding = AbortOnDropHandle::new(tokio::spawn(feed(stdin, input(run))));
    end(run, child, group, answer::read(channel)).await
}

async fn own_runtime(run: &Run<'_>) -> Result<Ended, String> {
    if !run.code.path().join("bootstrap").is_file() {
        let report = json!({"errorType": "Runtime.InvalidEntrypoint", "errorMessage": format!(
            "RequestId: {} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]", run.request)});
        return Ok(Ended { outcome: Outcome::Failed(report.to_string().into()), log: Vec::new() });
    }
    let server = api::Server::start(run).await.map_err(|error| error.to_string())?;
    let mut variables = environment::of(run);
    variables.push(("AWS_LAMBDA_RUNTIME_API".into(), server.address().to_string().into()));
    let (mut child, group) = start(run, variables)?;
    drop(child.stdin.take());
    end(run, child, group, server.outcome()).await
}

/// Waits for the answer, the process's end or the limit; kills the group; collects the log.
async fn end(
    run: &Run<'_>,
    mut child: Child,
    group: Group,
    answer: impl Future<Output = Option<Outcome>>,
) -> Result<Ended, String> {
    let Some(stderr) = child.stderr.take() else {
        return Err("the process has no pipes".to_owned());
    };
    let log = Log::default();
    let mut reading = AbortOnDropHandle::new(tokio::spawn(log.clone().read(stderr)));
    let outcome = timeout(run.limit, first(&mut child, answer)).await.unwrap_or(Outcome::TimedOut);
    drop(group);
    // Both are over at once, unless a process has escaped.
    let _ = timeout(DRAIN, &mut reading).await;
    let _ = timeout(DRAIN, child.wait()).await;
    Ok(Ended { outcome, log: log.take() })
}

/// The answer, or how the process ended without one.
async fn first(child: &mut Child, answer: impl Future<Output = Option<Outcome>>) -> Outcome {
    tokio::pin!(answer);
    let status = tokio::select! {
        biased;
        outcome = &mut answer => match outcome {
            Some(outcome) => return outcome,
            None => child.wait().await,
        },
        status = child.wait() => {
            // The answer may lie in the pipe still.
            if let Ok(Some(outcome)) = timeout(DRAIN, &mut answer).await {
                return outcome;
            }
            status
        }
    };
    Outcome::Exited(status.map_or_else(|error| error.to_string(), words))
}

fn start(run: &Run<'_>, variables: Vec<(OsString, OsString)>) -> Result<(Child, Group), String> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(SHELL).arg("sh").args(program(run));
    command.env_clear().envs(variables).current_dir(run.code.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let child = command.spawn().map_err(|error| format!("cannot start a process: {error}"))?;
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    Ok((child, Group(leader)))
}

/// The memory limit in KiB, the program, its arguments.
fn program(run: &Run<'_>) -> Vec<OsString> {
    let memory = run.function.memory;
    match &run.interpreter {
        Interpreter::Python(path) => {
            let limit = u64::from(memory).saturating_mul(1024).to_string();
            let options = ["-I", "-B", "-u", "-X", "utf8", "-c", PYTHON].map(OsString::from);
            [limit.into(), path.into()].into_iter().chain(options).collect()
        }
        Interpreter::Node(path) => {
            let limit = format!("--max-old-space-size={memory}");
            vec!["".into(), path.into(), limit.into(), "-e".into(), NODE.into()]
        }
        Interpreter::Bootstrap => vec!["".into(), run.code.path().join("bootstrap").into()],
    }
}

/// The context in one line, then the event.
fn input(run: &Run<'_>) -> Vec<u8> {
    let context = json!({"arn": run.arn, "request": run.request, "deadline": run.deadline});
    let mut input = context.to_string().into_bytes();
    input.push(b'\n');
    input.extend_from_slice(&run.event);
    input
}

/// A process that closes its input early is no error.
async fn feed(mut stdin: ChildStdin, input: Vec<u8>) {
    let _ = stdin.write_all(&input).await;
}

fn words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(signal)) => {
            let name =
                Signal::try_from(signal).map_or_else(|_| signal.to_string(), |name| name.as_str().to_owned());
            format!("Runtime exited with error: signal: {name}")
        }
        (None, None) => "Runtime exited with error".to_owned(),
    }
}

/// The head of what a process prints, and how much more there was. Clones share it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Printed>>);

#[derive(Default)]
struct Printed {
    text: Vec<u8>,
    lost: usize,
}

impl Log {
    async fn read(self, mut pipe: impl AsyncRead + Unpin) {
        let mut chunk = vec![0_u8; 16 * 1024];
        while let Ok(count) = pipe.read(&mut chunk).await {
            if count == 0 {
                return;
            }
            let mut printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = count.min(LOG.saturating_sub(printed.text.len()));
            printed.text.extend_from_slice(chunk.get(..kept).unwrap_or_default());
            printed.lost = printed.lost.saturating_add(count - kept);
        }
    }

    fn take(&self) -> Vec<u8> {
        let mut printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = std::mem::take(&mut printed.text);
        if text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        if printed.lost > 0 {
            text.extend_from_slice(format!("… {} bytes more were not kept\n", printed.lost).as_bytes());
        }
        text
    }
}
