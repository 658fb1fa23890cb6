//! The orders: each waits for what it brings about, with a bound, and tells the log.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fleetkey_agent::{AgentEvent, AgentHandle};
use fleetkey_dashboard::bench::{Automatic, BenchOrder};
use fleetkey_lifecycle::Status;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use super::device::Device;
use super::{Place, ears};
use crate::up::board::Board;

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a message may take to be acknowledged.
const MESSAGE: Duration = Duration::from_secs(10);

impl Device {
    /// Does what was ordered, and says what came of it.
    pub(super) async fn carry_out(
        self: &Arc<Self>,
        order: BenchOrder,
        place: &Place,
        board: &Arc<Board>,
    ) -> Result<String> {
        let _turn = self.turn.lock().await;
        match order {
            BenchOrder::Provision => self.provision(place, board).await,
            BenchOrder::Connect => self.connect(place, board).await,
            BenchOrder::Disconnect => self.stop().await.map(|()| "disconnected".to_owned()),
            BenchOrder::Publish { topic, payload } => self.publish(&topic, payload).await,
            BenchOrder::Subscribe { filter } => {
                self.provisioned()?;
                ears::start(self, place, filter.clone()).await?;
                Ok(format!("hears {filter}"))
            }
            BenchOrder::Rotate => self.rotate(place, board).await,
            BenchOrder::Automatic(rule) => Ok(self.automatic(rule)),
            BenchOrder::Manual => {
                self.look(None);
                self.note("rotates on order only");
                Ok("rotates on order only".to_owned())
            }
        }
    }

    /// The demo's order: provisioning connects with the claim alone, connecting comes after it.
    async fn provision(self: &Arc<Self>, place: &Place, board: &Arc<Board>) -> Result<String> {
        let was_running = self.agent().is_some();
        let agent = self.start(place, board).await?;
        let outcome = reached(&agent, |status| status.exported).await;
        drop(agent);
        if !was_running {
            self.stop().await?;
        }
        let status = outcome?;
        let id = status.certificate.context("there is no certificate")?;
        Ok(format!("has certificate {id}"))
    }

    async fn connect(self: &Arc<Self>, place: &Place, board: &Arc<Board>) -> Result<String> {
        self.provisioned()?;
        let agent = self.start(place, board).await?;
        reached(&agent, |status| status.connected).await?;
        Ok("connected".to_owned())
    }

    async fn publish(&self, topic: &str, payload: String) -> Result<String> {
        let agent = self.agent().context("it is not connected: connect it first")?;
        let sent = tokio::time::timeout(MESSAGE, agent.publish(topic, payload)).await;
        sent.context("the broker has not acknowledged the message; may the device's policy publish it?")??;
        self.note(format!("published to {topic}"));
        Ok("published".to_owned())
    }

    /// One that does not run, runs for it until the old certificate is retired.
    async fn rotate(self: &Arc<Self>, place: &Place, board: &Arc<Board>) -> Result<String> {
        self.provisioned()?;
        let was_running = self.agent().is_some();
        let agent = self.start(place, board).await?;
        let outcome = rotated(&agent, was_running).await;
        drop(agent);
        if !was_running {
            self.stop().await?;
        }
        let id = outcome?.certificate.context("there is no certificate")?;
        Ok(format!("rotated to {id}"))
    }

    fn automatic(self: &Arc<Self>, rule: Automatic) -> String {
        let ended = self.look(Some(rule));
        let device = self.clone();
        tokio::spawn(async move { ended.run_until_cancelled(device.watch(rule)).await });
        let words = format!(
            "rotates by itself: looks every {}, rotates when less than {} are left",
            humantime::format_duration(rule.every),
            humantime::format_duration(rule.before)
        );
        self.note(words.clone());
        words
    }

    async fn watch(&self, rule: Automatic) {
        let mut looks = interval(rule.every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            // Let go at once: whoever stops the agent must be the only one who has it.
            let Some(agent) = self.agent() else {
                self.note("looked at the certificate: it is not connected, so it cannot rotate now");
                continue;
            };
            let Some(end) = agent.status().not_after else {
                continue;
            };
            let left = end.since(self.account.now());
            let days = left.as_secs() / 86_400;
            if left < rule.before {
                self.note(format!("the certificate ends in {days} days: rotating"));
                agent.rotate().await;
            } else {
                self.note(format!("the certificate ends in {days} days: good"));
            }
        }
    }

    fn provisioned(&self) -> Result<()> {
        let registry = self.account.store().read();
        if registry.principals_of(&self.serial.thing()).is_empty() {
            bail!("{} is not provisioned: provision it first", self.serial);
        }
        Ok(())
    }
}

/// Orders a rotation and waits for the new identity; `briefly` not for the end of the old.
async fn rotated(agent: &AgentHandle, briefly: bool) -> Result<Status> {
    let connected = reached(agent, |status| status.connected).await?;
    let before = connected.certificate;
    let moved = reached(agent, |status| status.certificate != before && status.connected);
    let (_, moved) = tokio::join!(agent.rotate(), moved);
    let moved = moved?;
    if briefly {
        return Ok(moved);
    }
    reached(agent, |status| status.previous.is_none() && status.candidate.is_none()).await
}

/// Waits for a status; a rotation that is given up ends the wait, as does time.
async fn reached(agent: &AgentHandle, wanted: impl FnMut(&Status) -> bool) -> Result<Status> {
    let events = agent.events();
    let status = tokio::select! {
        status = agent.until(wanted) => status.context("the agent ended")?,
        why = given_up(events) => bail!("refused: {why}"),
        () = tokio::time::sleep(PATIENCE) => {
            let blocked = agent.status().blocked.unwrap_or_else(|| "nothing happened".to_owned());
            bail!("not done after {} s: {blocked}", PATIENCE.as_secs());
        }
    };
    Ok(status)
}

async fn given_up(mut events: broadcast::Receiver<AgentEvent>) -> String {
    loop {
        match events.recv().await {
            Ok(AgentEvent::RolledBack { why, .. } | AgentEvent::RegistrationRefused { why, .. }) => {
                return why;
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
