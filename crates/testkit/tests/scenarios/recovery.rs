//! A device none of whose certificates is accepted any more, and the recovery template that the operator opens for it.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_agent::AgentEvent;
use fleetkey_lifecycle::config::Verdict;
use fleetkey_lifecycle::record::Reason;
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_testkit::Bench;
use fleetkey_testkit::wait::within;
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use crate::rotation::{event, serves};

const SPACING: Duration = Duration::from_secs(2);

async fn asks(events: &mut Receiver<AgentEvent>) -> Instant {
    let recovery = |event| matches!(event, AgentEvent::RotationStarted { reason: Reason::Recovery, .. });
    event(events, "an attempt to recover", |event| recovery(event).then(Instant::now)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_whose_certificate_was_taken_away_waits_until_the_operator_lets_it_recover() {
    let bench = Bench::start().await;
    let mut config = bench.device("device-1");
    let claim = config.claim.as_mut().unwrap();
    claim.recovery_template = Some(bench.fleet.names.recovery_template.clone());
    claim.recovery_spacing = SPACING;
    config.rotation.verdict = Verdict { refusals: 2, over: Duration::from_millis(100) };
    let agent = Arc::new(bench.running(config).await);
    let old = agent.status().certificate.unwrap();
    let mut events = agent.events();
    bench.core.account().update_certificate(&old, CertificateStatus::Inactive).await.unwrap();

    // What the owner publishes meanwhile waits for whoever the device will be.
    let waiting = tokio::spawn({
        let agent = agent.clone();
        async move { serves(&agent).await }
    });
    let first = asks(&mut events).await;
    let refused = |event| match event {
        AgentEvent::RolledBack { why, .. } => Some(why),
        AgentEvent::Committed { .. } => panic!("the template is closed"),
        _ => None,
    };
    let why = event(&mut events, "the refusal", refused).await;
    assert!(why.contains("does not exist"), "a closed template is none: {why}");
    let status = agent.status();
    assert_eq!((status.certificate, status.connected), (Some(old), false), "and it keeps what it has");
    let second = asks(&mut events).await;
    assert!(second - first >= SPACING, "{:?}", second - first);

    let template = &bench.fleet.names.recovery_template;
    bench.core.account().set_template_enabled(template, true).await.unwrap();
    let recovered = event(&mut events, "the recovery", |event| match event {
        AgentEvent::Committed { reason: Reason::Recovery, certificate, .. } => Some(certificate),
        _ => None,
    })
    .await;
    assert_ne!(recovered, old);
    within("the message that waited", waiting).await.unwrap();
    // Marked, so that what came of a recovery can be told from what came of a rotation.
    let thing = bench.core.account().describe_thing(&agent.status().thing).unwrap();
    assert_eq!(thing.attributes.get("recoveredCertificateId"), Some(&recovered.to_string()));
    Arc::into_inner(agent).unwrap().stop().await;
    bench.core.shutdown().await;
}
