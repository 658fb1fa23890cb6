//! From registers to a [`Call`]: paths out of the process's memory, descriptors by what they stand for.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::libc;

use super::call::{Call, Operation, Socket, Target};
use super::table::{Place, Shape, row};

/// The longest path that Linux takes, in bytes.
const PATH_MAX: usize = 4096;
/// How much of a path is read at a time, in bytes; a power of two, so that no read crosses into a page that is not there.
const CHUNK: u64 = 256;

/// What is known of a process from outside.
#[derive(Debug)]
pub(super) struct View {
    proc: PathBuf,
    memory: Option<File>,
    sockets: HashMap<i32, Socket>,
    dialled: u32,
    accepted: u32,
}

/// A call before its result, with what its result will mean for the descriptors.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) call: Call,
    change: Change,
}

/// What a descriptor table goes through.
#[derive(Debug)]
enum Change {
    Nothing,
    Opens(Socket),
    Closes(i32),
}

impl View {
    pub(super) fn of(pid: i32) -> Self {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        Self { proc, memory: None, sockets: HashMap::new(), dialled: 0, accepted: 0 }
    }

    /// Another program runs now: its memory is another.
    pub(super) fn replaced(&mut self) {
        self.memory = None;
        self.sockets.clear();
    }

    /// The call that a thread is about to make; `None` when it touches no file and no socket that we know.
    pub(super) fn enter(&mut self, thread: i32, number: u64, arguments: [u64; 6]) -> Option<Entered> {
        let &(_, name, operation, shape) = row(number)?;
        let mut change = Change::Nothing;
        let (mut operation, mut from) = (operation, None);
        let target = match shape {
            Shape::Named(place) => {
                if operation == Operation::Open && creates(arguments, place) {
                    operation = Operation::Create;
                }
                Target::File(self.path(arguments, place)?)
            }
            Shape::Renamed(old, new) => {
                from = Some(self.path(arguments, old)?);
                Target::File(self.path(arguments, new)?)
            }
            Shape::Descriptor => {
                let descriptor = descriptor(argument(arguments, 0));
                if operation == Operation::Close {
                    change = Change::Closes(descriptor);
                }
                self.target(descriptor)?
            }
            Shape::NewSocket => {
                let socket = self.new_socket(arguments)?;
                change = Change::Opens(socket);
                Target::Socket(socket)
            }
            Shape::Listener => {
                let socket = Socket::Accepted(self.accepted.saturating_add(1));
                change = Change::Opens(socket);
                Target::Socket(socket)
            }
        };
        let operation = on_socket(operation, &target);
        Some(Entered { call: Call { thread, name, operation, target, from }, change })
    }

    /// The result has come: the descriptors are what they are from now on.
    pub(super) fn leave(&mut self, entered: &Entered, result: u64) {
        match entered.change {
            Change::Nothing => {}
            Change::Closes(descriptor) => {
                self.sockets.remove(&descriptor);
            }
            Change::Opens(socket) => {
                match socket {
                    Socket::Dialled(number) => self.dialled = number,
                    Socket::Accepted(number) => self.accepted = number,
                }
                self.sockets.insert(descriptor(result), socket);
            }
        }
    }

    /// TCP only: name resolution talks over datagrams and to daemons, and that is nobody's state.
    fn new_socket(&self, arguments: [u64; 6]) -> Option<Socket> {
        let (domain, kind) = (descriptor(argument(arguments, 0)), descriptor(argument(arguments, 1)));
        let internet = domain == libc::AF_INET || domain == libc::AF_INET6;
        let stream = kind & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) == libc::SOCK_STREAM;
        (internet && stream).then(|| Socket::Dialled(self.dialled.saturating_add(1)))
    }

    fn target(&self, descriptor: i32) -> Option<Target> {
        if let Some(socket) = self.sockets.get(&descriptor) {
            return Some(Target::Socket(*socket));
        }
        let path = self.opened(descriptor)?;
        path.is_absolute().then_some(Target::File(path))
    }

    /// What a descriptor stands for; pipes, events and strange sockets have names that are no paths.
    fn opened(&self, descriptor: i32) -> Option<PathBuf> {
        std::fs::read_link(self.proc.join("fd").join(descriptor.to_string())).ok()
    }

    fn path(&mut self, arguments: [u64; 6], place: Place) -> Option<PathBuf> {
        let (base, address) = match place {
            Place::Path(at) => (libc::AT_FDCWD, argument(arguments, at)),
            Place::At(at) => (descriptor(argument(arguments, at)), argument(arguments, at + 1)),
        };
        let path = self.text(address)?;
        if path.is_absolute() {
            return Some(path);
        }
        let base = match base {
            libc::AT_FDCWD => std::fs::read_link(self.proc.join("cwd")).ok()?,
            open => self.opened(open)?,
        };
        Some(base.join(path))
    }

    /// A string of the process's, up to its NUL.
    fn text(&mut self, address: u64) -> Option<PathBuf> {
        if self.memory.is_none() {
            self.memory = File::open(self.proc.join("mem")).ok();
        }
        let memory = self.memory.as_ref()?;
        let mut text = Vec::new();
        while text.len() < PATH_MAX {
            let at = address.checked_add(text.len() as u64)?;
            let mut chunk = vec![0u8; usize::try_from(CHUNK - at % CHUNK).ok()?];
            memory.read_exact_at(&mut chunk, at).ok()?;
            match chunk.iter().position(|&byte| byte == 0) {
                Some(end) => {
                    text.extend(chunk.into_iter().take(end));
                    return Some(Path::new(std::str::from_utf8(&text).ok()?).to_owned());
                }
                None => text.extend(chunk),
            }
        }
        None
    }
}

/// The same calls mean files and sockets.
fn on_socket(operation: Operation, target: &Target) -> Operation {
    match (operation, target) {
        (Operation::Write, Target::Socket(_)) => Operation::Send,
        (Operation::Read, Target::Socket(_)) => Operation::Receive,
        (operation, _) => operation,
    }
}

/// The flags of an open follow its path.
fn creates(arguments: [u64; 6], place: Place) -> bool {
    let flags = match place {
        Place::Path(at) => argument(arguments, at + 1),
        Place::At(at) => argument(arguments, at + 2),
    };
    descriptor(flags) & libc::O_CREAT != 0
}

fn argument(arguments: [u64; 6], at: usize) -> u64 {
    arguments.get(at).copied().unwrap_or_default()
}

/// Registers are wider than an int; what is above its 32 bits means nothing to the kernel.
#[allow(clippy::cast_possible_truncation, reason = "the kernel looks at the low 32 bits too")]
const fn descriptor(value: u64) -> i32 {
    value as i32
}
