//! Whole agents against the test broker: provisioning, rotation under load, refusal, restart, a broker's crash.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::config::Verdict;
use fleetkey_lifecycle::status::Alarm;
use fleetkey_model::retirement::DeviceRequest;
use tokio::sync::broadcast;

use super::*;
use crate::SystemClock;
use crate::store::read_entries;
use crate::store::testing::Disk;
use crate::testing::{Broker, Seen};

mod token;
mod trouble;
mod watched;
mod way_back;

async fn start(config: AgentConfig) -> AgentHandle {
    Agent::start(config, Arc::new(SystemClock)).await.unwrap()
}

fn ground(disk: &Disk) -> Ground {
    Ground { fs: Arc::new(disk.clone()), ..Ground::default() }
}

/// Waits for an event; a test that waits for what never comes hangs, and its name tells.
async fn until(
    events: &mut broadcast::Receiver<AgentEvent>,
    wanted: impl Fn(&AgentEvent) -> bool,
) -> AgentEvent {
    loop {
        let event = events.recv().await.unwrap();
        if wanted(&event) {
            return event;
        }
    }
}

fn is_retired(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::Retired { .. })
}

/// Publishes numbers from 0 on, each after the PUBACK of the one before, until told to stop; then their count.
fn load(agent: &Arc<AgentHandle>) -> (watch::Sender<bool>, JoinHandle<u32>) {
    let (stop, stopped) = watch::channel(false);
    let agent = agent.clone();
    let task = tokio::spawn(async move {
        let mut number = 0u32;
        while !*stopped.borrow() {
            agent.publish("device/dev-1/telemetry", number.to_string()).await.unwrap();
            number += 1;
        }
        number
    });
    (stop, task)
}

/// The numbers that arrived, in order of arrival.
fn telemetry(seen: &[Seen]) -> Vec<u32> {
    let number = |seen: &Seen| match seen {
        Seen::Published { topic, payload, .. } if topic == "device/dev-1/telemetry" => {
            Some(std::str::from_utf8(payload).unwrap().parse().unwrap())
        }
        _ => None,
    };
    seen.iter().filter_map(number).collect()
}

fn connections(seen: &[Seen], id: &str) -> usize {
    seen.iter().filter(|seen| matches!(seen, Seen::Connected { client, .. } if client == id)).count()
}

async fn finish(agent: Arc<AgentHandle>) {
    Arc::into_inner(agent).unwrap().stop().await;
}

#[tokio::test]
async fn a_device_provisions_by_claim_and_its_certificate_is_exported() {
    let broker = Broker::start().await;
    let agent = start(broker.device("dev-1")).await;
    let status = agent.provisioned().await.unwrap();
    agent.connected().await.unwrap();
    agent.publish("device/dev-1/telemetry", "0").await.unwrap();
    assert_eq!(status.current, Some(SlotId(1)));
    let exported = broker.dir.path().join("dev-1/export/device.cert.pem");
    agent.until(|status| status.exported).await.unwrap();
    assert!(exported.exists());
    let seen = broker.seen();
    assert!(matches!(&seen[0], Seen::Connected { client, .. } if client == "claim~dev-1"));
    assert_eq!((connections(&seen, "dev-1~verify"), connections(&seen, "dev-1")), (1, 1));
    agent.stop().await;
}

#[tokio::test]
async fn rotations_under_load_lose_nothing_and_the_live_session_stays_until_the_commit() {
    let broker = Broker::start().await;
    let agent = Arc::new(start(broker.device("dev-1")).await);
    let mut events = agent.events();
    agent.connected().await.unwrap();
    let (stop, sent) = load(&agent);
    for _ in 0..3 {
        agent.rotate().await;
        until(&mut events, is_retired).await;
    }
    stop.send(true).unwrap();
    let sent = sent.await.unwrap();
    let seen = broker.seen();
    let mut arrived = telemetry(&seen);
    arrived.dedup();
    assert_eq!(arrived, (0..sent).collect::<Vec<_>>());
    assert_eq!(connections(&seen, "dev-1"), 4);
    assert_made_before_broken(&seen);
    assert_eq!(agent.status().current, Some(SlotId(4)));
    finish(agent).await;
}

/// No live connection is closed before the next one, with another certificate, stands.
fn assert_made_before_broken(seen: &[Seen]) {
    let mut open = 0;
    let live = seen.iter().filter_map(|seen| match seen {
        Seen::Connected { client, .. } if client == "dev-1" => Some(1),
        Seen::Closed { client, .. } if client == "dev-1" => Some(-1),
        _ => None,
    });
    for change in live.skip(1) {
        open += change;
        assert!(open >= 0, "{seen:?}");
    }
}

#[tokio::test]
async fn a_refused_candidate_leaves_the_live_session_untouched() {
    let broker = Broker::start().await;
    let mut config = broker.device("dev-1");
    config.rotation.verdict = Verdict { refusals: 2, over: Duration::ZERO };
    config.rotation.backoff.base = Duration::from_millis(5);
    let agent = Arc::new(start(config).await);
    let mut events = agent.events();
    agent.connected().await.unwrap();
    let (stop, sent) = load(&agent);
    broker.registry().activates = false;
    agent.rotate().await;
    let event = until(&mut events, |event| matches!(event, AgentEvent::RolledBack { .. })).await;
    assert!(format!("{event:?}").contains("refused the new certificate 2 times"), "{event:?}");
    stop.send(true).unwrap();
    sent.await.unwrap();
    let seen = broker.seen();
    assert_eq!(connections(&seen, "dev-1"), 1);
    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Closed { client, .. } if client == "dev-1")));
    agent.until(|status| status.candidate.is_none()).await.unwrap();
    assert_eq!(agent.status().current, Some(SlotId(1)));
    finish(agent).await;
}

#[tokio::test]
async fn a_restarted_agent_is_who_it_was_and_a_second_one_is_refused() {
    let broker = Broker::start().await;
    let agent = start(broker.device("dev-1")).await;
    let before = agent.connected().await.unwrap();
    let second = Agent::start(broker.device("dev-1"), Arc::new(SystemClock)).await;
    assert!(matches!(second, Err(StartError::Lock(LockError::InUse(_)))));
    agent.stop().await;
    let agent = start(broker.device("dev-1")).await;
    let after = agent.connected().await.unwrap();
    assert_eq!(after.certificate, before.certificate);
    assert_eq!(connections(&broker.seen(), "claim~dev-1"), 1);
    agent.stop().await;
}

#[tokio::test]
async fn a_broker_that_crashes_gets_what_it_has_not_acknowledged_again() {
    let mut broker = Broker::start().await;
    let agent = Arc::new(start(broker.device("dev-1")).await);
    agent.connected().await.unwrap();
    broker.registry().silent = usize::MAX;
    let (stop, sent) = load(&agent);
    broker.until(|seen| !telemetry(seen).is_empty()).await;
    broker.crash().await;
    broker.registry().silent = 0;
    agent.until(|status| !status.connected).await.unwrap();
    broker.restart().await;
    agent.connected().await.unwrap();
    broker.until(|seen| telemetry(seen).len() > 10).await;
    stop.send(true).unwrap();
    let sent = sent.await.unwrap();
    let mut arrived = telemetry(&broker.seen());
    assert_eq!(arrived[..2], [0, 0], "the first came twice");
    arrived.dedup();
    assert_eq!(arrived, (0..sent).collect::<Vec<_>>());
    finish(agent).await;
}

#[tokio::test]
async fn a_command_over_mqtt_and_one_over_the_socket_rotate_alike() {
    let broker = Broker::start().await;
    let agent = start(broker.device("dev-1")).await;
    let mut events = agent.events();
    agent.connected().await.unwrap();
    broker.until(|_| broker_listens(&broker)).await;
    broker.send("dev-1", "fleetkey/things/dev-1/commands", br#"{"op":"rotate"}"#).await;
    until(&mut events, is_retired).await;
    let dir = broker.dir.path().join("dev-1");
    tokio::task::spawn_blocking(move || crate::status::client::rotate(&dir, false)).await.unwrap().unwrap();
    until(&mut events, is_retired).await;
    assert_eq!(agent.status().current, Some(SlotId(3)));
    agent.stop().await;
}

fn broker_listens(broker: &Broker) -> bool {
    let registry = broker.registry();
    let live = registry.connections.get("dev-1");
    live.is_some_and(|live| live.filters.contains("fleetkey/things/dev-1/commands"))
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_to_the_caller() {
    let broker = Broker::start().await;
    let agent = start(broker.device("dev-1")).await;
    let large = agent.publish("device/dev-1/x", vec![0; MAX + 1]).await;
    assert_eq!(large, Err(PublishError::TooLarge(MAX + 1)));
    for topic in ["device/+/x", "", "a/b/c/d/e/f/g/h/i"] {
        let refused = agent.publish(topic, "x").await;
        assert!(matches!(refused, Err(PublishError::Topic { .. })), "{topic}: {refused:?}");
    }
    agent.stop().await;
}

const MAX: usize = crate::MAX_PAYLOAD;

#[tokio::test]
async fn a_device_without_identity_and_claim_says_so_at_once() {
    let broker = Broker::start().await;
    let mut config = broker.device("dev-1");
    config.claim = None;
    let error = Agent::start(config, Arc::new(SystemClock)).await.unwrap_err();
    assert!(matches!(error, StartError::NoIdentity(_)), "{error}");
}

#[tokio::test]
async fn a_takeover_that_is_refused_leaves_the_old_connection_and_is_tried_again() {
    let broker = Broker::start().await;
    let mut config = broker.device("dev-1");
    config.rotation.backoff.base = Duration::from_millis(5);
    let agent = Arc::new(start(config).await);
    let mut events = agent.events();
    agent.connected().await.unwrap();
    let (stop, sent) = load(&agent);
    broker.registry().refuse_takeovers = 3;
    agent.rotate().await;
    until(&mut events, is_retired).await;
    stop.send(true).unwrap();
    let sent = sent.await.unwrap();
    let seen = broker.seen();
    let refused = |seen: &&Seen| matches!(seen, Seen::Refused { client, .. } if client == "dev-1");
    assert_eq!(seen.iter().filter(refused).count(), 3);
    assert_eq!(connections(&seen, "dev-1"), 2, "the first connection served until the second");
    assert_made_before_broken(&seen);
    let mut arrived = telemetry(&seen);
    arrived.dedup();
    assert_eq!(arrived, (0..sent).collect::<Vec<_>>());
    finish(agent).await;
}

#[tokio::test]
async fn messages_flow_on_the_old_connection_while_a_takeover_is_not_answered() {
    let broker = Broker::start().await;
    let agent = Arc::new(start(broker.device("dev-1")).await);
    agent.connected().await.unwrap();
    broker.registry().mute_takeovers = 1;
    agent.rotate().await;
    let is_muted = |seen: &Seen| matches!(seen, Seen::Muted { .. });
    broker.until(|seen| seen.iter().any(is_muted)).await;
    for number in 0..100 {
        let delivered = agent.publish("device/dev-1/telemetry", number.to_string()).await;
        assert_eq!(delivered, Ok(()));
    }
    let seen = broker.seen();
    assert_eq!(connections(&seen, "dev-1"), 1);
    assert_eq!(telemetry(&seen), (0..100).collect::<Vec<_>>());
    finish(agent).await;
}

#[tokio::test]
async fn a_device_whose_broker_is_away_at_its_start_connects_when_it_comes() {
    let mut broker = Broker::start().await;
    let agent = start(broker.device("dev-1")).await;
    agent.connected().await.unwrap();
    agent.stop().await;
    broker.crash().await;
    let agent = start(broker.device("dev-1")).await;
    agent.until(|status| !status.connected).await.unwrap();
    broker.restart().await;
    agent.connected().await.unwrap();
    agent.publish("device/dev-1/telemetry", "0").await.unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn a_full_disk_puts_a_rotation_off_and_the_device_serves_on() {
    let broker = Broker::start().await;
    let disk = Disk::new();
    let mut config = broker.device("dev-1");
    config.state_dir = disk.root().to_path_buf();
    config.rotation.backoff.base = Duration::from_millis(5);
    let agent = Agent::start_on(config, Arc::new(SystemClock), ground(&disk)).await.unwrap();
    let mut events = agent.events();
    agent.until(|status| status.exported).await.unwrap();
    disk.fail("create 600 slots/2/.tmp-key.pem", io::ErrorKind::StorageFull);
    agent.rotate().await;
    let put_off = until(&mut events, |event| matches!(event, AgentEvent::Waiting { .. })).await;
    assert!(format!("{put_off:?}").contains("Full"), "{put_off:?}");
    agent.publish("device/dev-1/telemetry", "0").await.unwrap();
    until(&mut events, is_retired).await;
    assert_eq!(agent.status().current, Some(SlotId(2)), "there is room again");
    agent.stop().await;
}

#[tokio::test]
async fn a_device_whose_disk_takes_no_writes_starts_serves_and_rotates_when_it_does_again() {
    for kind in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::StorageFull] {
        let broker = Broker::start().await;
        let disk = Disk::new();
        let mut config = broker.device("dev-1");
        config.state_dir = disk.root().to_path_buf();
        config.rotation.backoff.base = Duration::from_millis(5);
        let on = |disk: &Disk| Agent::start_on(config.clone(), Arc::new(SystemClock), ground(disk));
        let agent = on(&disk).await.unwrap();
        agent.until(|status| status.exported).await.unwrap();
        agent.stop().await;
        disk.refuse(kind);
        let agent = on(&disk).await.unwrap();
        let mut events = agent.events();
        agent.until(|status| status.connected && status.exported).await.unwrap();
        agent.publish("device/dev-1/telemetry", "0").await.unwrap();
        let asked = broker.seen().len();
        agent.rotate().await;
        until(&mut events, |event| matches!(event, AgentEvent::Deferred { .. })).await;
        let alarmed = agent.until(|status| !status.alarms.is_empty()).await.unwrap();
        assert_eq!(alarmed.alarms, [Alarm::Storage]);
        assert_eq!(broker.seen().len(), asked, "nothing is asked of the cloud");
        disk.refuse(None);
        until(&mut events, is_retired).await;
        assert_eq!(agent.status().current, Some(SlotId(2)));
        agent.stop().await;
    }
}

#[test]
fn only_a_disk_that_takes_no_writes_is_reason_enough_to_serve_without_a_socket() {
    let dir = Path::new("/state");
    let told = |kind: io::ErrorKind| socket(dir, |_| Err(kind.into()));
    assert!(matches!(told(io::ErrorKind::ReadOnlyFilesystem), Ok(None)));
    assert!(matches!(told(io::ErrorKind::StorageFull), Ok(None)));
    assert!(matches!(told(io::ErrorKind::PermissionDenied), Err(StartError::Socket { .. })));
}

#[tokio::test]
async fn what_happens_to_the_identity_is_audited_without_a_secret_and_the_head_goes_to_the_controller() {
    let broker = Broker::start().await;
    let agent = start(broker.device("dev-1")).await;
    let mut events = agent.events();
    agent.connected().await.unwrap();
    agent.rotate().await;
    let AgentEvent::Retired { id, .. } = until(&mut events, is_retired).await else { unreachable!() };
    agent.stop().await;
    let root = broker.dir.path().join("dev-1");
    let read = read_entries(&RealFs, &root).unwrap();
    assert_eq!((read.breaks.as_slice(), read.torn), (&[][..], false));
    let lines: Vec<serde_json::Value> =
        read.lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<&str> = lines
        .iter()
        .filter(|line| line["id"] == id.as_str())
        .map(|line| line["event"]["event"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["rotation_started", "issued", "verified", "committed", "went_live", "retired"]);
    assert_eq!(lines[0]["event"]["event"], "agent_started");
    let log = read.lines.join("\n");
    let key = std::fs::read_to_string(root.join("slots/2/key.pem")).unwrap();
    for secret in ["BEGIN", "token", key.lines().nth(1).unwrap()] {
        assert!(!log.contains(secret), "{log}");
    }
    let seen = broker.seen();
    let request = seen.iter().find_map(|seen| match seen {
        Seen::Published { topic, payload, .. } if topic.ends_with("/requests") => {
            Some(serde_json::from_slice::<DeviceRequest>(payload).unwrap())
        }
        _ => None,
    });
    let head = request.unwrap().audit.unwrap();
    let after = lines.iter().position(|line| line["prev"] == head.as_str()).unwrap();
    assert_eq!(lines[after]["event"]["event"], "retired", "everything before it is in the head");
}

#[tokio::test]
async fn a_lost_state_file_does_not_cost_the_identity() {
    let broker = Broker::start().await;
    let agent = start(broker.device("dev-1")).await;
    let before = agent.until(|status| status.exported).await.unwrap();
    agent.stop().await;
    std::fs::write(broker.dir.path().join("dev-1/state.json"), "torn").unwrap();
    let agent = start(broker.device("dev-1")).await;
    let after = agent.connected().await.unwrap();
    assert_eq!(after.certificate, before.certificate);
    assert_eq!(connections(&broker.seen(), "claim~dev-1"), 1);
    agent.stop().await;
}
