//! The load: every device publishes a numbered message at QoS 1, steadily, whatever its certificate is doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleetkey_agent::AgentHandle;
use fleetkey_model::topic::TopicRoot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;
use super::tally::Telemetry;

/// A message at least every 100 ms a device, with room for a late timer.
pub(crate) const INTERVAL: Duration = Duration::from_millis(80);

/// A load that runs.
#[derive(Debug)]
pub(crate) struct Load {
    sent: Arc<AtomicU64>,
    stop: CancellationToken,
    devices: JoinSet<()>,
}

impl Load {
    /// Starts publishing for every device.
    pub(crate) fn start(fleet: &Fleet, root: &TopicRoot, run: u64) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        let stop = CancellationToken::new();
        let mut devices = JoinSet::new();
        for member in fleet.members() {
            let topic = root.telemetry(&member.thing);
            devices.spawn(publish(member.agent.clone(), topic, run, sent.clone(), stop.clone()));
        }
        Self { sent, stop, devices }
    }

    /// Messages so far, whatever became of them: one that an agent or the broker refused is lost too.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The same, as it rises.
    pub(crate) fn counting(&self) -> Arc<AtomicU64> {
        self.sent.clone()
    }

    /// No further message is sent.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// After [`Self::stop`]: waits until every message is acknowledged or refused.
    pub(crate) async fn acknowledged(&mut self) {
        while self.devices.join_next().await.is_some() {}
    }
}

/// Each message waits for its PUBACK in a task of its own, so that a slow one delays no other.
async fn publish(
    agent: Arc<AgentHandle>,
    topic: String,
    run: u64,
    sent: Arc<AtomicU64>,
    stop: CancellationToken,
) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_flight = JoinSet::new();
    let mut seq = 0;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let payload = serde_json::to_vec(&Telemetry { run, seq }).unwrap_or_default();
        seq += 1;
        sent.fetch_add(1, Ordering::Relaxed);
        let (agent, topic) = (agent.clone(), topic.clone());
        in_flight.spawn(async move {
            if let Err(error) = agent.publish(&topic, payload).await {
                tracing::warn!(%topic, seq, %error, "a message was not taken");
            }
        });
        while in_flight.try_join_next().is_some() {}
    }
    while in_flight.join_next().await.is_some() {}
}
