//! Whole agents whose directory, claim or session is not as it should be: what still works, and what they say.

use fleetkey_lifecycle::status::StateName;
use fleetkey_model::certificate::CertificateId;

use super::*;
use crate::config::Verification;

fn device_on(broker: &Broker, disk: &Disk) -> AgentConfig {
    let mut config = broker.device("dev-1");
    config.state_dir = disk.root().to_path_buf();
    config.rotation.backoff.base = Duration::from_millis(5);
    config
}

async fn start_on(config: &AgentConfig, disk: &Disk) -> AgentHandle {
    Agent::start_on(config.clone(), Arc::new(SystemClock), ground(disk)).await.unwrap()
}

/// A device on this disk that has been provisioned and is stopped again.
async fn provisioned(broker: &Broker, disk: &Disk) -> AgentConfig {
    let config = device_on(broker, disk);
    let agent = start_on(&config, disk).await;
    agent.until(|status| status.exported && status.connected).await.unwrap();
    agent.stop().await;
    config
}

/// Whether the status says that nothing moves because of this.
fn is_blocked_by(status: &Status, why: &str) -> bool {
    status.blocked.as_ref().is_some_and(|blocked| blocked.contains(why))
}

#[tokio::test]
async fn a_directory_of_a_newer_version_that_does_not_say_who_the_device_is_stops_the_agent() {
    let broker = Broker::start().await;
    let disk = Disk::new();
    std::fs::write(disk.root().join("state.json"), r#"{"v":99}"#).unwrap();
    let config = device_on(&broker, &disk);
    let started = Agent::start_on(config, Arc::new(SystemClock), ground(&disk)).await;
    let error = started.unwrap_err();
    assert!(matches!(error, StartError::Record(RecordError::Newer { found: 99, .. })), "{error}");
    assert_eq!(disk.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn the_identity_of_a_newer_version_is_served_and_nothing_in_its_directory_changes() {
    let broker = Broker::start().await;
    let disk = Disk::new();
    let config = provisioned(&broker, &disk).await;
    let newer = r#"{"v":99,"sum":"?","record":{"v":99,"current":1,"soul":"what we do not know of"}}"#;
    std::fs::write(disk.root().join("state.json"), newer).unwrap();
    disk.calls();
    let agent = start_on(&config, &disk).await;
    let mut events = agent.events();
    agent.until(|status| status.connected && status.exported).await.unwrap();
    agent.publish("device/dev-1/telemetry", "0").await.unwrap();
    agent.rotate().await;
    until(&mut events, |event| matches!(event, AgentEvent::Deferred { .. })).await;
    assert!(is_blocked_by(&agent.status(), "newer fleetkey-agent"), "{:?}", agent.status());
    agent.stop().await;
    assert_eq!(disk.calls(), Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(disk.root().join("state.json")).unwrap(), newer);
}

#[tokio::test]
async fn a_slot_that_the_disk_does_not_read_keeps_no_device_off_line_that_has_another() {
    let broker = Broker::start().await;
    let disk = Disk::new();
    let config = provisioned(&broker, &disk).await;
    // A directory in a file's place reads as EISDIR, which like EIO says nothing of a content.
    std::fs::create_dir_all(disk.root().join("slots/7/key.pem")).unwrap();
    let agent = start_on(&config, &disk).await;
    agent.until(|status| status.connected && status.exported).await.unwrap();
    agent.stop().await;
    assert!(disk.root().join("slots/7/key.pem").exists(), "it may read another time");
    std::fs::remove_file(disk.root().join("slots/1/key.pem")).unwrap();
    std::fs::create_dir(disk.root().join("slots/1/key.pem")).unwrap();
    std::fs::remove_file(disk.root().join("state.json")).unwrap();
    let started = Agent::start_on(config, Arc::new(SystemClock), ground(&disk)).await;
    assert!(matches!(started, Err(StartError::Store(_))), "nothing says who the device is: it may pass");
}

#[tokio::test]
async fn a_device_whose_identity_the_disk_does_not_give_starts_and_comes_back_when_it_does() {
    let broker = Broker::start().await;
    let disk = Disk::new();
    let config = provisioned(&broker, &disk).await;
    let (key, away) = (disk.root().join("slots/1/key.pem"), disk.root().join("key.pem"));
    std::fs::rename(&key, &away).unwrap();
    // A directory in a file's place reads as EISDIR, which like EIO says nothing of a content.
    std::fs::create_dir(&key).unwrap();
    let agent = start_on(&config, &disk).await;
    agent.until(|status| status.state == StateName::Ladder && !status.connected).await.unwrap();
    std::fs::remove_dir(&key).unwrap();
    std::fs::rename(&away, &key).unwrap();
    let status = agent.until(|status| status.connected && status.exported).await.unwrap();
    assert_eq!(status.current, Some(SlotId(1)));
    agent.stop().await;
}

#[tokio::test]
async fn a_claim_that_the_broker_refuses_is_said_to_be_refused() {
    let broker = Broker::start().await;
    broker.registry().refuse_all();
    let agent = start(broker.device("dev-1")).await;
    agent.until(|status| is_blocked_by(status, "the claim certificate is refused")).await.unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn a_device_without_the_session_of_its_thing_says_what_its_retirement_waits_for() {
    let broker = Broker::start().await;
    let mut config = broker.device("dev-1");
    config.session.live = false;
    config.timeouts.answer = Duration::from_millis(50);
    let agent = start(config).await;
    agent.connected().await.unwrap();
    // The controller takes no word of `dev-1~agent`.
    broker.registry().answers_retire = false;
    agent.rotate().await;
    let status = agent.until(|status| is_blocked_by(status, "[session] live = false")).await.unwrap();
    assert_eq!((status.current, status.previous), (Some(SlotId(2)), Some(SlotId(1))));
    agent.stop().await;
}

#[tokio::test]
async fn a_device_without_the_session_of_its_thing_believes_only_who_asked_on_its_own_certificate() {
    let broker = Broker::start().await;
    let mut config = broker.device("dev-1");
    config.session.live = false;
    config.timeouts.answer = Duration::from_millis(50);
    let agent = start(config).await;
    let mut events = agent.events();
    let status = agent.until(|status| status.connected && status.exported).await.unwrap();
    let before = status.certificate.unwrap();
    broker.registry().answers_retire = false;
    agent.rotate().await;
    let status = agent.until(|status| is_blocked_by(status, "[session] live = false")).await.unwrap();
    let current = status.certificate.unwrap();
    let id = status.rotation.unwrap();
    let answer = async |witness: Option<CertificateId>| {
        let mut answer = serde_json::json!({"op": "retire", "id": id, "status": "retired"});
        if let Some(witness) = witness {
            answer["witness"] = serde_json::json!(witness);
        }
        let payload = answer.to_string();
        broker.send("dev-1~agent", "fleetkey/things/dev-1/answers", payload.as_bytes()).await;
    };
    answer(None).await;
    answer(Some(before)).await;
    until(
        &mut events,
        |event| matches!(event, AgentEvent::Waiting { why, .. } if why.contains("another certificate")),
    )
    .await;
    assert_eq!(agent.status().previous, Some(SlotId(1)));
    answer(Some(current)).await;
    until(&mut events, is_retired).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_command_is_acknowledged_only_when_a_restart_would_not_forget_it() {
    let broker = Broker::start().await;
    let disk = Disk::new();
    let config = provisioned(&broker, &disk).await;
    let agent = start_on(&config, &disk).await;
    let mut events = agent.events();
    agent.connected().await.unwrap();
    broker.until(|_| broker_listens(&broker)).await;
    disk.refuse(io::ErrorKind::StorageFull);
    let id = broker.send("dev-1", "fleetkey/things/dev-1/commands", br#"{"op":"rotate","id":"c-1"}"#).await;
    agent.until(|status| !status.alarms.is_empty()).await.unwrap();
    assert!(!broker.registry().acknowledged.contains(&id));
    disk.refuse(None);
    until(&mut events, is_retired).await;
    broker.until(|_| broker.registry().acknowledged.contains(&id)).await;
    agent.stop().await;
}

/// A device that proves an identity on the live session's client id, and a command that comes just then.
async fn commanded_during_a_proof(broker: &Broker, disk: &Disk, unanswered: usize) -> AgentHandle {
    let mut config = provisioned(broker, disk).await;
    config.rotation.verification = Verification::Takeover;
    config.timeouts.answer = Duration::from_secs(2);
    let agent = start_on(&config, disk).await;
    agent.connected().await.unwrap();
    let command = br#"{"op":"rotate","id":"c-2"}"#.to_vec();
    broker.registry().mute_proofs = unanswered;
    broker.registry().before_proof = Some(("fleetkey/things/dev-1/commands".into(), command));
    agent.rotate().await;
    agent
}

#[tokio::test]
async fn a_command_that_comes_during_a_proof_is_taken_and_acknowledged_by_the_session_that_moves_there() {
    let broker = Broker::start().await;
    let disk = Disk::new();
    let agent = commanded_during_a_proof(&broker, &disk, 0).await;
    let acknowledged = || {
        let registry = broker.registry();
        registry.sent_before_proof.is_some_and(|id| registry.acknowledged.contains(&id))
    };
    broker.until(|_| acknowledged()).await;
    agent.until(|status| status.current == Some(SlotId(3))).await.unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn a_command_that_comes_during_a_proof_that_fails_is_left_to_the_broker_to_deliver_again() {
    let broker = Broker::start().await;
    let disk = Disk::new();
    let agent = commanded_during_a_proof(&broker, &disk, 1).await;
    agent.until(|status| status.current == Some(SlotId(2))).await.unwrap();
    let id = broker.registry().sent_before_proof.unwrap();
    assert!(!broker.registry().acknowledged.contains(&id));
    agent.stop().await;
}
