//! Set-up and clean-up as they are carried out: how far a run has come, and how it ended; and what the hook was asked.

use std::time::Duration;

use fleetkey_model::time::Timestamp;

use super::{Act, Direction};

/// A run that was begun from a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Which way it goes.
    pub direction: Direction,
    /// Who ordered it.
    pub by: String,
    /// When it began.
    pub begun: Timestamp,
    /// How many steps it has, as far as that is known.
    pub steps: usize,
    /// How many of them are behind it.
    pub done: usize,
    /// Those of them that changed something, newest first; the last of them.
    pub last: Vec<Taken>,
    /// What it is at, and what it waits for.
    pub at: Option<String>,
    /// How it ended, if it has.
    pub end: Option<WorkEnd>,
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What became of it.
    pub act: Act,
    /// The resource, for people.
    pub what: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkEnd {
    /// When.
    pub at: Timestamp,
    /// What came of it, or why it stopped before its end; a sentence each.
    pub outcome: Result<String, String>,
}

/// What the pre-provisioning hook decides on requests that nobody has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookTest {
    /// When it was asked.
    pub at: Timestamp,
    /// What it was asked, and what it said.
    pub probes: Vec<Probe>,
}

/// A request that nobody has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The template that it is about.
    pub template: String,
    /// Who asks for what, said in words.
    pub asked: String,
    /// Whether it is to be allowed.
    pub expected: bool,
    /// Whether it was, or why there is no answer.
    pub answer: Result<bool, String>,
    /// How long the answer took.
    pub took: Duration,
}

impl Probe {
    /// Whether the hook decides as it is to.
    pub fn is_right(&self) -> bool {
        self.answer.as_ref() == Ok(&self.expected)
    }
}
