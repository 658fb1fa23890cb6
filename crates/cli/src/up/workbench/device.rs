//! One device on the bench: its agent while it runs, its log, and what listens or looks on its behalf.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};
use fleetkey_agent::clock::SystemClock;
use fleetkey_agent::{Agent, AgentEvent, AgentHandle};
use fleetkey_dashboard::bench::{Automatic, LogLine};
use fleetkey_dashboard::hub::Hub;
use fleetkey_iotcore::account::Account;
use fleetkey_lifecycle::Status;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::SerialNumber;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::Place;
use crate::up::board::Board;

/// Lines of the log that are kept.
const LINES: usize = 200;

pub(super) struct Device {
    pub(super) serial: SerialNumber,
    pub(super) account: Account,
    hub: Arc<Hub>,
    state: Mutex<State>,
    /// One order after the other.
    pub(super) turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    agent: Option<Arc<AgentHandle>>,
    shown: Shown,
    /// End what listens, and what looks.
    ears: CancellationToken,
    eyes: CancellationToken,
}

/// What its page shows of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    pub(super) filters: Vec<String>,
    pub(super) automatic: Option<Automatic>,
    pub(super) log: VecDeque<LogLine>,
}

impl Device {
    pub(super) fn new(serial: SerialNumber, account: Account, hub: Arc<Hub>) -> Self {
        Self { serial, account, hub, state: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// How its agent stands; `None` while it does not run.
    pub(super) fn status(&self) -> Option<Status> {
        self.state().agent.as_ref().map(|agent| agent.status())
    }

    /// The certificate that other programs have of it; `None` while its agent does not run.
    pub(super) fn exported(&self) -> Option<CertificateId> {
        self.status().filter(|status| status.exported)?.certificate
    }

    pub(super) fn agent(&self) -> Option<Arc<AgentHandle>> {
        self.state().agent.clone()
    }

    pub(super) fn shown(&self) -> Shown {
        self.state().shown.clone()
    }

    /// Adds a line to the log.
    pub(super) fn note(&self, words: impl Into<String>) {
        let line = LogLine { at: self.account.now(), words: words.into() };
        {
            let log = &mut self.state().shown.log;
            log.push_back(line);
            if log.len() > LINES {
                log.pop_front();
            }
        }
        self.hub.tell("bench", Some(self.serial.thing()));
    }

    /// Starts its agent, unless it runs.
    pub(super) async fn start(
        self: &Arc<Self>,
        place: &Place,
        board: &Arc<Board>,
    ) -> Result<Arc<AgentHandle>> {
        if let Some(agent) = self.agent() {
            return Ok(agent);
        }
        let config = place.file.agent(&place.data, &self.serial)?;
        let agent = Arc::new(Agent::start(config, Arc::new(SystemClock)).await?);
        board.follow(self.serial.thing(), &agent);
        tokio::spawn(follow(self.clone(), agent.events()));
        self.state().agent = Some(agent.clone());
        Ok(agent)
    }

    /// Stops its agent, if it runs.
    pub(super) async fn stop(&self) -> Result<()> {
        let Some(agent) = self.state().agent.take() else {
            return Ok(());
        };
        match Arc::try_unwrap(agent) {
            Ok(agent) => agent.stop().await,
            Err(agent) => {
                self.state().agent = Some(agent);
                bail!("{} is carrying out another order; try again", self.serial);
            }
        }
        self.hub.tell("bench", Some(self.serial.thing()));
        Ok(())
    }

    /// Hears these filters from now on; the token ends it.
    pub(super) fn listen(&self, filter: String) -> (Vec<String>, CancellationToken) {
        let mut state = self.state();
        if !state.shown.filters.contains(&filter) {
            state.shown.filters.push(filter);
        }
        state.ears.cancel();
        state.ears = CancellationToken::new();
        (state.shown.filters.clone(), state.ears.clone())
    }

    /// Looks by this rule from now on; the token ends it.
    pub(super) fn look(&self, rule: Option<Automatic>) -> CancellationToken {
        let mut state = self.state();
        state.shown.automatic = rule;
        state.eyes.cancel();
        state.eyes = CancellationToken::new();
        state.eyes.clone()
    }

    /// Ends everything.
    pub(super) async fn end(&self) {
        {
            let state = self.state();
            state.ears.cancel();
            state.eyes.cancel();
        }
        let _turn = self.turn.lock().await;
        if let Err(error) = self.stop().await {
            tracing::warn!(%error, "a device on the bench did not stop");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow(device: Arc<Device>, mut events: broadcast::Receiver<AgentEvent>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Some(words) = Board::words(&event) {
                    device.note(words);
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
