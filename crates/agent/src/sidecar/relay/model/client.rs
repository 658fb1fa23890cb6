//! A client that keeps to MQTT, and sends again what was not acknowledged when it connects again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fleetkey_mqtt::{
    Connect, Disconnect, Packet, PacketId, Properties, Property, PubAck, Publish, QoS, ReasonCode, Subscribe,
    SubscribeFilter, Unsubscribe, Version, Will,
};

use super::broker::number;

/// What sort of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Kind {
    pub(in super::super) version: Version,
    pub(in super::super) clean: bool,
    pub(in super::super) will: bool,
}

#[derive(Debug)]
struct Unacknowledged {
    id: PacketId,
    number: u32,
    qos: QoS,
    topic: String,
    /// QoS 2: PUBREC has come.
    received: bool,
}

#[derive(Debug)]
pub(in super::super) struct Client {
    pub(in super::super) kind: Kind,
    pub(in super::super) connected: bool,
    /// It waits for its CONNACK.
    asking: bool,
    unacknowledged: VecDeque<Unacknowledged>,
    asked: BTreeMap<PacketId, Vec<String>>,
    owed: VecDeque<PacketId>,
    /// What each identifier that it owes an answer to brought.
    holds: BTreeMap<PacketId, u32>,
    next: u16,
    pub(in super::super) wanted: BTreeSet<String>,
    pub(in super::super) granted: BTreeSet<String>,
    /// What it had asked for when it lost its connection.
    unsure: BTreeSet<String>,
    /// Every message that came, in order: topic, number, QoS.
    pub(in super::super) received: Vec<(String, u32, QoS)>,
    pub(in super::super) acknowledged: BTreeSet<u32>,
    /// What it was told that the broker has.
    pub(in super::super) confirmed: BTreeSet<u32>,
    pub(in super::super) published: Vec<(String, u32, QoS)>,
    pub(in super::super) refused: u32,
    pub(in super::super) said: Vec<ReasonCode>,
}

impl Client {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            connected: false,
            asking: false,
            unacknowledged: VecDeque::new(),
            asked: BTreeMap::new(),
            owed: VecDeque::new(),
            holds: BTreeMap::new(),
            next: 1,
            wanted: BTreeSet::new(),
            granted: BTreeSet::new(),
            unsure: BTreeSet::new(),
            received: Vec::new(),
            acknowledged: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            published: Vec::new(),
            refused: 0,
            said: Vec::new(),
        }
    }

    pub(super) fn connect(&mut self) -> Packet {
        self.connected = false;
        self.asking = true;
        let Kind { version, clean, will } = self.kind;
        let mut connect = Connect { clean_start: clean, ..Connect::new(version, "plc") };
        if version == Version::V5 && !clean {
            connect.properties = Properties::new().with(Property::SessionExpiryInterval(3600));
        }
        connect.will = will.then(|| Will {
            topic: "dead".into(),
            payload: "1".into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::new(),
        });
        Packet::Connect(Box::new(connect))
    }

    pub(super) fn publish(&mut self, topic: &str, number: u32, qos: QoS) -> Packet {
        self.published.push((topic.into(), number, qos));
        let mut publish = Publish { qos, ..Publish::new(topic, number.to_string()) };
        if qos != QoS::AtMostOnce {
            let id = self.id();
            publish.packet_id = Some(id);
            let topic = topic.to_owned();
            self.unacknowledged.push_back(Unacknowledged { id, number, qos, topic, received: false });
        }
        Packet::Publish(publish)
    }

    pub(super) fn subscribe(&mut self, filters: &[&str]) -> Packet {
        let packet_id = self.id();
        let names: Vec<String> = filters.iter().map(|one| (*one).to_owned()).collect();
        self.wanted.extend(names.iter().cloned());
        self.asked.insert(packet_id, names);
        let filters = filters.iter().map(|one| SubscribeFilter::new(*one, QoS::ExactlyOnce)).collect();
        Packet::Subscribe(Subscribe { packet_id, filters, properties: Properties::new() })
    }

    pub(super) fn unsubscribe(&mut self, filter: &str) -> Packet {
        let packet_id = self.id();
        self.wanted.remove(filter);
        self.asked.insert(packet_id, vec![filter.to_owned()]);
        Packet::Unsubscribe(Unsubscribe {
            packet_id,
            filters: vec![filter.into()],
            properties: Properties::new(),
        })
    }

    pub(super) fn disconnect(&mut self) -> Packet {
        self.gone();
        Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))
    }

    /// Acknowledges the oldest message that it has not.
    pub(super) fn acknowledge(&mut self) -> Option<Packet> {
        let id = self.owed.pop_front()?;
        self.acknowledged.insert(self.holds.remove(&id).unwrap());
        Some(Packet::PubAck(PubAck::new(id)))
    }

    pub(super) fn gone(&mut self) {
        self.connected = false;
        if std::mem::take(&mut self.asking) {
            // The answer may have been that its session is gone, which nobody will tell it again.
            self.unsure.append(&mut self.granted);
        }
        self.owed.clear();
        self.holds.clear();
        for filters in std::mem::take(&mut self.asked).into_values() {
            self.granted.retain(|one| !filters.contains(one));
            self.unsure.extend(filters);
        }
    }

    /// Whether everything it has sent was answered, and it has answered everything.
    pub(super) fn is_content(&self) -> bool {
        self.unacknowledged.is_empty() && self.asked.is_empty() && self.owed.is_empty()
    }

    /// What it says to a packet.
    pub(super) fn handle(&mut self, packet: Packet) -> Vec<Packet> {
        match packet {
            // It has said its last word.
            packet if !self.connected && !matches!(packet, Packet::ConnAck(_)) => vec![],
            Packet::ConnAck(ack) if ack.reason.is_error() => {
                self.refused += 1;
                self.asking = false;
                vec![]
            }
            Packet::ConnAck(ack) => self.accepted(ack.session_present),
            Packet::PubAck(ack) => {
                let done = self.take(ack.packet_id, QoS::AtLeastOnce);
                self.confirmed.insert(done.number);
                vec![]
            }
            Packet::PubRec(ack) => {
                let waiting = self.unacknowledged.iter_mut().find(|one| one.id == ack.packet_id).unwrap();
                waiting.received = true;
                self.confirmed.insert(waiting.number);
                vec![Packet::PubRel(PubAck::new(ack.packet_id))]
            }
            Packet::PubComp(ack) => {
                self.take(ack.packet_id, QoS::ExactlyOnce);
                vec![]
            }
            Packet::SubAck(ack) => {
                let filters = self.asked.remove(&ack.packet_id).expect("an answer to a SUBSCRIBE");
                self.granted.extend(filters);
                vec![]
            }
            Packet::UnsubAck(ack) => {
                let filters = self.asked.remove(&ack.packet_id).expect("an answer to an UNSUBSCRIBE");
                self.granted.retain(|one| !filters.contains(one));
                vec![]
            }
            Packet::Publish(publish) => {
                self.received.push((publish.topic.to_string(), number(&publish), publish.qos));
                if let Some(id) = publish.packet_id {
                    let known = self.holds.insert(id, number(&publish));
                    assert_eq!(known, None, "identifier {id} is owed already");
                    self.owed.push_back(id);
                }
                vec![]
            }
            Packet::Disconnect(disconnect) => {
                self.said.push(disconnect.reason);
                vec![]
            }
            Packet::PingResp => vec![],
            other => panic!("the client got {other:?}"),
        }
    }

    /// Sends again what was not acknowledged, and subscribes again where its session is gone.
    fn accepted(&mut self, session_present: bool) -> Vec<Packet> {
        self.connected = true;
        self.asking = false;
        assert!(!(session_present && self.kind.clean), "a clean client has no session");
        let mut packets = Vec::new();
        for one in &mut self.unacknowledged {
            one.received &= session_present;
            if one.received {
                packets.push(Packet::PubRel(PubAck::new(one.id)));
                continue;
            }
            let publish = Publish::new(one.topic.as_str(), one.number.to_string());
            let (dup, qos, packet_id) = (session_present, one.qos, Some(one.id));
            packets.push(Packet::Publish(Publish { dup, qos, packet_id, ..publish }));
        }
        if !session_present {
            self.granted.clear();
        }
        let missing: Vec<String> = self.wanted.difference(&self.granted).cloned().collect();
        for filter in missing {
            packets.push(self.subscribe(&[filter.as_str()]));
        }
        let unsure = std::mem::take(&mut self.unsure);
        let unwanted: BTreeSet<String> =
            self.granted.union(&unsure).filter(|one| !self.wanted.contains(*one)).cloned().collect();
        for filter in unwanted {
            packets.push(self.unsubscribe(&filter));
        }
        packets
    }

    fn take(&mut self, id: PacketId, qos: QoS) -> Unacknowledged {
        let place = self.unacknowledged.iter().position(|one| one.id == id && one.qos == qos);
        self.unacknowledged.remove(place.expect("an answer to a message that waits for one")).unwrap()
    }

    fn id(&mut self) -> PacketId {
        loop {
            let id = PacketId::new(self.next).unwrap();
            self.next = self.next % 40 + 1;
            if !self.unacknowledged.iter().any(|one| one.id == id) && !self.asked.contains_key(&id) {
                return id;
            }
        }
    }
}
