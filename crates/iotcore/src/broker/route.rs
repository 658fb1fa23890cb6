//! The way of a message from its publisher into the queues of its receivers.
//!
//! Not here: whether a receiver may have it, which its own connection decides when it sends (`iot:Receive` is
//! checked at delivery), and retained messages ([`super::retained`]).

use std::cmp::Reverse;
use std::sync::Arc;

use fleetkey_model::topic::{Matching, TopicFilter};
use fleetkey_mqtt::QoS;

use super::link::Link;
use super::message::Message;
use super::session::{Offered, Options, Outgoing, Session};
use super::{Broker, Close, ConnectionInfo, read, write};
use crate::attest::attest;
use crate::rules::Sender;

/// A subscription in the tree.
#[derive(Debug, Clone)]
pub(super) struct Subscriber {
    pub(super) session: Arc<Session>,
    pub(super) options: Options,
}

impl Broker {
    /// Takes in a client's message: retains it, routes it, lets the rules have it, attests it unless a rule does.
    /// Returns the batch of the sessions file that must be durable before the publisher is told, if there is one.
    pub(super) fn accept(&self, message: Message, from: &ConnectionInfo) -> Option<u64> {
        let attested = match self.rules().attests(&message.topic) {
            true => None,
            false => attest(&message.topic, &message.payload, &from.certificate, &from.client_id, self.now()),
        };
        let batch = self.deliver(message, from.sender());
        let attested = attested
            .and_then(|(topic, payload)| self.deliver(Message::internal(topic, payload), Sender::Broker));
        batch.max(attested)
    }

    /// Puts a message into the queue of everyone who subscribed to its topic; the batch as in [`Broker::accept`].
    pub(super) fn route(&self, message: Message) -> Option<u64> {
        let receivers = self.receivers(&message.topic);
        let message = Arc::new(message);
        let mut kept = None;
        let mut batch = None;
        for receiver in receivers {
            let retain = message.retain && receiver.options.retain_as_published;
            batch =
                batch.max(self.offer(&receiver.session, &message, &mut kept, receiver.options.qos, retain));
        }
        batch
    }

    /// Everyone who subscribed to `topic`, each once, at the best quality of its matching subscriptions.
    fn receivers(&self, topic: &str) -> Vec<Subscriber> {
        let mut found = Vec::new();
        read(&self.tree).for_each(topic, |_, subscriber| found.push(subscriber.clone()));
        if found.len() > 1 {
            found.sort_unstable_by_key(|found| (found.session.id, Reverse(found.options.qos)));
            found.dedup_by_key(|found| found.session.id);
        }
        found
    }

    /// Offers a message to one session. `kept` is a copy of the message that holds no network buffer, made at
    /// most once, for sessions that will not send it soon.
    fn offer(
        &self,
        session: &Session,
        message: &Arc<Message>,
        kept: &mut Option<Arc<Message>>,
        granted: QoS,
        retain: bool,
    ) -> Option<u64> {
        let qos = message.qos.min(granted);
        let mut state = session.lock();
        let limits = &self.limits;
        match state.room_for(qos, message.weight(), limits.outbound_bytes, limits.session_bytes) {
            Offered::Queued => {}
            Offered::Dropped => {
                if qos != QoS::AtMostOnce && !state.has_ended() {
                    tracing::warn!(client = %session.client, topic = %message.topic, "queue full: message dropped");
                }
                return None;
            }
            Offered::Overflow => {
                state.link().into_iter().for_each(|link| link.close(Close::SLOW_CONSUMER));
                return None;
            }
        }
        let message = if state.keeps_up() {
            message.clone()
        } else {
            kept.get_or_insert_with(|| Arc::new(message.detached())).clone()
        };
        let (stored, batch) = if qos == QoS::AtMostOnce || !state.is_persistent() {
            (None, None)
        } else {
            let number = state.next_stored();
            let batch =
                message.to_stored(retain).map(|bytes| self.sessions.put_message(&session.key, number, bytes));
            (Some(number), batch)
        };
        state.push(Outgoing { message, qos, retain, stored, direct: false });
        batch
    }

    /// Gives one session a retained message, on subscribing.
    pub(super) fn offer_retained(
        &self,
        session: &Session,
        message: &Arc<Message>,
        granted: QoS,
    ) -> Option<u64> {
        self.offer(session, message, &mut None, granted, true)
    }

    /// Sends a message to one connection and nobody else, whether it has subscribed or not; nothing when the
    /// connection is gone. The quality is that of its matching subscription, 0 if there is none. A client that
    /// asks on and on and does not take its answers loses its connection.
    pub(super) fn send_directly(&self, session: &Session, link: &Link, message: Message) {
        let mut state = session.lock();
        if !state.belongs_to(link) {
            tracing::debug!(client = %session.client, topic = %message.topic, "answer dropped: its asker is gone");
            return;
        }
        if !state.has_room_for_answer(message.weight(), self.limits.outbound_bytes) {
            return link.close(Close::SLOW_CONSUMER);
        }
        let granted = state
            .subscriptions
            .iter()
            .filter(|(filter, _)| {
                TopicFilter::new(filter.as_ref())
                    .is_ok_and(|filter| filter.matches(&message.topic, Matching::Aws))
            })
            .map(|(_, options)| options.qos)
            .max();
        state.push(Outgoing {
            qos: granted.unwrap_or_default().min(message.qos),
            message: Arc::new(message),
            retain: false,
            stored: None,
            direct: true,
        });
    }

    /// Adds a session's subscription to the tree. The caller holds the session's lock, so that a session that
    /// ends at the same time leaves nothing behind.
    pub(super) fn plant(&self, session: &Arc<Session>, filter: &str, options: Options) {
        let subscriber = Subscriber { session: session.clone(), options };
        write(&self.tree).insert(filter, session.id, subscriber);
    }

    /// Removes a session's subscription from the tree.
    pub(super) fn uproot(&self, session: &Session, filter: &str) {
        write(&self.tree).remove(filter, &session.id);
    }
}
