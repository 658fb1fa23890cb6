//! The local IoT Core is killed under load, again and again: registry, sessions and messages are there afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits for another process by the real clock"
)]
#![expect(dead_code, reason = "the module is shared; not every test uses all of it")]

#[path = "cli/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetkey_agent::config::{AgentConfig, ClaimConfig};
use fleetkey_agent::tls::{ClientIdentity, Dialer, Endpoint, Roots};
use fleetkey_agent::{Agent, AgentEvent, AgentHandle, SystemClock};
use fleetkey_model::name::SerialNumber;
use fleetkey_mqtt::link::{Client, ConnectOptions, Messages};
use fleetkey_mqtt::session::SessionConfig;
use fleetkey_mqtt::{QoS, Version};
use process::{PATIENCE, Process};
use serde_json::Value;

const DEVICES: usize = 4;
const KILLS: usize = 4;

/// The local IoT Core as a process that is killed and started again on the same ports.
struct Core {
    process: Process,
    data: String,
    ready: Value,
}

impl Core {
    fn start(data: &Path) -> Self {
        let (process, ready) = process::local(data);
        Self { process, data: data.to_str().unwrap().to_owned(), ready }
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    fn restart(&mut self) {
        let port = |key: &str| self.ready[key].to_string();
        self.process = Process::start(&[
            "local",
            "--setup",
            "--json",
            "--data-dir",
            &self.data,
            "--mqtt-port",
            &port("mqtt_port"),
            "--alpn-port",
            &port("alpn_port"),
            "--rest",
            "127.0.0.1:0",
        ]);
        self.process.event("ready");
    }

    fn fleet(&self) -> Value {
        let text = std::fs::read_to_string(Path::new(&self.data).join("operator/config.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn device(&self, number: usize) -> AgentConfig {
        let fleet = self.fleet();
        let serial = SerialNumber::new(format!("device-{number}")).unwrap();
        let path = |value: &Value| value.as_str().unwrap().into();
        let template = |role: &str| fleet["templates"][role].as_str().unwrap().parse().unwrap();
        let mut config = AgentConfig::new(
            serial.clone(),
            "localhost",
            vec![path(&fleet["root_ca"])],
            Path::new(&self.data).join("devices").join(serial.as_str()),
            template("rotation"),
        );
        config.endpoint.port = u16::try_from(fleet["mqtt_port"].as_u64().unwrap()).unwrap();
        let claim = &fleet["claim"];
        config.claim =
            Some(ClaimConfig::new(path(&claim["certificate"]), path(&claim["key"]), template("claim")));
        config.rotation.backoff.base = Duration::from_millis(100);
        config.rotation.backoff.step_cap = Duration::from_secs(1);
        config.rotation.soak = Duration::from_millis(500);
        config.rotation.retire_retry = Duration::from_secs(1);
        config.session.reconnect_cap = Duration::from_millis(500);
        config
    }

    fn dialer(&self) -> (Dialer, ClientIdentity) {
        let fleet = self.fleet();
        let observer = &fleet["observer"];
        let path = |value: &Value| std::path::PathBuf::from(value.as_str().unwrap());
        let identity =
            ClientIdentity::from_files(&path(&observer["certificate"]), &path(&observer["key"])).unwrap();
        let endpoint = Endpoint {
            host: "localhost".into(),
            port: u16::try_from(fleet["mqtt_port"].as_u64().unwrap()).unwrap(),
            alpn: None,
            server_name: None,
        };
        let roots = Arc::new(Roots::new(vec![path(&fleet["root_ca"])]));
        (Dialer::new(endpoint, roots, Arc::new(SystemClock), Duration::from_secs(10)), identity)
    }
}

/// What was acknowledged to a device, by topic and number.
type Seen = BTreeSet<(String, u64)>;

/// Publishes numbered messages until told to stop; what was acknowledged.
async fn load(agent: Arc<AgentHandle>, number: usize, stop: Arc<AtomicBool>) -> Seen {
    let topic = format!("device/device-{number}/telemetry");
    let mut acknowledged = Seen::new();
    let mut seq = 0;
    // AWS takes 100 messages a second of one connection: what an outage held up is not made up for in a burst.
    let mut pace = tokio::time::interval(Duration::from_millis(15));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        agent.publish(&topic, seq.to_string().into_bytes()).await.unwrap();
        acknowledged.insert((topic.clone(), seq));
        seq += 1;
    }
    acknowledged
}

/// Connects to the persistent session of the counter, however long the broker is away.
async fn attach(dialer: &Dialer, identity: &ClientIdentity) -> (Client, Messages) {
    let mut retry = tokio::time::interval(Duration::from_millis(100));
    loop {
        retry.tick().await;
        let Ok(stream) = dialer.dial(identity).await else {
            continue;
        };
        let options = ConnectOptions {
            version: Version::V5,
            clean_start: false,
            session_expiry: Some(3600),
            ..ConnectOptions::new("~observer-durable")
        };
        if let Ok(attached) = Client::start(stream, options, SessionConfig::default()).await {
            return attached;
        }
    }
}

/// Collects what is delivered to the persistent session over all restarts. Subscribes once only.
async fn collect(
    dialer: Dialer,
    identity: ClientIdentity,
    first: (Client, Messages),
    seen: Arc<Mutex<Seen>>,
) {
    let (mut client, mut messages) = first;
    loop {
        while let Some(message) = messages.recv().await {
            let number = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
            seen.lock().unwrap().insert((message.topic.to_string(), number));
        }
        drop(client);
        (client, messages) = attach(&dialer, &identity).await;
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let met = async {
        while !condition() {
            look.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, met).await.is_ok(), "waited in vain until {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_load_it_keeps_registry_sessions_and_every_acknowledged_message() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = Core::start(dir.path());
    let (dialer, identity) = core.dialer();
    let (client, messages) = attach(&dialer, &identity).await;
    let granted = client.subscribe(&[("device/+/telemetry", QoS::AtLeastOnce)]).await.unwrap();
    assert!(!granted[0].is_error());
    let seen = Arc::new(Mutex::new(Seen::new()));
    let collector = tokio::spawn(collect(dialer, identity, (client, messages), seen.clone()));

    let stop = Arc::new(AtomicBool::new(false));
    let mut agents = Vec::new();
    let mut loads = Vec::new();
    for number in 0..DEVICES {
        let agent = Arc::new(Agent::start(core.device(number), Arc::new(SystemClock)).await.unwrap());
        agent.until(|status| status.connected).await.unwrap();
        loads.push(tokio::spawn(load(agent.clone(), number, stop.clone())));
        agents.push(agent);
    }
    for round in 0..KILLS {
        let mark = seen.lock().unwrap().len();
        until("messages flow", || seen.lock().unwrap().len() > mark + 200).await;
        // Rotations are under way in some rounds: the kill may fall into any step of them.
        for agent in agents.iter().skip(round % 2) {
            agent.rotate().await;
        }
        core.kill();
        core.restart();
        for agent in &agents {
            agent.until(|status| status.connected).await.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Seen::new();
    for load in loads {
        acknowledged.extend(load.await.unwrap());
    }
    until("every acknowledged message arrives", || acknowledged.is_subset(&seen.lock().unwrap())).await;
    println!("{} messages acknowledged over {KILLS} kills, 0 lost", acknowledged.len());
    rotate_once_more(&agents[0]).await;
    collector.abort();
    drop(core);
}

/// The registry is whole: a device that lived through the kills can still rotate and have its old one retired.
async fn rotate_once_more(agent: &AgentHandle) {
    let settled =
        |status: &fleetkey_lifecycle::Status| status.previous.is_none() && status.candidate.is_none();
    tokio::time::timeout(PATIENCE, agent.until(settled)).await.expect("what was under way ends").unwrap();
    let mut events = agent.events();
    agent.rotate().await;
    let retired = async { while !matches!(events.recv().await.unwrap(), AgentEvent::Retired { .. }) {} };
    tokio::time::timeout(PATIENCE, retired).await.expect("the rotation is retired");
}
