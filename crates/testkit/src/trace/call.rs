//! A system call on a file or a socket, as a value.

use std::path::{Path, PathBuf};

/// One call by one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The thread that makes it.
    pub thread: i32,
    /// Its name in the kernel, for example `openat`.
    pub name: &'static str,
    /// What it does.
    pub operation: Operation,
    /// To what; for a rename the new name.
    pub target: Target,
    /// The old name, for a rename.
    pub from: Option<PathBuf>,
}

/// What a call does, whatever the kernel calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Opens what is there.
    Open,
    /// Opens and makes it if it is not there (`O_CREAT`).
    Create,
    /// Makes a directory.
    MakeDir,
    /// Writes to a file.
    Write,
    /// fsync and fdatasync.
    Sync,
    /// Renames.
    Rename,
    /// Removes a file, a link or a directory.
    Remove,
    /// Makes a link.
    Link,
    /// Sets a file's length or takes space for it.
    Resize,
    /// Sets permission bits.
    Chmod,
    /// Takes or releases a lock.
    Lock,
    /// Reads from a file.
    Read,
    /// Makes a socket.
    Socket,
    /// Connects a socket.
    Connect,
    /// Takes a connection.
    Accept,
    /// Sends on a socket.
    Send,
    /// Receives from a socket.
    Receive,
    /// Ends one direction of a socket, or both.
    Shutdown,
    /// Gives a descriptor up.
    Close,
}

impl Operation {
    /// Whether it asks the disk for space or for durability, and so can meet a full or failing one.
    pub const fn meets_the_disk(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::MakeDir
                | Self::Write
                | Self::Sync
                | Self::Rename
                | Self::Link
                | Self::Resize
        )
    }

    /// Whether a result says that something happened: to look and find nothing, again and again, is polling.
    pub const fn had_effect(self, result: u64) -> bool {
        match self {
            Self::Read | Self::Receive | Self::Write | Self::Send => result > 0,
            _ => true,
        }
    }
}

/// What a call is made on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A file, directory or link, by its whole path.
    File(PathBuf),
    /// A socket.
    Socket(Socket),
}

/// A socket by how it came about. Numbers count from 1 in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Socket {
    /// The n-th TCP socket that the process made.
    Dialled(u32),
    /// The n-th connection that it took.
    Accepted(u32),
}

impl Target {
    /// The path, when it is none of a socket.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Socket(_) => None,
        }
    }
}
