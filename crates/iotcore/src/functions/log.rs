//! What functions print, kept in memory as CloudWatch Logs would: groups, streams, events.
//!
//! The newest lines of each group, until this program ends. Not here: log groups as resources ([`crate::log_groups`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use fleetkey_model::time::Timestamp;

/// Lines kept of one group.
const LINES: usize = 10_000;
/// Bytes kept of one line.
const LINE: usize = 16 * 1024;

/// The groups. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<BTreeMap<String, Group>>>);

/// The newest lines of a group.
#[derive(Debug, Default)]
struct Group {
    lines: VecDeque<LogEvent>,
    /// The number of the next line.
    next: u64,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogEvent {
    /// Its place in the group, which stays when older lines go.
    pub(crate) number: u64,
    /// The stream: one a day, function version and process in AWS; here one a day.
    pub(crate) stream: String,
    /// When it was read.
    pub(crate) at: Timestamp,
    /// Without its end of line.
    pub(crate) message: String,
}

/// A stream's first and last moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogStream {
    pub(crate) name: String,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl Logs {
    /// Adds the lines of `text` to a stream.
    pub(super) fn add(&self, group: &str, stream: &str, at: Timestamp, text: &[u8]) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Group { lines, next } = groups.entry(group.to_owned()).or_default();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = line.get(..LINE).unwrap_or(line);
            let message = String::from_utf8_lossy(line).into_owned();
            if lines.len() >= LINES {
                lines.pop_front();
            }
            lines.push_back(LogEvent { number: *next, stream: stream.to_owned(), at, message });
            *next = next.saturating_add(1);
        }
    }

    /// The lines of a group, oldest first.
    pub(crate) fn events(&self, group: &str) -> Vec<LogEvent> {
        let groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(group).map(|group| group.lines.iter().cloned().collect()).unwrap_or_default()
    }

    /// The streams of a group, by name.
    pub(crate) fn streams(&self, group: &str) -> Vec<LogStream> {
        let mut streams = BTreeMap::new();
        for event in self.events(group) {
            let new = LogStream { name: event.stream.clone(), first: event.at, last: event.at };
            let stream = streams.entry(event.stream).or_insert(new);
            stream.first = stream.first.min(event.at);
            stream.last = stream.last.max(event.at);
        }
        streams.into_values().collect()
    }

    /// The names of the groups with lines.
    pub(crate) fn groups(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Forgets a group's lines.
    pub(crate) fn forget(&self, group: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The stream of a version at a moment: `2026/11/21/[$LATEST]local`.
pub(super) fn stream(at: Timestamp, version: &str) -> String {
    let day: String = at.to_string().chars().take(10).map(|c| if c == '-' { '/' } else { c }).collect();
    format!("{day}/[{version}]local")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::NOW;

    #[test]
    fn only_the_newest_lines_are_kept() {
        let logs = Logs::default();
        for n in 0..=LINES {
            logs.add("g", &stream(NOW, "$LATEST"), NOW, format!("{n}\n").as_bytes());
        }
        let events = logs.events("g");
        assert_eq!((events.len(), events[0].message.as_str()), (LINES, "1"));
        assert_eq!(events[0].number, 1, "a line keeps its number");
        assert_eq!(logs.streams("g")[0].name, "2026/11/18/[$LATEST]local");
        logs.forget("g");
        assert!(logs.groups().is_empty());
    }
}
