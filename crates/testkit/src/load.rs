//! A device under load and somebody who counts what arrives.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetkey_agent::AgentHandle;
use fleetkey_mqtt::QoS;
use fleetkey_mqtt::link::{Client, Messages};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bench::Bench;
use crate::wait::within;

/// Publishes numbers on a device's telemetry, each after the PUBACK of the one before.
pub struct Load {
    stop: watch::Sender<bool>,
    sent: watch::Receiver<u32>,
    task: JoinHandle<u32>,
}

impl Load {
    /// Begins at 0. A message that is refused or lost fails the test.
    pub fn start(bench: &Bench, agent: &Arc<AgentHandle>) -> Self {
        let topic = bench.fleet.root.telemetry(&agent.status().thing);
        let (stop, stopped) = watch::channel(false);
        let (counted, sent) = watch::channel(0);
        let agent = agent.clone();
        let task = tokio::spawn(async move {
            let mut number = 0u32;
            while !*stopped.borrow() {
                agent.publish(&topic, number.to_string()).await.unwrap();
                number += 1;
                counted.send_replace(number);
            }
            number
        });
        Self { stop, sent, task }
    }

    /// Waits until `more` messages have been acknowledged from now on.
    pub async fn advances(&mut self, more: u32) {
        let goal = *self.sent.borrow() + more;
        within("the load to go on", self.sent.wait_for(|sent| *sent >= goal)).await.unwrap();
    }

    /// Ends after the message that is on its way; how many were acknowledged.
    pub async fn end(self) -> u32 {
        self.stop.send_replace(true);
        within("the last PUBACK", self.task).await.unwrap()
    }
}

/// The fleet's observer, with its own identity: what of the telemetry has arrived, however often.
pub struct Observer {
    _client: Client,
    arrived: watch::Receiver<BTreeSet<u32>>,
    reading: JoinHandle<()>,
}

impl Observer {
    /// Listens from now on, to one device's numbers.
    pub async fn listen(bench: &Bench) -> Self {
        let client_id = bench.fleet.names.observer_client.as_str();
        let (client, messages) = bench.connect(&bench.observer(), client_id).await.unwrap();
        let filter = bench.fleet.root.all_telemetry();
        let granted = client.subscribe(&[(filter.as_str(), QoS::AtLeastOnce)]).await.unwrap();
        assert!(granted.iter().all(|reason| !reason.is_error()), "{granted:?}");
        let (counted, arrived) = watch::channel(BTreeSet::new());
        let reading = tokio::spawn(read(messages, counted));
        Self { _client: client, arrived, reading }
    }

    /// Waits until every number below `sent` has arrived, and nothing else has.
    pub async fn has_all(&mut self, sent: u32) {
        let wanted = usize::try_from(sent).unwrap();
        let all =
            within("every message to arrive", self.arrived.wait_for(|arrived| arrived.len() >= wanted)).await;
        assert!(all.expect("the observer's connection").iter().copied().eq(0..sent));
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(mut messages: Messages, counted: watch::Sender<BTreeSet<u32>>) {
    while let Some(message) = messages.recv().await {
        let number = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
        counted.send_modify(|arrived| {
            arrived.insert(number);
        });
    }
}
