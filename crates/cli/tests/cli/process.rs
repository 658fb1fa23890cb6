//! A running `fleetkey`: its output line by line, its end, and no process left behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for a busy machine with two cores; reached only when something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    errors: Receiver<String>,
}

impl Process {
    pub(crate) fn start<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetkey"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::of(command.spawn().unwrap())
    }

    /// One that was started with its output piped.
    #[allow(dead_code, reason = "the module is shared; not every test starts its own")]
    pub(crate) fn of(mut child: Child) -> Self {
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (lines, errors) = (lines_of(stdout), lines_of(stderr));
        Self { child, lines, seen: Vec::new(), errors }
    }

    /// The next line of standard error that contains `words`.
    pub(crate) fn error_line(&mut self, words: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.errors.recv_timeout(left) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) => {}
                Err(_) => panic!("{words:?} never came on standard error"),
            }
        }
    }

    /// What has come on standard error since it was last asked for.
    #[allow(dead_code, reason = "the module is shared; not every test looks")]
    pub(crate) fn errors_so_far(&self) -> Vec<String> {
        self.errors.try_iter().collect()
    }

    /// The next line of JSON that fits.
    pub(crate) fn json(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!(
                    "no such line came; there were:\n{}\n{}",
                    self.seen.join("\n"),
                    self.kill_for_errors()
                );
            };
            self.seen.push(line.clone());
            match serde_json::from_str(&line) {
                Ok(value) if fits(&value) => return value,
                _ => {}
            }
        }
    }

    /// The next line of JSON with this `event`.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        self.json(|value| value["event"] == name)
    }

    /// Sends a signal by name, such as `INT` or `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Kills it with no warning, and waits until it is gone: its locks are only then free.
    #[allow(dead_code, reason = "the module is shared; not every test kills")]
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end: how it ended, all of its lines, and its standard error.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>, String) {
        // Both channels close when the process does.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        let errors = self.all_errors(PATIENCE);
        let status = self.child.wait().unwrap();
        (status, std::mem::take(&mut self.seen), errors)
    }

    fn kill_for_errors(&mut self) -> String {
        let _ = self.child.kill();
        self.all_errors(Duration::from_secs(5))
    }

    fn all_errors(&self, at_most: Duration) -> String {
        std::iter::from_fn(|| self.errors.recv_timeout(at_most).ok()).collect::<Vec<_>>().join("\n")
    }
}

/// Reads lines in a thread; the channel closes when the process closes its end.
fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs to the end and gives exit code, standard output and standard error.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> (i32, String, String) {
    let (status, lines, errors) = Process::start(arguments).end();
    (status.code().unwrap_or(-1), lines.join("\n"), errors)
}

/// `fleetkey local --setup` on free ports over this data directory.
pub(crate) fn local(data: &Path) -> (Process, Value) {
    let mut process = Process::start(&[
        "local",
        "--setup",
        "--json",
        "--mqtt-port",
        "0",
        "--alpn-port",
        "0",
        "--rest",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
    ]);
    let ready = process.event("ready");
    (process, ready)
}
