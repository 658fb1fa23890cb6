//! The system calls that touch files and sockets, by number: what each does and where its arguments are.

use nix::libc;

use super::call::Operation;

/// A row: number, name, operation, arguments.
pub(super) type Row = (libc::c_long, &'static str, Operation, Shape);

/// Where the arguments are that name the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A path; its flags, if it has any, follow it.
    Named(Place),
    /// An old and a new path.
    Renamed(Place, Place),
    /// A descriptor in the first argument.
    Descriptor,
    /// A socket that does not exist yet: domain and type.
    NewSocket,
    /// A listening socket in the first argument; the target is what it returns.
    Listener,
}

/// A path in the arguments, by the position of its first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The path itself.
    Path(usize),
    /// A directory's descriptor, then the path.
    At(usize),
}

use Operation::{
    Accept, Chmod, Close, Connect, Create, Link, Lock, MakeDir, Open, Read, Receive, Remove, Rename, Resize,
    Send, Shutdown, Socket, Sync, Write,
};
use Place::{At, Path};
use Shape::{Descriptor, Listener, Named, NewSocket, Renamed};

const ROWS: &[Row] = &[
    (libc::SYS_open, "open", Open, Named(Path(0))),
    (libc::SYS_openat, "openat", Open, Named(At(0))),
    (libc::SYS_creat, "creat", Create, Named(Path(0))),
    (libc::SYS_mkdir, "mkdir", MakeDir, Named(Path(0))),
    (libc::SYS_mkdirat, "mkdirat", MakeDir, Named(At(0))),
    (libc::SYS_write, "write", Write, Descriptor),
    (libc::SYS_pwrite64, "pwrite64", Write, Descriptor),
    (libc::SYS_writev, "writev", Write, Descriptor),
    (libc::SYS_pwritev, "pwritev", Write, Descriptor),
    (libc::SYS_fsync, "fsync", Sync, Descriptor),
    (libc::SYS_fdatasync, "fdatasync", Sync, Descriptor),
    (libc::SYS_rename, "rename", Rename, Renamed(Path(0), Path(1))),
    (libc::SYS_renameat, "renameat", Rename, Renamed(At(0), At(2))),
    (libc::SYS_renameat2, "renameat2", Rename, Renamed(At(0), At(2))),
    (libc::SYS_unlink, "unlink", Remove, Named(Path(0))),
    (libc::SYS_unlinkat, "unlinkat", Remove, Named(At(0))),
    (libc::SYS_rmdir, "rmdir", Remove, Named(Path(0))),
    (libc::SYS_link, "link", Link, Named(Path(1))),
    (libc::SYS_linkat, "linkat", Link, Named(At(2))),
    (libc::SYS_symlink, "symlink", Link, Named(Path(1))),
    (libc::SYS_symlinkat, "symlinkat", Link, Named(At(1))),
    (libc::SYS_truncate, "truncate", Resize, Named(Path(0))),
    (libc::SYS_ftruncate, "ftruncate", Resize, Descriptor),
    (libc::SYS_fallocate, "fallocate", Resize, Descriptor),
    (libc::SYS_chmod, "chmod", Chmod, Named(Path(0))),
    (libc::SYS_fchmod, "fchmod", Chmod, Descriptor),
    (libc::SYS_fchmodat, "fchmodat", Chmod, Named(At(0))),
    (libc::SYS_flock, "flock", Lock, Descriptor),
    (libc::SYS_read, "read", Read, Descriptor),
    (libc::SYS_pread64, "pread64", Read, Descriptor),
    (libc::SYS_readv, "readv", Read, Descriptor),
    (libc::SYS_socket, "socket", Socket, NewSocket),
    (libc::SYS_connect, "connect", Connect, Descriptor),
    (libc::SYS_accept, "accept", Accept, Listener),
    (libc::SYS_accept4, "accept4", Accept, Listener),
    (libc::SYS_sendto, "sendto", Send, Descriptor),
    (libc::SYS_sendmsg, "sendmsg", Send, Descriptor),
    (libc::SYS_recvfrom, "recvfrom", Receive, Descriptor),
    (libc::SYS_recvmsg, "recvmsg", Receive, Descriptor),
    (libc::SYS_shutdown, "shutdown", Shutdown, Descriptor),
    (libc::SYS_close, "close", Close, Descriptor),
];

/// The row of a call; `None` for those that touch neither file nor socket.
pub(super) fn row(number: u64) -> Option<&'static Row> {
    let number = libc::c_long::try_from(number).ok()?;
    ROWS.iter().find(|row| row.0 == number)
}
