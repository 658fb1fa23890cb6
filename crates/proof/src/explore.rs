//! Many runs: all of a kind, or as many as one likes at random; what was found, and the smallest schedule for it.

use anyhow::Result;

use crate::schedule::Schedule;
use crate::watch::Violation;
use crate::world::{Outcome, prepared};

pub use exhaustive::{Report, Share, exhaustive};
pub use random::{Ran, Told, draw, random};
pub use shrink::shrink;

mod exhaustive;
mod random;
mod shrink;

/// A schedule that breaks something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The schedule.
    pub schedule: Schedule,
    /// What it breaks.
    pub outcome: Outcome,
}

impl Found {
    /// Whether this is what it breaks.
    fn breaks(&self, violation: &Violation) -> bool {
        self.outcome.violation.as_ref().is_some_and(|own| own.kind() == violation.kind())
    }
}

impl core::fmt::Display for Found {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.outcome.violation {
            Some(violation) => writeln!(f, "{} is broken: {}", violation.invariant, violation.what)?,
            None => writeln!(f, "nothing is broken")?,
        }
        write!(f, "  cargo run -p fleetkey-proof -- replay '{}'", self.schedule)
    }
}

/// Runs a schedule on the shipping device.
///
/// # Errors
/// When no run can even begin.
pub fn run(schedule: &Schedule) -> Result<Outcome> {
    Ok(prepared(schedule)?.run())
}
