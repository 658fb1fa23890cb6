//! Make before break: what the live session notices of a rotation, and of one that fails.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_agent::{Agent, AgentEvent, AgentHandle};
use fleetkey_iotcore::faults::{Effect, Operation, Rule};
use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::config::Verdict;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ClientId;
use fleetkey_testkit::wait::within;
use fleetkey_testkit::{Bench, Presence};
use tokio::sync::broadcast::Receiver;

pub(crate) async fn event<T>(
    events: &mut Receiver<AgentEvent>,
    what: &str,
    fits: impl Fn(AgentEvent) -> Option<T>,
) -> T {
    within(what, async {
        loop {
            if let Some(found) = fits(events.recv().await.unwrap()) {
                return found;
            }
        }
    })
    .await
}

pub(crate) async fn committed(events: &mut Receiver<AgentEvent>) -> CertificateId {
    event(events, "the commit", |event| match event {
        AgentEvent::Committed { certificate, .. } => Some(certificate),
        _ => None,
    })
    .await
}

/// The broker's session on a client id: it stays the same as long as the connection does.
pub(crate) fn session(bench: &Bench, client: &str) -> String {
    let connections = bench.core.connections();
    let live = connections.iter().find(|connection| connection.client_id.as_str() == client).unwrap();
    format!("{} {}", live.session_identifier, live.certificate)
}

pub(crate) async fn serves(agent: &AgentHandle) {
    within("PUBACK", agent.publish("device/device-1/telemetry", b"still here".to_vec())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_disconnected_before_its_devices_commit() {
    let bench = Bench::start().await;
    let mut presence = Presence::listen(&bench).await;
    let agent = bench.provisioned("device-1").await;
    assert_eq!(presence.next_of("device-1").await.event, "connected");
    let (before, old) = (session(&bench, "device-1"), agent.status().certificate);
    let mut events = agent.events();
    let verify = ClientId::verify(&agent.status().thing);
    let faults = bench.core.faults();
    let registering = faults.add(Rule::on(Operation::RegisterThing, Effect::Hold));
    let verifying = faults.add(Rule::on(Operation::Connect, Effect::Hold).client(verify));

    agent.rotate().await;
    within("RegisterThing", faults.held(registering)).await;
    assert_eq!(session(&bench, "device-1"), before, "while the certificate is registered");
    serves(&agent).await;
    faults.release(registering);
    within("the verification", faults.held(verifying)).await;
    assert_eq!(session(&bench, "device-1"), before, "while the candidate proves itself");
    serves(&agent).await;
    faults.release(verifying);
    let certificate = committed(&mut events).await;

    // Presence tells of one takeover and nothing else, in either order, as AWS's events do.
    let mut told = [presence.next_of("device-1").await, presence.next_of("device-1").await];
    told.sort_by(|one, other| one.event.cmp(&other.event));
    let [back, gone] = told;
    assert_eq!((back.event.as_str(), back.principal), ("connected", certificate));
    assert_eq!((gone.event.as_str(), gone.reason.as_deref()), ("disconnected", Some("DUPLICATE_CLIENTID")));
    assert_eq!(Some(gone.principal), old);
    serves(&agent).await;
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_candidate_leaves_the_live_connection_untouched() {
    let bench = Bench::start().await;
    let mut config = bench.device("device-1");
    config.rotation.verdict = Verdict { refusals: 2, over: Duration::from_millis(100) };
    let agent = Agent::start(config, Arc::new(fleetkey_agent::SystemClock)).await.unwrap();
    within("provisioning", agent.until(|status| status.connected && status.exported)).await.unwrap();
    let (before, old) = (session(&bench, "device-1"), agent.status().certificate);
    let mut events = agent.events();
    let verify = ClientId::verify(&agent.status().thing);
    let faults = bench.core.faults();
    let verifying = faults.add(Rule::on(Operation::Connect, Effect::Hold).client(verify));

    agent.rotate().await;
    within("the verification", faults.held(verifying)).await;
    let candidate = event(&mut events, "the certificate", |event| match event {
        AgentEvent::Issued { certificate, .. } => Some(certificate),
        _ => None,
    })
    .await;
    bench.core.account().update_certificate(&candidate, CertificateStatus::Inactive).await.unwrap();
    faults.release(verifying);
    event(&mut events, "the roll-back", |event| matches!(event, AgentEvent::RolledBack { .. }).then_some(()))
        .await;

    assert_eq!(session(&bench, "device-1"), before, "the connection is the same one");
    serves(&agent).await;
    let status = agent.status();
    assert_eq!((status.certificate, status.current), (old, Some(SlotId(1))));
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_the_registration_costs_no_second_certificate() {
    let bench = Bench::start().await;
    let agent = bench.provisioned("device-1").await;
    let mut events = agent.events();
    bench.core.faults().add(Rule::on(Operation::RegisterThing, Effect::DropAnswer).only(1));
    agent.rotate().await;
    committed(&mut events).await;
    let principals = bench.core.account().list_thing_principals(&agent.status().thing).unwrap();
    assert_eq!(principals.len(), 2, "the old and the new one");
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_starts_again_goes_on_with_its_identity() {
    let bench = Bench::start().await;
    let agent = bench.provisioned("device-1").await;
    let certificate = agent.status().certificate;
    agent.stop().await;
    let agent = bench.provisioned("device-1").await;
    assert_eq!(agent.status().certificate, certificate);
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_root_is_trusted_while_the_old_one_is_still_there() {
    let bench = Bench::start().await;
    let roots = bench.path("roots.pem");
    let mut config = bench.device("device-1");
    // A root that has nothing to do with this broker comes first: a set is trusted, not a pin.
    let stranger = Bench::start().await;
    let old = std::fs::read(stranger.core.root_ca_path()).unwrap();
    std::fs::write(&roots, &old).unwrap();
    config.roots = vec![roots.clone()];
    config.session.reconnect_cap = Duration::from_millis(500);
    let agent = Agent::start(config, Arc::new(fleetkey_agent::SystemClock)).await.unwrap();
    let mut events = agent.events();
    event(&mut events, "the stranger's root to be of no use", |event| {
        matches!(event, AgentEvent::Waiting { .. }).then_some(())
    })
    .await;
    let both = [old, std::fs::read(bench.core.root_ca_path()).unwrap()].concat();
    std::fs::write(&roots, both).unwrap();
    within("provisioning", agent.until(|status| status.connected)).await.unwrap();
    agent.stop().await;
    stranger.core.shutdown().await;
    bench.core.shutdown().await;
}
