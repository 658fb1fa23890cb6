//! The test broker's connections.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::BytesMut;
use fleetkey_model::certificate::CertificateId;
use fleetkey_mqtt::{
    ConnAck, Limits, Packet, PacketId, Properties, PubAck, Publish, QoS, ReasonCode, SubAck, Version, decode,
    encode,
};
use rustls::SupportedProtocolVersion;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::registry::{Connection, Registry, Seen};
use super::verifier::acceptor;
use crate::config::{AgentConfig, ClaimConfig};
use crate::keys::testing::self_signed;

pub(super) type Shared = Arc<Mutex<Registry>>;

/// A running broker on loopback, with a claim certificate. Dropping it does not stop its tasks; tests end.
pub(crate) struct Broker {
    pub(crate) dir: tempfile::TempDir,
    registry: Shared,
    acceptor: TlsAcceptor,
    port: u16,
    changed: watch::Receiver<u64>,
    change: Arc<watch::Sender<u64>>,
    listening: tokio::task::JoinHandle<()>,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::speaking(rustls::DEFAULT_VERSIONS).await
    }

    /// One that speaks these versions of TLS.
    pub(crate) async fn speaking(versions: &[&'static SupportedProtocolVersion]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (key, chain) = self_signed("claim");
        std::fs::write(dir.path().join("claim.pem"), &chain).unwrap();
        std::fs::write(dir.path().join("claim.key"), key.expose()).unwrap();
        let claim = fleetkey_model::certificate::CertificateFacts::from_pem(&chain).unwrap().id;
        let registry = Arc::new(Mutex::new(Registry::new(claim)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (change, changed) = watch::channel(0);
        let change = Arc::new(change);
        let (acceptor, root) = acceptor(versions, registry.clone(), change.clone());
        std::fs::write(dir.path().join("root.pem"), root).unwrap();
        let listening = tokio::spawn(listen(listener, acceptor.clone(), registry.clone(), change.clone()));
        Self { dir, registry, acceptor, port, changed, change, listening }
    }

    /// Closes the listener and every connection, as a crash of the broker does; its memory stays.
    pub(crate) async fn crash(&mut self) {
        self.listening.abort();
        self.registry().connections.clear();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn restart(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let (acceptor, registry, change) =
            (self.acceptor.clone(), self.registry.clone(), self.change.clone());
        self.listening = tokio::spawn(listen(listener, acceptor, registry, change));
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.registry().seen.clone()
    }

    /// Waits until what was seen is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&[Seen]) -> bool) {
        let mut changed = self.changed.clone();
        while !wanted(&self.seen()) {
            changed.changed().await.unwrap();
        }
    }

    /// Sends a message to a client, as if somebody had published it. Returns its packet identifier.
    pub(crate) async fn send(&self, client: &str, topic: &str, payload: &[u8]) -> u16 {
        let out = self.registry().connections[client].out.clone();
        let message = message(topic, payload);
        let Packet::Publish(Publish { packet_id: Some(id), .. }) = &message else { unreachable!() };
        let id = id.get();
        out.send(message).await.unwrap();
        id
    }

    /// The settings of a device that provisions here, with its state directory below the broker's.
    pub(crate) fn device(&self, serial: &str) -> AgentConfig {
        let dir = self.dir.path();
        let mut config = AgentConfig::new(
            serial.parse().unwrap(),
            "localhost",
            vec![dir.join("root.pem")],
            dir.join(serial),
            "Rotation".parse().unwrap(),
        );
        config.endpoint.port = self.port;
        let file = |name: &str| -> PathBuf { dir.join(name) };
        config.claim = Some(ClaimConfig::new(file("claim.pem"), file("claim.key"), "Claim".parse().unwrap()));
        config.rotation.soak = std::time::Duration::ZERO;
        config.session.connect_spacing = std::time::Duration::ZERO;
        config
    }
}

async fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    registry: Shared,
    change: Arc<watch::Sender<u64>>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (acceptor, registry, change) = (acceptor.clone(), registry.clone(), change.clone());
        tokio::spawn(async move {
            tcp.set_nodelay(true).unwrap();
            if let Ok(stream) = acceptor.accept(tcp).await {
                serve(stream, registry, change).await;
            }
        });
    }
}

/// One connection from CONNECT to its end.
async fn serve(mut stream: TlsStream<TcpStream>, registry: Shared, change: Arc<watch::Sender<u64>>) {
    let bump = || change.send_modify(|count| *count += 1);
    let principal = CertificateId::of_der(&stream.get_ref().1.peer_certificates().unwrap()[0]);
    let mut buffer = BytesMut::new();
    let Some(Packet::Connect(connect)) = read(&mut stream, &mut buffer, Version::V5).await else {
        return;
    };
    let (client, version) = (connect.client_id.to_string(), connect.version);
    let (out, mut outgoing) = mpsc::channel(64);
    let admitted = admit(&registry, &client, principal, out);
    bump();
    let number = match admitted {
        Admission::Taken(number) => number,
        Admission::Refused => return,
        Admission::Muted => {
            // Holds the connection without a word until the client gives up.
            while read(&mut stream, &mut buffer, version).await.is_some() {}
            return;
        }
    };
    let accepted = Packet::ConnAck(ConnAck {
        session_present: false,
        reason: ReasonCode::SUCCESS,
        properties: Properties::default(),
    });
    write(&mut stream, &accepted, version).await;
    loop {
        tokio::select! {
            packet = read(&mut stream, &mut buffer, version) => {
                let Some(packet) = packet else { break };
                if matches!(packet, Packet::Disconnect(_)) { break }
                for answer in handle(&registry, &client, principal, packet) {
                    write(&mut stream, &answer, version).await;
                }
                bump();
            }
            // Taken over, or the broker has crashed.
            packet = outgoing.recv() => match packet {
                Some(packet) => write(&mut stream, &packet, version).await,
                None => break,
            }
        }
    }
    let mut registry = registry.lock().unwrap();
    if registry.connections.get(&client).is_some_and(|there| there.number == number) {
        registry.connections.remove(&client);
    }
    registry.seen.push(Seen::Closed { client, principal });
    drop(registry);
    bump();
}

enum Admission {
    Taken(u64),
    Refused,
    Muted,
}

/// Lets a client in whose certificate is active, in place of an earlier connection with its id.
fn admit(registry: &Shared, client: &str, principal: CertificateId, out: mpsc::Sender<Packet>) -> Admission {
    let mut registry = registry.lock().unwrap();
    let takes_over = registry.connections.contains_key(client);
    let client = client.to_owned();
    if takes_over && registry.mute_takeovers > 0 {
        registry.mute_takeovers -= 1;
        registry.seen.push(Seen::Muted { client, principal });
        return Admission::Muted;
    }
    let refused = takes_over && registry.refuse_takeovers > 0;
    registry.refuse_takeovers -= usize::from(refused);
    if refused || !registry.active.contains(&principal) {
        registry.seen.push(Seen::Refused { client, principal });
        return Admission::Refused;
    }
    registry.numbers += 1;
    let number = registry.numbers;
    let filters = Default::default();
    registry.connections.insert(client.clone(), Connection { number, out, filters });
    registry.seen.push(Seen::Connected { client, principal });
    Admission::Taken(number)
}

/// What goes back to the sender of a packet.
fn handle(registry: &Shared, client: &str, principal: CertificateId, packet: Packet) -> Vec<Packet> {
    let mut registry = registry.lock().unwrap();
    match packet {
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter().map(|wanted| wanted.filter.to_string());
            let reasons = vec![ReasonCode::GRANTED_QOS_1; subscribe.filters.len()];
            if let Some(connection) = registry.connections.get_mut(client) {
                connection.filters.extend(filters);
            }
            let mut packets = vec![];
            // Nothing else that an agent listens to is a business topic.
            if subscribe.filters.iter().any(|wanted| wanted.filter.starts_with("device/")) {
                packets.extend(before_proof(&mut registry));
                if registry.mute_proofs > 0 {
                    registry.mute_proofs -= 1;
                    return packets;
                }
            }
            packets.push(Packet::SubAck(SubAck {
                packet_id: subscribe.packet_id,
                reasons,
                properties: Properties::default(),
            }));
            packets
        }
        Packet::Publish(publish) => published(&mut registry, client, principal, &publish),
        Packet::PubAck(ack) => {
            registry.acknowledged.insert(ack.packet_id.get());
            vec![]
        }
        Packet::PingReq => vec![Packet::PingResp],
        _ => vec![],
    }
}

fn before_proof(registry: &mut Registry) -> Option<Packet> {
    let (topic, payload) = registry.before_proof.take()?;
    let message = message(&topic, &payload);
    if let Packet::Publish(Publish { packet_id, .. }) = &message {
        registry.sent_before_proof = packet_id.map(PacketId::get);
    }
    Some(message)
}

fn published(
    registry: &mut Registry,
    client: &str,
    principal: CertificateId,
    publish: &Publish,
) -> Vec<Packet> {
    let topic = publish.topic.to_string();
    let answer = registry.answer(principal, &topic, &publish.payload);
    let is_business = answer.is_none();
    registry.seen.push(Seen::Published {
        client: client.to_owned(),
        topic: topic.clone(),
        payload: publish.payload.to_vec(),
        principal,
    });
    let mut packets = vec![];
    if is_business && registry.silent > 0 {
        registry.silent -= 1;
    } else if let Some(id) = publish.packet_id {
        packets.push(Packet::PubAck(PubAck::new(id)));
    }
    if let Some((topic, payload)) = answer {
        let answer = message(&topic, &payload);
        match elsewhere(registry, client, &topic) {
            Some(out) => drop(out.try_send(answer)),
            None => packets.push(answer),
        }
    }
    let echoes = registry.connections.get(client).is_some_and(|own| own.filters.contains(&topic));
    if echoes {
        packets.push(message(&topic, &publish.payload));
    }
    packets
}

/// Another connection that has subscribed to a topic which the sender of the request has not.
fn elsewhere(registry: &Registry, client: &str, topic: &str) -> Option<mpsc::Sender<Packet>> {
    if registry.connections.get(client).is_some_and(|own| own.filters.contains(topic)) {
        return None;
    }
    let listens = |one: &&Connection| one.filters.contains(topic);
    registry.connections.values().find(listens).map(|one| one.out.clone())
}

fn message(topic: &str, payload: &[u8]) -> Packet {
    let mut publish = Publish::new(topic, payload.to_vec());
    publish.qos = QoS::AtLeastOnce;
    publish.packet_id = Some(next_id());
    Packet::Publish(publish)
}

/// A packet id that no message in a test shares.
fn next_id() -> PacketId {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(1);
    PacketId::new(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).unwrap_or(PacketId::FIRST)
}

async fn read(stream: &mut TlsStream<TcpStream>, buffer: &mut BytesMut, version: Version) -> Option<Packet> {
    loop {
        if let Some(packet) = decode(buffer, version, &Limits::default()).unwrap() {
            return Some(packet);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn write(stream: &mut TlsStream<TcpStream>, packet: &Packet, version: Version) {
    let mut bytes = BytesMut::new();
    encode(packet, version, &mut bytes).unwrap();
    // A peer that is gone is noticed by the next read.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.flush().await;
}
