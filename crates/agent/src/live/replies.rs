//! Who waits for what: callers of publish and subscribe, and listeners on topics.

use std::collections::{HashMap, HashSet};

use fleetkey_mqtt::ReasonCode;
use fleetkey_mqtt::session::Token;
use tokio::sync::{mpsc, oneshot};

use super::PublishError;
use crate::carrier::Message;

/// One who waits.
enum Reply {
    Publish(oneshot::Sender<Result<(), PublishError>>),
    Subscribe(Vec<String>, oneshot::Sender<Vec<ReasonCode>>),
}

/// All who wait. A caller that no longer waits is simply not told.
#[derive(Default)]
pub(super) struct Replies {
    waiting: HashMap<Token, Reply>,
    granted: HashSet<String>,
    listeners: Vec<(Vec<String>, mpsc::Sender<Message>)>,
}

impl Replies {
    pub(super) fn await_publish(&mut self, token: Token, reply: oneshot::Sender<Result<(), PublishError>>) {
        self.waiting.insert(token, Reply::Publish(reply));
    }

    pub(super) fn await_subscribe(
        &mut self,
        token: Token,
        filters: Vec<String>,
        reply: oneshot::Sender<Vec<ReasonCode>>,
    ) {
        self.waiting.insert(token, Reply::Subscribe(filters, reply));
    }

    /// Whether the broker has granted all of these before.
    pub(super) fn are_granted(&self, filters: &[String]) -> bool {
        filters.iter().all(|filter| self.granted.contains(filter))
    }

    pub(super) fn listen(&mut self, topics: Vec<String>, to: mpsc::Sender<Message>) {
        self.listeners.retain(|(_, to)| !to.is_closed());
        self.listeners.push((topics, to));
    }

    pub(super) fn published(&mut self, token: Token, result: Result<(), PublishError>) {
        if let Some(Reply::Publish(reply)) = self.waiting.remove(&token) {
            let _ = reply.send(result);
        }
    }

    pub(super) fn subscribed(&mut self, token: Token, reasons: Vec<ReasonCode>) {
        if let Some(Reply::Subscribe(filters, reply)) = self.waiting.remove(&token) {
            let granted = filters.into_iter().zip(&reasons);
            let granted = granted.filter(|(_, reason)| !reason.is_error());
            self.granted.extend(granted.map(|(filter, _)| filter));
            let _ = reply.send(reasons);
        }
    }

    /// Hands a message to every listener on its topic. One whose queue is full has its answers already.
    pub(super) fn deliver(&mut self, message: &Message) {
        self.listeners.retain(|(_, to)| !to.is_closed());
        for (topics, to) in &self.listeners {
            if topics.contains(&message.topic) {
                let _ = to.try_send(message.clone());
            }
        }
    }
}
