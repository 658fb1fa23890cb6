//! Clients on other machines: who is let in, and who cannot keep the others out.

use std::path::Path;
use std::sync::Arc;

use fleetkey_mqtt::{Connect, ReasonCode, Version};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::raw::Raw;
use super::{device, dial, links, start, status, telemetry};
use crate::sidecar::{Listen, Route, SidecarSettings, TlsListen, new_user};
use crate::testing::Broker;
use crate::{Agent, AgentConfig, AgentHandle, SystemClock};

/// A device whose clients come in by TLS, and the passwords of its users.
fn by_tls(broker: &Broker, users: &[&str]) -> (AgentConfig, Vec<String>) {
    let dir = broker.dir.path();
    let made: Vec<_> = users.iter().map(|name| new_user(name).unwrap()).collect();
    let lines: String = made.iter().map(|(user, _)| format!("{user}\n")).collect();
    let users = dir.join("users");
    std::fs::write(&users, lines).unwrap();
    std::fs::set_permissions(&users, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let address = "127.0.0.1:0".parse().unwrap();
    let config = device(broker, Listen::Tls(TlsListen { address, names, directory: dir.join("ca"), users }));
    (config, made.into_iter().map(|(_, password)| password.to_string()).collect())
}

async fn dial_tls(agent: &AgentHandle, ca: &Path) -> TlsStream<TcpStream> {
    use rustls::{ClientConfig, RootCertStore};
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listen = agent.sidecar().unwrap().listen.remove(0);
    let tcp = TcpStream::connect(listen.strip_prefix("tls ").unwrap()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap()
}

/// What a client with that name and password is told.
async fn login(
    broker: &Broker,
    agent: &AgentHandle,
    user: &str,
    password: &str,
) -> (Raw<TlsStream<TcpStream>>, ReasonCode) {
    let stream = dial_tls(agent, &broker.dir.path().join("ca/ca.pem")).await;
    let mut connect = Connect::new(Version::V5, "plc");
    connect.username = Some(user.into());
    connect.password = Some(bytes::Bytes::copy_from_slice(password.as_bytes()));
    let (client, ack) = Raw::connect(stream, connect).await;
    (client, ack.reason)
}

async fn running(config: AgentConfig) -> AgentHandle {
    let agent = Agent::start(config, Arc::new(SystemClock)).await.unwrap();
    agent.connected().await.unwrap();
    agent
}

#[tokio::test]
async fn by_tls_a_client_is_let_in_with_its_password_and_trusts_the_local_ca_alone() {
    let broker = Broker::start().await;
    let (config, passwords) = by_tls(&broker, &["plc"]);
    let agent = running(config).await;
    for (user, password) in [("plc", "guess"), ("nobody", passwords[0].as_str()), ("", "")] {
        let (_, reason) = login(&broker, &agent, user, password).await;
        assert_eq!(reason, ReasonCode::BAD_USER_NAME_OR_PASSWORD);
    }
    let (mut client, reason) = login(&broker, &agent, "plc", &passwords[0]).await;
    assert_eq!(reason, ReasonCode::SUCCESS);
    client.publishes(1, "1").await;
    agent.stop().await;
}

/// The user's password is checked where it comes in, and only then is it somebody else's client.
#[tokio::test]
async fn a_user_of_another_device_is_passed_to_its_agent_once_the_password_is_right() {
    let broker = Broker::start().await;
    let socket = broker.dir.path().join("other.sock");
    let mut other = broker.device("dev-2");
    other.sidecar = Some(SidecarSettings::new(vec![Listen::Unix(socket.clone())]));
    let other = running(other).await;
    let (mut config, passwords) = by_tls(&broker, &["own", "guest"]);
    let route = Route { client_id: None, user: Some("guest".to_owned()), to: socket };
    config.sidecar.as_mut().unwrap().routes = vec![route];
    let agent = running(config).await;

    let (_, reason) = login(&broker, &agent, "guest", &passwords[0]).await;
    assert_eq!(reason, ReasonCode::BAD_USER_NAME_OR_PASSWORD, "the other user's password");
    assert!(status(&other, |_| true).await.client.is_none(), "and nobody has heard of it");
    // Both say the same client id: it is the user who counts.
    let (mut own, reason) = login(&broker, &agent, "own", &passwords[0]).await;
    assert_eq!(reason, ReasonCode::SUCCESS);
    let (mut guest, reason) = login(&broker, &agent, "guest", &passwords[1]).await;
    assert_eq!(reason, ReasonCode::SUCCESS);
    own.publishes(1, "own").await;
    guest.publishes(1, "before").await;
    other.rotate().await;
    status(&other, |status| status.moves == 1).await;
    guest.publishes(2, "after").await;
    let said: Vec<_> =
        telemetry(&broker.seen()).into_iter().map(|(client, said, _)| (client, said)).collect();
    let by = |client: &str, said: &str| (client.to_owned(), said.to_owned());
    assert_eq!(said, [by("dev-1", "own"), by("dev-2", "before"), by("dev-2", "after")]);
    assert_eq!(links(&broker.seen()), 1, "the device that listens has only its own client");
    agent.stop().await;
    other.stop().await;
}

/// Each would be waited for ten seconds, and so many at once are asked.
#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_a_client_waiting() {
    let broker = Broker::start().await;
    let agent = start(&broker).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(dial(&agent).await);
    }
    let served = Raw::connect(dial(&agent).await, Connect::new(Version::V311, "plc"));
    let patience = std::time::Duration::from_secs(9);
    let (_client, ack) = tokio::time::timeout(patience, served).await.expect("in no time");
    assert_eq!(ack.reason, ReasonCode::SUCCESS);
    agent.stop().await;
}

#[tokio::test]
async fn a_route_that_a_link_leads_back_here_is_an_error_once_the_socket_is_there() {
    let broker = Broker::start().await;
    let socket = broker.dir.path().join("mqtt.sock");
    let link = broker.dir.path().join("link");
    // It leads nowhere until the agent listens.
    std::os::unix::fs::symlink(&socket, &link).unwrap();
    let mut config = device(&broker, Listen::Unix(socket));
    let route = Route { client_id: Some("plc".to_owned()), user: None, to: link };
    config.sidecar.as_mut().unwrap().routes = vec![route];
    let error = Agent::start(config, Arc::new(SystemClock)).await.unwrap_err();
    assert!(error.to_string().contains("own sidecar"), "{error}");
}
