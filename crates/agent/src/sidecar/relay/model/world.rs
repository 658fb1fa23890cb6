//! The wires, the clock, and what must hold at every moment and in the end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::event::Tier;
use fleetkey_mqtt::{Connect, Disconnect, Packet, QoS, ReasonCode};

use super::{Broker, Client, Kind};
use crate::sidecar::relay::testing::settings;
use crate::sidecar::relay::upward::OVERHEAD;
use crate::sidecar::relay::{Action, Input, LinkId, LocalId, Loss, Relay, Report, Time};
use crate::tls::Failure;

#[derive(Debug)]
struct Wire {
    slot: SlotId,
    to_broker: VecDeque<Packet>,
    /// `None` is the end.
    to_relay: VecDeque<Option<Packet>>,
    /// The relay has closed it: what is on it still arrives, then the end.
    closing: bool,
}

pub(in super::super) struct World {
    pub(in super::super) relay: Relay,
    pub(in super::super) broker: Broker,
    pub(in super::super) client: Client,
    pub(in super::super) now: Time,
    pub(in super::super) reports: Vec<Report>,
    /// What the relay was told and did, for whoever looks for an error.
    pub(in super::super) trace: Vec<String>,
    /// Faults that were brought about: links cut, dials failed, identities refused.
    pub(in super::super) faults: u32,
    pub(in super::super) cuts: u32,
    pub(in super::super) deaths: u32,
    /// Deaths of a client that knew that it was connected.
    pub(in super::super) missed: u32,
    pub(in super::super) closed_by_relay: u32,
    dials: VecDeque<(LinkId, SlotId)>,
    links: BTreeMap<LinkId, Wire>,
    local: Option<LocalId>,
    from_client: VecDeque<Packet>,
    to_client: VecDeque<Packet>,
    locals: u64,
    numbers: u32,
    connects: Vec<Time>,
}

impl World {
    pub(in super::super) fn new(kind: Kind, survives: bool) -> Self {
        let mut world = Self::without_identity(kind);
        world.broker.survives = survives;
        world.tell(Input::Identity(SlotId(1)));
        world
    }

    pub(in super::super) fn without_identity(kind: Kind) -> Self {
        Self {
            relay: Relay::new(settings(), 7),
            broker: Broker::new(true),
            client: Client::new(kind),
            now: Time::ZERO,
            reports: Vec::new(),
            trace: Vec::new(),
            faults: 0,
            cuts: 0,
            deaths: 0,
            missed: 0,
            closed_by_relay: 0,
            dials: VecDeque::new(),
            links: BTreeMap::new(),
            local: None,
            from_client: VecDeque::new(),
            to_client: VecDeque::new(),
            locals: 0,
            numbers: 0,
            connects: Vec::new(),
        }
    }

    pub(in super::super) fn tell(&mut self, input: Input) {
        self.trace.push(format!("{:?} {input:?}", self.now));
        self.relay.handle(self.now, input);
        while let Some(action) = self.relay.poll() {
            self.trace.push(format!("    {action:?}"));
            self.act(action);
        }
        let waiting = self.relay.snapshot().waiting_up;
        let most = settings().queue.bytes / OVERHEAD + 1;
        assert!(waiting <= most, "{waiting} packets wait");
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dial(link, slot) => self.dials.push_back((link, slot)),
            Action::Send(link, packet) => {
                if matches!(packet, Packet::Connect(_)) {
                    let last = self.connects.last().copied();
                    let spaced = last.is_none_or(|last| self.now - last >= Duration::from_secs(1));
                    assert!(spaced, "two CONNECTs within a second, at {:?}", self.now);
                    self.connects.push(self.now);
                }
                let wire = self.links.get_mut(&link).expect("a link that is there");
                assert!(!wire.closing);
                wire.to_broker.push_back(packet);
            }
            Action::Close(link) => {
                self.dials.retain(|(dialed, _)| *dialed != link);
                if let Some(wire) = self.links.get_mut(&link) {
                    wire.closing = true;
                    wire.to_relay.clear();
                }
            }
            Action::ToClient(local, packet) if self.local == Some(local) => self.to_client.push_back(packet),
            Action::CloseClient(local) if self.local == Some(local) => {
                // What was sent before still arrives.
                while self.client_hears() {}
                self.closed_by_relay += u32::from(self.client.connected);
                self.local = None;
                self.from_client.clear();
                self.client.gone();
            }
            Action::ToClient(..) | Action::CloseClient(_) => {}
            Action::Report(report) => self.reports.push(report),
        }
    }

    // What the client does.

    pub(in super::super) fn connect(&mut self) {
        if self.local.is_some() {
            return;
        }
        self.locals += 1;
        let local = LocalId(self.locals);
        self.local = Some(local);
        let Packet::Connect(connect) = self.client.connect() else { unreachable!() };
        self.tell(Input::Connect(local, connect));
    }

    pub(in super::super) fn connect_with(&mut self, connect: Connect) {
        self.locals += 1;
        let local = LocalId(self.locals);
        self.local = Some(local);
        self.client.connect();
        self.tell(Input::Connect(local, Box::new(connect)));
    }

    pub(in super::super) fn local(&self) -> LocalId {
        self.local.unwrap()
    }

    /// The relay is another, which remembers nothing; the client's connection and all links are gone.
    pub(in super::super) fn restart(&mut self) {
        self.relay = Relay::new(settings(), 8);
        self.local = None;
        self.from_client.clear();
        self.to_client.clear();
        self.client.gone();
        self.dials.clear();
        for link in std::mem::take(&mut self.links).into_keys() {
            self.cuts += 1;
            self.broker.lose(link);
        }
        self.faults += 1;
        self.tell(Input::Identity(SlotId(1)));
    }

    /// The broker says DISCONNECT on the link that serves, and closes it.
    pub(in super::super) fn farewell(&mut self, reason: ReasonCode) {
        let open: Vec<_> = self.links.keys().copied().filter(|link| self.broker.serves(*link)).collect();
        for link in open {
            self.tell(Input::Upstream(link, Packet::Disconnect(Disconnect::new(reason))));
        }
    }

    pub(in super::super) fn publish(&mut self, topic: &str, qos: QoS) {
        if self.client.connected {
            self.numbers += 1;
            let packet = self.client.publish(topic, self.numbers, qos);
            self.from_client.push_back(packet);
        }
    }

    pub(in super::super) fn subscribe(&mut self, filters: &[&str]) {
        if self.client.connected {
            let packet = self.client.subscribe(filters);
            self.from_client.push_back(packet);
        }
    }

    pub(in super::super) fn unsubscribe(&mut self, filter: &str) {
        if self.client.connected && self.client.granted.contains(filter) {
            let packet = self.client.unsubscribe(filter);
            self.from_client.push_back(packet);
        }
    }

    pub(in super::super) fn acknowledge(&mut self) -> bool {
        let ack = self.client.acknowledge();
        let acknowledged = ack.is_some();
        self.from_client.extend(ack);
        acknowledged
    }

    pub(in super::super) fn ping(&mut self) {
        if self.client.connected {
            self.from_client.push_back(Packet::PingReq);
        }
    }

    pub(in super::super) fn disconnect(&mut self) {
        if self.client.connected {
            let packet = self.client.disconnect();
            self.from_client.push_back(packet);
        }
    }

    pub(in super::super) fn die(&mut self) {
        if let Some(local) = self.local.take() {
            self.deaths += 1;
            self.missed += u32::from(self.client.connected);
            self.from_client.clear();
            self.to_client.clear();
            self.client.gone();
            self.tell(Input::ClientGone(local));
        }
    }

    // What the network and the broker do.

    pub(in super::super) fn client_is_heard(&mut self) -> bool {
        let (Some(local), true) = (self.local, self.relay.wants_client()) else { return false };
        let Some(packet) = self.from_client.pop_front() else { return false };
        self.tell(Input::Client(local, packet));
        true
    }

    pub(in super::super) fn client_hears(&mut self) -> bool {
        let Some(packet) = self.to_client.pop_front() else { return false };
        let before = self.client.confirmed.clone();
        let answers = self.client.handle(packet);
        self.from_client.extend(answers);
        let early: Vec<_> = self.client.confirmed.difference(&before).cloned().collect();
        for number in early {
            assert!(
                self.broker.acknowledged.contains(&number),
                "{number} was acknowledged before the broker had"
            );
        }
        true
    }

    /// The `which`th link brings the broker a packet.
    pub(in super::super) fn broker_hears(&mut self, which: usize) -> bool {
        let busy: Vec<_> = self
            .links
            .iter()
            .filter(|(_, wire)| !wire.to_broker.is_empty() || wire.closing)
            .map(|(id, _)| *id)
            .collect();
        if busy.is_empty() {
            return false;
        }
        let link = busy[which % busy.len()];
        let wire = self.links.get_mut(&link).unwrap();
        let slot = wire.slot;
        let out = match wire.to_broker.pop_front() {
            Some(Packet::Connect(connect)) => self.broker.connect(link, slot, &connect),
            Some(packet) => self.broker.handle(link, packet),
            None => {
                self.broker.lose(link);
                self.links.remove(&link);
                return true;
            }
        };
        self.bring(out);
        let early = self.broker.answered.difference(&self.client.acknowledged).next();
        assert_eq!(early, None, "the broker was told before the client had it");
        true
    }

    /// The `which`th link brings the relay a packet, or its end.
    pub(in super::super) fn relay_hears(&mut self, which: usize) -> bool {
        let busy: Vec<_> =
            self.links.iter().filter(|(_, wire)| !wire.to_relay.is_empty()).map(|(id, _)| *id).collect();
        if busy.is_empty() {
            return false;
        }
        let link = busy[which % busy.len()];
        let input = match self.links.get_mut(&link).unwrap().to_relay.pop_front().unwrap() {
            Some(packet) => Input::Upstream(link, packet),
            None => {
                self.links.remove(&link);
                Input::LinkGone(link, Loss::Closed)
            }
        };
        self.tell(input);
        true
    }

    pub(in super::super) fn dialed(&mut self, works: bool) -> bool {
        let Some((link, slot)) = self.dials.pop_front() else { return false };
        if works {
            let wire = Wire { slot, to_broker: VecDeque::new(), to_relay: VecDeque::new(), closing: false };
            self.links.insert(link, wire);
            self.tell(Input::Dialed(link));
        } else {
            self.faults += 1;
            self.tell(Input::NotDialed(link, Failure::unreachable(Tier::Tls, "no route")));
        }
        true
    }

    /// The `which`th link breaks: what is on it is lost.
    pub(in super::super) fn cut(&mut self, which: usize) {
        let open: Vec<_> = self.links.iter().filter(|(_, wire)| !wire.closing).map(|(id, _)| *id).collect();
        if open.is_empty() {
            return;
        }
        let link = open[which % open.len()];
        self.links.remove(&link);
        self.faults += 1;
        self.cuts += 1;
        self.broker.lose(link);
        self.tell(Input::LinkGone(link, Loss::Broken("cut".into())));
    }

    pub(in super::super) fn command(&mut self, topic: &str, qos: QoS) {
        self.numbers += 1;
        let out = self.broker.publish(topic, self.numbers, qos);
        self.bring(out);
    }

    pub(in super::super) fn refuse(&mut self, slot: SlotId) {
        self.faults += 1;
        self.broker.refused.insert(slot);
    }

    pub(in super::super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.tell(Input::Tick);
    }

    /// Time passes to where the relay has something to do; whether there is such a time.
    pub(in super::super) fn pass_to_deadline(&mut self) -> bool {
        let Some(at) = self.relay.deadline() else { return false };
        assert!(at > self.now, "a deadline that is over and nothing was done: {at:?} of {:?}", self.relay);
        self.now = at;
        self.tell(Input::Tick);
        true
    }

    /// Everything that is on its way arrives; no time passes.
    pub(in super::super) fn arrive(&mut self) {
        while self.dialed(true)
            || self.broker_hears(0)
            || self.relay_hears(0)
            || self.client_hears()
            || self.client_is_heard()
        {}
    }

    /// Everything that is on its way arrives, the client acknowledges everything, and time passes until a client that
    /// wants to be connected is, and nothing is left to do.
    pub(in super::super) fn come_to_rest(&mut self) {
        for _ in 0..2_000 {
            self.arrive();
            if self.acknowledge() {
                continue;
            }
            if self.local.is_none() {
                self.connect();
                continue;
            }
            let snapshot = self.relay.snapshot();
            let idle =
                snapshot.held_since.is_none() && snapshot.unanswered_up == 0 && snapshot.waiting_up == 0;
            if self.client.connected && self.client.is_content() && idle && self.dials.is_empty() {
                return;
            }
            assert!(self.pass_to_deadline(), "stuck: {:?}", self.relay);
        }
        panic!("no rest: {:?}", self.relay);
    }

    fn bring(&mut self, out: super::broker::Out) {
        for (link, packet) in out {
            if let Some(wire) = self.links.get_mut(&link).filter(|wire| !wire.closing) {
                wire.to_relay.push_back(packet);
            }
        }
    }

    // What must hold in the end.

    pub(in super::super) fn judge(&self) {
        self.nothing_is_lost();
        self.quality_zero_comes_once();
        self.order_is_kept();
        let filters: BTreeSet<_> = self.broker.filters().into_iter().collect();
        assert_eq!(
            filters, self.client.granted,
            "the broker's subscriptions are not what the client believes"
        );
        assert!(self.broker.wills <= self.deaths + self.cuts, "a will without a death");
        if self.faults == 0 {
            assert_eq!(self.closed_by_relay, 0, "{:?}", self.reports);
            assert_eq!(self.client.refused, 0);
        }
    }

    fn nothing_is_lost(&self) {
        let arrived: BTreeSet<_> = self.broker.received.iter().map(|(_, number, _)| *number).collect();
        let due = self.client.published.iter().filter(|(_, _, qos)| *qos != QoS::AtMostOnce);
        for (_, number, _) in due {
            assert!(arrived.contains(number), "{number} was lost on its way up");
        }
        let had: BTreeSet<_> = self.client.received.iter().map(|(_, number, _)| *number).collect();
        let missing: Vec<_> = self.broker.owed.difference(&had).collect();
        assert!(missing.is_empty(), "{missing:?} were lost on their way down");
    }

    fn quality_zero_comes_once(&self) {
        for way in [&self.broker.received, &self.client.received] {
            let zero: Vec<_> = way
                .iter()
                .filter(|(_, _, qos)| *qos == QoS::AtMostOnce)
                .map(|(_, number, _)| *number)
                .collect();
            let distinct: BTreeSet<_> = zero.iter().collect();
            assert_eq!(distinct.len(), zero.len(), "a QoS 0 message came twice");
        }
    }

    /// The first arrivals of the messages of one topic and quality are in the order they were sent in.
    fn order_is_kept(&self) {
        for way in [&self.broker.received, &self.client.received] {
            let mut seen = BTreeSet::new();
            let mut last: BTreeMap<(&str, bool), u32> = BTreeMap::new();
            for (topic, number, qos) in way {
                if seen.insert(*number) {
                    let before = last.insert((topic, *qos == QoS::AtMostOnce), *number);
                    assert!(before < Some(*number), "{number} came after {before:?} in {topic}");
                }
            }
        }
    }
}

impl Drop for World {
    /// A test that fails tells how it came to that.
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("FLEETKEY_TRACE").is_some() {
            self.trace.iter().for_each(|line| eprintln!("{line}"));
        }
    }
}
