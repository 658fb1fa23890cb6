//! A client of the sidecar on the local IoT Core: its device rotates beneath it, under the shipped policies and AWS's one
//! CONNECT a second, whether the broker's session survives a change of certificate or not.
//!
//! Promised either way: its connection stays, no will is published, and of what it publishes at QoS 1 nothing is lost.
//! What is published to it arrives as well where the session survives; where it does not, what comes between DISCONNECT
//! on the old link and the subscriptions on the new one is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fleetkey_agent::AgentHandle;
use fleetkey_agent::sidecar::{Listen, SidecarSettings};
use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::faults::{Effect, Operation, Rule};
use fleetkey_model::name::{ClientId, PolicyName};
use fleetkey_model::topic::TopicFilter;
use fleetkey_mqtt::link::{Client, ConnectOptions, Messages};
use fleetkey_mqtt::session::{Outgoing, SessionConfig};
use fleetkey_mqtt::{
    Connect, Disconnect, Limits, Packet, PacketId, Properties, Property, PubAck, Publish, QoS, ReasonCode,
    Subscribe, SubscribeFilter, Version, Will, decode, encode,
};
use fleetkey_testkit::wait::within;
use fleetkey_testkit::{Bench, Presence};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Rotations of each device.
const ROTATIONS: u64 = 3;
/// How long a client may be held: generous, for a busy machine.
const MAX_HOLD: Duration = Duration::from_secs(60);

/// A device with a sidecar and its local client.
struct Device {
    name: &'static str,
    agent: AgentHandle,
    version: Version,
    clean: bool,
}

impl Device {
    async fn start(bench: &Bench, name: &'static str, version: Version, clean: bool) -> Self {
        Self::start_with(bench, name, version, clean, |_| {}).await
    }

    async fn start_with(
        bench: &Bench,
        name: &'static str,
        version: Version,
        clean: bool,
        adjust: impl FnOnce(&mut SidecarSettings),
    ) -> Self {
        let mut config = bench.device(name);
        let listen = vec![Listen::Tcp("127.0.0.1:0".parse().unwrap())];
        let mut sidecar = SidecarSettings { max_hold: MAX_HOLD, ..SidecarSettings::new(listen) };
        adjust(&mut sidecar);
        config.sidecar = Some(sidecar);
        Self { name, agent: bench.running(config).await, version, clean }
    }

    fn topic(&self, leaf: &str) -> String {
        format!("device/{}/{leaf}", self.name)
    }

    async fn dial(&self) -> TcpStream {
        let listen = self.agent.sidecar().unwrap().listen.remove(0);
        TcpStream::connect(listen.strip_prefix("tcp ").unwrap()).await.unwrap()
    }

    /// A connection that nobody ends in good order: its CONNECT is out.
    async fn connecting_by_hand(&self) -> ByHand {
        let mut connect = Connect::new(self.version, "node-red");
        connect.will = Some(self.will());
        connect.clean_start = self.clean;
        if !self.clean && self.version == Version::V5 {
            connect.properties = Properties::new().with(Property::SessionExpiryInterval(600));
        }
        let mut hand = ByHand { stream: self.dial().await, bytes: BytesMut::new(), version: self.version };
        hand.says(&Packet::Connect(Box::new(connect))).await;
        hand
    }

    /// The same to its CONNACK; whether there was a session.
    async fn connect_by_hand(&self) -> (ByHand, bool) {
        let mut hand = self.connecting_by_hand().await;
        let present = hand.is_accepted().await;
        (hand, present)
    }

    fn will(&self) -> Will {
        let (payload, properties) = ("dead".into(), Properties::new());
        Will { topic: self.topic("will").into(), payload, qos: QoS::AtLeastOnce, retain: false, properties }
    }

    async fn connect(&self) -> (Client, Messages) {
        let stream = self.dial().await;
        let options = ConnectOptions {
            version: self.version,
            clean_start: self.clean,
            session_expiry: (!self.clean).then_some(600),
            will: Some(self.will()),
            ..ConnectOptions::new("node-red")
        };
        within("CONNACK", Client::start(stream, options, SessionConfig::default())).await.unwrap()
    }

    /// One rotation to its end; how long the client was held, in milliseconds.
    async fn rotates(&self, number: u64, survives: bool) -> u64 {
        let before = self.agent.status().certificate;
        self.agent.rotate().await;
        let moved =
            within("the move", self.agent.sidecar_until(|status| status.moves == number)).await.unwrap();
        let done = |status: &fleetkey_lifecycle::Status| {
            status.certificate != before && status.rotation.is_none() && status.previous.is_none()
        };
        let after = within("the retirement", self.agent.until(done)).await.unwrap();
        assert_eq!(moved.certificate, after.certificate);
        let last = moved.last.unwrap();
        assert_eq!(last.session_present, survives);
        assert_eq!(last.resubscribed, usize::from(!survives));
        last.held_ms
    }
}

/// A client's connection, packet by packet: dropped, it is that of a client that dies.
struct ByHand {
    stream: TcpStream,
    bytes: BytesMut,
    version: Version,
}

impl ByHand {
    async fn says(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        encode(packet, self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn hears(&mut self) -> Packet {
        let heard = async {
            loop {
                if let Some(packet) = decode(&mut self.bytes, self.version, &Limits::default()).unwrap() {
                    return packet;
                }
                assert!(self.stream.read_buf(&mut self.bytes).await.unwrap() > 0);
            }
        };
        within("a packet", heard).await
    }

    async fn is_accepted(&mut self) -> bool {
        let Packet::ConnAck(ack) = self.hears().await else { panic!("no CONNACK") };
        assert!(!ack.reason.is_error());
        ack.session_present
    }

    /// The one message that this client has: QoS 1, with an identifier of its own.
    async fn publishes(&mut self, topic: String, dup: bool) {
        let (qos, packet_id) = (QoS::AtLeastOnce, PacketId::new(7));
        self.says(&Packet::Publish(Publish { qos, packet_id, dup, ..Publish::new(topic, "0") })).await;
    }

    async fn subscribes(&mut self, topic: String) {
        self.asks_for(SubscribeFilter::new(topic, QoS::AtLeastOnce)).await;
        assert!(matches!(self.hears().await, Packet::SubAck(ack) if !ack.reasons[0].is_error()));
    }

    async fn asks_for(&mut self, filter: SubscribeFilter) {
        let filters = vec![filter];
        let subscribe = Subscribe { packet_id: PacketId::FIRST, filters, properties: Properties::new() };
        self.says(&Packet::Subscribe(subscribe)).await;
    }

    /// A message, which it acknowledges: what it says, and whether it was retained. An answer may come before it.
    async fn takes(&mut self) -> (Bytes, bool) {
        loop {
            if let Packet::Publish(publish) = self.hears().await {
                self.says(&Packet::PubAck(PubAck::new(publish.packet_id.unwrap()))).await;
                return (publish.payload, publish.retain);
            }
        }
    }
}

/// Publishes numbers until it is told to end; how many there were.
fn load(client: Client, topic: String, mut end: watch::Receiver<bool>) -> JoinHandle<u32> {
    tokio::spawn(async move {
        let mut number = 0u32;
        while !*end.borrow_and_update() {
            let published = client.publish(topic.as_str(), number.to_string(), QoS::AtLeastOnce);
            within("PUBACK", published).await.unwrap();
            number += 1;
        }
        number
    })
}

/// The numbers that have come, from messages that `is_wanted`.
fn count(mut messages: Messages, topic: String) -> watch::Receiver<(BTreeSet<u32>, u32)> {
    let (counted, seen) = watch::channel((BTreeSet::new(), 0));
    tokio::spawn(async move {
        while let Some(Publish { topic: at, payload, .. }) = messages.recv().await {
            if at == *topic {
                let number = std::str::from_utf8(&payload).unwrap().parse().unwrap();
                counted.send_modify(|(numbers, all)| {
                    numbers.insert(number);
                    *all += 1;
                });
            }
        }
    });
    seen
}

async fn has_all(seen: &mut watch::Receiver<(BTreeSet<u32>, u32)>, sent: u32) {
    let wanted = usize::try_from(sent).unwrap();
    within("every message", seen.wait_for(|(numbers, _)| numbers.len() >= wanted)).await.unwrap();
}

/// Whether nothing has come.
async fn is_quiet(messages: &mut Messages) -> bool {
    tokio::time::timeout(Duration::ZERO, messages.recv()).await.is_err()
}

async fn bench(survives: bool) -> Bench {
    Bench::start_with(Arc::new(SystemClock), |config| {
        config.limits.publishes_per_second = None;
        config.switches.session_survives_certificate_change = survives;
    })
    .await
}

/// Somebody who may everything: publishes to devices and hears them.
async fn operator(bench: &Bench, id: &str) -> (Client, Messages) {
    let (identity, _) = bench.operator().await;
    bench.connect(&identity, id).await.unwrap()
}

async fn rotates_beneath_its_client(bench: &Bench, device: Device, survives: bool) {
    let (observer, heard) = operator(bench, &format!("~hears-{}", device.name)).await;
    observer.subscribe(&[(device.topic("telemetry").as_str(), QoS::AtLeastOnce)]).await.unwrap();
    let (witness, mut wills) = operator(bench, &format!("~wills-{}", device.name)).await;
    witness.subscribe(&[(device.topic("will").as_str(), QoS::AtLeastOnce)]).await.unwrap();
    let (sender, _) = operator(bench, &format!("~sends-{}", device.name)).await;

    let (client, messages) = device.connect().await;
    client.subscribe(&[(device.topic("orders").as_str(), QoS::AtLeastOnce)]).await.unwrap();
    let (mut up, mut down) =
        (count(heard, device.topic("telemetry")), count(messages, device.topic("orders")));
    let (stop, stopped) = watch::channel(false);
    let sending_up = load(client, device.topic("telemetry"), stopped.clone());
    let sending_down = load(sender, device.topic("orders"), stopped);
    let mut held = Vec::new();
    for number in 1..=ROTATIONS {
        has_all(&mut up, u32::try_from(number).unwrap() * 20).await;
        held.push(device.rotates(number, survives).await);
    }
    stop.send_replace(true);
    let (sent_up, sent_down) = (sending_up.await.unwrap(), sending_down.await.unwrap());
    has_all(&mut up, sent_up).await;
    if survives {
        has_all(&mut down, sent_down).await;
        assert_eq!(up.borrow().1, sent_up, "none came twice");
    }
    // Whoever is held for longer is closed, and has its will published.
    assert!(held.iter().all(|held| u128::from(*held) <= MAX_HOLD.as_millis()), "{held:?} ms");
    assert!(is_quiet(&mut wills).await, "no will is published");
    device.agent.stop().await;
}

async fn matrix(survives: bool) {
    let bench = bench(survives).await;
    let controller = bench.controller(Duration::from_secs(3600)).await;
    let kinds = [
        ("device-1", Version::V311, true),
        ("device-2", Version::V311, false),
        ("device-3", Version::V5, true),
        ("device-4", Version::V5, false),
    ];
    for (name, version, clean) in kinds {
        let device = Device::start(&bench, name, version, clean).await;
        rotates_beneath_its_client(&bench, device, survives).await;
    }
    controller.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_are_not_noticed_by_a_sidecars_client_where_the_session_survives() {
    matrix(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_lose_nothing_of_a_sidecars_client_where_the_session_does_not_survive() {
    matrix(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_has_its_will_published_and_one_that_disconnects_has_not() {
    let bench = bench(true).await;
    let device = Device::start(&bench, "device-1", Version::V5, true).await;
    let (witness, mut wills) = operator(&bench, "~witness").await;
    witness.subscribe(&[(device.topic("will").as_str(), QoS::AtLeastOnce)]).await.unwrap();
    let mut presence = Presence::listen(&bench).await;
    let (client, _messages) = device.connect().await;
    client.disconnect().await;
    let gone = presence.next_of("device-1").await;
    let gone = if gone.event == "connected" { presence.next_of("device-1").await } else { gone };
    assert_eq!(gone.reason.as_deref(), Some("CLIENT_INITIATED_DISCONNECT"));
    let (client, _) = device.connect_by_hand().await;
    assert!(is_quiet(&mut wills).await);
    drop(client);
    let will = within("the will", wills.recv()).await.unwrap();
    assert_eq!(will.payload, "dead");
    device.agent.stop().await;
    bench.core.shutdown().await;
}

/// A device whose certificate in use may publish retained messages as well, which the shipped policy does not allow.
async fn may_retain(bench: &Bench, device: &Device) {
    let name = PolicyName::new("retains").unwrap();
    let statement = r#"{"Effect":"Allow","Action":["iot:Publish","iot:RetainPublish"],"Resource":"*"}"#;
    let document = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
    let account = bench.core.account();
    if account.describe_policy(&name).is_err() {
        account.create_policy(&name, &document).await.unwrap();
    }
    account.attach_policy(&name, &device.agent.status().certificate.unwrap()).await.unwrap();
}

async fn retains(bench: &Bench, device: Device, handling: u8, survives: bool) {
    may_retain(bench, &device).await;
    let (sender, _) = operator(bench, &format!("~sends-{}", device.name)).await;
    let said = |payload: &'static str, retain| Outgoing {
        topic: device.topic("orders").into(),
        payload: payload.into(),
        qos: QoS::AtLeastOnce,
        retain,
        properties: Properties::new(),
    };
    sender.publish_message(said("kept", true)).await.unwrap();
    let (mut client, _) = device.connect_by_hand().await;
    let filter = SubscribeFilter::new(device.topic("orders"), QoS::AtLeastOnce);
    client.asks_for(SubscribeFilter { retain_handling: handling, ..filter }).await;
    assert_eq!(client.takes().await, ("kept".into(), true));
    let (qos, packet_id) = (QoS::AtLeastOnce, PacketId::new(7));
    let up = Publish { qos, packet_id, retain: true, ..Publish::new(device.topic("telemetry"), "state") };
    client.says(&Packet::Publish(up)).await;
    while !matches!(client.hears().await, Packet::PubAck(_)) {}

    device.rotates(1, survives).await;
    sender.publish_message(said("next", false)).await.unwrap();
    // MQTT 3.1.1 cannot make a subscription without being sent what is retained (3.8.4).
    if !survives && handling == 0 {
        assert_eq!(client.takes().await, ("kept".into(), true));
    }
    assert_eq!(client.takes().await, ("next".into(), false), "nothing else comes a second time");

    let (late, mut heard) = operator(bench, &format!("~hears-{}", device.name)).await;
    late.subscribe(&[(device.topic("telemetry").as_str(), QoS::AtLeastOnce)]).await.unwrap();
    let found = within("the retained message", heard.recv()).await.unwrap();
    assert_eq!((found.payload, found.retain), ("state".into(), true));
    device.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_go_both_ways_and_come_again_only_with_a_subscription_that_is_made_again() {
    for survives in [true, false] {
        let bench = bench(survives).await;
        let controller = bench.controller(Duration::from_secs(3600)).await;
        for (name, version, handling) in [("device-1", Version::V311, 0), ("device-2", Version::V5, 1)] {
            let device = Device::start(&bench, name, version, false).await;
            retains(&bench, device, handling, survives).await;
        }
        controller.stop().await;
        bench.core.shutdown().await;
    }
}

/// Where in a move its client is held.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    /// On the old link, whose broker owes it an answer.
    Drain,
    /// CONNECT is out on the new link.
    Connack,
}

/// A client with a session that is kept dies while it is held, and is back before that is over.
async fn comes_back_while_it_is_held(bench: &Bench, device: &Device, at: Held) {
    let (observer, heard) = operator(bench, &format!("~hears-{}", device.name)).await;
    observer.subscribe(&[(device.topic("telemetry").as_str(), QoS::AtLeastOnce)]).await.unwrap();
    let mut up = count(heard, device.topic("telemetry"));
    let (witness, mut wills) = operator(bench, &format!("~wills-{}", device.name)).await;
    witness.subscribe(&[(device.topic("will").as_str(), QoS::AtLeastOnce)]).await.unwrap();
    let (sender, _) = operator(bench, &format!("~sends-{}", device.name)).await;
    let (mut client, _) = device.connect_by_hand().await;
    client.subscribes(device.topic("orders")).await;

    let telemetry = TopicFilter::new(device.topic("telemetry")).unwrap();
    let rule = match at {
        Held::Drain => Rule::on(Operation::Publish(telemetry), Effect::Hold),
        Held::Connack => Rule::on(Operation::Connect, Effect::Hold),
    };
    let before = device.agent.status().certificate;
    let id = ClientId::new(device.name).unwrap();
    let fault = bench.core.faults().add(rule.client(id).only(1));
    if at == Held::Drain {
        client.publishes(device.topic("telemetry"), false).await;
        within("PUBACK to be held", bench.core.faults().held(fault)).await;
    }
    device.agent.rotate().await;
    within("the hold", device.agent.sidecar_until(|status| status.held)).await.unwrap();
    if at == Held::Connack {
        within("CONNECT to be held", bench.core.faults().held(fault)).await;
        client.publishes(device.topic("telemetry"), false).await;
    }
    sender.publish(device.topic("orders").as_str(), "go", QoS::AtLeastOnce).await.unwrap();
    drop(client);
    let mut client = device.connecting_by_hand().await;
    bench.core.faults().release(fault);
    assert!(client.is_accepted().await, "its session is there");
    client.publishes(device.topic("telemetry"), true).await;
    let (mut acknowledged, mut ordered) = (false, false);
    while !(acknowledged && ordered) {
        match client.hears().await {
            Packet::PubAck(ack) => acknowledged |= Some(ack.packet_id) == PacketId::new(7),
            Packet::Publish(publish) => {
                ordered |= publish.payload == "go";
                client.says(&Packet::PubAck(PubAck::new(publish.packet_id.unwrap()))).await;
            }
            other => panic!("{}", other.kind()),
        }
    }
    has_all(&mut up, 1).await;
    let will = within("the will of the one that died", wills.recv()).await.unwrap();
    assert_eq!(will.payload, "dead");
    let after =
        within("the rotation", device.agent.until(|status| status.certificate != before)).await.unwrap();
    let moved = device.agent.sidecar_until(|status| status.certificate == after.certificate && !status.held);
    within("the new certificate beneath the client", moved).await.unwrap();
    assert!(is_quiet(&mut wills).await, "nobody else's will is published");
    client.says(&Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_while_it_is_held_and_comes_back_finds_its_session_and_loses_nothing() {
    let bench = bench(true).await;
    let kinds = [
        ("device-1", Version::V311, Held::Drain),
        ("device-2", Version::V5, Held::Drain),
        ("device-3", Version::V311, Held::Connack),
        ("device-4", Version::V5, Held::Connack),
    ];
    for (name, version, at) in kinds {
        let device =
            Device::start_with(&bench, name, version, false, |sidecar| sidecar.drain = MAX_HOLD / 2).await;
        comes_back_while_it_is_held(&bench, &device, at).await;
        device.agent.stop().await;
    }
    bench.core.shutdown().await;
}
