//! Letting others at the fleet directory between two pieces of a long work: who stops a leak waits for no list of
//! thousands, and for no connection that takes minutes to end.

use std::path::Path;
use std::time::Duration;

use super::{Event, Hold, Operator, PlanError, Progress, State};
use crate::cloud::Cloud;
use crate::files::{FileError, Lock};

/// How long an operator waits for the directory before it has begun.
pub(super) const FIRST: Duration = Duration::from_secs(30);
/// How long one that has begun waits for whoever it has let in, who may be deciding at a terminal.
const AGAIN: Duration = Duration::from_secs(600);

/// Takes the directory, and tells for whom it waits.
pub(super) async fn taken(
    directory: &Path,
    patience: Duration,
    progress: &dyn Progress,
) -> Result<Lock, FileError> {
    let what = format!("the directory {}", directory.display());
    let waiting = |holder: &str| {
        progress.tell(Event::Waiting { what: &what, reason: &format!("{holder} uses it") });
    };
    Lock::within(directory, patience, waiting).await
}

impl<C: Cloud> Operator<'_, C> {
    /// Lets others at the directory until the next change, which takes it again after whoever has waited for it.
    pub fn pause(&mut self) {
        if matches!(self.hold, Hold::Taken(_)) {
            self.hold = Hold::Pauses;
        }
    }

    /// Takes the directory again after [`Self::pause`], with what others have written meanwhile. What was looked up in the account
    /// before may have been changed by them.
    ///
    /// # Errors
    /// When it is still in use after ten minutes, or another fleet's by now.
    pub async fn resume(&mut self) -> Result<(), PlanError> {
        if !matches!(self.hold, Hold::Pauses) {
            return Ok(());
        }
        let lock = taken(&self.directory, AGAIN, self.tools.progress).await?;
        if let Some(state) = State::read(&self.directory)? {
            state.belongs(&self.state.fleet, &self.identity)?;
            self.state = state;
        }
        self.hold = Hold::taken(&self.directory, lock)?;
        Ok(())
    }
}
