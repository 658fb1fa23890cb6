//! Starting a program under supervision from its first instruction, without a call between fork and exec.
//!
//! A shell waits for a line on its standard input, is seized meanwhile, gets its line and becomes the program: the
//! process id stays, and nothing of the program has run before the supervisor was there.

use std::io::{self, Write};
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Program;
use super::process::TraceError;

/// A program that has been seized and stands before its exec.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: Pid,
    pub(super) stderr: ChildStderr,
}

/// Must run on the thread that will supervise: to the kernel, that thread is the tracer.
pub(super) fn launch(program: &Program) -> Result<Launched, TraceError> {
    let mut child = shell(program).map_err(TraceError::Start)?;
    match seize(&mut child) {
        Ok(launched) => Ok(launched),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

fn shell(program: &Program) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", "read _ && exec \"$0\" \"$@\" </dev/null"])
        .arg(&program.path)
        .args(&program.arguments)
        .env_remove("FLEETKEY_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

fn seize(child: &mut Child) -> Result<Launched, TraceError> {
    let pid = i32::try_from(child.id()).map_err(|_| TraceError::Start(io::ErrorKind::InvalidData.into()))?;
    let pid = Pid::from_raw(pid);
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).map_err(TraceError::Seize)?;
    ptrace::interrupt(pid).map_err(TraceError::Seize)?;
    // The stop that the interrupt makes; from it on every call stops.
    match waitpid(pid, Some(WaitPidFlag::__WALL)).map_err(TraceError::Seize)? {
        WaitStatus::PtraceEvent(..) => {}
        other => return Err(TraceError::Start(io::Error::other(format!("the shell ended: {other:?}")))),
    }
    ptrace::syscall(pid, None).map_err(TraceError::Seize)?;
    let mut line = child.stdin.take().ok_or(TraceError::Seize(Errno::EBADF))?;
    line.write_all(b"\n").map_err(TraceError::Start)?;
    let stderr = child.stderr.take().ok_or(TraceError::Seize(Errno::EBADF))?;
    Ok(Launched { pid, stderr })
}
