//! Retained messages by AWS's rules: one a topic, delivered on subscribing only where the filter *is* the topic,
//! never on reserved topics. Source: Developer Guide, mqtt (retained messages).

use std::collections::HashMap;
use std::sync::Arc;

use super::message::Message;
use super::{Broker, read, write};

/// Retained messages by topic.
pub(super) type Retained = HashMap<Box<str>, Arc<Message>>;

impl Broker {
    /// Keeps a message as its topic's retained one; an empty payload removes it. Returns the batch that must be
    /// durable before the publisher is told.
    pub(super) fn retain(&self, message: &Message) -> Option<u64> {
        let topic = message.topic.as_str();
        let mut retained = write(&self.retained);
        if message.payload.is_empty() {
            retained.remove(topic)?;
            return Some(self.sessions.put_retained(topic, None));
        }
        let stored = message.to_stored(true)?;
        retained.insert(topic.into(), Arc::new(message.detached()));
        Some(self.sessions.put_retained(topic, Some(stored)))
    }

    /// The retained message that a new subscription to `filter` is given.
    pub(super) fn retained_for(&self, filter: &str) -> Option<Arc<Message>> {
        let message = read(&self.retained).get(filter).cloned()?;
        (!message.is_expired(self.now())).then_some(message)
    }

    /// How many topics have a retained message.
    pub(crate) fn retained_count(&self) -> usize {
        read(&self.retained).len()
    }

    /// Forgets retained messages whose time has passed.
    pub(super) fn expire_retained(&self) {
        let now = self.now();
        write(&self.retained).retain(|topic, message| {
            let expired = message.is_expired(now);
            if expired {
                self.sessions.put_retained(topic, None);
            }
            !expired
        });
    }
}
