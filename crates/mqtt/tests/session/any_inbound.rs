//! Whatever happens to connections and however late a consumer is: every message reaches it, and none is
//! acknowledged to the broker that its consumer does not have.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_mqtt::session::{Ack, Event, Session, SessionConfig};
use fleetkey_mqtt::{Packet, PacketId, Publish, QoS, Version};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Op {
    /// The broker sends a message under an identifier that is free.
    Message(u16),
    /// The broker sends one again on the same connection, as AWS does.
    Again(usize),
    /// The consumer is done with one it was given.
    Consume(usize),
    /// The broker gets one PUBACK.
    Ack,
    Connect(Fate),
}

/// What the broker does with its session between two connections.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Resends under the same identifiers with DUP (MQTT-4.4.0-1).
    Kept,
    /// Resends under other identifiers without DUP.
    Renumbered,
    Lost,
}

fn op() -> impl Strategy<Value = Op> {
    let fate = prop_oneof![Just(Fate::Kept), Just(Fate::Renumbered), Just(Fate::Lost)];
    prop_oneof![
        5 => (1..6_u16).prop_map(Op::Message),
        1 => (0..4_usize).prop_map(Op::Again),
        5 => (0..6_usize).prop_map(Op::Consume),
        4 => Just(Op::Ack),
        1 => fate.prop_map(Op::Connect),
    ]
}

struct World {
    session: Session,
    sent: u64,
    /// The broker's unacknowledged messages by identifier.
    unacknowledged: BTreeMap<PacketId, u64>,
    /// What the consumer was given and is not done with.
    given: Vec<(u64, Ack)>,
    ever_given: BTreeSet<u64>,
    consumed: BTreeSet<u64>,
    lost: BTreeSet<u64>,
}

impl World {
    fn new() -> Self {
        let mut session = Session::new(SessionConfig::default());
        session.connected(Version::V311, false, 100);
        let none = BTreeSet::new();
        Self {
            session,
            sent: 0,
            unacknowledged: BTreeMap::new(),
            given: Vec::new(),
            ever_given: none.clone(),
            consumed: none.clone(),
            lost: none,
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Message(id) => {
                let id = PacketId::new(id).expect("not 0");
                if !self.unacknowledged.contains_key(&id) {
                    self.unacknowledged.insert(id, self.sent);
                    self.deliver(id, self.sent, false);
                    self.sent += 1;
                }
            }
            Op::Again(which) => {
                if let Some((id, number)) = self.unacknowledged.iter().nth(which).map(|(id, n)| (*id, *n)) {
                    self.deliver(id, number, false);
                }
            }
            Op::Consume(which) => self.consume(which),
            Op::Ack => self.ack(),
            Op::Connect(fate) => self.connect(fate),
        }
    }

    fn deliver(&mut self, id: PacketId, number: u64, dup: bool) {
        let publish = Publish {
            dup,
            qos: QoS::AtLeastOnce,
            packet_id: Some(id),
            ..Publish::new("t", number.to_string())
        };
        self.session.handle(Packet::Publish(publish)).expect("a message");
        while let Some(event) = self.session.poll_event() {
            let Event::Message(incoming) = event else { panic!("{event:?}") };
            assert_eq!(incoming.publish.payload, number.to_string());
            self.given.push((number, incoming.ack.expect("QoS 1 is acknowledged")));
            self.ever_given.insert(number);
        }
    }

    fn consume(&mut self, which: usize) {
        if which < self.given.len() {
            let (number, ack) = self.given.remove(which);
            self.consumed.insert(number);
            self.session.acknowledge(ack);
        }
    }

    fn ack(&mut self) {
        let Some(packet) = self.session.poll_transmit() else {
            return;
        };
        let Packet::PubAck(ack) = packet else { panic!("{packet:?}") };
        let number = self.unacknowledged.remove(&ack.packet_id).expect("the broker waits for it");
        assert!(self.consumed.contains(&number), "{number} is acknowledged before its consumer has it");
    }

    fn connect(&mut self, fate: Fate) {
        self.session.disconnected();
        self.session.connected(Version::V311, !matches!(fate, Fate::Lost), 100);
        let before = std::mem::take(&mut self.unacknowledged);
        match fate {
            Fate::Lost => self.lost.extend(before.into_values()),
            Fate::Kept => {
                self.unacknowledged = before.clone();
                before.into_iter().for_each(|(id, number)| self.deliver(id, number, true));
            }
            Fate::Renumbered => {
                for (id, number) in (1..).zip(before.into_values()) {
                    let id = PacketId::new(id).expect("not 0");
                    self.unacknowledged.insert(id, number);
                    self.deliver(id, number, false);
                }
            }
        }
    }

    fn finish(mut self) {
        self.step(Op::Connect(Fate::Kept));
        while !self.given.is_empty() {
            self.step(Op::Consume(0));
        }
        (0..self.sent).for_each(|_| self.step(Op::Ack));
        assert!(self.unacknowledged.is_empty(), "the broker waits for {:?}", self.unacknowledged);
        let missed: Vec<_> = (0..self.sent).filter(|number| !self.ever_given.contains(number)).collect();
        assert!(missed.is_empty(), "the consumer never got {missed:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_message_reaches_its_consumer_and_is_acknowledged_only_after(ops in vec(op(), 1..80)) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| world.step(op));
        world.finish();
    }
}
