//! Measures the broker on this machine: QoS 1 messages a second to one subscriber, and memory per idle connection.
//!
//! The clients run in a process of their own (this program again), so that the memory and the processor time
//! reported are the server's. `cargo run -p fleetkey-iotcore --example measure [publishers] [window] [seconds] [idle]`.
//! Numbers, not a test.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a tool for developers: it prints, and gives up loudly"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::config::Config;
use fleetkey_iotcore::limits::Limits;
use fleetkey_iotcore::server::{Handle, Listeners, start};
use fleetkey_model::name::PolicyName;
use fleetkey_mqtt::{
    Connect, EncodedPublish, Packet, PacketId, PubAck, Publish, QoS, Subscribe, SubscribeFilter, Version,
    decode, encode,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |index: usize| arguments.get(index).map_or("", String::as_str);
    let number = |index: usize, default: usize| text(index).parse().unwrap_or(default);
    match text(0) {
        "idle-clients" => idle_clients(text(1), text(2).parse().unwrap(), number(3, 0)).await,
        "load" => {
            let port = text(2).parse().unwrap();
            load(text(1), port, number(3, 1), number(4, 1), number(5, 1)).await;
        }
        _ => serve(number(0, 20), number(1, 16), number(2, 5), number(3, 1000)).await,
    }
}

async fn serve(publishers: usize, window: usize, seconds: usize, idle: usize) {
    let dir = std::env::temp_dir().join(format!("fleetkey-measure-{}", std::process::id()));
    let mut config = Config::new(&dir);
    // The window to the subscriber would be measured otherwise, not the broker.
    config.limits = Limits { in_flight_out: 10_000, outbound_bytes: 256 << 20, ..Limits::unthrottled() };
    let handle = start(config, Listeners::loopback().await.unwrap(), Arc::new(SystemClock)).await.unwrap();
    credentials(&handle, &dir).await;
    let port = handle.ports().mqtt.to_string();
    let dir_text = dir.display().to_string();

    let before = resident_kib();
    let (mut child, line) = spawn(["idle-clients", &dir_text, &port, &idle.to_string()]).await;
    println!("{line}");
    let grown = resident_kib().saturating_sub(before);
    let connected = handle.connections().len().max(1);
    println!("{connected} idle connections: {:.1} KiB each", grown as f64 / connected as f64);
    child.kill().unwrap();
    child.wait().unwrap();

    let (publishers, window, seconds) = (publishers.to_string(), window.to_string(), seconds.to_string());
    let busy = processor_seconds();
    let (mut child, line) = spawn(["load", &dir_text, &port, &publishers, &window, &seconds]).await;
    println!("{line}; {:.1} s of the server's processor time", processor_seconds() - busy);
    tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    handle.shutdown().await;
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Starts this program again and waits for its first line.
async fn spawn<const N: usize>(arguments: [&str; N]) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    });
    (child, line.await.unwrap())
}

async fn credentials(handle: &Handle, dir: &Path) {
    let account = handle.account();
    let policy = PolicyName::new("all").unwrap();
    account.create_policy(&policy, ALL).await.unwrap();
    let minted = account.create_keys_and_certificate(true).await.unwrap();
    account.attach_policy(&policy, &minted.facts.id).await.unwrap();
    std::fs::write(dir.join("client.pem"), minted.pem).unwrap();
    std::fs::write(dir.join("client.key"), minted.private_key.unwrap().expose()).unwrap();
    std::fs::copy(handle.root_ca_path(), dir.join("root.pem")).unwrap();
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// User and system time of this process, in the clock ticks of Linux (100 a second).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}

fn connector(dir: &str) -> TlsConnector {
    let dir = PathBuf::from(dir);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("root.pem")).unwrap()).unwrap();
    let certificate = CertificateDer::from_pem_file(dir.join("client.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("client.key")).unwrap();
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

struct Client {
    stream: TlsStream<TcpStream>,
    inbox: BytesMut,
}

impl Client {
    async fn connect(tls: &TlsConnector, port: u16, name: String) -> Self {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let server = ServerName::try_from("localhost").unwrap();
        let stream = tls.connect(server, tcp).await.unwrap();
        let mut client = Self { stream, inbox: BytesMut::new() };
        client.send(&Packet::Connect(Box::new(Connect::new(Version::V311, name)))).await;
        assert!(matches!(client.packet().await, Packet::ConnAck(_)));
        client
    }

    async fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        encode(packet, Version::V311, &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn packet(&mut self) -> Packet {
        loop {
            if let Some(packet) = decode(&mut self.inbox, Version::V311, &Default::default()).unwrap() {
                return packet;
            }
            assert!(self.stream.read_buf(&mut self.inbox).await.unwrap() > 0, "closed");
        }
    }
}

async fn idle_clients(dir: &str, port: u16, count: usize) {
    let tls = connector(dir);
    let start = Instant::now();
    let mut clients = Vec::new();
    for index in 0..count {
        clients.push(Client::connect(&tls, port, format!("idle-{index}")).await);
    }
    println!("{:.0} connects a second, one after another", count as f64 / start.elapsed().as_secs_f64());
    std::future::pending::<()>().await;
}

async fn load(dir: &str, port: u16, publishers: usize, window: usize, seconds: usize) {
    let tls = connector(dir);
    let mut subscriber = Client::connect(&tls, port, "subscriber".into()).await;
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: PacketId::FIRST,
        filters: vec![SubscribeFilter::new("load/#", QoS::AtLeastOnce)],
        properties: Default::default(),
    });
    subscriber.send(&subscribe).await;
    assert!(matches!(subscriber.packet().await, Packet::SubAck(_)));
    let end = Instant::now() + Duration::from_secs(seconds as u64);
    let mut tasks = Vec::new();
    for index in 0..publishers {
        let client = Client::connect(&tls, port, format!("publisher-{index}")).await;
        tasks.push(tokio::spawn(publish(client, index, window, end)));
    }
    let received = tokio::spawn(receive(subscriber));
    let mut acknowledged = 0u64;
    for task in tasks {
        acknowledged += task.await.unwrap();
    }
    let received = received.await.unwrap();
    let rate = acknowledged / seconds as u64;
    println!(
        "{publishers} publishers, window {window}: {rate} acknowledged/s; received {received} of {acknowledged}"
    );
}

async fn publish(mut client: Client, index: usize, window: usize, end: Instant) -> u64 {
    let mut message = Publish::new(format!("load/{index}"), vec![b'x'; 128]);
    message.qos = QoS::AtLeastOnce;
    let message = EncodedPublish::new(&message, Version::V311).unwrap();
    let (mut id, mut in_flight, mut acknowledged) = (PacketId::FIRST, 0, 0);
    let mut out = BytesMut::new();
    loop {
        let more = Instant::now() < end;
        while more && in_flight < window {
            message.write_with_id(id, false, &mut out);
            id = id.next();
            in_flight += 1;
        }
        if in_flight == 0 {
            return acknowledged;
        }
        client.stream.write_all(&out).await.unwrap();
        client.stream.flush().await.unwrap();
        out.clear();
        assert!(client.stream.read_buf(&mut client.inbox).await.unwrap() > 0, "closed");
        while let Some(packet) = decode(&mut client.inbox, Version::V311, &Default::default()).unwrap() {
            assert!(matches!(packet, Packet::PubAck(_)));
            in_flight -= 1;
            acknowledged += 1;
        }
    }
}

/// Receives until nothing has come for a second.
async fn receive(mut client: Client) -> u64 {
    let mut received = 0;
    let mut out = BytesMut::new();
    loop {
        while let Some(packet) = decode(&mut client.inbox, Version::V311, &Default::default()).unwrap() {
            let Packet::Publish(publish) = packet else { panic!("no message") };
            encode(&Packet::PubAck(PubAck::new(publish.packet_id.unwrap())), Version::V311, &mut out)
                .unwrap();
            received += 1;
        }
        client.stream.write_all(&out).await.unwrap();
        client.stream.flush().await.unwrap();
        out.clear();
        match tokio::time::timeout(Duration::from_secs(1), client.stream.read_buf(&mut client.inbox)).await {
            Ok(Ok(count)) if count > 0 => {}
            _ => return received,
        }
    }
}
