//! The other side of the status socket, synchronous, for the command line; and what a state directory tells
//! when no agent runs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetkey_lifecycle::Record;
use fleetkey_lifecycle::event::Offline;
use serde_json::{Value, json};

use super::{Address, Answer, MAX_LINE, Report, Request};
use crate::store::{
    AuditHead, CertificateSummary, Lock, RealFs, RecordError, has_ballast, read_audit_head, read_certificate,
    read_record,
};

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a device cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No agent holds the directory.
    #[error("no agent runs on {}; start one with: fleetkey-agent run --config FILE", .0.display())]
    NotRunning(PathBuf),
    /// The agent answered with an error.
    #[error("the agent says: {0}")]
    Refused(String),
    /// The conversation failed.
    #[error("cannot talk to the agent on {}: {reason}", path.display())]
    Failed {
        /// The state directory.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The state file does not tell.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What is known of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceState {
    /// An agent runs and says this.
    Running(Report),
    /// No agent answers; the directory says this.
    Stopped {
        /// Whether an agent runs all the same, on a disk that did not take its socket.
        held: bool,
        /// The durable record.
        record: Record,
        /// The certificate in the committed slot.
        certificate: Option<CertificateSummary>,
        /// Whether the ballast for a full disk is in place.
        ballast: bool,
        /// The last entry of the audit log, if it reads.
        audit: Option<AuditHead>,
    },
    /// No agent runs and none ever wrote a record.
    Empty,
}

impl DeviceState {
    /// As `status --json` shows it.
    pub fn json(&self) -> Value {
        match self {
            Self::Running(report) => json!({ "agent": "running", "status": report }),
            Self::Stopped { held, record, certificate, ballast, audit } => json!({
                "agent": if *held { "silent" } else { "stopped" },
                "record": record,
                "certificate": certificate.as_ref().map(|certificate| json!({
                    "id": certificate.id,
                    "not_before": certificate.not_before.to_string(),
                    "not_after": certificate.not_after.to_string(),
                })),
                "ballast": ballast,
                "audit": audit,
            }),
            Self::Empty => json!({ "agent": "stopped", "record": null, "certificate": null }),
        }
    }
}

/// The state of the device whose state directory this is, whether or not an agent runs. Changes nothing.
///
/// # Errors
/// When the agent does not answer, or the state file is of a newer version or damaged.
pub fn status_of(state_dir: &Path) -> Result<DeviceState, AskError> {
    match ask(state_dir, Request::Status) {
        Ok(report) => Ok(DeviceState::Running(report)),
        Err(AskError::NotRunning(_)) => stopped(state_dir),
        Err(error) => Err(error),
    }
}

/// Orders a rotation; returns the status at that moment. The rotation itself takes its time.
///
/// # Errors
/// When no agent runs or it does not answer.
pub fn rotate(state_dir: &Path, compromised: bool) -> Result<Report, AskError> {
    ask(state_dir, Request::Rotate { compromised })
}

/// Orders a step of a rotation; returns the status once a restart of the agent would not forget it. The step itself
/// takes its time.
///
/// # Errors
/// When no agent runs, the step makes no sense as things stand, or the agent does not answer.
pub fn offline(state_dir: &Path, step: Offline) -> Result<Report, AskError> {
    ask(state_dir, Request::Offline { step })
}

/// The events of a running agent from now on, one JSON line each, until it ends.
///
/// # Errors
/// When no agent runs or the conversation fails.
pub fn events(state_dir: &Path) -> Result<impl Iterator<Item = io::Result<String>> + use<>, AskError> {
    let begin = || -> io::Result<BufReader<UnixStream>> {
        let mut stream = connect(state_dir)?;
        send(&mut stream, Request::Events)?;
        stream.set_read_timeout(None)?;
        Ok(BufReader::new(stream))
    };
    begin().map(BufRead::lines).map_err(|error| refused(state_dir, &error))
}

fn stopped(state_dir: &Path) -> Result<DeviceState, AskError> {
    let Some(record) = read_record(&RealFs, state_dir)? else {
        return Ok(DeviceState::Empty);
    };
    let certificate = record.current.and_then(|slot| read_certificate(&RealFs, state_dir, slot));
    let (ballast, audit) = (has_ballast(&RealFs, state_dir), read_audit_head(&RealFs, state_dir));
    Ok(DeviceState::Stopped { held: Lock::is_held(state_dir), record, certificate, ballast, audit })
}

fn ask(state_dir: &Path, request: Request) -> Result<Report, AskError> {
    let failed = |reason: String| AskError::Failed { path: state_dir.to_path_buf(), reason };
    let stream = connect(state_dir).map_err(|error| refused(state_dir, &error))?;
    let line = exchange(stream, request).map_err(|error| failed(error.to_string()))?;
    match serde_json::from_str(&line) {
        Ok(Answer::Status(report)) => Ok(*report),
        Ok(Answer::Error(why)) => Err(AskError::Refused(why)),
        Err(error) => Err(failed(format!("its answer does not read: {error}"))),
    }
}

fn connect(state_dir: &Path) -> io::Result<UnixStream> {
    let address = Address::of(state_dir)?;
    let stream = UnixStream::connect(&address.path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn send(stream: &mut UnixStream, request: Request) -> io::Result<()> {
    let mut text = serde_json::to_vec(&request).map_err(io::Error::other)?;
    text.push(b'\n');
    stream.write_all(&text)
}

fn exchange(mut stream: UnixStream, request: Request) -> io::Result<String> {
    send(&mut stream, request)?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut line)?;
    Ok(line)
}

fn refused(state_dir: &Path, error: &io::Error) -> AskError {
    let path = state_dir.to_path_buf();
    if is_absent(error) {
        AskError::NotRunning(path)
    } else {
        AskError::Failed { path, reason: error.to_string() }
    }
}

/// No socket, or one that nobody listens on any more.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
