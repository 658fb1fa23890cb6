//! What happens without a packet: a certificate leaves ACTIVE, is deleted, detached or expires; the registry has
//! something to tell ([`tell`]); sessions, retained messages and counters run out.
//!
//! Nothing is decided here about a connection: it is told to look at its rights again, and closes itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::Broker;
use super::link::Link;
use super::message::Message;
use crate::events::registry_event;
use crate::registry::{Change, Happening};
use crate::rules::Sender;

/// Follows the registry and the time until the task is dropped.
pub(crate) async fn watch(broker: Arc<Broker>, mut changes: Receiver<Arc<Vec<Change>>>, sweep: Duration) {
    let mut ticks = tokio::time::interval(sweep.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => broker.sweep().await,
            received = changes.recv() => match received {
                Ok(changes) => broker.follow(&changes),
                Err(RecvError::Lagged(_)) => broker.recheck(broker.links()),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// Publishes registry events until the task is dropped. A task of its own: commits may wait for it, so it never does
/// for a commit.
pub(crate) async fn tell(broker: Arc<Broker>, mut happenings: mpsc::Receiver<Vec<Happening>>) {
    while let Some(batch) = happenings.recv().await {
        for happening in &batch {
            let (topic, payload) = registry_event(happening, &broker.authority.scope, broker.now());
            // Nobody waits for it to be durable.
            broker.deliver(Message::internal(topic, payload), Sender::Broker);
        }
    }
}

impl Broker {
    fn follow(&self, changes: &[Change]) {
        let touched = changes.iter().filter_map(Change::certificate_id);
        self.recheck(touched.flat_map(|id| self.links_of(id)).collect());
    }

    async fn sweep(&self) {
        if let Err(error) = self.provisioning.expire().await {
            tracing::error!(%error, "certificates whose token has expired cannot be deleted");
        }
        self.expire_clients();
        self.expire_presences();
        self.expire_retained();
        self.expired_links(self.now()).iter().for_each(|link| link.recheck());
    }

    /// Asks connections to look at their rights, after the delay that AWS takes its time for.
    fn recheck(&self, links: Vec<Arc<Link>>) {
        let delay = self.switches().cut_delay;
        if delay.is_zero() {
            links.iter().for_each(|link| link.recheck());
        } else if !links.is_empty() {
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                links.iter().for_each(|link| link.recheck());
            });
        }
    }
}
