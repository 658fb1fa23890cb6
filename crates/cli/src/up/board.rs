//! The trial as the dashboard sees it: the registry for what is registered, the agents for what they do.
//!
//! What pages show is read when they ask. Kept here is only what nobody else remembers: rotations as they went, and
//! what happened, both bounded.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use fleetkey_agent::{AgentEvent, AgentHandle};
use fleetkey_dashboard::fleet::{HookTest, Incident, JournalEntry, Rotation, Tone};
use fleetkey_dashboard::hub::Hub;
use fleetkey_iotcore::account::Account;
use fleetkey_iotcore::server::Handle;
use fleetkey_lifecycle::Status;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::documents::Names;
use fleetkey_operator::setup::Settings;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod finding;
mod history;
mod hook;
mod inventory;
mod journal;
mod orders;
mod policies;
mod provisioning;
mod read;
mod words;
mod works;

pub(crate) use journal::Change;

use works::Ordered;

use crate::control::LocalControl;
use crate::fleet_file::FleetFile;
use crate::works::Works;

/// What happened last, of the fleet and of each device.
const INCIDENTS: usize = 200;
const TIMELINE: usize = 40;
/// Rotations that were followed by another of the same device.
const PAST: usize = 200;

/// The trial fleet.
pub(crate) struct Board {
    account: Account,
    endpoint: String,
    /// How old certificates become here.
    age: Duration,
    hub: Arc<Hub>,
    set_up: OnceLock<SetUp>,
    state: Mutex<State>,
    /// What the hooks said when they were asked last.
    tested: Mutex<Option<HookTest>>,
    works: Works,
    farewell: Mutex<Option<Ordered>>,
    parting: CancellationToken,
    /// What goes on whoever looks.
    tasks: TaskTracker,
    me: Weak<Self>,
    closed: CancellationToken,
}

/// With what the account was set up.
struct SetUp {
    names: Names,
    control: LocalControl,
    settings: Settings,
    file: FleetFile,
}

#[derive(Default)]
struct State {
    starting: Option<String>,
    members: BTreeMap<ThingName, Entry>,
    past: VecDeque<Rotation>,
    incidents: VecDeque<Incident>,
    journal: VecDeque<JournalEntry>,
    /// How many there ever were in it.
    changes: u64,
    rotated: u64,
    failed: u64,
    traffic: Option<Traffic>,
}

/// A device that this process serves.
struct Entry {
    /// Weak: an agent is stopped by who owns it.
    agent: Weak<AgentHandle>,
    statuses: watch::Receiver<Status>,
    rotation: Option<Rotation>,
    timeline: VecDeque<Incident>,
    /// Since when it is not connected.
    down: Option<Timestamp>,
}

struct Traffic {
    sent: Arc<AtomicU64>,
    received: watch::Receiver<u64>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Board {
    /// A board without devices, which tells `hub` of every change until it is closed.
    pub(crate) fn open(core: &Handle, hub: Arc<Hub>, age: Duration) -> Arc<Self> {
        let endpoint = format!("{}:{}", core.endpoint(), core.ports().mqtt);
        let (account, closed) = (core.account().clone(), CancellationToken::new());
        let state = State { starting: Some("The account is set up.".to_owned()), ..State::default() };
        let (set_up, state) = (OnceLock::new(), Mutex::new(state));
        let board = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            tasks: TaskTracker::new(),
            works: Works::new(hub.clone()),
            tested: Mutex::default(),
            farewell: Mutex::default(),
            parting: CancellationToken::new(),
            closed: closed.clone(),
            account,
            endpoint,
            age,
            hub,
            set_up,
            state,
        });
        let watching = board.clone();
        tokio::spawn(async move { closed.run_until_cancelled(watching.registry()).await });
        board
    }

    /// What the fleet waits for.
    pub(crate) fn starting(&self, words: &str) {
        self.state().starting = Some(words.to_owned());
        self.hub.tell("fleet", None);
    }

    /// The fleet is complete and under load.
    pub(crate) fn running(&self, sent: Arc<AtomicU64>, received: watch::Receiver<u64>) {
        let mut state = self.state();
        state.starting = None;
        state.traffic = Some(Traffic { sent, received });
        drop(state);
        self.hub.tell("fleet", None);
    }

    /// Shows a device from now on; one that was shown before keeps its history.
    pub(crate) fn follow(self: &Arc<Self>, thing: ThingName, agent: &Arc<AgentHandle>) {
        let (events, statuses) = (agent.events(), agent.statuses());
        {
            let mut state = self.state();
            let before = state.members.remove(&thing);
            let (rotation, timeline) =
                before.map_or_else(Default::default, |entry| (entry.rotation, entry.timeline));
            let (agent, statuses) = (Arc::downgrade(agent), statuses.clone());
            let down = Some(self.account.now());
            state.members.insert(thing.clone(), Entry { agent, statuses, rotation, timeline, down });
        }
        self.hub.tell("fleet", Some(thing.clone()));
        let (board, closed) = (self.clone(), self.closed.clone());
        tokio::spawn(async move { closed.run_until_cancelled(board.watch(thing, events, statuses)).await });
    }

    /// What an agent's event means, for another log than this one.
    pub(crate) fn words(event: &AgentEvent) -> Option<String> {
        words::incident(event).map(|(_, words, _)| words)
    }

    /// The account that the fleet is in.
    pub(crate) const fn account(&self) -> &Account {
        &self.account
    }

    /// Follows nobody any more, so that every agent can be stopped.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// What was ordered has come to its end; nothing may be ordered any more.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn watch(
        &self,
        thing: ThingName,
        mut events: broadcast::Receiver<AgentEvent>,
        mut statuses: watch::Receiver<Status>,
    ) {
        loop {
            // Events first: they name what the status only implies.
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(event) => self.happened(&thing, &event),
                    // The status tells how far it has come meanwhile.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                changed = statuses.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let status = statuses.borrow_and_update().clone();
                    self.stands(&thing, &status);
                }
            }
        }
    }

    /// Tells of certificates that change.
    async fn registry(&self) {
        let mut changes = self.account.store().subscribe();
        loop {
            match changes.recv().await {
                Ok(batch) => {
                    let touched = batch.iter().filter_map(|change| change.certificate_id());
                    let things: Vec<ThingName> = {
                        let registry = self.account.store().read();
                        touched.flat_map(|id| registry.things_of(id).keys().cloned()).collect()
                    };
                    things.into_iter().for_each(|thing| self.hub.tell("certificate", Some(thing)));
                }
                Err(RecvError::Lagged(_)) => self.hub.tell("fleet", None),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, thing: &ThingName, at: Timestamp, tone: Tone, words: String, for_all: bool) {
        if for_all {
            let incident = Incident { at, thing: Some(thing.clone()), words: words.clone(), tone };
            push(&mut self.incidents, incident, INCIDENTS);
        }
        if let Some(entry) = self.members.get_mut(thing) {
            push(&mut entry.timeline, Incident { at, thing: None, words, tone }, TIMELINE);
        }
    }
}

/// How a device stands, as its agent has told it last.
struct Standing {
    status: Status,
    /// Whether its agent runs. What one that does not has told last holds, except that it is connected.
    runs: bool,
}

impl Entry {
    fn standing(&self) -> Standing {
        let (mut status, runs) = (self.statuses.borrow().clone(), self.runs());
        status.connected &= runs;
        Standing { status, runs }
    }

    /// Counted only: whoever held the agent, were it for a moment, would keep its owner from stopping it.
    fn runs(&self) -> bool {
        self.agent.strong_count() > 0
    }
}

impl Traffic {
    fn figures(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), *self.received.borrow())
    }
}

/// The newest in front, and no more than `most`.
fn push<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    list.push_front(item);
    list.truncate(most);
}
