//! The hand-over to a new certificate, whether the broker's session survives it or not, and what the live session tells
//! of its connection.
//!
//! Promised either way: no QoS 1 message of the device is lost. Messages to the device that the broker holds are the
//! broker's: where its session survives they arrive; where it does not, what comes between the new CONNECT and the new
//! SUBSCRIBE is lost, as MQTT says of a session that is not present, and whoever sent it has to send it again.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_agent::{AgentEvent, AgentHandle};
use fleetkey_iotcore::clock::{Clock, ManualClock, SystemClock};
use fleetkey_iotcore::faults::{Effect, Operation, Rule};
use fleetkey_lifecycle::config::Verdict;
use fleetkey_lifecycle::record::Reason;
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::ClientId;
use fleetkey_testkit::wait::within;
use fleetkey_testkit::{Bench, Load, Observer};
use tokio::sync::broadcast::Receiver;

use crate::rotation::{committed, event, serves};

async fn bench(survives: bool) -> Bench {
    Bench::start_with(Arc::new(SystemClock), |config| {
        config.limits.publishes_per_second = None;
        config.switches.session_survives_certificate_change = survives;
    })
    .await
}

async fn stopped(agent: Arc<AgentHandle>) {
    Arc::into_inner(agent).unwrap().stop().await;
}

async fn is_live(events: &mut Receiver<AgentEvent>) {
    event(events, "the hand-over", |event| matches!(event, AgentEvent::WentLive { .. }).then_some(())).await;
}

async fn obeyed(events: &mut Receiver<AgentEvent>) {
    let by_command = |event| matches!(event, AgentEvent::RotationStarted { reason: Reason::Command, .. });
    event(events, "the command to be obeyed", |event| by_command(event).then_some(())).await;
}

async fn rotations_under_load(survives: bool) {
    let bench = bench(survives).await;
    let controller = bench.controller(Duration::from_secs(3600)).await;
    let agent = Arc::new(bench.provisioned("device-1").await);
    let mut observer = Observer::listen(&bench).await;
    let mut events = agent.events();
    let mut load = Load::start(&bench, &agent);
    for _ in 0..3 {
        load.advances(20).await;
        agent.rotate().await;
        is_live(&mut events).await;
    }
    load.advances(20).await;
    observer.has_all(load.end().await).await;
    stopped(agent).await;
    controller.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_lose_no_message_of_the_device_where_its_session_survives() {
    rotations_under_load(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_lose_no_message_of_the_device_where_its_session_does_not_survive() {
    rotations_under_load(false).await;
}

/// A device whose new certificate has connected and does not know it yet; a command is published to it meanwhile.
async fn commanded_during_the_hand_over(bench: &Bench) -> (AgentHandle, Receiver<AgentEvent>) {
    let agent = bench.provisioned("device-1").await;
    let mut events = agent.events();
    let live = ClientId::live(&agent.status().thing);
    let faults = bench.core.faults();
    let moving = faults.add(Rule::on(Operation::Connect, Effect::Hold).client(live));
    agent.rotate().await;
    obeyed(&mut events).await;
    within("the new connection", faults.held(moving)).await;
    bench.command(&agent.status().thing, r#"{"op":"rotate"}"#).await;
    faults.release(moving);
    is_live(&mut events).await;
    (agent, events)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_during_the_hand_over_arrives_where_the_session_survives() {
    let bench = bench(true).await;
    let (agent, mut events) = commanded_during_the_hand_over(&bench).await;
    // What it asks for waits for the retirement of the certificate before.
    let controller = bench.controller(Duration::from_secs(3600)).await;
    obeyed(&mut events).await;
    agent.stop().await;
    controller.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_during_the_hand_over_is_the_brokers_to_lose_where_the_session_does_not_survive() {
    let bench = bench(false).await;
    let (agent, mut events) = commanded_during_the_hand_over(&bench).await;
    let controller = bench.controller(Duration::from_secs(3600)).await;
    // The aftermath ends without a second rotation: the command was lost with the session.
    event(&mut events, "the retirement", |event| match event {
        AgentEvent::Retired { .. } => Some(()),
        AgentEvent::RotationStarted { .. } => panic!("the command came through a session that is gone"),
        _ => None,
    })
    .await;
    // The device listens again: the same command, sent again, is obeyed.
    bench.command(&agent.status().thing, r#"{"op":"rotate"}"#).await;
    obeyed(&mut events).await;
    agent.stop().await;
    controller.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_beyond_the_brokers_rate_are_sent_again_and_none_is_refused() {
    let bench = Bench::start_with(Arc::new(SystemClock), |config| {
        config.limits.publishes_per_second = Some(20);
    })
    .await;
    let agent = Arc::new(bench.provisioned("device-1").await);
    let mut observer = Observer::listen(&bench).await;
    let sending = (0..50u32).map(|number| {
        let agent = agent.clone();
        tokio::spawn(async move { agent.publish("device/device-1/telemetry", number.to_string()).await })
    });
    for sent in sending.collect::<Vec<_>>() {
        assert_eq!(within("PUBACK", sent).await.unwrap(), Ok(()));
    }
    observer.has_all(50).await;
    stopped(agent).await;
    bench.core.shutdown().await;
}

/// What AWS documents no bound for: ten minutes.
const SPREAD: Duration = Duration::from_secs(600);

/// A local IoT Core whose activations take [`SPREAD`] by its own clock, and a device on it.
async fn slow_to_activate(verdict: Verdict) -> (Bench, Arc<ManualClock>, AgentHandle) {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let bench = Bench::start_with(clock.clone(), |config| config.switches.activation_delay = SPREAD).await;
    // The claim is effective; the device's first certificate is not yet, and is waited for.
    clock.advance(SPREAD);
    let mut config = bench.device("device-1");
    config.rotation.verdict = verdict;
    let starting = fleetkey_agent::Agent::start(config, Arc::new(fleetkey_agent::SystemClock));
    let agent = starting.await.unwrap();
    refused_once(&mut agent.events()).await;
    clock.advance(SPREAD);
    within("provisioning", agent.until(|status| status.connected && status.exported)).await.unwrap();
    (bench, clock, agent)
}

async fn refused_once(events: &mut Receiver<AgentEvent>) {
    event(events, "a refusal", |event| match event {
        AgentEvent::Waiting { why, .. } => why.contains("efused").then_some(()),
        AgentEvent::RolledBack { why, .. } => panic!("{why}"),
        _ => None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_that_takes_ten_minutes_is_waited_out() {
    let patient = Verdict { refusals: 2, over: Duration::from_secs(900) };
    let (bench, clock, agent) = slow_to_activate(patient).await;
    let mut events = agent.events();
    agent.rotate().await;
    for _ in 0..3 {
        refused_once(&mut events).await;
    }
    clock.advance(SPREAD);
    committed(&mut events).await;
    serves(&agent).await;
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_comes_before_the_activation_rolls_back_and_the_next_rotation_succeeds() {
    let hasty = Verdict { refusals: 2, over: Duration::ZERO };
    let (bench, clock, agent) = slow_to_activate(hasty).await;
    let old = agent.status().certificate;
    let mut events = agent.events();
    agent.rotate().await;
    event(&mut events, "the roll-back", |event| matches!(event, AgentEvent::RolledBack { .. }).then_some(()))
        .await;
    assert_eq!(agent.status().certificate, old);
    serves(&agent).await;
    agent.rotate().await;
    refused_once(&mut events).await;
    clock.advance(SPREAD);
    committed(&mut events).await;
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_that_somebody_else_takes_is_told_and_taken_back() {
    let bench = Bench::start_with(Arc::new(SystemClock), |config| {
        config.limits.connects_per_second = None;
    })
    .await;
    let agent = bench.provisioned("device-1").await;
    let mut events = agent.events();
    let clone = bench.connect(&bench.exported("device-1"), "device-1").await.unwrap();
    let displaced = |event| matches!(event, AgentEvent::Displaced).then_some(());
    event(&mut events, "the displacement", displaced).await;
    event(&mut events, "the way back", |event| matches!(event, AgentEvent::LinkUp { .. }).then_some(()))
        .await;
    serves(&agent).await;
    drop(clone);
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_devices_own_hand_over_is_no_displacement_and_a_refused_reconnect_is_told() {
    let bench = Bench::start().await;
    let agent = bench.provisioned("device-1").await;
    let mut events = agent.events();
    agent.rotate().await;
    is_live(&mut events).await;
    serves(&agent).await;
    let certificate = agent.status().certificate.unwrap();
    bench.core.account().update_certificate(&certificate, CertificateStatus::Inactive).await.unwrap();
    let slot = event(&mut events, "the refusal", |event| match event {
        AgentEvent::LinkRefused { slot, .. } => Some(slot),
        AgentEvent::Displaced => panic!("nobody took the client id"),
        _ => None,
    })
    .await;
    assert_eq!(Some(slot), agent.status().current);
    agent.stop().await;
    bench.core.shutdown().await;
}
