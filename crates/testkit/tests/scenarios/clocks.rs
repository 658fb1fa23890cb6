//! Clocks that are wrong: a device in 1970 or 2099 loses nothing and discards nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetkey_agent::clock::BUILD_TIME;
use fleetkey_agent::{Agent, AgentEvent, Clock, SystemClock};
use fleetkey_iotcore::clock::{ManualClock, SystemClock as ServerClock};
use fleetkey_iotcore::faults::{Effect, Operation, Rule};
use fleetkey_lifecycle::config::Verdict;
use fleetkey_model::time::Timestamp;
use fleetkey_testkit::wait::within;
use fleetkey_testkit::{Bench, Load, Observer};
use tokio::time::Instant;

use crate::rotation::{committed, event, serves};

/// The device's clock: right, or going on from wherever it was put.
#[derive(Debug, Default)]
struct Turned(Mutex<Option<(Timestamp, Instant)>>);

impl Turned {
    fn to(moment: Timestamp) -> Arc<Self> {
        let clock = Arc::new(Self::default());
        clock.turn(moment);
        clock
    }

    fn put_right(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn turn(&self, moment: Timestamp) {
        *self.0.lock().unwrap() = Some((moment, Instant::now()));
    }
}

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        let turned = *self.0.lock().unwrap();
        turned.map_or_else(|| SystemClock.now(), |(moment, since)| moment + since.elapsed())
    }
}

/// A local IoT Core whose certificates were made when this program was: to a device in 1970 they are valid.
async fn old_bench() -> Bench {
    Bench::start_with(Arc::new(ManualClock::new(BUILD_TIME)), |_| {}).await
}

/// 1 January 2099.
const FAR: Timestamp = Timestamp::from_secs(4_070_908_800);

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_wakes_in_1970_provisions_connects_and_rotates() {
    let bench = old_bench().await;
    let agent = Agent::start(bench.device("device-1"), Turned::to(Timestamp::default())).await.unwrap();
    within("provisioning", agent.until(|status| status.connected && status.exported)).await.unwrap();
    let mut events = agent.events();
    agent.rotate().await;
    committed(&mut events).await;
    serves(&agent).await;
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_in_1970_whose_steps_fail_tries_again_though_its_clock_lags_by_decades() {
    let bench = old_bench().await;
    let mut config = bench.device("device-1");
    config.rotation.verdict = Verdict { refusals: 2, over: Duration::from_millis(300) };
    let agent = Agent::start(config, Turned::to(Timestamp::default())).await.unwrap();
    within("provisioning", agent.until(|status| status.connected && status.exported)).await.unwrap();
    let mut events = agent.events();
    let faults = bench.core.faults();
    let registered = faults.add(Rule::on(Operation::RegisterThing, Effect::Hold));
    agent.rotate().await;
    within("the registration", faults.held(registered)).await;
    let candidate = event(&mut events, "the certificate", |event| match event {
        AgentEvent::Issued { certificate, .. } => Some(certificate),
        _ => None,
    })
    .await;
    bench.deny(&candidate, "iot:Connect").await;
    faults.release(registered);
    // A verdict takes time, which only passes if the waits between the refusals end.
    event(&mut events, "the roll-back", |event| matches!(event, AgentEvent::RolledBack { .. }).then_some(()))
        .await;
    agent.stop().await;
    bench.core.shutdown().await;
}

/// Every file of a device's slots, to compare.
fn slots(bench: &Bench) -> Vec<(PathBuf, Vec<u8>)> {
    let slot = bench.path("devices").join("device-1/slots/1");
    let mut files: Vec<_> = std::fs::read_dir(slot).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_wakes_in_2099_waits_and_keeps_everything_until_its_clock_is_right() {
    let bench = Bench::start_with(Arc::new(ServerClock), |config| {
        config.limits.publishes_per_second = None;
    })
    .await;
    let agent = bench.provisioned("device-1").await;
    let certificate = agent.status().certificate;
    agent.stop().await;
    let kept = slots(&bench);
    let mut observer = Observer::listen(&bench).await;
    let clock = Turned::to(FAR);
    let agent = Arc::new(Agent::start(bench.device("device-1"), clock.clone()).await.unwrap());
    let mut events = agent.events();
    let mut load = Load::start(&bench, &agent);
    // The server's certificate seems to have ended: our judgement, and nothing that anybody refused.
    event(&mut events, "the server to look expired", |event| match event {
        AgentEvent::Waiting { why, .. } => why.contains("Unreachable").then_some(()),
        AgentEvent::LinkRefused { why, .. } | AgentEvent::RolledBack { why, .. } => panic!("{why}"),
        _ => None,
    })
    .await;
    let status = agent.status();
    assert_eq!((status.certificate, status.connected), (certificate, false));
    assert_eq!(slots(&bench), kept);
    clock.put_right();
    load.advances(10).await;
    observer.has_all(load.end().await).await;
    assert_eq!(slots(&bench)[..], kept[..], "the identity is the one it had");
    Arc::into_inner(agent).unwrap().stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_seems_to_have_ended_is_shown_and_the_server_decides() {
    let bench = Bench::start_with(Arc::new(ServerClock), |config| {
        config.device_validity = Some(Duration::from_secs(48 * 3600));
    })
    .await;
    let clock = Arc::new(Turned::default());
    let mut config = bench.device("device-1");
    config.rotation.schedule.expiry_margin = Duration::from_secs(60);
    let agent = Agent::start(config.clone(), clock.clone()).await.unwrap();
    let status = within("provisioning", agent.until(|status| status.connected && status.exported)).await;
    let ends = status.unwrap().not_after.unwrap();
    agent.stop().await;
    clock.turn(ends + Duration::from_secs(3600));
    let agent = Agent::start(config, clock).await.unwrap();
    within("the connection", agent.connected()).await.unwrap();
    serves(&agent).await;
    agent.stop().await;
    bench.core.shutdown().await;
}
