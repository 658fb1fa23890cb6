//! What goes up: packets that wait for a link, and those that wait for the broker's answer.
//!
//! Nothing is answered to the client before the broker has answered. Packet identifiers pass through unchanged where
//! they can; a table says which of the client's each of ours stands for. A link that is replaced forgets nothing: what is
//! unanswered goes out again, in its order and before anything newer, a message with DUP.
//!
//! What waits is bounded by its bytes and not by its number: a client that is not read cannot be heard to say PINGREQ
//! either, which stands behind its messages in the same stream. Small messages are therefore taken by the ten thousand.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytes::BytesMut;
use fleetkey_mqtt::{Limits, Packet, PacketId, PacketKind, Publish, QoS, Version, decode, encode};

use super::Token;

/// What a packet that waits costs beside its bytes on the wire, in bytes; an estimate, rounded up.
pub(super) const OVERHEAD: usize = 256;
/// What each property or filter in it costs.
const PART: usize = 64;

/// Whose packet it is that the broker answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The client's, under this identifier of its own.
    Client(PacketId),
    /// The client's QoS 2 message: up there it is QoS 1.
    Exactly(PacketId),
    /// The agent's own.
    Agent(Token),
}

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// QoS 0 messages: beyond it the oldest are dropped.
    pub(crate) quality_zero: usize,
    /// Bytes of memory: beyond it the oldest QoS 0 messages are dropped, and where there are none the client is read no
    /// further.
    pub(crate) bytes: usize,
}

/// A packet of the client that no link has taken yet.
#[derive(Debug)]
struct Waiting {
    packet: Packet,
    cost: usize,
}

/// A packet that the broker has not answered.
#[derive(Debug)]
struct Unanswered {
    id: PacketId,
    origin: Origin,
    packet: Packet,
    /// Whether the link of the moment has taken it.
    on_link: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Upward {
    limits: QueueLimits,
    /// What waits of the agent's own, before anything of the client's.
    agents: VecDeque<(Token, Publish)>,
    /// What waits of the client's, numbered as it came.
    waiting: BTreeMap<u64, Waiting>,
    /// Which of it is QoS 0.
    quality_zero: VecDeque<u64>,
    waiting_bytes: usize,
    last: u64,
    unanswered: VecDeque<Unanswered>,
    /// Identifiers of the client's packets that wait or are unanswered.
    busy: HashSet<PacketId>,
    /// QoS 0 messages that were given up for newer ones.
    pub(super) dropped: u64,
}

impl Upward {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            agents: VecDeque::new(),
            waiting: BTreeMap::new(),
            quality_zero: VecDeque::new(),
            waiting_bytes: 0,
            last: 0,
            unanswered: VecDeque::new(),
            busy: HashSet::new(),
            dropped: 0,
        }
    }

    /// Takes a packet of the client: PUBLISH, SUBSCRIBE or UNSUBSCRIBE.
    pub(super) fn push(&mut self, packet: Packet) {
        self.last += 1;
        self.busy.extend(packet_id(&packet));
        let quality_zero = is_quality_zero(&packet);
        let (packet, cost) = on_its_own(packet);
        self.waiting_bytes = self.waiting_bytes.saturating_add(cost);
        self.waiting.insert(self.last, Waiting { packet, cost });
        if quality_zero {
            self.quality_zero.push_back(self.last);
            while (self.quality_zero.len() > self.limits.quality_zero || !self.has_room())
                && self.drop_oldest()
            {}
        }
    }

    /// Takes a message of the agent's, before anything that waits of the client's.
    pub(super) fn push_agent(&mut self, token: Token, publish: Publish) {
        self.agents.push_back((token, publish));
    }

    /// Whether the client may be read further.
    pub(super) fn has_room(&self) -> bool {
        self.waiting_bytes <= self.limits.bytes
    }

    /// Whether half of the room is free again.
    pub(super) fn is_half_empty(&self) -> bool {
        self.waiting_bytes <= self.limits.bytes / 2
    }

    /// Whether a packet of the client under this identifier waits for a link or for its answer.
    pub(super) fn is_busy(&self, id: PacketId) -> bool {
        self.busy.contains(&id)
    }

    /// Whether everything has been given to the link of the moment.
    pub(super) fn is_flushed(&self) -> bool {
        self.depth().0 == 0 && self.unanswered.iter().all(|sent| sent.on_link)
    }

    /// How many answers the link of the moment owes.
    pub(super) fn in_flight(&self) -> usize {
        self.unanswered.iter().filter(|sent| sent.on_link).count()
    }

    /// How many packets wait for a link, and how many for an answer.
    pub(super) fn depth(&self) -> (usize, usize) {
        (self.waiting.len().saturating_add(self.agents.len()), self.unanswered.len())
    }

    /// The next packet for the link, in order: a message that is answered while fewer than `window` are on their way,
    /// any message while fewer than `room` are.
    pub(super) fn poll(&mut self, window: usize, room: usize) -> Option<Packet> {
        let under_way =
            self.unanswered.iter().filter(|sent| sent.on_link && is_message(&sent.packet)).count();
        let full = under_way >= window.min(room);
        if let Some(again) = self.unanswered.iter_mut().find(|sent| !sent.on_link) {
            if full && is_message(&again.packet) {
                return None;
            }
            again.on_link = true;
            return Some(repeated(&again.packet));
        }
        if !self.agents.is_empty() {
            let (token, publish) = if full { None } else { self.agents.pop_front() }?;
            return Some(self.agents(token, publish));
        }
        let first = &self.waiting.first_key_value()?.1.packet;
        if full && is_message(first) || under_way >= room && is_quality_zero(first) {
            return None;
        }
        let (number, Waiting { packet, cost }) = self.waiting.pop_first()?;
        self.quality_zero.pop_front_if(|oldest| *oldest == number);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(cost);
        Some(self.first_time(packet))
    }

    /// The broker has answered a packet of that kind: whose it was, and what it said.
    pub(super) fn answered(&mut self, kind: PacketKind, id: PacketId) -> Option<(Origin, Packet)> {
        let place = self.unanswered.iter().position(|sent| sent.id == id && sent.packet.kind() == kind)?;
        let sent = self.unanswered.remove(place)?;
        if let Some(own) = client_id(sent.origin) {
            self.busy.remove(&own);
        }
        Some((sent.origin, sent.packet))
    }

    /// The link of the moment is gone: what it has not answered is for the next. Messages of the agent are not; they
    /// are returned.
    pub(super) fn link_gone(&mut self) -> Vec<Token> {
        let mut given_up = Vec::new();
        self.unanswered.retain(|sent| !is_agents(sent.origin, &mut given_up));
        given_up.extend(self.agents.drain(..).map(|(token, _)| token));
        for sent in &mut self.unanswered {
            sent.on_link = false;
        }
        given_up
    }

    /// Forgets everything, because its client has gone.
    pub(super) fn clear(&mut self) -> Vec<Token> {
        let given_up = self.link_gone();
        self.waiting.clear();
        self.quality_zero.clear();
        self.unanswered.clear();
        self.busy.clear();
        self.waiting_bytes = 0;
        given_up
    }

    /// An identifier that no unanswered packet has.
    pub(super) fn free_id(&self, preferred: PacketId) -> PacketId {
        let mut id = preferred;
        while self.unanswered.iter().any(|sent| sent.id == id) {
            id = id.next();
        }
        id
    }

    /// Gives a packet its identifier up there, and notes it if it will be answered.
    fn first_time(&mut self, mut packet: Packet) -> Packet {
        let Some(own) = packet_id(&packet) else {
            return packet;
        };
        let exactly = matches!(&packet, Packet::Publish(publish) if publish.qos == QoS::ExactlyOnce);
        let origin = if exactly { Origin::Exactly(own) } else { Origin::Client(own) };
        let id = self.free_id(own);
        translate(&mut packet, id);
        self.unanswered.push_back(Unanswered { id, origin, packet: packet.clone(), on_link: true });
        packet
    }

    /// From the highest identifier on: clients count from the lowest.
    fn agents(&mut self, token: Token, mut publish: Publish) -> Packet {
        let id = self.free_id(PacketId::new(u16::MAX).unwrap_or(PacketId::FIRST));
        publish.packet_id = Some(id);
        let packet = Packet::Publish(publish);
        let origin = Origin::Agent(token);
        self.unanswered.push_back(Unanswered { id, origin, packet: packet.clone(), on_link: true });
        packet
    }

    /// Gives the oldest QoS 0 message up; whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let oldest = self.quality_zero.pop_front();
        let Some(waiting) = oldest.and_then(|number| self.waiting.remove(&number)) else {
            return false;
        };
        self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.cost);
        self.dropped += 1;
        true
    }
}

/// Whether the packet takes part in the broker's Receive Maximum.
fn is_message(packet: &Packet) -> bool {
    matches!(packet, Packet::Publish(publish) if publish.qos != QoS::AtMostOnce)
}

fn is_quality_zero(packet: &Packet) -> bool {
    matches!(packet, Packet::Publish(publish) if publish.qos == QoS::AtMostOnce)
}

fn is_agents(origin: Origin, found: &mut Vec<Token>) -> bool {
    match origin {
        Origin::Agent(token) => {
            found.push(token);
            true
        }
        Origin::Client(_) | Origin::Exactly(_) => false,
    }
}

fn client_id(origin: Origin) -> Option<PacketId> {
    match origin {
        Origin::Client(id) | Origin::Exactly(id) => Some(id),
        Origin::Agent(_) => None,
    }
}

fn packet_id(packet: &Packet) -> Option<PacketId> {
    match packet {
        Packet::Publish(publish) => publish.packet_id,
        Packet::Subscribe(subscribe) => Some(subscribe.packet_id),
        Packet::Unsubscribe(unsubscribe) => Some(unsubscribe.packet_id),
        _ => None,
    }
}

/// Up there is no QoS 2: AWS answers neither a message nor a filter of it (Developer Guide, mqtt).
fn translate(packet: &mut Packet, id: PacketId) {
    match packet {
        Packet::Publish(publish) => {
            publish.packet_id = Some(id);
            publish.qos = QoS::AtLeastOnce;
        }
        Packet::Subscribe(subscribe) => {
            subscribe.packet_id = id;
            for filter in &mut subscribe.filters {
                filter.qos = filter.qos.min(QoS::AtLeastOnce);
            }
        }
        Packet::Unsubscribe(unsubscribe) => unsubscribe.packet_id = id,
        _ => {}
    }
}

fn repeated(packet: &Packet) -> Packet {
    let mut packet = packet.clone();
    if let Packet::Publish(publish) = &mut packet {
        publish.dup = true;
    }
    packet
}

/// The same packet in memory of its own, and what it costs. As it was read it shares memory with whatever was read with
/// it, which would live as long as it waits.
fn on_its_own(packet: Packet) -> (Packet, usize) {
    let parts = match &packet {
        Packet::Publish(publish) => publish.properties.len(),
        Packet::Subscribe(subscribe) => subscribe.filters.len().saturating_add(subscribe.properties.len()),
        Packet::Unsubscribe(unsubscribe) => {
            unsubscribe.filters.len().saturating_add(unsubscribe.properties.len())
        }
        _ => 0,
    };
    let mut bytes = BytesMut::new();
    // MQTT 5 has a place for everything that MQTT 3.1.1 has.
    let written = encode(&packet, Version::V5, &mut bytes).is_ok();
    let cost = bytes.len().saturating_add(OVERHEAD).saturating_add(parts.saturating_mul(PART));
    let own = decode(&mut bytes, Version::V5, &Limits { max_packet: usize::MAX });
    match own {
        Ok(Some(own)) if written => (own, cost),
        // Whatever passes through was decoded before, so that it can be encoded.
        Ok(_) | Err(_) => (packet, cost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: usize = usize::MAX;
    const LIMITS: QueueLimits = QueueLimits { quality_zero: 3, bytes: 10_000 };

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn message(qos: QoS, number: u16) -> Packet {
        let packet_id = (qos != QoS::AtMostOnce).then(|| id(number));
        Packet::Publish(Publish { qos, packet_id, ..Publish::new("t", number.to_string()) })
    }

    fn publish(packet: Option<Packet>) -> Publish {
        match packet {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_unanswered_goes_out_again_in_order_and_before_anything_newer() {
        let mut upward = Upward::new(LIMITS);
        for number in [7, 3] {
            upward.push(message(QoS::AtLeastOnce, number));
            assert!(!publish(upward.poll(10, FREE)).dup);
        }
        upward.push(message(QoS::AtLeastOnce, 9));
        upward.link_gone();
        let again: Vec<_> =
            std::iter::from_fn(|| upward.poll(10, FREE)).map(|packet| publish(Some(packet))).collect();
        let seen: Vec<_> = again.iter().map(|one| (one.packet_id.unwrap().get(), one.dup)).collect();
        assert_eq!(seen, [(7, true), (3, true), (9, false)]);
    }

    #[test]
    fn the_window_holds_messages_back_in_their_order() {
        let mut upward = Upward::new(LIMITS);
        upward.push(message(QoS::AtLeastOnce, 1));
        upward.push(message(QoS::AtLeastOnce, 2));
        assert!(upward.poll(1, FREE).is_some());
        assert_eq!(upward.poll(1, FREE), None);
        assert!(upward.answered(PacketKind::Publish, id(1)).is_some());
        assert_eq!(publish(upward.poll(1, FREE)).packet_id, Some(id(2)));
    }

    #[test]
    fn where_there_is_no_room_messages_of_any_quality_wait_and_nothing_else_does() {
        let mut upward = Upward::new(LIMITS);
        upward.push(message(QoS::AtLeastOnce, 1));
        upward.push(message(QoS::AtMostOnce, 2));
        assert!(upward.poll(10, 1).is_some());
        assert_eq!((upward.poll(10, 1), upward.is_flushed()), (None, false));
        assert!(upward.answered(PacketKind::Publish, id(1)).is_some());
        assert_eq!(publish(upward.poll(10, 1)).payload, "2");
        upward.push(Packet::Unsubscribe(fleetkey_mqtt::Unsubscribe {
            packet_id: id(3),
            filters: vec!["a".into()],
            properties: fleetkey_mqtt::Properties::new(),
        }));
        assert!(upward.poll(10, 0).is_some());
    }

    #[test]
    fn of_quality_zero_the_oldest_makes_room_and_nothing_else_does() {
        let mut upward = Upward::new(LIMITS);
        upward.push(message(QoS::AtLeastOnce, 1));
        for number in 10..15 {
            upward.push(message(QoS::AtMostOnce, number));
        }
        assert_eq!(upward.dropped, 2);
        let order: Vec<_> = std::iter::from_fn(|| upward.poll(10, FREE))
            .map(|packet| publish(Some(packet)).payload)
            .collect();
        assert_eq!(order, ["1", "12", "13", "14"]);
        assert_eq!((upward.waiting_bytes, upward.quality_zero.len()), (0, 0));
    }

    #[test]
    fn the_client_is_read_until_the_bytes_are_full_however_many_messages_they_are() {
        let mut upward = Upward::new(LIMITS);
        upward.push(message(QoS::AtMostOnce, 1));
        let mut taken = 0;
        while upward.has_room() {
            taken += 1;
            upward.push(message(QoS::AtLeastOnce, taken));
        }
        assert!((30..40).contains(&taken), "{taken}");
        upward.push(message(QoS::AtLeastOnce, taken + 1));
        upward.push(message(QoS::AtLeastOnce, taken + 2));
        upward.push(message(QoS::AtMostOnce, 2));
        assert_eq!(upward.dropped, 2, "the oldest was not enough to make room for it");
        assert!(!upward.has_room() && !upward.is_half_empty());
        while upward.poll(usize::MAX, FREE).is_some() {}
        assert_eq!(upward.waiting_bytes, 0);
    }

    /// The number stands in docs/sidecar.md.
    #[test]
    fn eight_mebibytes_are_some_27_000_small_messages() {
        let mut upward = Upward::new(QueueLimits { quality_zero: 1, bytes: 8 << 20 });
        let mut taken = 0;
        while upward.has_room() {
            taken += 1;
            let message = Publish {
                packet_id: Some(id(taken)),
                ..Publish::new("device/dev-1/telemetry", "x".repeat(20))
            };
            upward.push(Packet::Publish(Publish { qos: QoS::AtLeastOnce, ..message }));
        }
        assert!((26_500..28_000).contains(&taken), "{taken}");
    }

    #[test]
    fn what_waits_keeps_nothing_alive_that_was_read_with_it() {
        let mut read = BytesMut::from(&[0; 100_000][..]).freeze();
        let payload = read.split_to(10);
        let (own, cost) = on_its_own(Packet::Publish(Publish::new("t", payload)));
        assert!(read.is_unique(), "nobody else holds the bytes it was read in");
        assert!(publish(Some(own)).payload.len() == 10 && cost < 2 * OVERHEAD);
    }

    #[test]
    fn an_identifier_that_the_agent_uses_is_not_used_twice() {
        let mut upward = Upward::new(LIMITS);
        upward.push_agent(Token(1), Publish { qos: QoS::AtLeastOnce, ..Publish::new("a", "x") });
        assert_eq!(publish(upward.poll(9, FREE)).packet_id, Some(id(65535)));
        upward.push(message(QoS::AtLeastOnce, 65535));
        assert_eq!(publish(upward.poll(9, FREE)).packet_id, Some(id(1)));
        let (origin, _) = upward.answered(PacketKind::Publish, id(1)).unwrap();
        assert_eq!(origin, Origin::Client(id(65535)));
        assert_eq!(upward.link_gone(), [Token(1)]);
        assert_eq!(upward.poll(9, FREE), None, "the agent's message is not sent again");
    }

    #[test]
    fn quality_two_is_one_up_there() {
        let mut upward = Upward::new(LIMITS);
        upward.push(message(QoS::ExactlyOnce, 5));
        assert_eq!(publish(upward.poll(9, FREE)).qos, QoS::AtLeastOnce);
        let answered = upward.answered(PacketKind::Publish, id(5));
        assert!(matches!(answered, Some((Origin::Exactly(own), _)) if own == id(5)));
    }
}
