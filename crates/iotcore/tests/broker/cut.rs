//! A live connection ends when its certificate may not connect any more.

use std::time::Duration;

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::ThingName;
use fleetkey_mqtt::{QoS, ReasonCode};

use crate::support::{ALL, World, v5, v311};

#[tokio::test]
async fn leaving_active_cuts_every_connection_of_the_certificate_and_no_other() {
    let world = World::start().await;
    let mut observer = world.observer("$aws/events/presence/disconnected/+").await;
    for status in [CertificateStatus::Inactive, CertificateStatus::Revoked] {
        let (revoked, other) = (world.identity(ALL).await, world.identity(ALL).await);
        let mut one = world.client(&revoked, v5("one")).await;
        let mut two = world.client(&revoked, v311("two")).await;
        let mut bystander = world.client(&other, v5("bystander")).await;
        world.handle().account().update_certificate(&revoked.id, status).await.unwrap();
        assert_eq!(one.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
        assert_eq!(two.closed().await, None);
        for _ in 0..2 {
            let (_, event) = observer.event().await;
            assert_eq!(event["disconnectReason"], "AUTH_ERROR");
            assert_eq!(event["principalIdentifier"], revoked.id.to_string());
        }
        bystander.ping().await;
        bystander.leave().await;
        observer.event().await;
    }
    world.stop().await;
}

/// As on AWS for a few minutes.
#[tokio::test]
async fn a_connection_outlives_its_certificate_for_the_delay_that_is_set_and_none_begins_meanwhile() {
    for delay in [Duration::from_secs(3600), Duration::from_millis(50)] {
        let world = World::with(|config| config.switches.cut_delay = delay).await;
        let identity = world.identity(ALL).await;
        let mut client = world.client(&identity, v5("one")).await;
        world.handle().account().update_certificate(&identity.id, CertificateStatus::Revoked).await.unwrap();
        if delay < Duration::from_secs(1) {
            assert_eq!(client.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
        } else {
            client.ping().await;
            let (_, connack) = world.try_client(&identity, v5("two")).await.unwrap();
            assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
            client.leave().await;
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn detaching_thing_or_policy_cuts_when_connect_depended_on_it() {
    let world = World::start().await;
    let thing = ThingName::new("pump").unwrap();
    let pump = world.device("pump").await;
    let account = world.handle().account();
    let mut client = world.client(&pump, v5("pump")).await;
    account.detach_thing_principal(&thing, &pump.id).await.unwrap();
    assert_eq!(client.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
    let loose = world.identity(ALL).await;
    let mut client = world.client(&loose, v5("loose")).await;
    let record = account.describe_certificate(&loose.id).unwrap();
    let policy = record.policies.first().unwrap();
    account.detach_policy(policy, &loose.id).await.unwrap();
    assert_eq!(client.closed().await, Some(ReasonCode::NOT_AUTHORIZED));
    world.stop().await;
}

#[tokio::test]
async fn attaching_more_leaves_the_live_connection_alone() {
    let world = World::start().await;
    let (pump, spare) = (world.device("pump").await, world.identity(ALL).await);
    let account = world.handle().account();
    let mut client = world.client(&pump, v5("pump")).await;
    client.subscribe("device/pump/x", QoS::AtLeastOnce).await;
    let record = account.describe_certificate(&spare.id).unwrap();
    account.attach_policy(record.policies.first().unwrap(), &pump.id).await.unwrap();
    client.ping().await;
    world.stop().await;
}
