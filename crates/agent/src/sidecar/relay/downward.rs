//! What comes down: messages for the client, and which of them the broker still waits to hear of.
//!
//! A message is acknowledged up there only after the client has. What the broker sends again on a new link is delivered
//! once: its identifier cannot have come to mean another message before we have acknowledged it. A client's
//! acknowledgement that finds no link is kept until the broker asks for it by sending the message again.
//!
//! A broker may send again under another identifier, and then nothing tells that the client has the message. So before a
//! change of links the client is given nothing new and its acknowledgements are waited for, and what it has not been given
//! is left to the broker to send again.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use fleetkey_mqtt::{PacketId, PubAck, Publish, QoS};

/// What becomes of a message that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It waits for the client, or is on its way there already.
    Taken,
    /// The client has had it: this is to be said to the broker.
    Answered(PubAck),
    /// More waits for the client than may.
    Overflow,
}

/// A QoS 1 message between its arrival and the moment the broker knows that the client has it.
#[derive(Debug)]
struct Delivery {
    /// Its identifier up there; `None` when the session that it came from is gone.
    upstream: Option<PacketId>,
    /// Its identifier on the client's side.
    local: PacketId,
    digest: u64,
    /// Whether the link of the moment has brought it (again).
    announced: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Behind others in the queue.
    Waiting,
    /// The client owes its acknowledgement.
    Owed,
    /// The client has acknowledged and the broker does not know.
    Untold(PubAck),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Downward {
    limit: usize,
    /// The client leaves unread what it is sent.
    pub(super) congested: bool,
    waiting: VecDeque<Publish>,
    /// What came at QoS 1 on a link that had been ended: the broker sends it again, unless it has lost the session.
    late: VecDeque<Publish>,
    deliveries: Vec<Delivery>,
    /// Messages that the broker sent again and the client did not get again.
    pub(super) swallowed: u64,
    /// QoS 0 messages that found the client's queue full.
    pub(super) dropped: u64,
}

impl Downward {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            congested: false,
            waiting: VecDeque::new(),
            late: VecDeque::new(),
            deliveries: Vec::new(),
            swallowed: 0,
            dropped: 0,
        }
    }

    /// A message has come, on a link that can be answered on or one that cannot any more.
    pub(super) fn arrive(&mut self, publish: Publish, on_link: bool) -> Arrival {
        let Some(id) = publish.packet_id.filter(|_| publish.qos != QoS::AtMostOnce) else {
            return self.arrive_once(publish);
        };
        let digest = digest(&publish);
        let known = self.deliveries.iter().position(|one| one.upstream == Some(id));
        if let Some(arrival) = known.and_then(|place| self.again(place, digest, on_link)) {
            return arrival;
        }
        if self.waiting.len().saturating_add(self.late.len()) >= self.limit {
            return Arrival::Overflow;
        }
        if on_link {
            self.take(publish, id, digest, Some(id));
        } else {
            self.late.push_back(publish);
        }
        Arrival::Taken
    }

    fn take(&mut self, mut publish: Publish, preferred: PacketId, digest: u64, upstream: Option<PacketId>) {
        let local = self.free_id(preferred);
        publish.packet_id = Some(local);
        self.deliveries.push(Delivery { upstream, local, digest, announced: true, stage: Stage::Waiting });
        self.waiting.push_back(publish);
    }

    /// Whether the client has acknowledged everything that it was given.
    pub(super) fn is_acknowledged(&self) -> bool {
        !self.deliveries.iter().any(|one| matches!(one.stage, Stage::Owed))
    }

    /// The next message for a client that takes `window` unacknowledged ones.
    pub(super) fn poll(&mut self, window: usize) -> Option<Publish> {
        let next = self.waiting.front()?;
        if let Some(local) = next.packet_id {
            let owed = self.deliveries.iter().filter(|one| matches!(one.stage, Stage::Owed)).count();
            if owed >= window {
                return None;
            }
            let delivery = self
                .deliveries
                .iter_mut()
                .find(|one| one.local == local && matches!(one.stage, Stage::Waiting));
            delivery.into_iter().for_each(|one| one.stage = Stage::Owed);
        }
        self.waiting.pop_front()
    }

    /// The client has acknowledged: what the broker is to be told now, if it can be.
    pub(super) fn acknowledged(&mut self, ack: PubAck, can_tell: bool) -> Option<PubAck> {
        let owed = |one: &Delivery| one.local == ack.packet_id && matches!(one.stage, Stage::Owed);
        let place = self.deliveries.iter().position(owed)?;
        let delivery = self.deliveries.get_mut(place)?;
        let Some(upstream) = delivery.upstream else {
            self.deliveries.remove(place);
            return None;
        };
        let told = PubAck { packet_id: upstream, ..ack };
        if can_tell && delivery.announced {
            self.deliveries.remove(place);
            return Some(told);
        }
        delivery.stage = Stage::Untold(told);
        None
    }

    /// Another link serves. With the session, the broker sends again what it has no answer to; without it the
    /// identifiers mean nothing any more. What a whole link has not asked for is not asked for any more.
    pub(super) fn link_changed(&mut self, session_present: bool) {
        let late = std::mem::take(&mut self.late);
        if session_present {
            self.leave_to_broker();
            self.deliveries.retain(|one| one.announced || !matches!(one.stage, Stage::Untold(_)));
        } else {
            self.deliveries.retain(|one| !matches!(one.stage, Stage::Untold(_)));
        }
        for delivery in &mut self.deliveries {
            delivery.announced = false;
            if !session_present {
                delivery.upstream = None;
            }
        }
        for publish in late.into_iter().filter(|_| !session_present) {
            if let Some(id) = publish.packet_id {
                let digest = digest(&publish);
                self.take(publish, id, digest, None);
            }
        }
    }

    /// Forgets what the client has not been given and the broker knows it has no answer to.
    fn leave_to_broker(&mut self) {
        let is_left = |one: &Delivery| one.upstream.is_some() && matches!(one.stage, Stage::Waiting);
        let left: Vec<_> = self.deliveries.iter().filter(|one| is_left(one)).map(|one| one.local).collect();
        self.deliveries.retain(|one| !is_left(one));
        self.waiting.retain(|one| one.packet_id.is_none_or(|id| !left.contains(&id)));
    }

    /// Forgets everything, because its client has gone.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.late.clear();
        self.deliveries.clear();
    }

    /// How many wait for the client, and how many acknowledgements are out.
    pub(super) fn depth(&self) -> (usize, usize) {
        (self.waiting.len().saturating_add(self.late.len()), self.deliveries.len())
    }

    fn arrive_once(&mut self, publish: Publish) -> Arrival {
        if self.congested || self.waiting.len() >= self.limit {
            self.dropped += 1;
        } else {
            self.waiting.push_back(publish);
        }
        Arrival::Taken
    }

    /// The identifier is known. `None`: it is another message all the same, which only a broker that has lost its
    /// session without saying so sends.
    fn again(&mut self, place: usize, digest: u64, on_link: bool) -> Option<Arrival> {
        let delivery = self.deliveries.get_mut(place)?;
        if delivery.digest != digest {
            match delivery.stage {
                Stage::Untold(_) => drop(self.deliveries.remove(place)),
                Stage::Waiting | Stage::Owed => delivery.upstream = None,
            }
            return None;
        }
        self.swallowed += 1;
        delivery.announced = on_link;
        if let (Stage::Untold(ack), true) = (&delivery.stage, on_link) {
            let ack = ack.clone();
            self.deliveries.remove(place);
            return Some(Arrival::Answered(ack));
        }
        Some(Arrival::Taken)
    }

    /// The same identifier if the client does not know it by another message.
    fn free_id(&self, preferred: PacketId) -> PacketId {
        let mut id = preferred;
        while self.deliveries.iter().any(|one| one.local == id && !matches!(one.stage, Stage::Untold(_))) {
            id = id.next();
        }
        id
    }
}

/// What tells two messages apart. Properties do not: the expiry is counted down between two sendings.
fn digest(publish: &Publish) -> u64 {
    let mut hasher = DefaultHasher::new();
    publish.topic.bytes().hash(&mut hasher);
    publish.payload.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn message(number: u16, payload: &'static str) -> Publish {
        let (qos, packet_id) = (QoS::AtLeastOnce, Some(id(number)));
        Publish { qos, packet_id, ..Publish::new("t", payload) }
    }

    fn delivered(downward: &mut Downward) -> Vec<(u16, bytes::Bytes)> {
        let each = std::iter::from_fn(|| downward.poll(10));
        each.map(|one| (one.packet_id.unwrap().get(), one.payload)).collect()
    }

    #[test]
    fn what_comes_again_while_the_client_owes_its_answer_is_not_delivered_again() {
        let mut downward = Downward::new(10);
        downward.arrive(message(5, "a"), true);
        assert_eq!(delivered(&mut downward).len(), 1);
        downward.link_changed(true);
        assert_eq!(downward.arrive(message(5, "a"), true), Arrival::Taken);
        assert_eq!(delivered(&mut downward), []);
        assert_eq!(downward.acknowledged(PubAck::new(id(5)), true), Some(PubAck::new(id(5))));
    }

    #[test]
    fn an_answer_that_found_no_link_is_given_when_the_broker_asks_again() {
        let mut downward = Downward::new(10);
        downward.arrive(message(5, "a"), true);
        delivered(&mut downward);
        assert_eq!(downward.acknowledged(PubAck::new(id(5)), false), None);
        downward.link_changed(true);
        assert_eq!(downward.arrive(message(5, "a"), true), Arrival::Answered(PubAck::new(id(5))));
        assert_eq!(downward.arrive(message(5, "a"), true), Arrival::Taken, "a new message by now");
        assert_eq!(delivered(&mut downward).len(), 1);
    }

    #[test]
    fn what_the_client_has_not_been_given_is_left_to_the_broker_unless_that_has_lost_it() {
        for session_present in [true, false] {
            let mut downward = Downward::new(10);
            downward.arrive(message(5, "waits"), true);
            downward.arrive(message(6, "late"), false);
            downward.link_changed(session_present);
            let kept = delivered(&mut downward);
            let all = [(5, "waits".into()), (6, "late".into())];
            assert_eq!(kept, if session_present { &[][..] } else { &all[..] });
            downward.arrive(message(1, "waits"), true);
            assert_eq!(delivered(&mut downward), [(1, "waits".into())], "under whatever identifier");
        }
    }

    #[test]
    fn an_answer_that_a_whole_link_has_not_asked_for_is_forgotten() {
        let mut downward = Downward::new(10);
        downward.arrive(message(5, "a"), true);
        delivered(&mut downward);
        downward.acknowledged(PubAck::new(id(5)), false);
        downward.link_changed(true);
        assert_eq!(downward.depth(), (0, 1));
        downward.link_changed(true);
        assert_eq!(downward.depth(), (0, 0));
    }

    #[test]
    fn the_broker_is_told_nothing_of_a_message_that_its_session_has_lost() {
        let mut downward = Downward::new(10);
        downward.arrive(message(5, "old"), true);
        assert_eq!(delivered(&mut downward), [(5, "old".into())]);
        downward.link_changed(false);
        downward.arrive(message(5, "new"), true);
        assert_eq!(delivered(&mut downward), [(6, "new".into())], "the client knows 5 by the old message");
        assert_eq!(downward.acknowledged(PubAck::new(id(5)), true), None);
        assert_eq!(downward.acknowledged(PubAck::new(id(6)), true), Some(PubAck::new(id(5))));
    }

    #[test]
    fn a_client_gets_no_more_at_once_than_it_takes_and_nothing_overtakes() {
        let mut downward = Downward::new(3);
        downward.arrive(message(1, "a"), true);
        downward.arrive(message(2, "b"), true);
        downward.arrive(Publish::new("t", "c"), true);
        assert!(downward.poll(1).is_some());
        assert_eq!(downward.poll(1), None);
        downward.acknowledged(PubAck::new(id(1)), true);
        let rest: Vec<_> = std::iter::from_fn(|| downward.poll(1)).map(|one| one.payload).collect();
        assert_eq!(rest, ["b", "c"]);
    }

    #[test]
    fn what_is_too_much_is_dropped_at_quality_zero_and_told_at_quality_one() {
        let mut downward = Downward::new(1);
        downward.arrive(message(1, "a"), true);
        assert_eq!(downward.arrive(Publish::new("t", "b"), true), Arrival::Taken);
        assert_eq!(downward.dropped, 1);
        assert_eq!(downward.arrive(message(2, "c"), true), Arrival::Overflow);
    }
}
