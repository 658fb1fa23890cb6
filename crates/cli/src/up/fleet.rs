//! The fleet: agents in this process, each with a state directory, a session and a life of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use fleetkey_agent::clock::SystemClock;
use fleetkey_agent::{Agent, AgentEvent, AgentHandle};
use fleetkey_lifecycle::schedule::Schedule;
use fleetkey_lifecycle::status::StateName;
use fleetkey_model::name::{SerialNumber, ThingName};
use tokio::sync::broadcast;

use super::board::Board;
use super::report::Reporter;
use crate::args::UpArgs;
use crate::datadir::DataDir;
use crate::stage::Stage;

/// One device.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) thing: ThingName,
    pub(crate) agent: Arc<AgentHandle>,
}

/// All devices of the trial.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Vec<Member>,
    counts: Arc<Counts>,
}

/// What the agents' events add up to.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rotations: AtomicU64,
    pub(crate) rolled_back: AtomicU64,
}

impl Fleet {
    /// Starts every agent; a device that has an identity goes on with it.
    pub(crate) async fn start(
        stage: &Stage,
        data: &DataDir,
        args: &UpArgs,
        reporter: &Arc<Reporter>,
        board: &Arc<Board>,
    ) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let mut members = Vec::new();
        for number in 1..=args.devices {
            let serial = SerialNumber::new(format!("device-{number:04}"))?;
            let mut config = stage.file().agent(data, &serial)?;
            config.rotation.schedule = schedule(args.rotate_every);
            config.rotation.soak = args.soak;
            let agent = Agent::start(config, Arc::new(SystemClock))
                .await
                .with_context(|| format!("the agent of {serial} does not start"))?;
            let thing = serial.thing();
            let agent = Arc::new(agent);
            board.follow(thing.clone(), &agent);
            tokio::spawn(follow(thing.clone(), agent.events(), counts.clone(), reporter.clone()));
            members.push(Member { thing, agent });
        }
        Ok(Self { members, counts })
    }

    /// How many devices there are.
    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    /// The devices' names.
    pub(crate) fn things(&self) -> impl Iterator<Item = &ThingName> {
        self.members.iter().map(|member| &member.thing)
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Rotations that were committed in this run.
    pub(crate) fn rotations(&self) -> u64 {
        self.counts.rotations.load(Ordering::Relaxed)
    }

    /// Rotations that were given up in this run.
    pub(crate) fn rolled_back(&self) -> u64 {
        self.counts.rolled_back.load(Ordering::Relaxed)
    }

    /// Waits until every device has an identity and is connected; false if an agent ended.
    pub(crate) async fn provisioned(&self) -> bool {
        for member in &self.members {
            if member.agent.until(|status| status.current.is_some() && status.connected).await.is_none() {
                return false;
            }
        }
        true
    }

    /// The devices without identity or connection, each with what it waits for.
    pub(crate) fn missing(&self) -> Vec<String> {
        let words = |member: &Member| {
            let status = member.agent.status();
            let there = status.current.is_some() && status.connected;
            let blocked = status.blocked.map_or(String::new(), |why| format!(" ({why})"));
            (!there).then(|| format!("{}{blocked}", member.thing))
        };
        self.members.iter().filter_map(words).collect()
    }

    /// No further rotation begins; those under way go on.
    pub(crate) async fn hold(&self) {
        for member in &self.members {
            member.agent.hold(true).await;
        }
    }

    /// Waits until no device has a rotation or a retirement under way.
    pub(crate) async fn settled(&self) {
        for member in &self.members {
            let idle = |status: &fleetkey_lifecycle::Status| {
                matches!(status.state, StateName::Idle | StateName::Deferred) && status.previous.is_none()
            };
            member.agent.until(idle).await;
        }
    }

    /// Stops every agent: each says goodbye and releases its directory.
    pub(crate) async fn stop(self) {
        for member in self.members {
            if let Ok(agent) = Arc::try_unwrap(member.agent) {
                agent.stop().await;
            }
        }
    }
}

/// Every device somewhere in the last tenth before its certificate's age: the fleet does not rotate as one.
fn schedule(age: Duration) -> Schedule {
    Schedule { age, jitter: age / 10, ..Schedule::default() }
}

async fn follow(
    thing: ThingName,
    mut events: broadcast::Receiver<AgentEvent>,
    counts: Arc<Counts>,
    reporter: Arc<Reporter>,
) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        match &event {
            AgentEvent::Committed { reason, .. }
                if *reason != fleetkey_lifecycle::record::Reason::Provision =>
            {
                counts.rotations.fetch_add(1, Ordering::Relaxed);
            }
            AgentEvent::RolledBack { .. } => {
                counts.rolled_back.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        reporter.device(&thing, &event);
    }
}
