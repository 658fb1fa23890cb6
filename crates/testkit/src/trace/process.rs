//! A supervised process as its owner sees it: a process id, what it says, how it ended.

use std::io;
use std::path::PathBuf;
use std::process::ChildStderr;
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

use super::launch::{Launched, launch};
use super::{Program, Watch, supervisor};

/// Why a process is not supervised.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It did not start.
    #[error("cannot start the process: {0}")]
    Start(io::Error),
    /// The kernel does not let us.
    #[error(
        "ptrace is not permitted here ({0}): a container needs --cap-add=SYS_PTRACE, \
         /proc/sys/kernel/yama/ptrace_scope must be 0 or 1"
    )]
    Seize(Errno),
    /// The supervisor's thread could not be had.
    #[error("the supervisor did not start")]
    Supervisor,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal.
    Killed(Signal),
    /// The supervisor lost it: the reason, of the last call to the kernel.
    Lost(Errno),
}

/// A process under supervision. When it is dropped the process is killed.
#[derive(Debug)]
pub struct Traced {
    pid: Pid,
    stderr: Option<ChildStderr>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Traced {
    /// Starts `program`; `watch` sees every call from its first instruction on.
    ///
    /// # Errors
    /// When it does not start, or ptrace is not permitted.
    pub async fn start(program: Program, watch: impl Watch) -> Result<Self, TraceError> {
        let (started, launched) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || match launch(&program) {
                Ok(Launched { pid, stderr }) => {
                    let _ = started.send(Ok((pid, stderr)));
                    let _ = end.send(Some(supervisor::run(pid, watch)));
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            })
            .map_err(TraceError::Start)?;
        let (pid, stderr) = launched.await.map_err(|_| TraceError::Supervisor)??;
        Ok(Self { pid, stderr: Some(stderr), ended })
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Its standard error, once.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.stderr.take()
    }

    /// Sends it a signal; one that has ended gets none.
    pub fn signal(&self, signal: Signal) {
        if self.ended.borrow().is_none() {
            let _ = signal::kill(self.pid, signal);
        }
    }

    /// Whether it has ended, and how.
    pub fn end(&self) -> Option<Ended> {
        *self.ended.borrow()
    }

    /// Waits until it has ended and been reaped.
    pub async fn ended(&mut self) -> Ended {
        match self.ended.wait_for(Option::is_some).await {
            Ok(end) => (*end).unwrap_or(Ended::Lost(Errno::ECHILD)),
            Err(_) => Ended::Lost(Errno::ECHILD),
        }
    }

    /// Whether the kernel still knows the process, also as a zombie.
    pub fn is_known(&self) -> bool {
        PathBuf::from(format!("/proc/{}", self.pid)).exists()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
