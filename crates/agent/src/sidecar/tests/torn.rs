//! A certificate and a key that do not belong together, beneath a client that is served.

use std::sync::Arc;

use fleetkey_lifecycle::SlotId;
use fleetkey_lifecycle::event::FailureKind;
use fleetkey_model::certificate::CertificateFacts;
use fleetkey_mqtt::{Connect, Packet, Version};
use tokio::io::DuplexStream;
use tokio::sync::broadcast;

use super::raw::Raw;
use super::{device, dial, links, start, status, telemetry};
use crate::agent::connector;
use crate::clock::FlooredClock;
use crate::keys::testing::self_signed;
use crate::sidecar::wire::Arrived;
use crate::sidecar::{Command, Listen, Session, SidecarHandle};
use crate::store::{EXPORT_LINK, KEY_FILE, SlotIdentity};
use crate::testing::Broker;
use crate::{AgentEvent, SystemClock};

/// An identity that the broker accepts.
fn identity(broker: &Broker, slot: u64) -> SlotIdentity {
    let (key, chain) = self_signed("device");
    let certificate = CertificateFacts::from_pem(&chain).unwrap();
    broker.registry().accept(certificate.id);
    SlotIdentity { slot: SlotId(slot), key, chain, certificate }
}

/// A client that has come in, and has its CONNACK.
async fn arrive(handle: &SidecarHandle) -> Raw<DuplexStream> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(far);
    let arrived = Arrived {
        connect: Box::new(Connect::new(Version::V311, "plc")),
        peer: "test".to_owned(),
        reader: Box::new(reader),
        writer: Box::new(writer),
        rest: bytes::BytesMut::new(),
    };
    assert!(handle.commands.send(Command::Arrived(Box::new(arrived))).await.is_ok());
    let mut client = Raw::new(near, Version::V311);
    assert!(matches!(client.hears().await, Some(Packet::ConnAck(ack)) if !ack.reason.is_error()));
    client
}

#[tokio::test]
async fn a_torn_pair_is_shown_to_nobody_and_the_link_that_serves_stays() {
    let broker = Broker::start().await;
    let config = device(&broker, Listen::Tcp("127.0.0.1:0".parse().unwrap()));
    let dialer = connector(&config, &FlooredClock::new(Arc::new(SystemClock))).unwrap().dialer;
    let (events, _heard) = broadcast::channel::<AgentEvent>(64);
    let (session, handle, shown) = Session::new(&config, dialer, Vec::new(), events);
    tokio::spawn(session.run());
    let (whole, next) = (identity(&broker, 1), identity(&broker, 2));
    let torn = SlotIdentity { key: whole.key.clone(), ..next.clone() };
    let (first, second) = (whole.certificate.id, next.certificate.id);
    handle.switch(Arc::new(whole)).await.unwrap();
    let mut client = arrive(&handle).await;
    client.publishes(1, "1").await;
    let before = links(&broker.seen());

    let failure = handle.switch(Arc::new(torn)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable, "the broker has said nothing: {failure}");
    client.publishes(2, "2").await;
    assert_eq!(links(&broker.seen()), before, "the same link");
    let status = shown.borrow().clone();
    assert_eq!((status.losses, status.moves, status.held), (0, 0, false), "{status:?}");

    handle.switch(Arc::new(next)).await.unwrap();
    client.publishes(3, "3").await;
    let said: Vec<_> = telemetry(&broker.seen()).into_iter().map(|(_, said, by)| (said, by)).collect();
    assert_eq!(said, [("1".into(), first), ("2".into(), first), ("3".into(), second)]);
    handle.stop().await;
}

#[tokio::test]
async fn a_torn_exported_pair_is_nothing_to_a_client_that_is_served_and_the_next_rotation_is_seamless() {
    let broker = Broker::start().await;
    let agent = start(&broker).await;
    let (mut client, _) = Raw::connect(dial(&agent).await, Connect::new(Version::V5, "plc")).await;
    client.publishes(1, "1").await;
    agent.until(|status| status.exported).await.unwrap();
    let key = broker.dir.path().join("dev-1").join(EXPORT_LINK).join(KEY_FILE);
    let (stranger, _) = self_signed("stranger");
    std::fs::write(&key, stranger.expose()).unwrap();
    client.publishes(2, "2").await;
    assert_eq!(links(&broker.seen()), 1, "the same link");
    agent.rotate().await;
    let moved = status(&agent, |status| status.moves == 1).await;
    client.publishes(3, "3").await;
    assert_eq!((moved.losses, telemetry(&broker.seen()).len()), (0, 3), "{moved:?}");
    agent.until(|status| status.previous.is_none() && status.rotation.is_none()).await.unwrap();
    assert_ne!(std::fs::read_to_string(&key).unwrap(), stranger.expose(), "it is whole again");
    agent.stop().await;
}
