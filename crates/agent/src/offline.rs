//! A rotation in steps that an operator orders: stage, switch, retire, or back; days may lie between them.
//!
//! The agent that runs on the state directory is asked; where none runs, one runs here for as long as the step takes, and
//! nothing that only time asks for begins meanwhile. Each step may be repeated: what was carried out is told as done.
//! Not here: what a step means (`fleetkey_lifecycle::machine`), which also says when one makes no sense.

use core::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_lifecycle::event::Offline;
use fleetkey_lifecycle::{SlotId, Status};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;

use crate::agent::{Agent, AgentHandle, StartError};
use crate::clock::SystemClock;
use crate::config::AgentConfig;
use crate::status::client::{self, AskError, DeviceState};

/// How often a running agent is asked how it goes.
const LOOK: Duration = Duration::from_millis(250);

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// A certificate is ready for the switch.
    Staged {
        /// The certificate.
        certificate: CertificateId,
        /// When it proved itself; `None` where that takes the live session over, and so waits for the switch.
        verified: Option<Timestamp>,
    },
    /// The device uses what was staged, and other programs have its files.
    Switched(CertificateId),
    /// Nothing older than the certificate in use can connect any more.
    Retired,
    /// The device uses the certificate before, or what was staged is given up.
    RolledBack(CertificateId),
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staged { certificate, verified: Some(at) } => {
                write!(
                    f,
                    "certificate {certificate} is staged, proved at {at}; `switch` makes it the one in use"
                )
            }
            Self::Staged { certificate, verified: None } => {
                write!(
                    f,
                    "certificate {certificate} is staged; `switch` proves it and makes it the one in use"
                )
            }
            Self::Switched(certificate) => {
                write!(
                    f,
                    "certificate {certificate} is in use; `retire` ends the one before, `rollback` returns to it"
                )
            }
            Self::Retired => f.write_str("nothing older than the certificate in use can connect"),
            Self::RolledBack(certificate) => {
                write!(f, "certificate {certificate} is in use; nothing is staged")
            }
        }
    }
}

/// Why a step has not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The step makes no sense as things stand; nothing was changed.
    #[error("{0}")]
    Senseless(String),
    /// The step was carried out, and failed; the certificate in use serves on.
    #[error("{0}")]
    Failed(String),
    /// The order is noted and goes on, here or with the next agent that runs; the patience of whoever asked is over.
    #[error("not done after {} ({blocked}); it goes on while an agent runs: ask again", humantime::format_duration(*patience))]
    NotYet {
        /// How long it was waited for.
        patience: Duration,
        /// What stands in the way.
        blocked: String,
    },
    /// The agent that runs cannot be asked.
    #[error(transparent)]
    Ask(AskError),
    /// No agent runs, and none can.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The agent ended meanwhile.
    #[error("the agent ended before the step was done; the order is noted, and the next one goes on")]
    Ended,
}

/// Orders `step` and waits for its end, for at most `patience`.
///
/// # Errors
/// See [`OfflineError`].
pub async fn perform(config: AgentConfig, step: Offline, patience: Duration) -> Result<Done, OfflineError> {
    let state_dir = config.state_dir.clone();
    let staged = match blocking(&state_dir, client::status_of).await {
        Ok(DeviceState::Running(report)) => to_be_switched_to(&report.status),
        _ => None,
    };
    let asked = blocking(&state_dir, move |dir| client::offline(dir, step)).await;
    match asked {
        Ok(_) => follow(&state_dir, Order { step, staged }, patience).await,
        Err(AskError::Refused(why)) => Err(OfflineError::Senseless(why)),
        Err(AskError::NotRunning(_)) => run(config, step, patience).await,
        Err(error) => Err(OfflineError::Ask(error)),
    }
}

/// A step, and what waited for a switch when it was ordered: a switch that was met is the one before, unless to that.
#[derive(Debug, Clone, Copy)]
struct Order {
    step: Offline,
    staged: Option<SlotId>,
}

/// The candidate that waits for a switch; one of a rotation that waits for nothing is none of the operator's.
fn to_be_switched_to(status: &Status) -> Option<SlotId> {
    status.candidate.filter(|_| status.held)
}

/// Asks the running agent how it goes until the step has ended.
async fn follow(state_dir: &Path, order: Order, patience: Duration) -> Result<Done, OfflineError> {
    let mut blocked = None;
    let ended = async {
        loop {
            match blocking(state_dir, client::status_of).await {
                Ok(DeviceState::Running(report)) => match judge(order, &report.status) {
                    Some(ended) => return ended,
                    None => blocked = report.status.blocked,
                },
                Ok(_) => return Err(OfflineError::Ended),
                Err(error) => return Err(OfflineError::Ask(error)),
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let ended = tokio::time::timeout(patience, ended).await;
    ended.unwrap_or_else(|_| Err(not_yet(patience, blocked)))
}

/// Runs an agent here for as long as the step takes.
async fn run(config: AgentConfig, step: Offline, patience: Duration) -> Result<Done, OfflineError> {
    let agent = Agent::start(config, Arc::new(SystemClock)).await?;
    let ended = tokio::time::timeout(patience, carried_out(&agent, step)).await;
    let blocked = agent.status().blocked;
    agent.stop().await;
    ended.unwrap_or_else(|_| Err(not_yet(patience, blocked)))
}

async fn carried_out(agent: &AgentHandle, step: Offline) -> Result<Done, OfflineError> {
    agent.hold(true).await;
    let order = Order { step, staged: to_be_switched_to(&agent.status()) };
    agent.offline(step).await.map_err(OfflineError::Senseless)?;
    let mut ended = None;
    let watched = agent.until(|status| {
        ended = judge(order, status);
        ended.is_some()
    });
    watched.await;
    ended.unwrap_or(Err(OfflineError::Ended))
}

/// How the step has ended, if it has; for a status that was told after the order was noted.
fn judge(order: Order, status: &Status) -> Option<Result<Done, OfflineError>> {
    let step = order.step;
    let in_use = status.certificate.filter(|_| status.exported);
    let met = status.met.is_some_and(|met| met.order == step && Some(met.slot) == status.current);
    let switched = order.staged.map_or(met, |staged| Some(staged) == status.current);
    let failed = |what: &str| {
        let why = status.blocked.as_deref().unwrap_or("the log tells why");
        Some(Err(OfflineError::Failed(format!("{what}: {why}"))))
    };
    match step {
        Offline::Stage => {
            // The controller has heard of it, or cannot.
            let staged = status.staged.filter(|staged| staged.tried_to_tell)?;
            Some(Ok(Done::Staged { certificate: staged.certificate, verified: staged.verified }))
        }
        Offline::Switch if switched => in_use.map(|certificate| Ok(Done::Switched(certificate))),
        Offline::Switch if status.candidate.is_none() => failed("the staged certificate was refused"),
        Offline::Retire => status.previous.is_none().then_some(Ok(Done::Retired)),
        Offline::Rollback if met && !status.held => {
            in_use.map(|certificate| Ok(Done::RolledBack(certificate)))
        }
        Offline::Rollback if !status.going_back && !status.held => failed("there is no way back"),
        Offline::Switch | Offline::Rollback => None,
    }
}

async fn blocking<T: Send + 'static>(
    state_dir: &Path,
    call: impl FnOnce(&Path) -> Result<T, AskError> + Send + 'static,
) -> Result<T, AskError> {
    let path = state_dir.to_path_buf();
    let asked = tokio::task::spawn_blocking({
        let path = path.clone();
        move || call(&path)
    });
    asked.await.unwrap_or_else(|error| Err(AskError::Failed { path, reason: error.to_string() }))
}

fn not_yet(patience: Duration, blocked: Option<String>) -> OfflineError {
    let blocked = blocked.unwrap_or_else(|| "it is on its way".to_owned());
    OfflineError::NotYet { patience, blocked }
}
