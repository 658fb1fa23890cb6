//! Lambda functions: kept, changed, and really run, so that a hook is tested with the code that AWS will run.
//!
//! A function's code is a process of its own for each invocation, with the interpreters of this computer, without
//! this program's environment, in a process group that is killed when the answer is there or the time is over.
//! It is no sandbox: the code can do what the user can do who started this program. Hence
//! [`FunctionsConfig::allow_code`].
//!
//! # Modules
//! - `record`, `create`, `change`, `permission`, `check`: what a function is, and what Lambda refuses
//! - `archive`, `code`: from a zip file to files
//! - `runtime`: processes; `invoke`: one invocation, its limits, its log; `hook`, `rule`: who invokes besides REST
//!
//! Not here: HTTP, which is `rest`'s; roles, which are `iam`'s.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fleetkey_model::arn::Scope;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::document::{Document, shared};
use crate::iam::Iam;

pub(crate) use change::{ConfigurationChange, NewCode};
pub(crate) use create::NewFunction;
pub(crate) use error::FunctionError;
pub(crate) use invoke::MAX_PAYLOAD;
pub(crate) use log::{LogEvent, LogStream, Logs};
pub use open::{FunctionsConfig, FunctionsError};
pub(crate) use permission::{NewPermission, Permission};
pub(crate) use record::{Function, Variables};
pub(crate) use version::Publication;

use code::Code;
use runtime::Interpreters;

mod archive;
mod change;
mod check;
mod code;
mod create;
mod error;
mod hook;
mod invoke;
mod log;
mod open;
mod permission;
mod record;
mod rule;
mod runtime;
mod version;

#[cfg(test)]
mod tests;

/// The functions of an account. Clones share them.
#[derive(Clone)]
pub(crate) struct Functions(Arc<Inner>);

struct Inner {
    state: Document<State>,
    code: Code,
    logs: Logs,
    interpreters: Interpreters,
    allow_code: bool,
    iam: Iam,
    clock: Arc<dyn Clock>,
    scope: Scope,
    /// One after another: creations, changes, deletions. Code that nothing names any more goes with them.
    turn: Mutex<()>,
    /// How many processes may run at once.
    slots: Arc<Semaphore>,
    /// How many invocations may run or wait.
    waiting: Arc<Semaphore>,
    running: TaskTracker,
    stop: CancellationToken,
}

/// What is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    /// By name.
    #[serde(with = "shared")]
    functions: BTreeMap<String, Arc<Function>>,
    /// By `NAME:NUMBER`.
    #[serde(default, with = "shared")]
    versions: BTreeMap<String, Arc<Function>>,
    /// The last number that was given to a version of a name. It outlives the function: Lambda never gives one twice.
    #[serde(default)]
    numbers: BTreeMap<String, u32>,
}

impl Functions {
    /// Opens what lies in `functions` in the data directory. Blocks on the disk.
    ///
    /// # Errors
    /// When the directory cannot be made, or what is there not be read.
    pub(crate) fn open(
        data_dir: &Path,
        config: FunctionsConfig,
        iam: Iam,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FunctionsError> {
        open::open(data_dir, config, iam, clock)
    }

    /// The function, or the published version of one, that a name or an ARN means.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`].
    pub(crate) fn function(&self, name: &str) -> Result<Arc<Function>, FunctionError> {
        let key = self.key(name)?;
        let state = self.0.state.read();
        let found = state.functions.get(&key).or_else(|| state.versions.get(&key));
        found.cloned().ok_or_else(|| self.not_found(&key))
    }

    /// All functions, by name.
    pub(crate) fn functions(&self) -> Vec<Arc<Function>> {
        self.0.state.read().functions.values().cloned().collect()
    }

    /// What functions have printed.
    pub(crate) fn logs(&self) -> &Logs {
        &self.0.logs
    }

    /// DeleteFunction: a function with all its versions, or one published version.
    ///
    /// # Errors
    /// When there is none, `$LATEST` alone is meant, or the disk fails.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), FunctionError> {
        let _turn = self.0.turn.lock().await;
        if check::split(name, &self.0.scope).1 == Some("$LATEST") {
            let message = "$LATEST version cannot be deleted without deleting the function.";
            return Err(FunctionError::InvalidParameter(message.to_owned()));
        }
        let key = self.key(name)?;
        let edit = |state: &mut State| {
            if state.functions.remove(&key).is_some() {
                state.versions.retain(|_, version| version.name != key);
                return Ok(());
            }
            state.versions.remove(&key).map(drop).ok_or_else(|| self.not_found(&key))
        };
        self.0.state.change(edit).await?;
        self.sweep().await;
        Ok(())
    }

    /// Removes everything.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) async fn reset(&self) -> Result<(), FunctionError> {
        let _turn = self.0.turn.lock().await;
        let empty = |state: &mut State| {
            *state = State::default();
            Ok::<_, FunctionError>(())
        };
        self.0.state.change(empty).await?;
        self.0.logs.clear();
        self.sweep().await;
        Ok(())
    }

    /// Kills what runs, and waits for its end. Nothing starts any more.
    pub(crate) async fn stop(&self) {
        self.0.stop.cancel();
        self.0.running.close();
        self.0.running.wait().await;
    }

    /// The ARN of a function, or of a published version of one.
    pub(crate) fn arn_of(&self, function: &Function) -> String {
        self.arn(&function.key())
    }

    /// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`.
    pub(crate) fn arn(&self, name: &str) -> String {
        let Scope { partition, region, account } = &self.0.scope;
        format!("arn:{partition}:lambda:{region}:{account}:function:{name}")
    }

    /// Removes code that no function names. The turn is the caller's.
    async fn sweep(&self) {
        let state = self.0.state.read();
        let all = state.functions.values().chain(state.versions.values());
        let used = all.map(|function| function.code.sha256.clone()).collect();
        self.0.code.keep_only(used).await;
    }

    /// Changes a function; a published version does not change.
    async fn edit<R>(
        &self,
        name: &str,
        edit: impl FnOnce(&mut Function) -> Result<R, FunctionError>,
    ) -> Result<R, FunctionError> {
        let name = self.latest(name)?;
        self.edit_version(&name, edit).await
    }

    /// Changes a function, or what may change of a published version.
    async fn edit_version<R>(
        &self,
        name: &str,
        edit: impl FnOnce(&mut Function) -> Result<R, FunctionError>,
    ) -> Result<R, FunctionError> {
        let key = self.key(name)?;
        self.0
            .state
            .change(|state| {
                let State { functions, versions, .. } = state;
                let function = functions.get_mut(&key).or_else(|| versions.get_mut(&key));
                edit(Arc::make_mut(function.ok_or_else(|| self.not_found(&key))?))
            })
            .await
    }

    /// What a name, a partial ARN or a whole one means: `NAME`, or `NAME:NUMBER` of a published version. There are no
    /// aliases, so no other qualifier means anything.
    fn key(&self, text: &str) -> Result<String, FunctionError> {
        check::key(text, &self.0.scope).ok_or_else(|| self.not_found(text))
    }

    /// The same where only `$LATEST` will do.
    fn latest(&self, text: &str) -> Result<String, FunctionError> {
        self.key(text).ok().filter(|key| !key.contains(':')).ok_or_else(|| self.not_found(text))
    }

    fn not_found(&self, name: &str) -> FunctionError {
        FunctionError::NotFound(if name.starts_with("arn:") { name.to_owned() } else { self.arn(name) })
    }
}
