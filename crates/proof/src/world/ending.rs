//! How runs end, and how many end how.

use core::fmt;
use std::collections::BTreeMap;

use crate::watch::Violation;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was broken, if anything.
    pub violation: Option<Violation>,
    /// Steps that the director counted.
    pub steps: u64,
    /// Faults in the schedule.
    pub planned: usize,
    /// Those that struck.
    pub struck: usize,
    /// Those that changed something.
    pub effective: usize,
    /// How it ended.
    pub ending: Ending,
    /// A person opened a window for recovery, because the disk held nothing that the broker accepts.
    pub helped: bool,
    /// A person released what the controller had frozen.
    pub released: bool,
    /// The schedule's part of the run never came to rest by itself.
    pub never_rested: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// Something that must hold did not.
    Broken,
    /// No fault changed anything: the schedule proves nothing.
    Void,
    /// The device came through, and everything is clean.
    Arrived,
    /// It came through because a person gave back what was taken, or opened a window for recovery.
    Helped,
    /// An operator or the disk had taken every identity, and there is no recovery: a person must go there.
    BeyondHelp,
    /// Two hold the thing's keys, and both have an identity that is accepted.
    Shared,
    /// Two hold the thing's keys, and people were told before anybody lost anything.
    Told,
    /// One lost its identity to the other while it was away, and told when it came back.
    LostWhileAway,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "broken",
            Self::Void => "void: no fault changed anything",
            Self::Arrived => "arrived by itself",
            Self::Helped => "arrived with a person's help",
            Self::BeyondHelp => "every identity taken from outside, no recovery",
            Self::Shared => "two with one identity, both accepted",
            Self::Told => "two with one identity, people were told",
            Self::LostWhileAway => "lost to another while away, told afterwards",
        })
    }
}

/// How many runs ended how, and what became of their faults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs by their ending.
    pub endings: BTreeMap<Ending, u64>,
    /// Faults in schedules.
    pub planned: u64,
    /// Those that struck.
    pub struck: u64,
    /// Those that changed something.
    pub effective: u64,
    /// Runs in which a person released a frozen thing.
    pub released: u64,
    /// Runs whose schedule's part never came to rest by itself.
    pub never_rested: u64,
}

impl Tally {
    /// Counts a run.
    pub fn count(&mut self, outcome: &Outcome) {
        *self.endings.entry(outcome.ending).or_default() += 1;
        self.planned += outcome.planned as u64;
        self.struck += outcome.struck as u64;
        self.effective += outcome.effective as u64;
        self.released += u64::from(outcome.released);
        self.never_rested += u64::from(outcome.never_rested);
    }

    /// How many runs ended so.
    pub fn ended(&self, ending: Ending) -> u64 {
        self.endings.get(&ending).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { planned, struck, effective, .. } = self;
        writeln!(f, "faults: {planned} planned, {struck} struck, {effective} changed something")?;
        for (ending, runs) in &self.endings {
            writeln!(f, "{runs:>9} runs: {ending}")?;
        }
        writeln!(f, "{:>9} runs: a frozen thing was released by a person", self.released)?;
        write!(f, "{:>9} runs: never at rest before everything was mended", self.never_rested)
    }
}
