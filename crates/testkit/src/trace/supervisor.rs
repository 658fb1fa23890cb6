//! The supervisor's loop: waits for a thread to stop, shows its call, lets it go on; until the process is gone.

use std::collections::HashMap;

use nix::errno::Errno;
use nix::libc::{PTRACE_EVENT_EXEC, PTRACE_SYSCALL_INFO_ENTRY, PTRACE_SYSCALL_INFO_EXIT, user_regs_struct};
use nix::sys::ptrace;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::call::Operation;
use super::decode::{Entered, View};
use super::process::Ended;
use super::{Next, Watch};

/// The number of no system call: the kernel skips it.
const NO_CALL: u64 = u64::MAX;
/// The largest error number (Linux, `MAX_ERRNO`): results from its negative up to -1 are errors.
const MAX_ERRNO: u64 = 4095;

/// Supervises the process until it has been reaped. Runs on the thread that seized it.
pub(super) fn run(pid: Pid, watch: impl Watch) -> Ended {
    let mut supervisor =
        Supervisor { pid, watch, view: View::of(pid.as_raw()), inside: HashMap::new(), executed: false };
    loop {
        match supervisor.turn() {
            Ok(None) => {}
            Ok(Some(ended)) => return ended,
            Err(error) => {
                let _ = signal::kill(pid, Signal::SIGKILL);
                return Ended::Lost(error);
            }
        }
    }
}

struct Supervisor<W> {
    pid: Pid,
    watch: W,
    view: View,
    /// Calls that threads are in.
    inside: HashMap<Pid, Inside>,
    /// Whether the program itself runs, no longer what starts it.
    executed: bool,
}

/// A call under way.
struct Inside {
    entered: Entered,
    /// The error that it will have, because it is not made.
    fails: Option<Errno>,
}

impl<W: Watch> Supervisor<W> {
    fn turn(&mut self) -> Result<Option<Ended>, Errno> {
        // Only what this thread started: beside us other threads supervise processes of their own.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        match waitpid(None, Some(flags)) {
            Ok(WaitStatus::PtraceSyscall(thread)) => self.stopped_at_call(thread)?,
            Ok(WaitStatus::PtraceEvent(thread, _, event)) => {
                if event == PTRACE_EVENT_EXEC {
                    self.executed = true;
                    self.view.replaced();
                    self.inside.clear();
                }
                resume(thread, None)?;
            }
            Ok(WaitStatus::Stopped(thread, signal)) => resume(thread, Some(signal))?,
            Ok(WaitStatus::Exited(thread, code)) if thread == self.pid => {
                return Ok(Some(Ended::Exited(code)));
            }
            Ok(WaitStatus::Signaled(thread, signal, _)) if thread == self.pid => {
                return Ok(Some(Ended::Killed(signal)));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn stopped_at_call(&mut self, thread: Pid) -> Result<(), Errno> {
        match gone(self.at_call(thread))? {
            Some(Next::Kill) => gone(signal::kill(self.pid, Signal::SIGKILL)).map(drop),
            Some(Next::Go) | None => resume(thread, None),
        }
    }

    fn at_call(&mut self, thread: Pid) -> Result<Next, Errno> {
        if !self.executed {
            return Ok(Next::Go);
        }
        match ptrace::syscall_info(thread)?.op {
            PTRACE_SYSCALL_INFO_ENTRY => self.entering(thread).map(|()| Next::Go),
            PTRACE_SYSCALL_INFO_EXIT => self.leaving(thread),
            _ => Ok(Next::Go),
        }
    }

    fn entering(&mut self, thread: Pid) -> Result<(), Errno> {
        let registers = ptrace::getregs(thread)?;
        let arguments =
            [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
        let Some(entered) = self.view.enter(thread.as_raw(), registers.orig_rax, arguments) else {
            self.inside.remove(&thread);
            return Ok(());
        };
        let fails = self.watch.entering(&entered.call);
        if fails.is_some() {
            ptrace::setregs(thread, user_regs_struct { orig_rax: NO_CALL, ..registers })?;
        }
        self.inside.insert(thread, Inside { entered, fails });
        Ok(())
    }

    fn leaving(&mut self, thread: Pid) -> Result<Next, Errno> {
        let Some(Inside { entered, fails }) = self.inside.remove(&thread) else {
            return Ok(Next::Go);
        };
        let registers = ptrace::getregs(thread)?;
        let result = match fails {
            Some(errno) => {
                let rax = u64::from_ne_bytes((-i64::from(errno as i32)).to_ne_bytes());
                ptrace::setregs(thread, user_regs_struct { rax, ..registers })?;
                Err(errno)
            }
            None => outcome(registers.rax),
        };
        // A close gives the descriptor up whatever it says.
        match result {
            Ok(value) => self.view.leave(&entered, value),
            Err(_) if entered.call.operation == Operation::Close => self.view.leave(&entered, 0),
            Err(_) => {}
        }
        Ok(self.watch.done(&entered.call, result))
    }
}

fn outcome(rax: u64) -> Result<u64, Errno> {
    match rax.wrapping_neg() {
        error @ 1..=MAX_ERRNO => Err(Errno::from_raw(i32::try_from(error).unwrap_or_default())),
        _ => Ok(rax),
    }
}

fn resume(thread: Pid, signal: Option<Signal>) -> Result<(), Errno> {
    gone(ptrace::syscall(thread, signal)).map(drop)
}

/// A thread may be killed while we look at it; its end will be told.
fn gone<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}
