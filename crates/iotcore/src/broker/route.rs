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
use super::session::{Offered, Options, Outgoing, Session, State};
use super::share::{Share, Wanted};
use super::{Broker, Close, ConnectionInfo, lock, read, write};
use crate::attest::attest;
use crate::rules::Sender;

/// A subscription in the tree.
#[derive(Debug, Clone)]
pub(super) struct Subscriber {
    pub(super) session: Arc<Session>,
    pub(super) options: Options,
    /// With whom it has it together.
    pub(super) share: Option<Share>,
}

/// Names a subscription among those to one filter: the session, and the share's name.
pub(super) type Subscription = (u64, Option<Arc<str>>);

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
            batch = batch.max(self.offer(&receiver, &message, &mut kept, retain));
        }
        batch
    }

    /// Everyone who subscribed to `topic`, each once, at the best quality of its matching subscriptions, and of each
    /// shared subscription one member.
    fn receivers(&self, topic: &str) -> Vec<Subscriber> {
        let (mut found, mut shared) = (Vec::new(), Vec::new());
        read(&self.tree).for_each(topic, |_, subscriber| match subscriber.share {
            Some(_) => shared.push(subscriber.clone()),
            None => found.push(subscriber.clone()),
        });
        if found.len() > 1 {
            found.sort_unstable_by_key(|found| (found.session.id, Reverse(found.options.qos)));
            found.dedup_by_key(|found| found.session.id);
        }
        shared.sort_unstable_by(|one, other| one.share.cmp(&other.share));
        found
            .extend(shared.chunk_by(|one, other| one.share == other.share).filter_map(|all| self.drawn(all)));
        found
    }

    /// One of those who share a subscription: any who is there, or else any for whom messages are kept.
    fn drawn(&self, members: &[Subscriber]) -> Option<Subscriber> {
        let is = |fit: fn(&State) -> bool| {
            members.iter().filter(|member| fit(&member.session.lock())).collect::<Vec<_>>()
        };
        let mut fitting = is(|state| state.link().is_some());
        if fitting.is_empty() {
            fitting = is(|state| state.is_persistent() && !state.has_ended());
        }
        let number = usize::try_from(mixed(self.next_id())).unwrap_or_default();
        fitting.get(number.checked_rem(fitting.len())?).map(|member| (*member).clone())
    }

    /// Gives what a member of a share has not acknowledged when its session ended to another one (MQTT 5 §4.8.2), soon:
    /// whoever ends a session holds locks that this needs.
    pub(super) fn pass_on(&self, orphans: Vec<Outgoing>) {
        let (false, Some(broker)) = (orphans.is_empty(), self.me.upgrade()) else {
            return;
        };
        tokio::spawn(async move {
            for orphan in orphans {
                let mut members = Vec::new();
                read(&broker.tree).for_each(&orphan.message.topic, |_, subscriber| {
                    if subscriber.share == orphan.share {
                        members.push(subscriber.clone());
                    }
                });
                if let Some(member) = broker.drawn(&members) {
                    broker.offer(&member, &orphan.message, &mut None, orphan.retain);
                }
            }
        });
    }

    /// Offers a message to one session. `kept` is a copy of the message that holds no network buffer, made at
    /// most once, for sessions that will not send it soon.
    fn offer(
        &self,
        to: &Subscriber,
        message: &Arc<Message>,
        kept: &mut Option<Arc<Message>>,
        retain: bool,
    ) -> Option<u64> {
        let (session, qos) = (&to.session, message.qos.min(to.options.qos));
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
        if !state.keeps_rate(limits.deliveries_per_second) {
            tracing::debug!(client = %session.client, topic = %message.topic, "delivery over the rate discarded");
            return None;
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
        state.push(Outgoing { message, qos, retain, stored, direct: false, share: to.share.clone() });
        batch
    }

    /// Gives one session a retained message, on subscribing.
    pub(super) fn offer_retained(
        &self,
        session: &Arc<Session>,
        message: &Arc<Message>,
        granted: QoS,
    ) -> Option<u64> {
        let options = Options { qos: granted, retain_as_published: true };
        let to = Subscriber { session: session.clone(), options, share: None };
        self.offer(&to, message, &mut None, true)
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
            share: None,
        });
    }

    /// Adds a session's subscription to the tree. The caller holds the session's lock, so that a session that
    /// ends at the same time leaves nothing behind.
    pub(super) fn plant(&self, session: &Arc<Session>, Wanted { share, filter }: Wanted, options: Options) {
        let key = (session.id, share.as_ref().map(|share| share.name.clone()));
        let subscriber = Subscriber { session: session.clone(), options, share };
        write(&self.tree).insert(filter.as_str(), key, subscriber);
    }

    /// Removes a session's subscription from the tree.
    pub(super) fn uproot(&self, session: &Session, filter: &str) {
        let Some(Wanted { share, filter }) = Wanted::parse(filter) else {
            return;
        };
        share.iter().for_each(|share| lock(&self.shares).leave(share));
        write(&self.tree).remove(filter.as_str(), &(session.id, share.map(|share| share.name)));
    }
}

/// A number that the next number's tells nothing of (splitmix64).
const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
