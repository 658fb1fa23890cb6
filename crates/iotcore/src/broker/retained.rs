//! Retained messages by AWS's rules: one a topic, delivered on subscribing only where the filter *is* the topic,
//! never on reserved topics. Source: Developer Guide, mqtt (retained messages); endpoints and quotas.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use fleetkey_model::time::Timestamp;
use fleetkey_mqtt::QoS;

use super::message::Message;
use super::{Broker, read, write};

/// Retained messages by topic.
pub(super) type RetainedMessages = BTreeMap<Box<str>, Kept>;

/// A retained message.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) message: Arc<Message>,
    /// When it was published.
    pub(super) modified: Timestamp,
}

impl Kept {
    /// The form in which it stands in the sessions file: the moment in milliseconds, the quality of service, then
    /// the message, which would be read back at QoS 1.
    fn to_stored(message: &Message, modified: Timestamp) -> Option<Bytes> {
        let stored = message.to_stored(true)?;
        let mut out = BytesMut::with_capacity(9 + stored.len());
        out.put_u64(modified.as_millis());
        out.put_u8(message.qos.bits());
        out.put(stored);
        Some(out.freeze())
    }

    /// Reads what [`Kept::to_stored`] wrote; `None` when it is damaged.
    pub(super) fn from_stored(stored: &[u8]) -> Option<Self> {
        let (modified, rest) = stored.split_first_chunk::<8>()?;
        let (qos, rest) = rest.split_first()?;
        let mut message = Message::from_stored(rest)?;
        message.qos = QoS::from_bits(*qos)?;
        let modified = Timestamp::from_millis(u64::from_be_bytes(*modified));
        Some(Self { message: Arc::new(message), modified })
    }
}

impl Broker {
    /// Keeps a message as its topic's retained one; an empty payload removes it. One that would be over the
    /// account's number is not kept, and reaches its subscribers all the same. Returns the batch that must be
    /// durable before the publisher is told.
    pub(super) fn retain(&self, message: &Message) -> Option<u64> {
        let topic = message.topic.as_str();
        let modified = self.now();
        let mut retained = write(&self.retained);
        if message.payload.is_empty() {
            retained.remove(topic)?;
            return Some(self.sessions.put_retained(topic, None));
        }
        if retained.len() >= self.limits.retained && !retained.contains_key(topic) {
            tracing::warn!(topic, most = self.limits.retained, "not retained: the account has its number");
            return None;
        }
        let stored = Kept::to_stored(message, modified)?;
        retained.insert(topic.into(), Kept { message: Arc::new(message.detached()), modified });
        Some(self.sessions.put_retained(topic, Some(stored)))
    }

    /// The retained message that a new subscription to `filter` is given.
    pub(super) fn retained_for(&self, filter: &str) -> Option<Arc<Message>> {
        let message = read(&self.retained).get(filter)?.message.clone();
        (!message.is_expired(self.now())).then_some(message)
    }

    /// How many topics have a retained message.
    pub(crate) fn retained_count(&self) -> usize {
        read(&self.retained).len()
    }

    /// Forgets retained messages whose time has passed.
    pub(super) fn expire_retained(&self) {
        let now = self.now();
        write(&self.retained).retain(|topic, kept| {
            let expired = kept.message.is_expired(now);
            if expired {
                self.sessions.put_retained(topic, None);
            }
            !expired
        });
    }
}
