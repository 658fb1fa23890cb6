//! A place where a process can be killed, named so that it is the same place in the next run.

use std::fmt;
use std::path::{Component, Path};

use fleetkey_agent::store::{RealFs, read_record};
use fleetkey_lifecycle::Record;
use serde_json::Value;

use crate::trace::{Operation, Socket, Target};

/// The state of a device that rotates no more and has not yet destroyed what it replaced.
pub const DESTROYING: &str = "destroying";
/// The state of a device that has an identity and nothing to do.
pub const IDLE: &str = "idle";

/// What a target on the network is called: a connection to the broker, by its number, or one to the status socket.
const BROKER: &str = "broker, connection";
const STATUS: &str = "status socket";

/// Durable state, call, target, ordinal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// The state by the record on disk, after the call.
    pub state: String,
    /// The call.
    pub call: &'static str,
    /// The file below the state directory with what differs from run to run taken out, or the peer.
    pub target: String,
    /// For the how-manieth time in this run, counted from 1; 0 before the first call of all.
    pub ordinal: u32,
}

impl Point {
    /// Before the first call.
    pub fn before_all(state: String) -> Self {
        Self { state, call: "none", target: "before the first call".into(), ordinal: 0 }
    }

    /// Whether it is a call on a file of the device: these come in every run, as often as in any other.
    pub fn is_on_file(&self) -> bool {
        !self.target.starts_with(BROKER) && self.target != STATUS
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, call, target, ordinal } = self;
        write!(f, "{state}: {call} {target} #{ordinal}")
    }
}

/// The state of the device whose state directory this is, by its record alone.
pub fn durable_state(state_dir: &Path) -> String {
    match read_record(&RealFs, state_dir) {
        Ok(Some(record)) => state_of(&record),
        Ok(None) => "no record".into(),
        Err(error) => format!("unreadable: {error}"),
    }
}

/// The name that a record's own encoding gives to how far it has come.
pub fn state_of(record: &Record) -> String {
    let encoded = serde_json::to_value(record).unwrap_or(Value::Null);
    let name = |path: &str| encoded.pointer(path).and_then(Value::as_str).map(str::to_owned);
    name("/rotation/phase/phase").or_else(|| name("/aftermath/stage/stage")).unwrap_or_else(|| {
        let at_rest = if record.doomed.is_empty() { IDLE } else { DESTROYING };
        if record.current.is_some() { at_rest.into() } else { "unprovisioned".into() }
    })
}

/// Numbers of sockets: how many there had been at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Newest {
    /// To the broker.
    pub dialled: u32,
    /// On the status socket.
    pub accepted: u32,
}

impl Newest {
    /// Takes a socket in.
    pub fn meet(&mut self, target: &Target) {
        match target {
            Target::Socket(Socket::Dialled(number)) => self.dialled = self.dialled.max(*number),
            Target::Socket(Socket::Accepted(number)) => self.accepted = self.accepted.max(*number),
            Target::File(_) => {}
        }
    }
}

/// The target's name, or `None` when it is no file of the device's and no peer. Connections to the broker are
/// numbered from the one that stood when counting began; questions that were asked before are not part of it.
pub fn target_name(target: &Target, state_dir: &Path, before: Newest) -> Option<String> {
    match target {
        Target::File(path) => path.strip_prefix(state_dir).ok().map(normalised),
        Target::Socket(Socket::Accepted(number)) => (*number > before.accepted).then(|| STATUS.into()),
        Target::Socket(Socket::Dialled(number)) => {
            Some(format!("{BROKER} {}", number.saturating_sub(before.dialled)))
        }
    }
}

/// Whether a call on a file is a point: a descriptor of a file that is given up changes nothing.
pub fn counts(operation: Operation, target: &Target) -> bool {
    !(operation == Operation::Close && target.path().is_some())
}

/// Random parts become `*`, numbers of slots `N`.
fn normalised(path: &Path) -> String {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str().map(normalised_name),
        _ => None,
    });
    let joined = parts.collect::<Vec<_>>().join("/");
    if joined.is_empty() { ".".into() } else { joined }
}

fn normalised_name(name: &str) -> String {
    let parts = name.split_inclusive(['-', '.']).map(|part| {
        let (text, end) = match part.strip_suffix(['-', '.']) {
            Some(text) => (text, part.get(text.len()..).unwrap_or_default()),
            None => (part, ""),
        };
        let is_all = |accepts: fn(char) -> bool| !text.is_empty() && text.chars().all(accepts);
        if is_all(|letter| letter.is_ascii_digit()) && text.len() < 16 {
            format!("N{end}")
        } else if text.len() == 16 && is_all(|letter| letter.is_ascii_hexdigit()) {
            format!("*{end}")
        } else {
            part.to_owned()
        }
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_taken_out_of_a_name() {
        let cases = [
            ("/s/slots/17/.tmp-key.pem-0123456789abcdef", "slots/N/.tmp-key.pem-*"),
            ("/s/export.4/bundle.pem", "export.N/bundle.pem"),
            ("/s/slots/aside-3-00112233aabbccdd", "slots/aside-N-*"),
            ("/s/state.json", "state.json"),
            ("/s", "."),
        ];
        for (path, name) in cases {
            let target = Target::File(PathBuf::from(path));
            assert_eq!(target_name(&target, Path::new("/s"), Newest::default()).as_deref(), Some(name));
        }
        let elsewhere = Target::File("/etc/hosts".into());
        assert_eq!(target_name(&elsewhere, Path::new("/s"), Newest::default()), None);
    }

    #[test]
    fn a_record_names_its_state() {
        let mut record = Record::fresh(fleetkey_model::time::Timestamp::default());
        assert_eq!(state_of(&record), "unprovisioned");
        record.current = Some(fleetkey_lifecycle::SlotId(1));
        assert_eq!(state_of(&record), IDLE);
        record.doomed = vec![fleetkey_lifecycle::SlotId(2)];
        assert_eq!(state_of(&record), DESTROYING);
        record.aftermath = Some(fleetkey_lifecycle::record::Aftermath {
            id: "1".into(),
            stage: fleetkey_lifecycle::record::Stage::Retiring,
        });
        assert_eq!(state_of(&record), "retiring");
    }
}
