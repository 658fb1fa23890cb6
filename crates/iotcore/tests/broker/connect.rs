//! Who is let in, and how the others are turned away.

use std::time::Duration;

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_mqtt::{Property, QoS, ReasonCode};

use crate::provisioning::create;
use crate::support::{ALL, Closed, Identity, World, until, v5, v311};

#[tokio::test]
async fn a_registered_active_certificate_connects_in_both_versions_of_both_protocols() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for connect in [v311("a"), v5("a")] {
            let port = world.handle().ports().mqtt;
            let stream = world.tls_to(port, Some(&identity), &[], &[version]).await.unwrap();
            let (mut client, connack) = crate::support::Client::start(stream, connect).await.unwrap();
            assert_eq!(connack.reason, ReasonCode::SUCCESS);
            client.ping().await;
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_client_without_certificate_never_gets_as_far_as_connect() {
    let world = World::start().await;
    // Under TLS 1.3 the client finishes first: the alert shows when it reads.
    if let Ok(stream) = world.tls(None).await {
        assert_eq!(crate::support::Client::start(stream, v5("a")).await.err(), Some(Closed));
    }
    world.stop().await;
}

#[tokio::test]
async fn an_inactive_certificate_is_refused_and_the_refusal_is_an_event() {
    let world = World::start().await;
    let mut observer = world.observer("$aws/events/presence/connect_failed/+").await;
    let identity = world.identity(ALL).await;
    let account = world.handle().account();
    for status in [CertificateStatus::Inactive, CertificateStatus::Revoked] {
        account.update_certificate(&identity.id, status).await.unwrap();
        assert!(matches!(world.try_client(&identity, v311("a")).await, Err(Closed)));
        let (_, connack) = world.try_client(&identity, v5("b")).await.unwrap();
        assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
        for name in ["a", "b"] {
            let (topic, event) = observer.event().await;
            assert_eq!(topic, format!("$aws/events/presence/connect_failed/{name}"));
            assert_eq!(event["connectFailureReason"], "AUTHORIZATION_FAILED");
            assert_eq!(event["principalIdentifier"], identity.id.to_string());
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn an_activation_is_effective_after_the_delay_that_it_is_given() {
    let delay = Duration::from_secs(600);
    let world = World::with(|config| config.switches.activation_delay = delay).await;
    let identity = world.identity(ALL).await;
    let connack = async || world.try_client(&identity, v5("a")).await.unwrap().1.reason;
    assert_eq!(connack().await, ReasonCode::NOT_AUTHORIZED);
    world.clock.advance(delay - Duration::from_millis(1));
    assert_eq!(connack().await, ReasonCode::NOT_AUTHORIZED);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(connack().await, ReasonCode::SUCCESS);
    let account = world.handle().account();
    for status in [CertificateStatus::Inactive, CertificateStatus::Active] {
        account.update_certificate(&identity.id, status).await.unwrap();
    }
    assert_eq!(connack().await, ReasonCode::NOT_AUTHORIZED, "so is one that was brought back");
    world.stop().await;
}

#[tokio::test]
async fn an_unregistered_certificate_is_refused_though_its_signature_is_good() {
    let world = World::start().await;
    let elsewhere = World::start().await;
    let foreign = elsewhere.identity(ALL).await;
    let (_, connack) = world.try_client(&foreign, v5("a")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
    assert!(matches!(world.try_client(&foreign, v311("a")).await, Err(Closed)));
    world.stop().await;
}

#[tokio::test]
async fn a_refused_connect_of_3_1_1_gets_a_return_code_only_when_the_switch_says_so() {
    let world = World::with(|config| config.switches.connack_on_refusal_v311 = true).await;
    let elsewhere = World::start().await;
    let foreign = elsewhere.identity(ALL).await;
    let (_, connack) = world.try_client(&foreign, v311("a")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
    world.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_its_live_session_cut() {
    let day = Duration::from_secs(86_400);
    let world = World::with(|config| config.device_validity = Some(day)).await;
    let identity = provisioned(&world).await;
    let mut client = world.client(&identity, v5("a")).await;
    world.clock.advance(2 * day);
    assert_eq!(client.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
    let (_, connack) = world.try_client(&identity, v5("a")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
    world.stop().await;
}

/// A certificate made over MQTT, which lives as long as the configuration says, and brought to ACTIVE by hand.
async fn provisioned(world: &World) -> Identity {
    let lasting = world.identity(ALL).await;
    let mut asker = world.client(&lasting, v5("asker")).await;
    let issued = create(&mut asker).await;
    let account = world.handle().account();
    let policy = account.describe_certificate(&lasting.id).unwrap().policies.pop_first().unwrap();
    account.attach_policy(&policy, &issued.certificate_id).await.unwrap();
    account.update_certificate(&issued.certificate_id, CertificateStatus::Active).await.unwrap();
    Identity::read(&issued.certificate_pem, issued.private_key.unwrap().expose())
}

#[tokio::test]
async fn the_alpn_listener_speaks_mqtt_only_where_alpn_says_so() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let port = world.handle().ports().alpn;
    let versions: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
    let stream = world.tls_to(port, Some(&identity), &["x-amzn-mqtt-ca"], versions).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"x-amzn-mqtt-ca"[..]));
    crate::support::Client::start(stream, v5("a")).await.unwrap();
    for other in [&["h2"][..], &[]] {
        assert!(world.tls_to(port, Some(&identity), other, versions).await.is_err(), "{other:?}");
    }
    // AWS's 8883 knows no ALPN; a client that offers it all the same is served.
    let port = world.handle().ports().mqtt;
    let stream = world.tls_to(port, Some(&identity), &["x-amzn-mqtt-ca"], versions).await.unwrap();
    crate::support::Client::start(stream, v5("a")).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_version_5_client_is_told_the_limits() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let mut connect = v5("");
    connect.keep_alive = 1;
    connect.properties.push(Property::SessionExpiryInterval(1_000_000));
    let (_client, connack) = world.try_client(&identity, connect).await.unwrap();
    let properties = &connack.properties;
    assert!(properties.assigned_client_id().unwrap().starts_with("$GEN/"));
    assert_eq!(properties.session_expiry(), Some(3600));
    assert_eq!(properties.server_keep_alive(), Some(30));
    assert_eq!(properties.maximum_qos(), Some(1));
    assert_eq!(properties.receive_maximum(), Some(100));
    assert_eq!(properties.topic_alias_maximum(), Some(8));
    world.stop().await;
}

#[tokio::test]
async fn a_client_id_may_connect_once_a_second() {
    let world = World::with(|config| config.limits.connects_per_second = Some(1)).await;
    let identity = world.identity(ALL).await;
    let mut first = world.client(&identity, v5("a")).await;
    let (_, connack) = world.try_client(&identity, v5("a")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::QUOTA_EXCEEDED);
    first.ping().await;
    world.client(&identity, v5("b")).await;
    world.stop().await;
}

#[tokio::test]
async fn a_bad_client_id_or_will_is_refused() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let will = |topic: &str, qos| {
        let mut connect = v5("a");
        connect.will = Some(fleetkey_mqtt::Will {
            topic: topic.into(),
            payload: "gone".into(),
            qos,
            retain: false,
            properties: Default::default(),
        });
        connect
    };
    let table = [
        (v5(&"x".repeat(129)), ReasonCode::CLIENT_IDENTIFIER_NOT_VALID),
        (will("a/#", QoS::AtMostOnce), ReasonCode::TOPIC_NAME_INVALID),
        (will("$aws/events/presence/connected/x", QoS::AtMostOnce), ReasonCode::TOPIC_NAME_INVALID),
        (will("a", QoS::ExactlyOnce), ReasonCode::QOS_NOT_SUPPORTED),
    ];
    for (connect, reason) in table {
        let (_, connack) = world.try_client(&identity, connect).await.unwrap();
        assert_eq!(connack.reason, reason);
    }
    assert!(matches!(world.try_client(&identity, v311("")).await, Err(Closed)));
    world.stop().await;
}

#[tokio::test]
async fn presence_tells_which_certificate_a_client_uses() {
    let world = World::start().await;
    let mut observer = world.observer("$aws/events/presence/+/pump").await;
    let identity = world.device("pump").await;
    let client = world.client(&identity, v311("pump")).await;
    let (topic, connected) = observer.event().await;
    assert_eq!(topic, "$aws/events/presence/connected/pump");
    assert_eq!(connected["principalIdentifier"], identity.id.to_string());
    assert_eq!(connected["thingName"], "pump");
    assert_eq!(connected["ipAddress"], "127.0.0.1");
    let info = world.handle().connections().into_iter().find(|info| info.client_id.as_str() == "pump");
    assert_eq!(connected["sessionIdentifier"], info.unwrap().session_identifier);
    client.leave().await;
    let (_, gone) = observer.event().await;
    assert_eq!(gone["disconnectReason"], "CLIENT_INITIATED_DISCONNECT");
    assert_eq!(gone["clientInitiatedDisconnect"], true);
    assert_eq!(gone["sessionIdentifier"], connected["sessionIdentifier"]);
    assert_eq!(gone["versionNumber"], connected["versionNumber"]);
    until("the table to be empty", || world.handle().connections().len() == 1).await;
    world.stop().await;
}
