//! Whole agents that watch another program's log.

use fleetkey_lifecycle::record::Reason;

use super::*;
use crate::watch::{LogSource, Trouble, WatchSettings};

/// A device whose client's log is watched, and that log.
async fn watched(broker: &Broker, spacing: Duration) -> (AgentHandle, PathBuf) {
    let mut config = broker.device("dev-1");
    let log = broker.dir.path().join("red.log");
    std::fs::write(&log, "unable to verify the first certificate: that is past\n").unwrap();
    config.watch = Some(WatchSettings { log: LogSource::File(log.clone()), rotate: true, spacing });
    let agent = start(config).await;
    agent.until(|status| status.connected && status.exported).await.unwrap();
    (agent, log)
}

fn write_on(log: &Path, line: &str) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().append(true).open(log).unwrap();
    writeln!(file, "{line}").unwrap();
}

fn is_trouble(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::ClientTrouble { .. })
}

#[tokio::test]
async fn suspicious_words_in_the_clients_log_start_a_rotation_that_waits_for_nothing() {
    let broker = Broker::start().await;
    let (agent, log) = watched(&broker, Duration::ZERO).await;
    let mut events = agent.events();
    write_on(&log, "[info] Disconnected from broker, which is no sign of anything");
    write_on(&log, "[error] Error: self-signed certificate in certificate chain; password=secret");
    let told = until(&mut events, is_trouble).await;
    let words = "self-signed certificate".to_owned();
    let trouble = Trouble::ServerIdentity;
    assert_eq!(told, AgentEvent::ClientTrouble { trouble, words, lines: 1, held_back: None });
    let committed = until(&mut events, |event| matches!(event, AgentEvent::Committed { .. })).await;
    assert!(matches!(committed, AgentEvent::Committed { reason: Reason::Compromise, .. }), "{committed:?}");
    agent.stop().await;
}

#[tokio::test]
async fn what_a_rotation_stirs_up_in_the_clients_log_starts_no_other() {
    let broker = Broker::start().await;
    let (agent, log) = watched(&broker, Duration::from_secs(3600)).await;
    let mut events = agent.events();
    let certificate = agent.status().certificate;
    write_on(&log, "Error: unable to verify the first certificate");
    write_on(&log, "Error: X509_check_private_key:key values mismatch");
    for _ in 0..2 {
        let told = until(&mut events, is_trouble).await;
        assert!(matches!(told, AgentEvent::ClientTrouble { held_back: Some(_), .. }), "{told:?}");
    }
    assert_eq!((agent.status().certificate, agent.status().rotation), (certificate, None));
    agent.stop().await;
}
