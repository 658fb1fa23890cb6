//! What TLS proves: possession of the key, for every kind of certificate that AWS takes, and nothing else.

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_mqtt::{QoS, ReasonCode};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::support::{ALL, Client, Closed, Identity, World, tls_with, v5, v311};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// Made by OpenSSL 3.0 with `openssl x509 -req`, which makes version 1 unless told otherwise: P-256, 100 years.
fn version_1() -> (&'static str, Identity) {
    let pem = include_str!("../fixtures/x509-v1.pem");
    let key = include_str!("../fixtures/x509-v1.key.pem");
    (pem, Identity::read(pem, key))
}

async fn connect(
    world: &World,
    identity: &Identity,
    version: &'static SupportedProtocolVersion,
) -> Result<(), Closed> {
    let port = world.handle().ports().mqtt;
    let stream = world.tls_to(port, Some(identity), &[], &[version]).await.map_err(|_| Closed)?;
    let (mut client, connack) = Client::start(stream, v5("a")).await?;
    assert_eq!(connack.reason, ReasonCode::SUCCESS);
    client.ping().await;
    Ok(())
}

#[tokio::test]
async fn a_registered_version_1_certificate_connects() {
    let world = World::start().await;
    let (pem, identity) = version_1();
    let account = world.handle().account();
    let id = account.register_certificate(pem, CertificateStatus::Active).await.unwrap();
    assert_eq!(id, identity.id);
    let other = world.identity(ALL).await;
    let record = account.describe_certificate(&other.id).unwrap();
    account.attach_policy(record.policies.first().unwrap(), &id).await.unwrap();
    for version in VERSIONS {
        assert_eq!(connect(&world, &identity, version).await, Ok(()), "{version:?}");
    }
    let mut listener = world.client(&other, v5("listener")).await;
    listener.subscribe("t", QoS::AtLeastOnce).await;
    let mut client = world.client(&identity, v311("v1")).await;
    assert_eq!(client.publish("t", "from version 1").await, Ok(ReasonCode::SUCCESS));
    assert_eq!(listener.message().await.payload, "from version 1");
    account.update_certificate(&id, CertificateStatus::Revoked).await.unwrap();
    assert_eq!(client.closed().await, None);
    let (_, connack) = world.try_client(&identity, v5("v1")).await.unwrap();
    assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
    world.stop().await;
}

#[tokio::test]
async fn a_certificate_without_its_key_proves_nothing() {
    let world = World::start().await;
    let (rsa, (_, p256)) = (world.identity(ALL).await, version_1());
    let elsewhere = World::start().await.identity(ALL).await;
    for version in VERSIONS {
        for key in [&p256.key, &elsewhere.key] {
            let stolen = Identity { key: key.clone(), ..rsa.clone() };
            assert_eq!(connect(&world, &stolen, version).await, Err(Closed), "{version:?}");
        }
        assert_eq!(connect(&world, &rsa, version).await, Ok(()), "{version:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn no_session_is_ever_resumed() {
    let world = World::start().await;
    let identity = world.identity(ALL).await;
    let port = world.handle().ports().mqtt;
    for version in VERSIONS {
        let config = world.tls_config(Some(&identity), &[version]);
        for _ in 0..2 {
            let stream = tls_with(port, config.clone()).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
            let (mut client, _) = Client::start(stream, v5("a")).await.unwrap();
            client.ping().await;
            assert_eq!(client.tickets(), 0);
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn the_server_can_be_made_to_demand_a_server_name() {
    let world = World::with(|config| config.switches.require_sni = true).await;
    let identity = world.identity(ALL).await;
    for version in VERSIONS {
        assert_eq!(connect(&world, &identity, version).await, Ok(()));
    }
    let mut nameless = world.tls_config(Some(&identity), &VERSIONS);
    nameless.enable_sni = false;
    assert!(tls_with(world.handle().ports().mqtt, nameless).await.is_err());
    world.stop().await;
}
