//! The counter: an mTLS client of its own, with a policy of its own, that checks that every message arrives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use fleetkey_model::topic::TopicRoot;
use fleetkey_mqtt::QoS;
use fleetkey_mqtt::link::{Client, ConnectOptions, Messages};
use fleetkey_mqtt::session::SessionConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::tally::{Tally, Telemetry};
use crate::stage::Stage;

/// A counter that counts.
#[derive(Debug)]
pub(crate) struct Counter {
    tally: Arc<Mutex<Tally>>,
    news: watch::Receiver<u64>,
    start: Instant,
    client: Client,
    task: JoinHandle<()>,
}

impl Counter {
    /// Connects, subscribes to the telemetry of the whole fleet, and counts what belongs to this run.
    pub(crate) async fn start(stage: &Stage, run: u64) -> Result<Self> {
        let (client_id, root) = (stage.observer_client(), stage.root());
        let identity = stage.observer()?;
        let stream =
            stage.dialer().dial(&identity).await.context("the counter cannot reach the local IoT Core")?;
        let options = ConnectOptions::new(client_id.as_str());
        let (client, messages) = Client::start(stream, options, SessionConfig::default())
            .await
            .context("the counter was not let in")?;
        let filter = root.all_telemetry();
        let granted = client.subscribe(&[(filter.as_str(), QoS::AtLeastOnce)]).await?;
        ensure!(granted.iter().all(|reason| !reason.is_error()), "the counter may not subscribe to {filter}");
        let tally = Arc::new(Mutex::new(Tally::new(run)));
        let (tell, news) = watch::channel(0);
        let start = Instant::now();
        let task = tokio::spawn(count(messages, tally.clone(), tell, root.clone(), start));
        Ok(Self { tally, news, start, client, task })
    }

    /// What has come so far.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many distinct messages have come, as it rises.
    pub(crate) fn received(&self) -> watch::Receiver<u64> {
        self.news.clone()
    }

    /// Sending ends now: a device that has been silent until here has a gap until here.
    pub(crate) fn close(&self) {
        self.tally().close(self.start.elapsed());
    }

    /// Waits until `expected` distinct messages have come, or no more can.
    pub(crate) async fn wait_for(&mut self, expected: u64) {
        let _ = self.news.wait_for(|received| *received >= expected).await;
    }

    /// Disconnects.
    pub(crate) async fn stop(self) {
        self.client.disconnect().await;
        self.task.abort();
    }
}

async fn count(
    mut messages: Messages,
    tally: Arc<Mutex<Tally>>,
    tell: watch::Sender<u64>,
    root: TopicRoot,
    start: Instant,
) {
    while let Some(message) = messages.recv().await {
        let Some(thing) = thing_of(&root, &message.topic) else {
            continue;
        };
        let Ok(telemetry) = serde_json::from_slice::<Telemetry>(&message.payload) else {
            continue;
        };
        let received = {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.count(thing, &telemetry, start.elapsed());
            tally.received()
        };
        tell.send_replace(received);
    }
}

/// The thing in `ROOT/THING/telemetry`.
fn thing_of<'a>(root: &TopicRoot, topic: &'a str) -> Option<&'a str> {
    topic.strip_prefix(root.as_str())?.strip_prefix('/')?.strip_suffix("/telemetry")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thing_is_the_level_after_the_root() {
        let root = TopicRoot::new("plant/pm500").unwrap();
        assert_eq!(thing_of(&root, "plant/pm500/a/telemetry"), Some("a"));
        assert_eq!(thing_of(&root, "plant/pm5000/a/telemetry"), None);
    }
}
