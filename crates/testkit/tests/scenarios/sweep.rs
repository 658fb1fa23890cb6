//! What a rotation that was given up leaves in the account does not stay there, and the device goes on.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_agent::{Agent, AgentEvent, AgentHandle};
use fleetkey_iotcore::faults::{Effect, Operation, Rule};
use fleetkey_lifecycle::config::Verdict;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ClientId;
use fleetkey_operator::controller::Config;
use fleetkey_testkit::Bench;
use fleetkey_testkit::wait::within;
use tokio::sync::broadcast::Receiver;

/// Waits until the account shows this status, `None` for a certificate that is gone.
async fn becomes(bench: &Bench, certificate: &CertificateId, wanted: Option<CertificateStatus>) {
    let account = bench.core.account();
    let mut changes = account.store().subscribe();
    let status = || account.describe_certificate(certificate).ok().map(|found| found.status);
    within("the status", async {
        while status() != wanted {
            changes.recv().await.unwrap();
        }
    })
    .await;
}

/// What the first event that fits holds.
async fn until<T>(events: &mut Receiver<AgentEvent>, fits: impl Fn(AgentEvent) -> Option<T>) -> T {
    within("an event of the agent", async {
        loop {
            if let Some(found) = fits(events.recv().await.unwrap()) {
                return found;
            }
        }
    })
    .await
}

/// A device with a short verdict, whose certificate was attested once.
async fn rotated_device(bench: &Bench) -> AgentHandle {
    let mut config = bench.device("device-1");
    config.rotation.verdict = Verdict { refusals: 2, over: Duration::from_millis(100) };
    let agent = Agent::start(config, Arc::new(fleetkey_agent::SystemClock)).await.unwrap();
    within("provisioning", agent.until(|status| status.connected && status.exported)).await.unwrap();
    let mut events = agent.events();
    agent.rotate().await;
    until(&mut events, |event| matches!(event, AgentEvent::Retired { .. }).then_some(())).await;
    agent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_was_refused_and_given_up_is_swept_while_the_device_goes_on() {
    let bench = Bench::start().await;
    let moment = Duration::from_millis(300);
    let config = Config {
        soak: moment,
        grace: Duration::from_secs(3),
        delete_after: moment,
        // Longer than the verdict takes, by the pace of CONNECTs.
        leftover_after: Duration::from_secs(5),
        look_again: moment,
        ..Config::default()
    };
    let controller = bench.controller_with(config).await;
    let agent = rotated_device(&bench).await;
    let current = agent.status().certificate.unwrap();

    // The candidate is registered and ACTIVE, and no policy lets it connect.
    let verify = ClientId::verify(&agent.status().thing);
    let faults = bench.core.faults();
    let verifying = faults.add(Rule::on(Operation::Connect, Effect::Hold).client(verify));
    let mut events = agent.events();
    agent.rotate().await;
    within("the verification", faults.held(verifying)).await;
    let candidate = until(&mut events, |event| match event {
        AgentEvent::Issued { certificate, .. } => Some(certificate),
        _ => None,
    })
    .await;
    bench.core.account().detach_policy(&bench.fleet.names.device_policy, &candidate).await.unwrap();
    faults.release(verifying);
    until(&mut events, |event| matches!(event, AgentEvent::RolledBack { .. }).then_some(())).await;
    agent.hold(true).await;

    becomes(&bench, &candidate, Some(CertificateStatus::Inactive)).await;
    let record = controller.records().await.pop().unwrap();
    assert_eq!(record.witness.certificate, current, "no commit came after it: it is swept, not superseded");
    assert!(record.leftovers.contains_key(&candidate) && record.frozen.is_none(), "{record:?}");
    becomes(&bench, &candidate, None).await;

    assert_eq!(agent.status().certificate, Some(current));
    becomes(&bench, &current, Some(CertificateStatus::Active)).await;
    let told = agent.publish("device/device-1/telemetry", b"still here".to_vec());
    within("PUBACK", told).await.unwrap();
    agent.stop().await;
    controller.stop().await;
    bench.core.shutdown().await;
}
