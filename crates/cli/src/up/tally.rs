//! Counting: which sequence numbers of which device have come, how often, and how far apart.
//!
//! Pure: moments are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The payload of one telemetry message of the trial fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Telemetry {
    /// Which run of `fleetkey up` sent it; messages of another run are not counted.
    pub(crate) run: u64,
    /// Rises by one a message and device, from 0.
    pub(crate) seq: u64,
}

/// What has come of one device.
#[derive(Debug, Default)]
struct Stream {
    /// Every number below this has come.
    complete_to: u64,
    /// Numbers that came ahead of a hole.
    ahead: BTreeSet<u64>,
    duplicated: u64,
    last: Option<Duration>,
    longest_gap: Duration,
}

/// What has come of the whole fleet in this run.
#[derive(Debug)]
pub(crate) struct Tally {
    run: u64,
    streams: BTreeMap<String, Stream>,
}

impl Tally {
    pub(crate) fn new(run: u64) -> Self {
        Self { run, streams: BTreeMap::new() }
    }

    /// Counts one message that came at `at` since the start of the run.
    pub(crate) fn count(&mut self, thing: &str, telemetry: &Telemetry, at: Duration) {
        if telemetry.run != self.run {
            return;
        }
        let stream = self.streams.entry(thing.to_owned()).or_default();
        stream.take(telemetry.seq);
        stream.silent_until(at);
        stream.last = Some(at);
    }

    /// Sending ended at `at`: the silence of each device up to there is a gap like any other.
    pub(crate) fn close(&mut self, at: Duration) {
        for stream in self.streams.values_mut() {
            stream.silent_until(at);
        }
    }

    /// Distinct messages that have come.
    pub(crate) fn received(&self) -> u64 {
        self.streams.values().map(Stream::received).sum()
    }

    /// Messages that have come once more than once.
    pub(crate) fn duplicated(&self) -> u64 {
        self.streams.values().map(|stream| stream.duplicated).sum()
    }

    /// The longest time between two messages of one device.
    pub(crate) fn longest_gap(&self) -> Duration {
        self.streams.values().map(|stream| stream.longest_gap).max().unwrap_or_default()
    }
}

impl Stream {
    fn take(&mut self, seq: u64) {
        if seq < self.complete_to || !self.ahead.insert(seq) {
            self.duplicated += 1;
            return;
        }
        while self.ahead.remove(&self.complete_to) {
            self.complete_to += 1;
        }
    }

    fn silent_until(&mut self, at: Duration) {
        if let Some(last) = self.last {
            self.longest_gap = self.longest_gap.max(at.saturating_sub(last));
        }
    }

    fn received(&self) -> u64 {
        self.complete_to + self.ahead.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(tally: &mut Tally, seqs: &[u64]) {
        for (index, &seq) in seqs.iter().enumerate() {
            tally.count("a", &Telemetry { run: 1, seq }, Duration::from_millis(100 * index as u64));
        }
    }

    #[test]
    fn a_hole_is_missing_and_a_repeat_is_a_duplicate() {
        let mut tally = Tally::new(1);
        feed(&mut tally, &[0, 1, 3, 3, 1]);
        assert_eq!((tally.received(), tally.duplicated()), (3, 2));
        feed(&mut tally, &[2]);
        assert_eq!((tally.received(), tally.duplicated()), (4, 2));
    }

    #[test]
    fn the_longest_gap_is_of_one_device_not_of_the_fleet() {
        let mut tally = Tally::new(1);
        let message = |seq| Telemetry { run: 1, seq };
        tally.count("a", &message(0), Duration::from_millis(0));
        tally.count("b", &message(0), Duration::from_millis(100));
        tally.count("a", &message(1), Duration::from_millis(250));
        assert_eq!(tally.longest_gap(), Duration::from_millis(250));
    }

    #[test]
    fn a_device_that_falls_silent_has_a_gap_until_the_end() {
        let mut tally = Tally::new(1);
        feed(&mut tally, &[0, 1]);
        tally.close(Duration::from_millis(900));
        assert_eq!(tally.longest_gap(), Duration::from_millis(800));
    }

    #[test]
    fn another_runs_messages_are_not_counted() {
        let mut tally = Tally::new(2);
        feed(&mut tally, &[0, 1]);
        assert_eq!(tally.received(), 0);
    }
}
