//! Old certificates die on the broker's word, step by step, and on nobody else's.

use std::time::Duration;

use fleetkey_agent::{AgentEvent, AgentHandle};
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::topic::FleetTopic;
use fleetkey_mqtt::QoS;
use fleetkey_testkit::Bench;
use fleetkey_testkit::wait::within;

fn status(bench: &Bench, certificate: &CertificateId) -> CertificateStatus {
    bench.core.account().describe_certificate(certificate).unwrap().status
}

async fn becomes(bench: &Bench, certificate: &CertificateId, wanted: CertificateStatus) {
    let mut changes = bench.core.account().store().subscribe();
    within(wanted.as_str(), async {
        while status(bench, certificate) != wanted {
            changes.recv().await.unwrap();
        }
    })
    .await;
}

async fn rotated_and_retired(agent: &AgentHandle) {
    let mut events = agent.events();
    agent.rotate().await;
    within("the retirement", async {
        while !matches!(events.recv().await.unwrap(), AgentEvent::Retired { .. }) {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_certificate_is_inactive_first_and_revoked_after_the_grace() {
    let bench = Bench::start().await;
    let controller = bench.controller(Duration::from_millis(500)).await;
    let agent = bench.provisioned("device-1").await;
    let old = agent.status().certificate.unwrap();
    rotated_and_retired(&agent).await;
    assert_ne!(status(&bench, &old), CertificateStatus::Active, "retired means that it cannot connect");
    becomes(&bench, &old, CertificateStatus::Revoked).await;
    let new = agent.status().certificate.unwrap();
    assert_eq!(status(&bench, &new), CertificateStatus::Active);
    agent.stop().await;
    controller.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_controller_nothing_is_retired_and_with_one_again_the_request_is_still_being_made() {
    let bench = Bench::start().await;
    let agent = bench.provisioned("device-1").await;
    let old = agent.status().certificate.unwrap();
    agent.rotate().await;
    let retiring =
        |status: &fleetkey_lifecycle::Status| status.state == fleetkey_lifecycle::status::StateName::Retiring;
    within("the request", agent.until(retiring)).await.unwrap();
    assert_eq!(status(&bench, &old), CertificateStatus::Active);
    let controller = bench.controller(Duration::from_secs(3600)).await;
    becomes(&bench, &old, CertificateStatus::Inactive).await;
    agent.stop().await;
    controller.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_request_retires_nothing_of_anybodys() {
    let bench = Bench::start().await;
    let controller = bench.controller(Duration::from_secs(3600)).await;
    let (thief, victim) = (bench.provisioned("device-1").await, bench.provisioned("device-2").await);
    let theirs = victim.status().certificate.unwrap();
    // The victim is between two certificates: an old one could be retired, if somebody were believed.
    let (client, _messages) = bench.connect(&bench.exported("device-1"), "device-1~agent").await.unwrap();
    let forged = format!(
        r#"{{"op":"retire","id":"x","principal":"{theirs}","clientid":"device-2","thing":"device-2","at":1}}"#
    );
    let topic = FleetTopic::Requests(thief.status().thing).to_string();
    within("PUBACK", client.publish(topic, forged.clone().into_bytes(), QoS::AtLeastOnce)).await.unwrap();
    let foreign = FleetTopic::Requests(victim.status().thing).to_string();
    let refused = within("PUBACK", client.publish(foreign, forged.into_bytes(), QoS::AtLeastOnce)).await;
    assert!(refused.is_err(), "and another's request topic is closed to it");
    // A real rotation of the victim goes through the same controller afterwards: what came before is settled.
    rotated_and_retired(&victim).await;
    assert_eq!(status(&bench, &thief.status().certificate.unwrap()), CertificateStatus::Active);
    for agent in [thief, victim] {
        agent.stop().await;
    }
    controller.stop().await;
    bench.core.shutdown().await;
}
