//! A campaign over many agents, under load, with AWS's throttles on and a controller that is killed again and again.
//! `FLEETKEY_CROWD=500` takes five hundred agents and twenty kills, `FLEETKEY_CROWD_SEED` other moments for them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fleetkey_agent::clock::SystemClock;
use fleetkey_agent::config::{AgentConfig, ClaimConfig};
use fleetkey_agent::tls::{ClientIdentity, Dialer, Endpoint, Roots};
use fleetkey_agent::{Agent, AgentHandle};
use fleetkey_model::name::{SerialNumber, TemplateName};
use fleetkey_model::topic::TopicRoot;
use fleetkey_mqtt::QoS;
use fleetkey_mqtt::link::{Client, ConnectOptions, Messages};
use fleetkey_mqtt::session::SessionConfig;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::campaign::campaign;
use crate::core::{Core, a_directory};
use crate::inventory::Clients;
use crate::process::{PATIENCE, Process};
use crate::serve::HASTE;
use crate::unreliable::xorshift;
use crate::witness::Witness;

/// A fleet whose devices are agents in this process.
pub(crate) struct Crowd {
    pub(crate) runtime: Runtime,
    pub(crate) core: Core,
    directory: TempDir,
    pub(crate) config: Value,
    pub(crate) agents: Vec<Arc<AgentHandle>>,
}

impl Crowd {
    /// An account with AWS's rates that is set up, and no device yet.
    pub(crate) fn none() -> Self {
        Self::none_at(Core::throttled())
    }

    /// An account that is set up so, and no device yet.
    pub(crate) fn none_at(core: Core) -> Self {
        let directory = a_directory();
        core.set_up(&[], directory.path()).good();
        Self::over(core, directory)
    }

    fn over(core: Core, directory: TempDir) -> Self {
        let config = std::fs::read(directory.path().join("operator/config.json")).unwrap();
        let config = serde_json::from_slice(&config).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Self { runtime, core, directory, config, agents: Vec::new() }
    }

    /// The account of a process that has set itself up, and no device yet. The fleet's directory is that of the account.
    pub(crate) fn beside_its_account() -> Self {
        let (core, directory) = (Core::set_up_by_itself(), a_directory());
        for name in ["VERSION", "operator"] {
            std::os::unix::fs::symlink(core.directory().join(name), directory.path().join(name)).unwrap();
        }
        Self::over(core, directory)
    }

    pub(crate) fn of(devices: usize) -> Self {
        let mut crowd = Self::none();
        // As they are unpacked: who all come at once are refused by the account's rate, and wait long.
        for some in (0..devices).collect::<Vec<_>>().chunks(20) {
            let some: Vec<_> = some.iter().map(|number| crowd.join(&format!("press-{number}"))).collect();
            some.iter().for_each(|agent| crowd.connects(agent));
            crowd.agents.extend(some);
        }
        crowd
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, pointer: &str) -> PathBuf {
        self.config.pointer(pointer).unwrap().as_str().unwrap().into()
    }

    /// A device that begins.
    fn join(&self, serial: &str) -> Arc<AgentHandle> {
        self.join_with(serial, |_| {})
    }

    /// The same; `adjust` has the last word on its settings.
    pub(crate) fn join_with(&self, serial: &str, adjust: impl FnOnce(&mut AgentConfig)) -> Arc<AgentHandle> {
        let template =
            |name: &str| TemplateName::new(self.config["templates"][name].as_str().unwrap()).unwrap();
        let mut config = AgentConfig::new(
            SerialNumber::new(serial).unwrap(),
            self.config["endpoint"].as_str().unwrap(),
            vec![self.file("/root_ca")],
            self.path().join("devices").join(serial),
            template("rotation"),
        );
        config.endpoint.port = self.port();
        config.claim = Some(ClaimConfig::new(
            self.file("/claim/certificate"),
            self.file("/claim/key"),
            template("claim"),
        ));
        config.rotation.soak = Duration::from_millis(500);
        config.rotation.retire_retry = Duration::from_secs(2);
        config.rotation.backoff.base = Duration::from_millis(200);
        config.rotation.backoff.step_cap = Duration::from_secs(5);
        config.session.reconnect_cap = Duration::from_secs(2);
        adjust(&mut config);
        Arc::new(self.runtime.block_on(Agent::start(config, Arc::new(SystemClock))).unwrap())
    }

    fn port(&self) -> u16 {
        self.config["mqtt_port"].as_u64().unwrap().try_into().unwrap()
    }

    /// Waits until a device has an identity and is connected.
    pub(crate) fn connects(&self, agent: &AgentHandle) {
        let there = agent.until(|status| status.current.is_some() && status.connected);
        let there = self.runtime.block_on(async { tokio::time::timeout(PATIENCE * 3, there).await });
        assert!(there.is_ok(), "{:?}, and of all: {:?}", agent.status(), self.core.refusals());
    }

    /// Waits until no rotation is under way.
    fn rests(&self) {
        for agent in &self.agents {
            let idle = agent.until(|status| status.rotation.is_none());
            let idle = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, idle).await });
            assert!(idle.is_ok(), "{:?}", agent.status());
        }
    }

    pub(crate) fn certificates(&self) -> BTreeSet<String> {
        self.agents.iter().map(|agent| agent.status().certificate.unwrap().to_string()).collect()
    }

    fn serve(&self) -> Process {
        self.serve_with(&HASTE)
    }

    pub(crate) fn serve_with(&self, words: &[&str]) -> Process {
        let mut process =
            Process::of(self.core.command(self.core.url(), words, self.path()).spawn().unwrap());
        process.event("ready");
        process
    }

    fn campaign(&self, words: &[&str]) -> Value {
        let (code, told, errors) = campaign(self.path(), words);
        assert_eq!(code, 0, "{errors}");
        told
    }

    /// Waits for a condition that only others bring about.
    pub(crate) fn wait<T>(&self, what: &str, met: impl Fn() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE * 3;
        loop {
            if let Some(met) = met() {
                return met;
            }
            if Instant::now() >= end {
                panic!("never: {what}; {}; {:?}", self.campaign(&["list"]), self.core.refusals());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The certificates that the account has made INACTIVE, by its own record.
    pub(crate) fn deactivated(&self) -> BTreeSet<String> {
        let events = self.core.management_events();
        let of = |event: &Value| {
            let asked = &event["requestParameters"];
            let is_end = event["eventName"] == "UpdateCertificate" && asked["newStatus"] == "INACTIVE";
            is_end.then(|| asked["certificateId"].as_str().unwrap().to_owned())
        };
        events.iter().filter_map(of).collect()
    }
}

/// What devices send, and what of it arrives.
struct Load {
    stop: watch::Sender<bool>,
    sending: Vec<(String, JoinHandle<u32>)>,
    arrived: watch::Receiver<BTreeMap<String, BTreeSet<u32>>>,
    _client: Client,
}

impl Load {
    fn start(crowd: &Crowd) -> Self {
        let root = TopicRoot::new(crowd.config["topic_root"].as_str().unwrap()).unwrap();
        let (client, messages) = crowd.runtime.block_on(observer(crowd, &root));
        let (counted, arrived) = watch::channel(BTreeMap::new());
        crowd.runtime.spawn(read(messages, counted));
        let (stop, stopped) = watch::channel(false);
        // One after the other, at half of what AWS delivers to one connection: of more in a second it discards the rest.
        let (gap, begin) = (Duration::from_millis(20), tokio::time::Instant::now());
        let round = gap * u32::try_from(crowd.agents.len()).unwrap();
        let sending = crowd.agents.iter().zip(0..).map(|(agent, at)| {
            let topic = root.telemetry(&agent.status().thing);
            let due = (begin + gap * at, round);
            let task = crowd.runtime.spawn(send(agent.clone(), topic.clone(), due, stopped.clone()));
            (topic, task)
        });
        Self { stop, sending: sending.collect(), arrived, _client: client }
    }

    /// Ends; everything that was acknowledged must arrive.
    fn end(mut self, crowd: &Crowd) {
        self.stop.send_replace(true);
        let mut sent = BTreeMap::new();
        for (topic, task) in self.sending {
            let acknowledged = crowd.runtime.block_on(task).unwrap();
            assert!(acknowledged > 0, "{topic}");
            sent.insert(topic, acknowledged);
        }
        let all = self.arrived.wait_for(|arrived| missing(&sent, arrived).is_empty());
        let all = crowd.runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await }).map(drop);
        let missing = missing(&sent, &self.arrived.borrow());
        let listens = self.arrived.has_changed().is_ok();
        assert!(
            all.is_ok() && missing.is_empty(),
            "not arrived: {missing:?}; the observer listens: {listens}"
        );
    }
}

/// What was acknowledged and has not arrived, of each topic.
fn missing(
    sent: &BTreeMap<String, u32>,
    arrived: &BTreeMap<String, BTreeSet<u32>>,
) -> BTreeMap<String, Vec<u32>> {
    let of = |(topic, sent): (&String, &u32)| {
        let got = arrived.get(topic);
        let missing: Vec<_> =
            (0..*sent).filter(|number| got.is_none_or(|got| !got.contains(number))).collect();
        (!missing.is_empty()).then(|| (topic.clone(), missing))
    };
    sent.iter().filter_map(of).collect()
}

async fn observer(crowd: &Crowd, root: &TopicRoot) -> (Client, Messages) {
    let files = ["/observer/certificate", "/observer/key"].map(|file| crowd.file(file));
    listener(crowd, &files, "~observer", root.all_telemetry().as_str()).await
}

/// A connection with this certificate and key that hears what the filter has.
pub(crate) async fn listener(
    crowd: &Crowd,
    [certificate, key]: &[PathBuf; 2],
    client: &str,
    filter: &str,
) -> (Client, Messages) {
    let identity = ClientIdentity::from_files(certificate, key).unwrap();
    let endpoint = Endpoint {
        host: crowd.config["endpoint"].as_str().unwrap().to_owned(),
        port: crowd.port(),
        alpn: None,
        server_name: None,
    };
    let roots = Arc::new(Roots::new(vec![crowd.file("/root_ca")]));
    let dialer = Dialer::new(endpoint, roots, Arc::new(SystemClock), PATIENCE);
    let stream = dialer.dial(&identity).await.unwrap();
    let options = ConnectOptions::new(client);
    let (client, messages) = Client::start(stream, options, SessionConfig::default()).await.unwrap();
    let granted = client.subscribe(&[(filter, QoS::AtLeastOnce)]).await.unwrap();
    assert!(granted.iter().all(|reason| !reason.is_error()), "{granted:?}");
    (client, messages)
}

async fn send(
    agent: Arc<AgentHandle>,
    topic: String,
    (first, round): (tokio::time::Instant, Duration),
    mut stop: watch::Receiver<bool>,
) -> u32 {
    let (mut pace, mut sent) = (tokio::time::interval_at(first, round), 0);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return sent,
            _ = pace.tick() => {}
        }
        agent.publish(&topic, sent.to_string()).await.unwrap();
        sent += 1;
    }
}

async fn read(mut messages: Messages, counted: watch::Sender<BTreeMap<String, BTreeSet<u32>>>) {
    while let Some(message) = messages.recv().await {
        let number = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
        counted.send_modify(|arrived| {
            arrived.entry(message.topic.to_string()).or_default().insert(number);
        });
    }
}

/// How many agents, and how often the controller is killed.
fn size() -> (usize, usize) {
    let agents = std::env::var("FLEETKEY_CROWD").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    (agents, if agents >= 500 { 20 } else { 4 })
}

/// When the controller is killed: so many devices have rotated, and so long after that. At any point of the campaign, a few of them
/// right after the start of a controller, which is not waited for then.
fn moments(kills: usize, devices: usize) -> Vec<(usize, Duration)> {
    let given = std::env::var("FLEETKEY_CROWD_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let clock = || u64::from(SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
    let seed = given.unwrap_or_else(clock);
    println!("FLEETKEY_CROWD_SEED={seed}");
    let mut state = seed | 1;
    let mut moments: Vec<_> = (0..kills)
        .map(|_| {
            let rotated = usize::try_from(xorshift(&mut state)).unwrap() % devices;
            (rotated, Duration::from_millis(xorshift(&mut state) % 2000))
        })
        .collect();
    moments.sort_unstable();
    moments
}

/// Every call that entries of this action name as theirs.
fn calls_of(journal: &str, action: &str) -> BTreeSet<String> {
    let entries = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_it = entries.filter(|entry| entry["action"] == action);
    let calls = of_it.flat_map(|entry| entry["calls"].as_array().cloned().unwrap_or_default());
    calls.map(|call| call["call"].as_str().unwrap().to_owned()).collect()
}

/// Every device rotates and loses its old certificate, whenever the controller is killed; newcomers are provisioned
/// meanwhile, and no message is lost. With one device in twenty that cannot rotate, the next campaign ends at its
/// threshold, and nobody else has failed.
#[test]
fn a_campaign_takes_a_crowd_through_kills_and_stops_at_its_threshold() {
    let (devices, kills) = size();
    let begun = Instant::now();
    let mut crowd = Crowd::of(devices);
    println!("{devices} devices after {:?}; refused: {:?}", begun.elapsed(), crowd.core.refusals());
    let first = crowd.certificates();
    let of_things = crowd.agents.iter().map(|agent| {
        let status = agent.status();
        (status.certificate.unwrap().to_string(), status.thing.to_string())
    });
    let superseded: BTreeMap<_, _> = of_things.collect();
    let mut witness = Witness::of(&crowd);
    crowd.core.run(&["inventory"], crowd.path()).good();
    let load = Load::start(&crowd);
    drop(crowd.core.refusals());
    // As fast as can be asked for: what holds it back is the account's rate alone. And patience longer than anything is waited
    // for: a command that a kill has swallowed is not given again.
    let words = ["start", "--name", "all", "--why", "yearly", "--thing", "press-*", "--rate", "30000"];
    crowd.campaign(&[words.as_slice(), &["--patience", "1h"]].concat());
    let mut newcomers = Vec::new();
    let rotated = |crowd: &Crowd| {
        usize::try_from(crowd.campaign(&["show", "all"])["counts"]["rotated"].as_u64().unwrap()).unwrap()
    };
    for (wanted, later) in moments(kills, devices) {
        let controller = crowd.core.command(crowd.core.url(), &HASTE, crowd.path()).spawn();
        let mut controller = Process::of(controller.unwrap());
        crowd.wait("the campaign to go on", || (rotated(&crowd) >= wanted).then_some(()));
        let newcomer = crowd.join(&format!("late-{}", newcomers.len()));
        // The moment itself is the subject: no condition tells it.
        std::thread::sleep(later);
        controller.kill();
        let waited = Instant::now();
        crowd.connects(&newcomer);
        newcomers.push((newcomer, waited.elapsed()));
    }
    let controller = crowd.serve();
    println!("newcomers after {:?}", newcomers.iter().map(|(_, waited)| waited).collect::<Vec<_>>());
    crowd.wait("the end", || (crowd.campaign(&["show", "all"])["mode"] == "done").then_some(()));
    assert_eq!(crowd.campaign(&["show", "all"])["counts"]["rotated"], devices);
    crowd.wait("every retirement", || crowd.deactivated().is_superset(&first).then_some(()));
    load.end(&crowd);
    let refused = crowd.core.refusals();
    println!("all rotated after {:?}, {kills} kills; refused: {refused:?}", begun.elapsed());
    println!("calls, and of them throttled: {:?}", crowd.core.calls());
    // Devices that come by themselves find room: told all at once, most of the crowd would be refused.
    assert!(refused.values().sum::<usize>() <= devices / 5, "{refused:?}");
    // What is in use is new, and was never touched.
    let deactivated = crowd.deactivated();
    let second = crowd.certificates();
    assert_eq!((second.len(), second.intersection(&first).count()), (devices, 0));
    assert_eq!(deactivated.intersection(&second).count(), 0);
    let ended = witness.vouches_for_all(&crowd, &superseded);
    println!("{ended} ends of certificates in the registry's record, each after the broker's word");
    let journal = std::fs::read_to_string(crowd.path().join("operator/controller.jsonl")).unwrap();
    let changes =
        journal.lines().filter(|line| line.contains("\"deactivate\"") && line.contains("\"begun\""));
    assert!(changes.into_iter().all(|line| line.contains("which the broker attested")), "{journal}");
    assert_eq!(calls_of(&journal, "deactivate"), BTreeSet::from(["iot:UpdateCertificate".to_owned()]));

    crowd.rests();
    let unable = deny_one_in_twenty(&crowd);
    let words = ["start", "--name", "again", "--why", "yearly", "--thing", "press-*", "--rate", "300"];
    let limits = ["--canary", "100", "--threshold", "5", "--patience", "60s", "--tries", "1"];
    crowd.campaign(&[words.as_slice(), &limits].concat());
    crowd.wait("the abort", || (crowd.campaign(&["show", "again"])["mode"] == "aborted").then_some(()));
    let fleet = crowd.path().to_str().unwrap().to_owned();
    let (_, shown, _) = crate::process::run(&["campaign", "show", "again", "--fleet-dir", &fleet]);
    let failed = shown.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let failed: BTreeSet<_> = failed.map(|line| line["thing"].as_str().unwrap().to_owned()).collect();
    assert!(!failed.is_empty() && failed.is_subset(&unable), "{failed:?} {unable:?}");
    println!("aborted after {:?}; refused: {:?}", begun.elapsed(), crowd.core.refusals());
    assert_eq!(crowd.deactivated().intersection(&crowd.certificates()).count(), 0);
    drop(controller);
    crowd.agents.clear();
}

/// They may not ask for certificates any more.
fn deny_one_in_twenty(crowd: &Crowd) -> BTreeSet<String> {
    let clients = Clients::of(&crowd.core);
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:Publish",
        "Resource":"arn:aws:iot:us-east-1:123456789012:topic/$aws/certificates/*"}]}"#;
    let made = clients.iot.create_policy().policy_name("no-more").policy_document(document).send();
    clients.wait(made).unwrap();
    let unable = crowd.agents.iter().step_by(20);
    let named = unable.map(|agent| {
        let status = agent.status();
        let target = format!("arn:aws:iot:us-east-1:123456789012:cert/{}", status.certificate.unwrap());
        clients.wait(clients.iot.attach_policy().policy_name("no-more").target(target).send()).unwrap();
        status.thing.to_string()
    });
    named.collect()
}
