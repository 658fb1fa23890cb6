//! One change to the account, entered in the journal before its first call and after its last.

use std::io;

use serde_json::Value;

use super::{Hold, Operator, PlanError, Tools};
use crate::chain::{Entry, JOURNAL_FILE, Phase};
use crate::cloud::{CallRecord, Cloud, Spec};
use crate::control_plane::ApiError;
use crate::files::FileError;

/// A change about to be made.
pub(super) struct Change {
    /// `create`, `change`, `adopt`, `activate`, `deprecate`, `delete`, `deactivate`, `reactivate`, `revoke`,
    /// `disconnect`, `enable`, `disable`, `approve`, `reject`, `deny all`, `allow again`.
    pub(super) action: &'static str,
    /// The resource, for people.
    pub(super) what: String,
    /// Why, where it is more than the command.
    pub(super) why: Option<String>,
    /// What is there.
    pub(super) before: Option<Value>,
    /// What is to be there.
    pub(super) after: Option<Value>,
}

impl Change {
    /// A change of a resource, as it is and as it is to be.
    pub(super) fn of(
        action: &'static str,
        what: &impl ToString,
        before: Option<&Spec>,
        after: Option<&Spec>,
    ) -> Self {
        let (before, after) = (before.map(Spec::comparable), after.map(Spec::comparable));
        Self { action, what: what.to_string(), why: None, before, after }
    }
}

impl<'a, C: Cloud> Operator<'a, C> {
    /// Enters `begun`, lets `work` make its calls, and enters how it went.
    pub(super) async fn journaled<T>(
        &mut self,
        change: Change,
        work: impl AsyncFnOnce(&Tools<'a, C>) -> Result<T, ApiError>,
    ) -> Result<T, PlanError> {
        self.journaled_as(change, work, |_| None).await
    }

    /// The same for what is known only from the answer: `made` says what is there now. It must hold no secret.
    pub(super) async fn journaled_as<T>(
        &mut self,
        mut change: Change,
        work: impl AsyncFnOnce(&Tools<'a, C>) -> Result<T, ApiError>,
        made: impl FnOnce(&T) -> Option<Value>,
    ) -> Result<T, PlanError> {
        self.resume().await?;
        drop(self.tools.cloud.take_calls());
        self.enter(&change, Phase::Begun, Vec::new())?;
        let outcome = work(&self.tools).await;
        let calls = self.tools.cloud.take_calls();
        let phase = if outcome.is_ok() { Phase::Done } else { Phase::Failed };
        if let Some(made) = outcome.as_ref().ok().and_then(made) {
            change.after = Some(made);
        }
        self.enter(&change, phase, calls)?;
        outcome.map_err(|error| PlanError::Call { what: format!("{} {}", change.action, change.what), error })
    }

    fn enter(&mut self, change: &Change, phase: Phase, calls: Vec<CallRecord>) -> Result<(), FileError> {
        let at = (self.tools.clock)();
        let Hold::Taken(held) = &mut self.hold else {
            let error = io::Error::other("whoever only looks changes nothing");
            return Err(FileError::new("write", &self.directory.join(JOURNAL_FILE), error));
        };
        held.journal.enter(&Entry {
            at,
            who: &self.identity.arn,
            phase,
            action: change.action,
            what: &change.what,
            why: change.why.as_deref().or(self.order.as_deref()),
            before: change.before.as_ref(),
            after: change.after.as_ref(),
            calls,
        })
    }
}
