//! One client's session: its subscriptions, what waits for it, and what it has not acknowledged.
//!
//! A session outlives connections when it is persistent. Pure but for the lock around it: no I/O, no clock; a
//! caller that holds an outdated attachment (its connection was taken over) is told so by every operation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use fleetkey_mqtt::{PacketId, QoS, Version};
use tokio::time::Instant;

use super::link::Link;
use super::message::Message;
use super::share::Share;
use crate::limits::Rate;
use crate::sessions::{SessionRecord, SubscriptionRecord};

/// Messages waiting for a connection from which on it counts as behind.
const KEEPS_UP: usize = 32;

/// How a subscriber wants its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// The highest quality of service it was granted.
    pub(crate) qos: QoS,
    /// Keep the publisher's RETAIN flag (MQTT 5 §3.8.3.1).
    pub(crate) retain_as_published: bool,
}

/// A message that waits for one session.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Its number in the sessions file, if it is there.
    pub(crate) stored: Option<u64>,
    /// Meant for this connection alone: never kept for the next one.
    pub(crate) direct: bool,
    /// The shared subscription that it came by.
    pub(crate) share: Option<Share>,
}

/// What became of a message that was offered to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It waits.
    Queued,
    /// There was no room, or nobody to wait for; it is dropped.
    Dropped,
    /// There was no room for a QoS 1 message of a session that is not persistent: its connection must go.
    Overflow,
}

/// A session that may be shared between its connection, publishers and the sweeper.
#[derive(Debug)]
pub(crate) struct Session {
    /// Unique within this run of the broker.
    pub(crate) id: u64,
    pub(crate) client: ClientId,
    /// The client id as the sessions file has it.
    pub(crate) key: Arc<str>,
    state: Mutex<State>,
}

impl Session {
    pub(crate) fn new(id: u64, client: ClientId, state: State) -> Arc<Self> {
        Arc::new(Self { id, key: client.as_str().into(), client, state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a session is made of.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) version: Version,
    /// How long it outlives its connection; zero ends it with the connection.
    pub(crate) expiry: Duration,
    /// The certificate it was last used with.
    pub(crate) principal: CertificateId,
    /// When its connection ended; `None` while it has one.
    pub(crate) offline_since: Option<Timestamp>,
    /// Whether the sessions file has rows of it.
    pub(crate) on_disk: bool,
    /// Filters as they stand on the wire; few, so a list.
    pub(crate) subscriptions: Vec<(Box<str>, Options)>,
    link: Option<Arc<Link>>,
    /// Set when the session has ended: what still holds it must not use it.
    ended: bool,
    queue: VecDeque<Outgoing>,
    queued_bytes: usize,
    in_flight: VecDeque<(PacketId, Outgoing)>,
    window: usize,
    next_packet: PacketId,
    next_stored: u64,
    deliveries: Option<Rate>,
}

/// What a session leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// What it was subscribed to.
    pub(crate) subscriptions: Vec<(Box<str>, Options)>,
    /// What came by a shared subscription and was not acknowledged.
    pub(crate) orphans: Vec<Outgoing>,
}

impl State {
    /// A session without a connection.
    pub(crate) const fn new(version: Version, expiry: Duration, principal: CertificateId) -> Self {
        Self {
            version,
            expiry,
            principal,
            offline_since: None,
            on_disk: false,
            subscriptions: Vec::new(),
            link: None,
            ended: false,
            queue: VecDeque::new(),
            queued_bytes: 0,
            in_flight: VecDeque::new(),
            window: 0,
            next_packet: PacketId::FIRST,
            next_stored: 0,
            deliveries: None,
        }
    }

    pub(crate) const fn is_persistent(&self) -> bool {
        !self.expiry.is_zero()
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) const fn link(&self) -> Option<&Arc<Link>> {
        self.link.as_ref()
    }

    /// Whether `link` is the connection that the session belongs to now.
    pub(crate) fn belongs_to(&self, link: &Link) -> bool {
        self.link.as_ref().is_some_and(|own| own.id == link.id)
    }

    /// Whether it is over at `now`.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.offline_since.is_some_and(|since| now.since(since) >= self.expiry)
    }

    /// Gives the session to a connection that takes at most `window` unacknowledged messages. What was in
    /// flight waits again, in its old order. Returns the connection that had it.
    pub(crate) fn attach(&mut self, link: Arc<Link>, window: usize) -> Option<Arc<Link>> {
        let former = self.link.replace(link);
        self.requeue();
        self.offline_since = None;
        self.window = window;
        former
    }

    /// Takes the session from `link`; does nothing, and says so, when it belongs to another by now.
    pub(crate) fn detach(&mut self, link: &Link, now: Timestamp) -> bool {
        if !self.belongs_to(link) {
            return false;
        }
        self.link = None;
        self.requeue();
        // MQTT 3.1.1 §3.1.2.4: QoS 0 messages need not be kept for the next connection, and AWS does not.
        self.retain_queue(|waiting| waiting.qos != QoS::AtMostOnce);
        self.offline_since = Some(now);
        true
    }

    /// Ends the session; what it leaves behind is the caller's to see to.
    pub(crate) fn end(&mut self) -> Ended {
        self.ended = true;
        self.link = None;
        self.queued_bytes = 0;
        let in_flight = std::mem::take(&mut self.in_flight).into_iter().map(|(_, waiting)| waiting);
        let waiting = in_flight.chain(std::mem::take(&mut self.queue));
        let orphans = waiting.filter(|waiting| waiting.share.is_some() && waiting.qos != QoS::AtMostOnce);
        Ended { orphans: orphans.collect(), subscriptions: std::mem::take(&mut self.subscriptions) }
    }

    /// Whether one more message keeps within `limit` a second of its connection; counts it if so. What has to wait for a
    /// connection keeps within any.
    pub(crate) fn keeps_rate(&mut self, limit: Option<u32>) -> bool {
        if limit.is_none() || self.link.is_none() {
            return true;
        }
        let now = Instant::now();
        self.deliveries.get_or_insert_with(|| Rate::new(now)).admit(now, limit)
    }

    fn requeue(&mut self) {
        while let Some((_, waiting)) = self.in_flight.pop_back() {
            self.queued_bytes += waiting.message.weight();
            self.queue.push_front(waiting);
        }
        self.retain_queue(|waiting| !waiting.direct);
    }

    fn retain_queue(&mut self, keep: impl Fn(&Outgoing) -> bool) {
        self.queue.retain(keep);
        self.queued_bytes = self.queue.iter().map(|waiting| waiting.message.weight()).sum();
    }

    /// Adds or replaces a subscription; says whether the filter is new, or `None` when there is no room.
    pub(crate) fn subscribe(&mut self, filter: &str, options: Options, max: usize) -> Option<bool> {
        if let Some((_, old)) = self.subscriptions.iter_mut().find(|(own, _)| **own == *filter) {
            *old = options;
            return Some(false);
        }
        if self.subscriptions.len() >= max {
            return None;
        }
        self.subscriptions.push((filter.into(), options));
        Some(true)
    }

    /// Removes a subscription; says whether there was one.
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|(own, _)| **own != *filter);
        self.subscriptions.len() < before
    }

    /// The number that the next stored message gets.
    pub(crate) const fn next_stored(&mut self) -> u64 {
        let number = self.next_stored;
        self.next_stored += 1;
        number
    }

    /// Whether a message of `weight` and `qos` finds room, given `connected` and `stored` bytes at most.
    pub(crate) fn room_for(&self, qos: QoS, weight: usize, connected: usize, stored: usize) -> Offered {
        if self.ended {
            return Offered::Dropped;
        }
        let full = |max: usize| self.queued_bytes + weight > max;
        match (qos, self.link.is_some()) {
            (QoS::AtMostOnce, false) => Offered::Dropped,
            (QoS::AtMostOnce, true) if full(connected) => Offered::Dropped,
            (QoS::AtMostOnce, true) => Offered::Queued,
            _ if self.is_persistent() && full(stored) => Offered::Dropped,
            _ if self.is_persistent() => Offered::Queued,
            (_, false) => Offered::Dropped,
            (_, true) if full(connected) => Offered::Overflow,
            (_, true) => Offered::Queued,
        }
    }

    /// Whether an answer of `weight` for its connection alone finds room, given `max` bytes for all such answers.
    /// Other messages that wait, however many, do not stand in its way.
    pub(crate) fn has_room_for_answer(&self, weight: usize, max: usize) -> bool {
        let answers = self.queue.iter().filter(|waiting| waiting.direct);
        let waiting: usize = answers.map(|waiting| waiting.message.weight()).sum();
        waiting + weight <= max
    }

    /// Whether what is added now is likely to be sent at once.
    pub(crate) fn keeps_up(&self) -> bool {
        self.link.is_some() && self.queue.len() < KEEPS_UP
    }

    /// Lets a message wait, after [`State::room_for`], and wakes the connection.
    pub(crate) fn push(&mut self, waiting: Outgoing) {
        self.queued_bytes += waiting.message.weight();
        self.queue.push_back(waiting);
        if let Some(link) = &self.link {
            link.wake();
        }
    }

    /// Puts back a message that was read from the sessions file.
    pub(crate) fn restore(&mut self, number: u64, message: Message, share: Option<Share>) {
        let message = Arc::new(message);
        self.next_stored = self.next_stored.max(number + 1);
        self.queued_bytes += message.weight();
        self.queue.push_back(Outgoing {
            qos: QoS::AtLeastOnce,
            retain: message.retain,
            message,
            stored: Some(number),
            direct: false,
            share,
        });
    }

    /// The session as the sessions file keeps it.
    pub(crate) fn record(&self) -> SessionRecord {
        let subscription = |(filter, options): &(Box<str>, Options)| SubscriptionRecord {
            filter: filter.to_string(),
            qos: options.qos.bits(),
            retain_as_published: options.retain_as_published,
        };
        SessionRecord {
            version: self.version.level(),
            expiry: self.expiry.as_secs(),
            principal: self.principal,
            offline_since: self.offline_since,
            subscriptions: self.subscriptions.iter().map(subscription).collect(),
        }
    }

    /// The next message to send on `link`, with its packet id when it is to be acknowledged; `None` when
    /// nothing waits or the client has not acknowledged enough.
    pub(crate) fn next(&mut self, link: &Link) -> Option<(Option<PacketId>, Outgoing)> {
        if !self.belongs_to(link) {
            return None;
        }
        let acknowledged = self.queue.front()?.qos != QoS::AtMostOnce;
        if acknowledged && self.in_flight.len() >= self.window {
            return None;
        }
        let waiting = self.queue.pop_front()?;
        self.queued_bytes = self.queued_bytes.saturating_sub(waiting.message.weight());
        if self.queue.is_empty() && self.queue.capacity() > 64 {
            self.queue.shrink_to(16);
        }
        if !acknowledged {
            return Some((None, waiting));
        }
        let id = self.free_packet_id();
        self.in_flight.push_back((id, waiting.clone()));
        Some((Some(id), waiting))
    }

    fn free_packet_id(&mut self) -> PacketId {
        // The window is far smaller than the number of ids, so a free one is near.
        while self.in_flight.iter().any(|(id, _)| *id == self.next_packet) {
            self.next_packet = self.next_packet.next();
        }
        let id = self.next_packet;
        self.next_packet = id.next();
        id
    }

    /// The client has acknowledged a message: returns it, `None` when none was in flight with this id.
    pub(crate) fn acknowledge(&mut self, link: &Link, id: PacketId) -> Option<Outgoing> {
        if !self.belongs_to(link) {
            return None;
        }
        let index = self.in_flight.iter().position(|(own, _)| *own == id)?;
        self.in_flight.remove(index).map(|(_, waiting)| waiting)
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persistent() -> State {
        State::new(Version::V311, Duration::from_secs(60), CertificateId::of_der(b""))
    }

    fn outgoing(text: &str, qos: QoS) -> Outgoing {
        Outgoing {
            message: Arc::new(Message::internal(text.into(), "")),
            qos,
            retain: false,
            stored: None,
            direct: false,
            share: None,
        }
    }

    fn topics(state: &mut State, link: &Link) -> Vec<String> {
        std::iter::from_fn(|| state.next(link))
            .map(|(_, waiting)| waiting.message.topic.to_string())
            .collect()
    }

    #[test]
    fn the_window_bounds_what_is_in_flight_and_opens_with_each_acknowledgement() {
        let (mut state, link) = (persistent(), Link::new(1));
        state.attach(link.clone(), 2);
        for name in ["a", "b", "c"] {
            state.push(outgoing(name, QoS::AtLeastOnce));
        }
        let (first, _) = state.next(&link).unwrap();
        assert!(state.next(&link).is_some() && state.next(&link).is_none());
        assert!(state.acknowledge(&link, first.unwrap()).is_some());
        assert!(state.acknowledge(&link, first.unwrap()).is_none());
        assert_eq!(topics(&mut state, &link), ["c"]);
    }

    #[test]
    fn a_new_connection_gets_what_the_old_one_did_not_acknowledge_in_order() {
        let (mut state, old, new) = (persistent(), Link::new(1), Link::new(2));
        state.attach(old.clone(), 10);
        for name in ["a", "b", "c"] {
            state.push(outgoing(name, QoS::AtLeastOnce));
        }
        let (id, _) = state.next(&old).unwrap();
        let _ = state.next(&old);
        assert_eq!(state.attach(new.clone(), 10).map(|link| link.id), Some(1));
        assert!(state.acknowledge(&old, id.unwrap()).is_none(), "the old one has no say");
        assert!(!state.detach(&old, Timestamp::default()));
        assert_eq!(topics(&mut state, &new), ["a", "b", "c"]);
    }

    #[test]
    fn offline_keeps_qos_1_and_forgets_qos_0_and_direct_answers() {
        let (mut state, link) = (persistent(), Link::new(1));
        state.attach(link.clone(), 10);
        state.push(outgoing("kept", QoS::AtLeastOnce));
        state.push(outgoing("lost", QoS::AtMostOnce));
        state.push(Outgoing { direct: true, ..outgoing("direct", QoS::AtLeastOnce) });
        assert!(state.detach(&link, Timestamp::default()));
        assert_eq!(state.waiting(), 1);
        assert_eq!(state.room_for(QoS::AtMostOnce, 1, 9, 9999), Offered::Dropped);
        assert_eq!(state.room_for(QoS::AtLeastOnce, 1, 9, 9999), Offered::Queued);
    }

    #[test]
    fn a_full_queue_drops_or_disconnects_by_what_was_promised() {
        let link = Link::new(1);
        let mut kept = persistent();
        kept.attach(link.clone(), 10);
        assert_eq!(kept.room_for(QoS::AtMostOnce, 100, 99, 100), Offered::Dropped);
        assert_eq!(kept.room_for(QoS::AtLeastOnce, 100, 99, 100), Offered::Queued);
        assert_eq!(kept.room_for(QoS::AtLeastOnce, 101, 99, 100), Offered::Dropped);
        let mut clean = State::new(Version::V311, Duration::ZERO, CertificateId::of_der(b""));
        clean.attach(link, 10);
        assert_eq!(clean.room_for(QoS::AtLeastOnce, 100, 99, 100), Offered::Overflow);
    }

    #[test]
    fn a_session_expires_only_while_offline() {
        let (mut state, link) = (persistent(), Link::new(1));
        state.attach(link.clone(), 1);
        assert!(!state.is_expired(Timestamp::from_secs(1_000_000)));
        state.detach(&link, Timestamp::from_secs(100));
        assert!(!state.is_expired(Timestamp::from_secs(159)) && state.is_expired(Timestamp::from_secs(160)));
    }
}
