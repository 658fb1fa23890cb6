//! Whatever happens to connections: an accepted message is answered exactly once and was sent at least once,
//! new messages arrive in their order, and the broker's window is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fleetkey_mqtt::session::{Event, Session, SessionConfig, Token};
use fleetkey_mqtt::{Packet, PacketId, PubAck, Publish, QoS, ReasonCode, Version};
use proptest::collection::vec;
use proptest::prelude::*;

use super::message;

const MAX_IN_FLIGHT: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Op {
    Publish(QoS),
    /// The client sends one packet.
    Send,
    /// The broker takes one packet.
    Arrive,
    /// The broker answers one message, not always the oldest.
    Answer(usize),
    /// The client takes one answer.
    Hear,
    Drop,
    Connect {
        keep_session: bool,
        window: u16,
    },
    Pause,
    Resume,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => prop_oneof![1 => Just(QoS::AtMostOnce), 4 => Just(QoS::AtLeastOnce)].prop_map(Op::Publish),
        6 => Just(Op::Send),
        5 => Just(Op::Arrive),
        4 => (0..4_usize).prop_map(Op::Answer),
        4 => Just(Op::Hear),
        1 => Just(Op::Drop),
        2 => (any::<bool>(), 1..5_u16).prop_map(|(keep_session, window)| Op::Connect { keep_session, window }),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
    ]
}

/// A client, a broker, and what is between them.
struct World {
    session: Session,
    connected: bool,
    window: usize,
    up: VecDeque<Publish>,
    down: VecDeque<PubAck>,
    /// What the broker took on the connection of the moment and did not answer.
    unanswered: Vec<(PacketId, u64)>,
    /// What it took on earlier connections of the same session and will not answer there any more.
    cut_off: BTreeMap<PacketId, u64>,
    accepted: BTreeMap<Token, (u64, QoS)>,
    /// What the broker took, each for the first time, in order.
    first_seen: Vec<u64>,
    answers: Vec<(Token, bool)>,
}

impl World {
    fn new() -> Self {
        let config =
            SessionConfig { max_in_flight: MAX_IN_FLIGHT, outbox_limit: 1000, ..SessionConfig::default() };
        Self {
            session: Session::new(config),
            connected: false,
            window: 1,
            up: VecDeque::new(),
            down: VecDeque::new(),
            unanswered: Vec::new(),
            cut_off: BTreeMap::new(),
            accepted: BTreeMap::new(),
            first_seen: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Publish(qos) => {
                let number = self.accepted.len() as u64;
                let token = self.session.publish(message(&number.to_string(), qos)).expect("room");
                self.accepted.insert(token, (number, qos));
            }
            Op::Send => self.send(),
            Op::Arrive => self.arrive(),
            Op::Answer(which) => self.answer(which),
            Op::Hear => {
                if let Some(ack) = self.down.pop_front() {
                    self.session.handle(Packet::PubAck(ack)).expect("an answer");
                }
            }
            Op::Drop => self.drop_connection(),
            Op::Connect { keep_session, window } => self.connect(keep_session, window),
            Op::Pause => self.session.pause(),
            Op::Resume => self.session.resume(),
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Delivered(token) => self.answers.push((token, true)),
                Event::Refused(token, _) => self.answers.push((token, false)),
                other => panic!("{other:?}"),
            }
        }
    }

    fn send(&mut self) {
        match self.session.poll_transmit() {
            None => {}
            Some(Packet::Publish(publish)) => {
                assert!(self.connected, "nothing is sent without a connection");
                self.up.push_back(publish);
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    fn arrive(&mut self) {
        let Some(publish) = self.up.pop_front() else {
            return;
        };
        let number = number(&publish);
        if let Some(id) = publish.packet_id {
            if let Some(before) = self.cut_off.remove(&id) {
                assert_eq!(before, number, "an identifier names one message as long as the session is kept");
                assert!(publish.dup, "what was sent before says so");
            }
            self.unanswered.push((id, number));
            assert!(self.unanswered.len() <= self.window.min(MAX_IN_FLIGHT), "the window is kept");
        }
        if !self.first_seen.contains(&number) {
            assert!(self.first_seen.last().is_none_or(|last| *last < number), "order is kept");
            self.first_seen.push(number);
        }
    }

    fn answer(&mut self, which: usize) {
        if !self.connected || which >= self.unanswered.len() {
            return;
        }
        let (id, number) = self.unanswered.remove(which);
        let reason = if refuses(number) { ReasonCode::NOT_AUTHORIZED } else { ReasonCode::SUCCESS };
        self.down.push_back(PubAck::with_reason(id, reason));
    }

    fn drop_connection(&mut self) {
        self.session.disconnected();
        self.connected = false;
        self.up.clear();
        self.down.clear();
        self.cut_off.extend(self.unanswered.drain(..));
    }

    fn connect(&mut self, keep_session: bool, window: u16) {
        self.drop_connection();
        if !keep_session {
            self.cut_off.clear();
        }
        self.session.connected(Version::V5, keep_session, window);
        self.connected = true;
        self.window = usize::from(window);
    }

    /// Lets everything finish and checks that each message had one end.
    fn finish(mut self, keep_session: bool) {
        self.step(Op::Connect { keep_session, window: 2 });
        self.step(Op::Resume);
        for _ in 0..4 * (self.accepted.len() + 1) {
            for op in [Op::Send, Op::Arrive, Op::Answer(0), Op::Hear] {
                self.step(op);
            }
        }
        assert_eq!((self.session.unacknowledged(), self.session.in_flight()), (0, 0));
        let answered: BTreeSet<_> = self.answers.iter().map(|(token, _)| *token).collect();
        assert_eq!(answered.len(), self.answers.len(), "no message ends twice");
        assert!(answered.iter().eq(self.accepted.keys()), "every message ends");
        for (token, delivered) in &self.answers {
            let (number, qos) = self.accepted[token];
            if qos == QoS::AtLeastOnce {
                assert_eq!(*delivered, !refuses(number));
                assert!(self.first_seen.contains(&number), "the broker has what was answered");
            }
        }
    }
}

fn number(publish: &Publish) -> u64 {
    std::str::from_utf8(&publish.payload).expect("a number").parse().expect("a number")
}

fn refuses(number: u64) -> bool {
    number % 5 == 4
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_message_is_answered_once_and_sent_at_least_once(ops in vec(op(), 1..150), keep_session: bool) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| world.step(op));
        world.finish(keep_session);
    }
}
