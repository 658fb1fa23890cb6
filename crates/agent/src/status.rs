//! The local status socket, `STATE/agent.sock`: one JSON line in, one JSON line out, or one an event.
//!
//! Whoever may enter the state directory (mode 0700) may ask. Requests are [`Request`], answers [`Answer`];
//! [`client`] speaks the other side, for the command line.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use fleetkey_lifecycle::Status;
use fleetkey_lifecycle::event::Offline;
use serde::{Deserialize, Serialize};

use crate::sidecar::SidecarStatus;
use crate::store::AuditHead;

pub(crate) use server::{Service, bind, serve};

pub mod client;
mod server;
#[cfg(test)]
mod tests;

/// The socket in the state directory.
const SOCKET: &str = "agent.sock";
/// The longest request or answer, in bytes.
const MAX_LINE: u64 = 16 * 1024;

/// What can be asked of a running agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How are you?
    Status,
    /// Rotate now.
    Rotate {
        /// Because the key may be known to others: no wait holds it back.
        #[serde(default)]
        compromised: bool,
    },
    /// Take a rotation one step further, or back.
    Offline {
        /// Which step.
        step: Offline,
    },
    /// Tell every event from now on, one JSON line each, until one of us hangs up.
    Events,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The state of the device; for an order, as it was when the order was durable.
    Status(Box<Report>),
    /// The request cannot be met: why.
    Error(String),
}

/// What a running agent tells of its device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the rotation machine tells.
    #[serde(flatten)]
    pub status: Status,
    /// Whether the ballast for a full disk is in place.
    pub ballast: bool,
    /// The last entry of the audit log, if it reads.
    pub audit: Option<AuditHead>,
    /// The sidecar, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<SidecarStatus>,
}

/// The socket's path as the operating system takes it. A socket address holds about 100 bytes; a deeper
/// directory is entered through a descriptor that must stay open while the path is used.
struct Address {
    path: PathBuf,
    _dir: Option<File>,
}

impl Address {
    fn of(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(SOCKET);
        if path.as_os_str().len() < 100 {
            return Ok(Self { path, _dir: None });
        }
        let dir = File::open(state_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(SOCKET);
        Ok(Self { path, _dir: Some(dir) })
    }
}
