//! The way back by command: from what soaks, if it is what the command names, and from nothing else.

use fleetkey_lifecycle::status::StateName;
use fleetkey_model::certificate::CertificateId;

use super::*;

const COMMANDS: &str = "fleetkey/things/dev-1/commands";

/// A device that has rotated, and soaks: the certificate before and the one in use.
async fn soaking(broker: &Broker) -> (AgentHandle, CertificateId, CertificateId) {
    let mut config = broker.device("dev-1");
    config.rotation.soak = Duration::from_secs(3600);
    let agent = start(config).await;
    agent.connected().await.unwrap();
    broker.until(|_| broker_listens(broker)).await;
    let first = agent.status().certificate.unwrap();
    broker.send("dev-1", COMMANDS, br#"{"op":"rotate"}"#).await;
    agent.until(|status| status.state == StateName::Soak && status.connected).await.unwrap();
    broker.until(|_| broker_listens(broker)).await;
    let second = agent.status().certificate.unwrap();
    assert_ne!(first, second);
    (agent, first, second)
}

async fn go_back(broker: &Broker, from: CertificateId) {
    broker.send("dev-1", COMMANDS, format!(r#"{{"op":"rollback","from":"{from}"}}"#).as_bytes()).await;
}

#[tokio::test]
async fn a_device_goes_back_by_command_from_what_it_soaks() {
    let broker = Broker::start().await;
    let (agent, first, second) = soaking(&broker).await;
    go_back(&broker, second).await;
    agent.until(|status| status.certificate == Some(first) && status.connected).await.unwrap();
    assert_eq!(agent.status().state, StateName::Idle);
    // Once more: it is there already, and stays.
    broker.until(|_| broker_listens(&broker)).await;
    go_back(&broker, second).await;
    go_back(&broker, first).await;
    // What comes after the two has met them.
    broker.send("dev-1", COMMANDS, br#"{"op":"rotate","id":"on"}"#).await;
    agent.until(|status| status.state == StateName::Soak && status.connected).await.unwrap();
    assert!(![Some(first), Some(second)].contains(&agent.status().certificate));
    agent.stop().await;
}

#[tokio::test]
async fn a_command_that_names_another_certificate_takes_nothing_back() {
    let broker = Broker::start().await;
    let (agent, first, second) = soaking(&broker).await;
    go_back(&broker, first).await;
    go_back(&broker, CertificateId::of_der(b"another")).await;
    broker.send("dev-1", COMMANDS, br#"{"op":"rollback"}"#).await;
    // Waits until the last of them is acknowledged, or has nothing to be acknowledged by: a message of ours comes after.
    agent.publish("device/dev-1/telemetry", "0").await.unwrap();
    let status = agent.status();
    assert_eq!((status.certificate, status.going_back), (Some(second), false));
    agent.stop().await;
}
