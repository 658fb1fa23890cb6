//! What the invariants remember of a run: the first that was broken, and facts that no state holds.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_lifecycle::status::StateName;
use fleetkey_model::time::Timestamp;

/// Changes of the machine's state, from one to another.
pub type Observed = BTreeSet<(StateName, StateName)>;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// What tells kinds apart: the invariant, and what was seen up to its details.
    pub fn kind(&self) -> (&'static str, &str) {
        let end = self.what.find(|c: char| c.is_ascii_digit() || c == '[').unwrap_or(self.what.len());
        (self.invariant, self.what.get(..end).unwrap_or_default())
    }
}

/// The memory of a run.
#[derive(Debug, Default)]
pub struct Watch {
    violation: Option<Violation>,
    /// How often Fleet Provisioning was asked.
    pub requests: u64,
    /// When each device last began a recovery, in true time.
    pub recoveries: BTreeMap<usize, Timestamp>,
    /// How many each has begun.
    pub recovered: BTreeMap<usize, u64>,
    /// How often each device was started.
    pub starts: BTreeMap<usize, u32>,
    /// When the first recovery began.
    pub began: Option<Timestamp>,
    /// How often the devices' clocks were set to something else.
    pub clock_sets: u32,
    /// The disk itself lost something.
    pub damaged: bool,
    /// How often.
    pub damages: u32,
    /// How many of the thing's connections and ends in a row the controller was not told of: from the second on it
    /// cannot know that the one it heard of last is over.
    pub unheard: u32,
    /// When somebody with a stolen key last had a request attested.
    pub theft_attested: Option<Timestamp>,
    /// Steps from one state of the machine to another.
    pub observed: Observed,
    /// What the last power cut left: disk and registry, as a number that tells them apart.
    pub crash_state: u64,
    /// Rotations that were given up.
    pub given_up: u32,
    /// The device told people that another has its client id.
    pub alarmed: bool,
    /// A device told people that none of its identities is accepted.
    pub nothing_accepted: bool,
    /// A thief was at work while the device was away, which nobody can tell from the device's own rotation.
    pub away: bool,
    /// Commits.
    pub commits: u32,
}

impl Watch {
    /// Notes a broken invariant; the first one counts.
    pub fn fail(&mut self, invariant: &'static str, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, what: what() });
        }
    }

    /// As [`Self::fail`], for an outcome.
    pub fn check(&mut self, invariant: &'static str, outcome: Result<(), String>) {
        if let Err(what) = outcome {
            self.fail(invariant, || what);
        }
    }

    /// The broken invariant, if one is.
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    pub(crate) const fn asked(&mut self, _now: Timestamp) {
        self.requests += 1;
    }
}
