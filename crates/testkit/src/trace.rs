//! One process under ptrace, with all its threads: its system calls on files and sockets in the order in which they
//! take effect, shown to a [`Watch`] that may make one fail, or kill the process where it stands.
//!
//! strace counts by thread and knows nothing of what a descriptor stands for; here calls are counted by process, a
//! path is whole and a socket is known by how it came about. Linux on x86_64. Not here: which calls matter, and what
//! is to hold afterwards. Processes that the traced one starts are not followed.

use std::ffi::OsString;
use std::path::PathBuf;

pub use call::{Call, Operation, Socket, Target};
pub use nix::errno::Errno;
pub use nix::sys::signal::Signal;
pub use process::{Ended, TraceError, Traced};

mod call;
mod decode;
mod launch;
mod process;
mod supervisor;
mod table;

/// What to run.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// What a supervisor asks at each call. Called on the supervisor's thread while the calling thread stands still;
/// other threads of the process run on.
pub trait Watch: Send + 'static {
    /// The call is about to be made: with an error number it is not, and fails with that.
    fn entering(&mut self, call: &Call) -> Option<Errno> {
        let _ = call;
        None
    }

    /// The kernel has carried the call out (or refused it); the process does not know yet.
    fn done(&mut self, call: &Call, result: Result<u64, Errno>) -> Next;
}

/// How a process goes on after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It learns the result.
    Go,
    /// It never learns anything again: SIGKILL to all of it.
    Kill,
}
