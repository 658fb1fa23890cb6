//! Verification by takeover, for fleets whose certificates are not attached exclusively: the candidate proves itself on
//! the live session's own client id.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_agent::config::{AgentConfig, Verification};
use fleetkey_agent::{AgentEvent, AgentHandle};
use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::faults::{Effect, Operation, Rule};
use fleetkey_lifecycle::config::Verdict;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::topic::TopicFilter;
use fleetkey_testkit::wait::within;
use fleetkey_testkit::{Bench, Load, Observer};

use crate::rotation::{committed, event, serves, session};

/// A local IoT Core without AWS's limit on publishes, for load.
async fn bench() -> Bench {
    Bench::start_with(Arc::new(SystemClock), |config| config.limits.publishes_per_second = None).await
}

fn by_takeover(bench: &Bench) -> AgentConfig {
    let mut config = bench.device("device-1");
    config.rotation.verification = Verification::Takeover;
    config.rotation.verdict = Verdict { refusals: 2, over: Duration::from_millis(100) };
    config
}

async fn stopped(agent: Arc<AgentHandle>) {
    Arc::into_inner(agent).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_exclusive_attachment_a_device_provisions_and_rotates_by_takeover_and_loses_nothing() {
    let bench = bench().await;
    bench.share_things().await;
    let controller = bench.controller(Duration::from_secs(3600)).await;
    let agent = Arc::new(bench.running(by_takeover(&bench)).await);
    let mut observer = Observer::listen(&bench).await;
    let mut events = agent.events();
    let mut load = Load::start(&bench, &agent);
    for _ in 0..2 {
        load.advances(20).await;
        agent.rotate().await;
        let certificate = committed(&mut events).await;
        load.advances(20).await;
        assert!(session(&bench, "device-1").ends_with(&certificate.to_string()));
    }
    observer.has_all(load.end().await).await;
    stopped(agent).await;
    controller.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_exclusive_attachment_no_identity_passes_beside_the_live_session() {
    let bench = bench().await;
    bench.share_things().await;
    bench.running(by_takeover(&bench)).await.stop().await;
    let config = AgentConfig { rotation: bench.device("device-1").rotation, ..by_takeover(&bench) };
    assert_eq!(config.rotation.verification, Verification::Beside);
    let agent = bench.running(config).await;
    let before = session(&bench, "device-1");
    let mut events = agent.events();
    agent.rotate().await;
    // The identity in use does not pass either, so that nothing is known of the candidate, and none is given up.
    event(&mut events, "the doubt", |event| match event {
        AgentEvent::Waiting { why, .. } => why.contains("neither identity passes").then_some(()),
        AgentEvent::RolledBack { why, .. } => panic!("{why}"),
        _ => None,
    })
    .await;
    assert_eq!(session(&bench, "device-1"), before);
    serves(&agent).await;
    agent.stop().await;
    bench.core.shutdown().await;
}

/// Rotates to a candidate that may do everything but `denied`, under load, until it is given up; then to a good one.
async fn refused_for_want_of(denied: &str, survives: bool) {
    let bench = Bench::start_with(Arc::new(SystemClock), |config| {
        config.limits.publishes_per_second = None;
        config.switches.session_survives_certificate_change = survives;
    })
    .await;
    bench.share_things().await;
    let mut config = by_takeover(&bench);
    config.timeouts.answer = Duration::from_secs(2);
    let agent = Arc::new(bench.running(config).await);
    let old = agent.status().certificate.unwrap();
    let mut observer = Observer::listen(&bench).await;
    let mut load = Load::start(&bench, &agent);
    load.advances(5).await;
    let mut events = agent.events();
    let faults = bench.core.faults();
    let registered = faults.add(Rule::on(Operation::RegisterThing, Effect::Hold));
    agent.rotate().await;
    within("the registration", faults.held(registered)).await;
    let candidate = issued(&mut events).await;
    bench.deny(&candidate, denied).await;
    faults.release(registered);
    event(&mut events, "the roll-back", |event| matches!(event, AgentEvent::RolledBack { .. }).then_some(()))
        .await;
    load.advances(5).await;
    assert!(session(&bench, "device-1").ends_with(&old.to_string()), "back on the old identity");
    // It hears as before, too: a command is obeyed.
    bench.command(&agent.status().thing, r#"{"op":"rotate"}"#).await;
    let new = committed(&mut events).await;
    assert!(new != old && new != candidate);
    load.advances(5).await;
    observer.has_all(load.end().await).await;
    stopped(agent).await;
    bench.core.shutdown().await;
}

async fn issued(events: &mut tokio::sync::broadcast::Receiver<AgentEvent>) -> CertificateId {
    event(events, "the certificate", |event| match event {
        AgentEvent::Issued { certificate, .. } => Some(certificate),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_may_not_subscribe_is_given_up_and_nothing_is_lost() {
    refused_for_want_of("iot:Subscribe", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_may_not_publish_is_given_up_and_nothing_is_lost() {
    refused_for_want_of("iot:Publish", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_may_not_receive_is_given_up_and_nothing_is_lost() {
    refused_for_want_of("iot:Receive", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_may_not_subscribe_costs_no_subscription_where_sessions_do_not_survive() {
    refused_for_want_of("iot:Subscribe", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_refused_at_connack_leaves_the_live_connection_which_is_proved_where_it_is() {
    let bench = bench().await;
    let agent = Arc::new(bench.running(by_takeover(&bench)).await);
    let before = session(&bench, "device-1");
    let mut events = agent.events();
    let faults = bench.core.faults();
    let echo = Operation::Publish(TopicFilter::new("device/+/verify").unwrap());
    let echoes = faults.add(Rule::on(echo, Effect::Delay(Duration::ZERO)));
    let registered = faults.add(Rule::on(Operation::RegisterThing, Effect::Hold));
    agent.rotate().await;
    within("the registration", faults.held(registered)).await;
    let candidate = issued(&mut events).await;
    bench.deny(&candidate, "iot:Connect").await;
    faults.release(registered);
    event(&mut events, "the roll-back", |event| matches!(event, AgentEvent::RolledBack { .. }).then_some(()))
        .await;
    assert_eq!(session(&bench, "device-1"), before, "the connection is the same one");
    assert!(faults.seen(echoes) >= 2, "and its identity passed each time that the candidate did not");
    serves(&agent).await;
    stopped(agent).await;
    bench.core.shutdown().await;
}
