//! A line between the controller and the broker that loses messages, doubles them, and lets later ones pass, both ways;
//! which, a seed decides. Each side believes in the other: every message is acknowledged, as a line would that lies.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use fleetkey_agent::clock::SystemClock as AgentClock;
use fleetkey_agent::tls::{ClientIdentity, Dialer, Endpoint, Roots, Stream};
use fleetkey_iotcore::ca::{Authorities, CaConfig, ServerResolver};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_mqtt::{Limits, Packet, PacketId, PubAck, Publish, Version, decode, encode};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::core::Core;
use crate::process::PATIENCE;

/// The line; it stands in the fleet's configuration until it is mended.
pub(crate) struct Unreliable {
    file: PathBuf,
    before: Vec<u8>,
    fate: Arc<Fate>,
    _runtime: Runtime,
}

/// What becomes of messages, and how often it did.
struct Fate {
    state: Mutex<u64>,
    reliable: AtomicBool,
    lost: AtomicUsize,
    doubled: AtomicUsize,
    passed: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lot {
    Whole,
    Lost,
    Doubled,
    /// The next one passes it.
    Passed,
}

/// Where the broker is, and who the controller is.
struct Far {
    dialer: Dialer,
    identity: ClientIdentity,
}

/// One end of a connection.
struct End<S> {
    stream: S,
    input: BytesMut,
    /// What the next message passes.
    held: Vec<Publish>,
}

impl Unreliable {
    /// Puts itself between the broker and a controller that starts from now on. Whoever else starts meanwhile would be
    /// taken for it.
    pub(crate) fn before(core: &Core, fleet: &Path, seed: u64) -> Self {
        let file = fleet.join("operator/config.json");
        let before = std::fs::read(&file).unwrap();
        let mut config: Value = serde_json::from_slice(&before).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (far, acceptor) = (Arc::new(Far::of(&config)), acceptor(&core.directory().join("iotcore")));
        config["mqtt_port"] = listener.local_addr().unwrap().port().into();
        std::fs::write(&file, config.to_string()).unwrap();
        let fate = Arc::new(Fate::of(seed));
        runtime.spawn(accept(listener, acceptor, far, fate.clone()));
        Self { file, before, fate, _runtime: runtime }
    }

    /// From now on it carries everything, once and in order.
    pub(crate) fn mend(&self) {
        self.fate.reliable.store(true, Ordering::SeqCst);
        std::fs::write(&self.file, &self.before).unwrap();
    }

    /// How many messages were lost, doubled, passed by others.
    pub(crate) fn harm(&self) -> [usize; 3] {
        let Fate { lost, doubled, passed, .. } = &*self.fate;
        [lost, doubled, passed].map(|count| count.load(Ordering::SeqCst))
    }
}

impl Fate {
    fn of(seed: u64) -> Self {
        let [lost, doubled, passed] = [0; 3].map(AtomicUsize::new);
        Self { state: Mutex::new(seed | 1), reliable: AtomicBool::new(false), lost, doubled, passed }
    }

    /// The next message's.
    fn draw(&self) -> Lot {
        if self.reliable.load(Ordering::SeqCst) {
            return Lot::Whole;
        }
        let drawn = xorshift(&mut self.state.lock().unwrap());
        let (lot, count) = match drawn % 4 {
            0 => (Lot::Lost, &self.lost),
            1 => (Lot::Doubled, &self.doubled),
            2 => (Lot::Passed, &self.passed),
            _ => return Lot::Whole,
        };
        count.fetch_add(1, Ordering::SeqCst);
        lot
    }
}

/// The next number of 32 bits: xorshift64 (Marsaglia, 2003). The state must not be 0.
pub(crate) fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 32
}

impl Far {
    fn of(config: &Value) -> Self {
        let path = |pointer: &str| PathBuf::from(config.pointer(pointer).unwrap().as_str().unwrap());
        let files = (path("/controller/certificate"), path("/controller/key"));
        let endpoint = Endpoint {
            host: config["endpoint"].as_str().unwrap().to_owned(),
            port: config["mqtt_port"].as_u64().unwrap().try_into().unwrap(),
            alpn: None,
            server_name: None,
        };
        let roots = Arc::new(Roots::new(vec![path("/root_ca")]));
        Self {
            dialer: Dialer::new(endpoint, roots, Arc::new(AgentClock), PATIENCE),
            identity: ClientIdentity::from_files(&files.0, &files.1).unwrap(),
        }
    }
}

/// Shows the broker's own certificate, and asks nobody for theirs.
fn acceptor(directory: &Path) -> TlsAcceptor {
    let authorities = Authorities::open(directory, &CaConfig::default(), SystemClock.now()).unwrap();
    let resolver = ServerResolver::new(authorities.server, Arc::new(SystemClock));
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    TlsAcceptor::from(Arc::new(builder.with_cert_resolver(Arc::new(resolver))))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, far: Arc<Far>, fate: Arc<Fate>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (acceptor, far, fate) = (acceptor.clone(), far.clone(), fate.clone());
        tokio::spawn(async move {
            // Whoever was killed in the middle of it has no more to say.
            let _ended = carry(tcp, &acceptor, &far, &fate).await;
        });
    }
}

/// Carries one connection to its end: `None`.
async fn carry(tcp: TcpStream, acceptor: &TlsAcceptor, far: &Far, fate: &Fate) -> Option<()> {
    let mut near = End::of(acceptor.accept(tcp).await.ok()?);
    let mut far: End<Stream> = End::of(far.dialer.dial(&far.identity).await.ok()?);
    let mut next = PacketId::FIRST;
    loop {
        tokio::select! {
            packet = near.read() => match packet? {
                Packet::Publish(publish) => {
                    // What is lost was acknowledged; the broker acknowledges the rest.
                    if far.pass(publish.clone(), fate, |_| {}).await? == Lot::Lost {
                        near.write(&Packet::PubAck(PubAck::new(publish.packet_id?))).await?;
                    }
                }
                // The broker has had its own.
                Packet::PubAck(_) => {}
                packet => far.write(&packet).await?,
            },
            packet = far.read() => match packet? {
                Packet::Publish(publish) => {
                    if let Some(id) = publish.packet_id {
                        far.write(&Packet::PubAck(PubAck::new(id))).await?;
                    }
                    let number = |publish: &mut Publish| {
                        publish.packet_id = publish.packet_id.map(|_| next);
                        next = next.next();
                    };
                    near.pass(publish, fate, number).await?;
                }
                packet => near.write(&packet).await?,
            },
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> End<S> {
    fn of(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), held: Vec::new() }
    }

    /// Lets a message through as its lot is, each time `number`ed anew, and after it those that it has passed.
    async fn pass(
        &mut self,
        publish: Publish,
        fate: &Fate,
        mut number: impl FnMut(&mut Publish),
    ) -> Option<Lot> {
        let lot = fate.draw();
        let copies = match lot {
            Lot::Lost => 0,
            Lot::Passed => {
                self.held.push(publish);
                return Some(lot);
            }
            Lot::Whole => 1,
            Lot::Doubled => 2,
        };
        let held = if copies > 0 { std::mem::take(&mut self.held) } else { Vec::new() };
        for mut publish in std::iter::repeat_n(publish, copies).chain(held) {
            number(&mut publish);
            self.write(&Packet::Publish(publish)).await?;
        }
        Some(lot)
    }

    /// The next packet; `None` at the end. May be dropped at any time.
    async fn read(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = decode(&mut self.input, Version::V5, &Limits::default()).ok()? {
                return Some(packet);
            }
            if self.stream.read_buf(&mut self.input).await.ok()? == 0 {
                return None;
            }
        }
    }

    async fn write(&mut self, packet: &Packet) -> Option<()> {
        let mut output = BytesMut::new();
        encode(packet, Version::V5, &mut output).ok()?;
        let written = async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(PATIENCE, written).await.ok()?.ok()
    }
}
