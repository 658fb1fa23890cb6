//! The sidecar over real sockets: a local client, an agent that rotates beneath it, the test broker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_mqtt::link::{Client, ConnectError, ConnectOptions, Messages};
use fleetkey_mqtt::session::SessionConfig;
use fleetkey_mqtt::{QoS, ReasonCode, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::{Listen, Route, SidecarEvent, SidecarSettings, SidecarStatus};
use crate::testing::{Broker, Seen};
use crate::{Agent, AgentConfig, AgentEvent, AgentHandle, SystemClock};

mod clients;
mod raw;
mod strangers;
mod torn;

const TELEMETRY: &str = "device/dev-1/telemetry";
const COMMANDS: &str = "device/dev-1/commands";

fn device(broker: &Broker, listen: Listen) -> AgentConfig {
    let mut config = broker.device("dev-1");
    config.sidecar = Some(SidecarSettings::new(vec![listen]));
    config
}

async fn start(broker: &Broker) -> AgentHandle {
    let config = device(broker, Listen::Tcp("127.0.0.1:0".parse().unwrap()));
    let agent = Agent::start(config, Arc::new(SystemClock)).await.unwrap();
    agent.connected().await.unwrap();
    agent
}

async fn dial(agent: &AgentHandle) -> TcpStream {
    let listen = agent.sidecar().unwrap().listen.remove(0);
    TcpStream::connect(listen.strip_prefix("tcp ").unwrap()).await.unwrap()
}

async fn connect(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    options: ConnectOptions,
) -> Result<(Client, Messages), ConnectError> {
    Client::start(stream, options, SessionConfig::default()).await
}

fn options(version: Version) -> ConnectOptions {
    ConnectOptions { version, ..ConnectOptions::new("node-red") }
}

async fn publish(client: &Client, payload: &'static str) {
    client.publish(TELEMETRY, payload, QoS::AtLeastOnce).await.unwrap();
}

/// Who published what on the telemetry's topic, and as which client.
fn telemetry(seen: &[Seen]) -> Vec<(String, String, CertificateId)> {
    let of = |seen: &Seen| match seen {
        Seen::Published { client, topic, payload, principal } if topic == TELEMETRY => {
            Some((client.clone(), String::from_utf8(payload.clone()).unwrap(), *principal))
        }
        _ => None,
    };
    seen.iter().filter_map(of).collect()
}

/// How often the thing itself has connected.
fn links(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| matches!(seen, Seen::Connected { client, .. } if client == "dev-1")).count()
}

async fn status(agent: &AgentHandle, wanted: impl FnMut(&SidecarStatus) -> bool) -> SidecarStatus {
    agent.sidecar_until(wanted).await.unwrap()
}

#[tokio::test]
async fn a_client_stays_connected_while_the_identity_beneath_it_changes_and_the_old_one_is_retired() {
    for version in [Version::V311, Version::V5] {
        let broker = Broker::start().await;
        let agent = start(&broker).await;
        let first = agent.status().certificate.unwrap();
        let (client, mut messages) = connect(dial(&agent).await, options(version)).await.unwrap();
        client.subscribe(&[("device/dev-1/commands", QoS::AtLeastOnce)]).await.unwrap();
        publish(&client, "1").await;
        agent.rotate().await;
        let moved = status(&agent, |status| status.moves == 1).await;
        let second =
            agent.until(|status| status.certificate != Some(first)).await.unwrap().certificate.unwrap();
        assert_eq!(moved.certificate, Some(second), "only now is it said to be on the new one");
        publish(&client, "2").await;
        let expected =
            [("1", first), ("2", second)].map(|(payload, by)| ("dev-1".into(), payload.into(), by));
        assert_eq!(telemetry(&broker.seen()), expected);
        broker.send("dev-1", "device/dev-1/commands", b"go").await;
        assert_eq!(messages.recv().await.unwrap().payload, "go");
        // The retire request is attested for the thing itself: it went on the client's link.
        let request = |seen: &Seen| {
            matches!(seen, Seen::Published { client, topic, principal, .. }
                if client == "dev-1" && topic.ends_with("/requests") && *principal == second)
        };
        broker.until(|seen| seen.iter().any(request)).await;
        agent.until(|status| status.previous.is_none() && status.rotation.is_none()).await.unwrap();
        client.disconnect().await;
        agent.stop().await;
    }
}

#[tokio::test]
async fn an_identity_that_the_broker_refuses_leaves_the_client_where_it_was() {
    let broker = Broker::start().await;
    let agent = start(&broker).await;
    let (client, _messages) = connect(dial(&agent).await, options(Version::V5)).await.unwrap();
    broker.registry().activates = false;
    agent.rotate().await;
    let refused = |seen: &Seen| matches!(seen, Seen::Refused { .. });
    broker.until(|seen| seen.iter().any(refused)).await;
    publish(&client, "1").await;
    assert_eq!(status(&agent, |_| true).await.moves, 0);
    agent.stop().await;
}

/// TLS 1.2 tells a client in the handshake; TLS 1.3 has finished it by then, so that CONNECT may be out already.
#[tokio::test]
async fn an_identity_that_is_refused_in_tls_takes_the_link_back_and_its_client_notices_nothing() {
    for tls in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let broker = Broker::speaking(&[tls]).await;
        let agent = start(&broker).await;
        let first = agent.status().certificate.unwrap();
        let (client, _messages) = connect(dial(&agent).await, options(Version::V311)).await.unwrap();
        client.subscribe(&[(COMMANDS, QoS::AtLeastOnce)]).await.unwrap();
        publish(&client, "1").await;
        let before = links(&broker.seen());
        broker.registry().refuse_newcomers_in_tls();
        let mut events = agent.events();
        agent.rotate().await;
        // It was proved beside the session, and committed: nothing but its next handshake is refused.
        while !matches!(events.recv().await.unwrap(), AgentEvent::Sidecar(SidecarEvent::NotMoved { .. })) {}
        assert!(agent.status().certificate != Some(first));
        publish(&client, "2").await;
        let back = status(&agent, |status| !status.held && status.certificate == Some(first)).await;
        assert!(back.moves == 0 && back.losses == 0 && back.client.is_some(), "{back:?}");
        let seen = broker.seen();
        assert!(seen.iter().any(|seen| matches!(seen, Seen::RefusedInTls { .. })));
        let said = telemetry(&seen);
        assert!(said.iter().all(|(client, _, by)| client == "dev-1" && *by == first), "{said:?}");
        let said: BTreeSet<_> = said.iter().map(|(_, said, _)| said.as_str()).collect();
        assert_eq!(said, BTreeSet::from(["1", "2"]));
        if tls.version == rustls::ProtocolVersion::TLSv1_2 {
            assert_eq!(links(&seen), before, "the old link was never touched");
        }
        let subscribed = |_: &[Seen]| {
            broker.registry().connections.get("dev-1").is_some_and(|link| link.filters.contains(COMMANDS))
        };
        broker.until(subscribed).await;
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_broker_that_crashes_and_comes_back_costs_the_client_nothing() {
    let mut broker = Broker::start().await;
    let agent = start(&broker).await;
    let (client, _messages) = connect(dial(&agent).await, options(Version::V5)).await.unwrap();
    publish(&client, "1").await;
    broker.crash().await;
    status(&agent, |status| status.losses == 1).await;
    let client = Arc::new(client);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { publish(&client, "2").await }
    });
    broker.restart().await;
    waiting.await.unwrap();
    let told = status(&agent, |status| status.last.is_some()).await;
    assert!(!told.held && !told.last.unwrap().session_present, "{told:?}");
    agent.stop().await;
}

#[tokio::test]
async fn without_an_identity_a_client_is_told_that_the_server_is_unavailable() {
    let broker = Broker::start().await;
    broker.registry().refuse_all();
    let config = device(&broker, Listen::Tcp("127.0.0.1:0".parse().unwrap()));
    let agent = Agent::start(config, Arc::new(SystemClock)).await.unwrap();
    for version in [Version::V311, Version::V5] {
        let refused = connect(dial(&agent).await, options(version)).await.unwrap_err();
        assert_eq!(refused, ConnectError::Refused(ReasonCode::SERVER_UNAVAILABLE));
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_unix_socket_serves_as_well_and_is_gone_in_the_end() {
    use std::os::unix::fs::PermissionsExt as _;
    let broker = Broker::start().await;
    let path = broker.dir.path().join("mqtt.sock");
    // One that a crash has left is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let agent =
        Agent::start(device(&broker, Listen::Unix(path.clone())), Arc::new(SystemClock)).await.unwrap();
    agent.connected().await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let stream = UnixStream::connect(&path).await.unwrap();
    let (client, _messages) = connect(stream, options(Version::V311)).await.unwrap();
    publish(&client, "1").await;
    agent.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_client_of_another_device_is_passed_to_its_agent_which_rotates_beneath_it() {
    let broker = Broker::start().await;
    let socket = broker.dir.path().join("other.sock");
    let mut other = broker.device("dev-2");
    other.sidecar = Some(SidecarSettings::new(vec![Listen::Unix(socket.clone())]));
    let other = Agent::start(other, Arc::new(SystemClock)).await.unwrap();
    other.connected().await.unwrap();
    let mut config = device(&broker, Listen::Tcp("127.0.0.1:0".parse().unwrap()));
    let route = |id: &str, to| Route { client_id: Some(id.to_owned()), user: None, to };
    let nobody = broker.dir.path().join("nobody.sock");
    config.sidecar.as_mut().unwrap().routes = vec![route("plc-2", socket), route("plc-3", nobody)];
    let agent = Agent::start(config, Arc::new(SystemClock)).await.unwrap();
    agent.connected().await.unwrap();

    let (own, _messages) = connect(dial(&agent).await, options(Version::V311)).await.unwrap();
    let (guest, _messages) = connect(dial(&agent).await, ConnectOptions::new("plc-2")).await.unwrap();
    publish(&own, "own").await;
    publish(&guest, "before").await;
    other.rotate().await;
    status(&other, |status| status.moves == 1).await;
    publish(&guest, "after").await;
    let said: Vec<_> =
        telemetry(&broker.seen()).into_iter().map(|(client, said, _)| (client, said)).collect();
    let by = |client: &str, said: &str| (client.to_owned(), said.to_owned());
    assert_eq!(said, [by("dev-1", "own"), by("dev-2", "before"), by("dev-2", "after")]);

    let refused = connect(dial(&agent).await, ConnectOptions::new("plc-3")).await.unwrap_err();
    assert_eq!(refused, ConnectError::Refused(ReasonCode::SERVER_UNAVAILABLE));
    agent.stop().await;
    status(&other, |status| status.client.is_none()).await;
    other.stop().await;
}

#[tokio::test]
async fn a_place_that_is_taken_is_an_error_that_names_it() {
    let broker = Broker::start().await;
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = Agent::start(device(&broker, Listen::Tcp(address)), Arc::new(SystemClock)).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let file = broker.dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Agent::start(device(&broker, Listen::Unix(file)), Arc::new(SystemClock)).await.unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
}

#[tokio::test]
async fn what_does_not_begin_with_connect_is_let_go() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let broker = Broker::start().await;
    let agent = start(&broker).await;
    let mut stream = dial(&agent).await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset says the same as an end.
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"");
    agent.stop().await;
}
