//! A broker with one session, as MQTT has it; whether that survives a change of identity is a switch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fleetkey_lifecycle::SlotId;
use fleetkey_mqtt::{
    ConnAck, Connect, Packet, PacketId, Properties, PubAck, Publish, QoS, ReasonCode, SubAck, UnsubAck,
    Version, Will,
};

use crate::sidecar::relay::LinkId;

/// What a message is known by: its number is its payload.
pub(super) fn number(publish: &Publish) -> u32 {
    std::str::from_utf8(&publish.payload).unwrap().parse().unwrap()
}

#[derive(Debug, Default)]
struct Session {
    filters: BTreeMap<String, QoS>,
    in_flight: Vec<(PacketId, Publish)>,
    queue: VecDeque<Publish>,
    next: u16,
    /// Ends with its connection.
    ends: bool,
    slot: Option<SlotId>,
}

#[derive(Debug)]
struct Connection {
    link: LinkId,
    version: Version,
    will: Option<Will>,
}

/// What the relay sees of a link: packets, then perhaps its end.
pub(in super::super) type Out = Vec<(LinkId, Option<Packet>)>;

#[derive(Debug)]
pub(in super::super) struct Broker {
    pub(in super::super) survives: bool,
    /// Identities that are refused at CONNACK.
    pub(in super::super) refused: BTreeSet<SlotId>,
    /// So many CONNECTs more it has no time for, whoever asks.
    pub(in super::super) throttles: u32,
    /// Refuse by closing, as AWS does.
    pub(in super::super) closes: bool,
    /// Unacknowledged messages to the client at once.
    pub(in super::super) window: usize,
    /// Every message that came, in order: topic, number, QoS.
    pub(in super::super) received: Vec<(String, u32, QoS)>,
    /// Which were acknowledged.
    pub(in super::super) acknowledged: BTreeSet<u32>,
    /// What the client must get, because the session holds it or has held it until the client had it.
    pub(in super::super) owed: BTreeSet<u32>,
    /// Which the client has acknowledged, as the broker knows it.
    pub(in super::super) answered: BTreeSet<u32>,
    pub(in super::super) wills: u32,
    pub(in super::super) takeovers: u32,
    pub(in super::super) sessions_lost: u32,
    /// Identifiers that come back soonest, so that reuse is met often.
    pub(in super::super) lowest_id: bool,
    /// What is sent again has another identifier, and no DUP.
    pub(in super::super) renumbers: bool,
    /// What its CONNACK says of what it takes.
    pub(in super::super) offers: Properties,
    session: Option<Session>,
    connection: Option<Connection>,
}

impl Broker {
    pub(super) fn new(survives: bool) -> Self {
        Self {
            survives,
            refused: BTreeSet::new(),
            throttles: 0,
            closes: false,
            window: 10,
            received: Vec::new(),
            acknowledged: BTreeSet::new(),
            owed: BTreeSet::new(),
            answered: BTreeSet::new(),
            wills: 0,
            takeovers: 0,
            sessions_lost: 0,
            lowest_id: false,
            renumbers: false,
            offers: Properties::new(),
            session: None,
            connection: None,
        }
    }

    pub(in super::super) fn filters(&self) -> Vec<String> {
        self.session.iter().flat_map(|session| session.filters.keys().cloned()).collect()
    }

    /// Whether a session is held without anybody being connected to it.
    pub(in super::super) fn holds_a_session(&self) -> bool {
        self.session.is_some() && self.connection.is_none()
    }

    pub(in super::super) fn serves(&self, link: LinkId) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.link == link)
    }

    pub(super) fn connect(&mut self, link: LinkId, slot: SlotId, connect: &Connect) -> Out {
        let throttled = self.throttles > 0;
        self.throttles -= u32::from(throttled);
        if throttled || self.refused.contains(&slot) {
            let reason = if throttled { ReasonCode::QUOTA_EXCEEDED } else { ReasonCode::NOT_AUTHORIZED };
            let refusal = (!self.closes).then(|| Packet::ConnAck(ConnAck::refused(reason)));
            return refusal.into_iter().map(|packet| (link, Some(packet))).chain([(link, None)]).collect();
        }
        let mut out = Out::new();
        if let Some(before) = self.connection.as_ref().map(|connection| connection.link) {
            self.takeovers += 1;
            self.lose(before);
            out.push((before, None));
        }
        let changed = self.session.as_ref().is_some_and(|session| session.slot != Some(slot));
        if connect.clean_start || (changed && !self.survives) {
            self.drop_session();
        }
        let session_present = self.session.is_some();
        let session = self.session.get_or_insert_with(Session::default);
        session.slot = Some(slot);
        session.ends = match connect.version {
            Version::V311 => connect.clean_start,
            Version::V5 => connect.properties.session_expiry().unwrap_or_default() == 0,
        };
        self.connection = Some(Connection { link, version: connect.version, will: connect.will.clone() });
        let properties = self.offers.clone();
        let accepted = ConnAck { session_present, reason: ReasonCode::SUCCESS, properties };
        out.push((link, Some(Packet::ConnAck(accepted))));
        out.extend(self.again(link));
        out.extend(self.flush());
        out
    }

    pub(super) fn handle(&mut self, link: LinkId, packet: Packet) -> Out {
        if !self.serves(link) {
            return Out::new();
        }
        let answer = |packet| vec![(link, Some(packet))];
        match packet {
            Packet::Publish(publish) => {
                assert!(publish.qos != QoS::ExactlyOnce, "QoS 2 never goes up");
                self.received.push((publish.topic.to_string(), number(&publish), publish.qos));
                match publish.packet_id {
                    Some(id) => {
                        self.acknowledged.insert(number(&publish));
                        answer(Packet::PubAck(PubAck::new(id)))
                    }
                    None => Out::new(),
                }
            }
            Packet::Subscribe(subscribe) => {
                assert!(subscribe.filters.len() <= 8);
                let session = self.session.as_mut().unwrap();
                for filter in &subscribe.filters {
                    assert!(filter.qos != QoS::ExactlyOnce);
                    session.filters.insert(filter.filter.to_string(), filter.qos);
                }
                let reasons = subscribe.filters.iter().map(|filter| ReasonCode(filter.qos.bits())).collect();
                let (packet_id, properties) = (subscribe.packet_id, Properties::new());
                answer(Packet::SubAck(SubAck { packet_id, reasons, properties }))
            }
            Packet::Unsubscribe(unsubscribe) => {
                let session = self.session.as_mut().unwrap();
                for filter in &unsubscribe.filters {
                    session.filters.remove(filter.as_str());
                }
                let reasons = match self.connection.as_ref().unwrap().version {
                    Version::V311 => vec![],
                    Version::V5 => vec![ReasonCode::SUCCESS; unsubscribe.filters.len()],
                };
                let (packet_id, properties) = (unsubscribe.packet_id, Properties::new());
                answer(Packet::UnsubAck(UnsubAck { packet_id, reasons, properties }))
            }
            Packet::PubAck(ack) => {
                let session = self.session.as_mut().unwrap();
                if let Some(place) = session.in_flight.iter().position(|(id, _)| *id == ack.packet_id) {
                    let (_, publish) = session.in_flight.remove(place);
                    self.answered.insert(number(&publish));
                }
                self.flush()
            }
            Packet::PingReq => answer(Packet::PingResp),
            Packet::Disconnect(disconnect) => {
                if disconnect.properties.session_expiry() == Some(0) {
                    self.session.as_mut().unwrap().ends = true;
                }
                self.connection.as_mut().unwrap().will = None;
                self.lose(link);
                vec![(link, None)]
            }
            other => panic!("the broker got {other:?}"),
        }
    }

    /// The connection is gone; without a DISCONNECT before it, the will is published.
    pub(super) fn lose(&mut self, link: LinkId) {
        if !self.serves(link) {
            return;
        }
        let connection = self.connection.take().unwrap();
        self.wills += u32::from(connection.will.is_some());
        if self.session.as_ref().is_some_and(|session| session.ends) {
            self.drop_session();
        }
    }

    /// Somebody publishes to the device.
    pub(super) fn publish(&mut self, topic: &str, number: u32, qos: QoS) -> Out {
        let Some(session) = &mut self.session else { return Out::new() };
        let Some(granted) = session.filters.get(topic) else { return Out::new() };
        let qos = qos.min(*granted);
        let publish = Publish { qos, ..Publish::new(topic, number.to_string()) };
        if qos == QoS::AtMostOnce {
            let connected = self.connection.as_ref().map(|connection| connection.link);
            return connected.map(|link| (link, Some(Packet::Publish(publish)))).into_iter().collect();
        }
        session.queue.push_back(publish);
        self.owed.insert(number);
        self.flush()
    }

    fn again(&mut self, link: LinkId) -> Out {
        let session = self.session.as_mut().unwrap();
        if self.renumbers {
            for (_, publish) in session.in_flight.drain(..).rev() {
                session.queue.push_front(publish);
            }
        }
        let again = session
            .in_flight
            .iter()
            .map(|(_, publish)| (link, Some(Packet::Publish(Publish { dup: true, ..publish.clone() }))));
        again.collect()
    }

    fn flush(&mut self) -> Out {
        let mut out = Out::new();
        let (Some(session), Some(connection)) = (&mut self.session, &self.connection) else { return out };
        while session.in_flight.len() < self.window {
            let Some(mut publish) = session.queue.pop_front() else { break };
            let free = |id: &u16| !session.in_flight.iter().any(|(used, _)| used.get() == *id);
            let from = if self.lowest_id { 1 } else { session.next + 1 };
            let id = (from..).find(free).unwrap();
            session.next = id;
            let id = PacketId::new(id).unwrap();
            publish.packet_id = Some(id);
            session.in_flight.push((id, publish.clone()));
            out.push((connection.link, Some(Packet::Publish(publish))));
        }
        out
    }

    fn drop_session(&mut self) {
        if let Some(session) = self.session.take() {
            self.sessions_lost += 1;
            let lost = session.in_flight.iter().map(|(_, publish)| publish).chain(&session.queue);
            for publish in lost {
                self.owed.remove(&number(publish));
            }
        }
    }
}
