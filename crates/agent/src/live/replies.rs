//! Who waits for what: callers of publish and subscribe, and listeners on topics.

use std::collections::{HashMap, HashSet};

use fleetkey_mqtt::ReasonCode;
use fleetkey_mqtt::session::Token;
use tokio::sync::{mpsc, oneshot};

use super::PublishError;
use crate::carrier::{Broken, Message};

/// One who waits.
enum Reply {
    Publish(oneshot::Sender<Result<(), PublishError>>),
    Once(oneshot::Sender<Result<(), Broken>>),
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

    pub(super) fn await_once(&mut self, token: Token, reply: oneshot::Sender<Result<(), Broken>>) {
        self.waiting.insert(token, Reply::Once(reply));
    }

    /// The connection is gone: the messages that go with it, which nobody waits for any more.
    pub(super) fn give_up(&mut self) -> Vec<Token> {
        let gone = self.waiting.extract_if(|_, reply| matches!(reply, Reply::Once(_)));
        gone.map(|(token, reply)| {
            if let Reply::Once(reply) = reply {
                let _ = reply.send(Err(Broken::Closed("before the broker answered".into())));
            }
            token
        })
        .collect()
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

    /// The broker took a message, or refused it.
    pub(super) fn published(&mut self, token: Token, refused: Option<ReasonCode>) {
        match self.waiting.remove(&token) {
            Some(Reply::Publish(reply)) => {
                let _ = reply.send(refused.map_or(Ok(()), |reason| Err(PublishError::Refused(reason))));
            }
            Some(Reply::Once(reply)) => {
                let _ = reply.send(refused.map_or(Ok(()), |reason| Err(Broken::Refused(reason))));
            }
            Some(Reply::Subscribe(..)) | None => {}
        }
    }

    /// The broker answered a subscription. One that it refuses when it is made again is granted no longer, and
    /// which of them it was is not told: all are asked for again.
    pub(super) fn subscribed(&mut self, token: Token, reasons: Vec<ReasonCode>) {
        match self.waiting.remove(&token) {
            Some(Reply::Subscribe(filters, reply)) => {
                for (filter, reason) in filters.into_iter().zip(&reasons) {
                    if reason.is_error() {
                        self.granted.remove(&filter);
                    } else {
                        self.granted.insert(filter);
                    }
                }
                let _ = reply.send(reasons);
            }
            _ if reasons.iter().any(|reason| reason.is_error()) => self.granted.clear(),
            _ => {}
        }
    }

    pub(super) fn unsubscribed(&mut self, filters: &[String]) {
        self.granted.retain(|granted| !filters.contains(granted));
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
