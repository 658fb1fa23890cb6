//! Who can reach what, over real TLS, under the shipped policies.

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::topic::FleetTopic;
use fleetkey_mqtt::link::{Client, ConnectError, PublishError};
use fleetkey_mqtt::{QoS, ReasonCode};
use fleetkey_testkit::wait::within;
use fleetkey_testkit::{Bench, Presence};

use crate::provisioning::register;

async fn publish(client: &Client, topic: &str) -> Result<(), PublishError> {
    within("PUBACK", client.publish(topic, b"x".to_vec(), QoS::AtLeastOnce)).await
}

async fn may_subscribe(client: &Client, filter: &str) -> bool {
    let granted = within("SUBACK", client.subscribe(&[(filter, QoS::AtLeastOnce)])).await.unwrap();
    granted.iter().all(|reason| !reason.is_error())
}

fn is_refusal(outcome: &Result<(), PublishError>) -> bool {
    matches!(outcome, Err(PublishError::Refused(ReasonCode::NOT_AUTHORIZED)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_and_its_live_session_cut() {
    let bench = Bench::start().await;
    let mut presence = Presence::listen(&bench).await;
    let agent = bench.provisioned("device-1").await;
    let certificate = agent.status().certificate.unwrap();
    assert_eq!(presence.next_of("device-1").await.event, "connected");
    bench.core.account().update_certificate(&certificate, CertificateStatus::Revoked).await.unwrap();
    let gone = presence.next_of("device-1").await;
    assert_eq!((gone.event.as_str(), gone.principal), ("disconnected", certificate));
    let again = bench.connect(&bench.exported("device-1"), "device-1~agent").await;
    assert!(matches!(again, Err(ConnectError::Refused(_) | ConnectError::Closed)), "{again:?}");
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_reaches_its_own_topics_and_nothing_of_anothers() {
    let bench = Bench::start().await;
    let (own, other) = (bench.provisioned("device-1").await, bench.provisioned("device-2").await);
    let (client, mut messages) = bench.connect(&bench.exported("device-1"), "device-1~agent").await.unwrap();
    assert!(may_subscribe(&client, "device/device-1/#").await);
    publish(&client, "device/device-1/telemetry").await.unwrap();
    assert_eq!(&*within("delivery", messages.recv()).await.unwrap().topic, "device/device-1/telemetry");

    assert!(is_refusal(&publish(&client, "device/device-2/telemetry").await));
    for filter in ["device/device-2/telemetry", "device/+/telemetry", "device/#", "#", "$aws/events/#"] {
        assert!(!may_subscribe(&client, filter).await, "{filter}");
    }
    // Nothing of the other's reaches us: its message, then ours, and only ours comes.
    other.publish("device/device-2/telemetry", b"theirs".to_vec()).await.unwrap();
    publish(&client, "device/device-1/last").await.unwrap();
    assert_eq!(&*within("delivery", messages.recv()).await.unwrap().topic, "device/device-1/last");
    for agent in [own, other] {
        agent.stop().await;
    }
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_cannot_speak_for_the_controller() {
    let bench = Bench::start().await;
    let agent = bench.provisioned("device-1").await;
    let thing = agent.status().thing;
    let (client, _messages) = bench.connect(&bench.exported("device-1"), "device-1~agent").await.unwrap();
    for topic in
        [FleetTopic::Commands(thing.clone()), FleetTopic::Answers(thing.clone()), FleetTopic::Attested(thing)]
    {
        assert!(is_refusal(&publish(&client, &topic.to_string()).await), "{topic}");
    }
    assert!(!may_subscribe(&client, FleetTopic::ALL_ATTESTED).await);
    assert!(!may_subscribe(&client, FleetTopic::ALL_REQUESTS).await);
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_cannot_connect_as_another() {
    let bench = Bench::start().await;
    let (agent, other) = (bench.provisioned("device-1").await, bench.provisioned("device-2").await);
    let stolen = bench.exported("device-1");
    for client in ["device-2", "device-2~agent", "device-2~verify", "~controller", "~observer", "claim~x"] {
        let outcome = bench.connect(&stolen, client).await;
        assert!(
            matches!(outcome, Err(ConnectError::Refused(ReasonCode::NOT_AUTHORIZED))),
            "{client}: {outcome:?}"
        );
    }
    assert!(other.status().connected, "and nobody was thrown off");
    for agent in [agent, other] {
        agent.stop().await;
    }
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_reaches_nothing_but_provisioning_and_no_existing_serial() {
    let bench = Bench::start().await;
    let agent = bench.provisioned("device-1").await;
    let claim = bench.claim();
    for client in ["device-1", "device-9", "device-1~verify", "~controller"] {
        let outcome = bench.connect(&claim, client).await;
        assert!(
            matches!(outcome, Err(ConnectError::Refused(ReasonCode::NOT_AUTHORIZED))),
            "{client}: {outcome:?}"
        );
    }
    let (client, mut messages) = bench.connect(&claim, "claim~test").await.unwrap();
    for topic in
        ["device/device-1/telemetry", "fleetkey/things/device-1/requests", "fleetkey/things/claim/requests"]
    {
        assert!(is_refusal(&publish(&client, topic).await), "{topic}");
    }
    for filter in ["device/#", "#", "fleetkey/#", "$aws/events/#"] {
        assert!(!may_subscribe(&client, filter).await, "{filter}");
    }
    let names = &bench.fleet.names;
    let taken = register(&client, &mut messages, &names.claim_template, "device-1").await.unwrap_err();
    assert_eq!(taken["statusCode"], 409, "{taken}");
    let fresh = register(&client, &mut messages, &names.claim_template, "device-2").await.unwrap();
    assert_eq!(fresh["thingName"], "device-2");
    let rotation = fleetkey_model::topic::ReservedTopic::RegisterThing(
        names.rotation_template.clone(),
        fleetkey_model::topic::Format::Json,
        fleetkey_model::topic::Leg::Request,
    );
    assert!(is_refusal(&publish(&client, &rotation.to_string()).await), "devices rotate, claims do not");
    assert!(agent.status().connected);
    agent.stop().await;
    bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_a_certificate_for_somebody_elses_thing_is_rejected() {
    let bench = Bench::start().await;
    let (agent, other) = (bench.provisioned("device-1").await, bench.provisioned("device-2").await);
    let template = bench.fleet.names.rotation_template.clone();
    let (client, mut messages) = bench.connect(&bench.exported("device-1"), "device-1~agent").await.unwrap();
    let theirs = register(&client, &mut messages, &template, "device-2").await.unwrap_err();
    assert_eq!(theirs["statusCode"], 403, "{theirs}");
    let nobodys = register(&client, &mut messages, &template, "device-3").await.unwrap_err();
    assert_eq!(nobodys["statusCode"], 403, "{nobodys}");
    let own = register(&client, &mut messages, &template, "device-1").await.unwrap();
    assert_eq!(own["thingName"], "device-1");
    let theirs = bench.core.account().list_thing_principals(&other.status().thing).unwrap();
    assert_eq!(theirs.len(), 1, "the other thing has its own certificate and no more");
    for agent in [agent, other] {
        agent.stop().await;
    }
    bench.core.shutdown().await;
}
