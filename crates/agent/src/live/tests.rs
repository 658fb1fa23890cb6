//! A live session against the test broker: what is asked with one identity never goes out with another.

use fleetkey_model::certificate::{CertificateFacts, CertificateId};

use super::*;
use crate::SystemClock;
use crate::agent::{connector, live};
use crate::clock::FlooredClock;
use crate::keys::testing::self_signed;
use crate::testing::{Broker, Seen};

const TOPIC: &str = "device/dev-1/request";

/// An identity that the broker accepts.
fn identity(broker: &Broker, slot: u64) -> Arc<SlotIdentity> {
    let (key, chain) = self_signed("device");
    let certificate = CertificateFacts::from_pem(&chain).unwrap();
    broker.registry().accept(certificate.id);
    Arc::new(SlotIdentity { slot: SlotId(slot), key, chain, certificate })
}

/// A session that runs on the identity.
async fn session(broker: &Broker, on: &Arc<SlotIdentity>) -> (LiveHandle, mpsc::Receiver<LiveEvent>) {
    let config = broker.device("dev-1");
    let connector = connector(&config, &FlooredClock::new(Arc::new(SystemClock))).unwrap();
    let (live, mut events, handle) = live(&config, &connector);
    tokio::spawn(live.run());
    handle.switch(on.clone()).await.unwrap();
    assert_eq!(events.recv().await, Some(LiveEvent::Up { slot: on.slot }));
    (handle, events)
}

/// Which principals published on the topic, in order.
fn asked(seen: &[Seen]) -> Vec<CertificateId> {
    let principal = |seen: &Seen| match seen {
        Seen::Published { topic, principal, .. } if topic == TOPIC => Some(*principal),
        _ => None,
    };
    seen.iter().filter_map(principal).collect()
}

/// Everything that waited is out once a message of the owner's has come through.
async fn settled(live: &LiveHandle) {
    live.publish("device/dev-1/telemetry", Bytes::from_static(b"0")).await.unwrap();
}

#[tokio::test]
async fn what_no_connection_could_take_does_not_go_out_on_the_next_one_with_another_identity() {
    let mut broker = Broker::start().await;
    let (old, new) = (identity(&broker, 1), identity(&broker, 2));
    let (live, mut events) = session(&broker, &old).await;
    broker.crash().await;
    assert!(matches!(events.recv().await, Some(LiveEvent::Down { .. })));
    let unsent = live.on(old.slot).publish(TOPIC, Bytes::from_static(b"{}")).await;
    assert!(matches!(unsent, Err(Broken::Unsent(_))), "{unsent:?}");
    broker.restart().await;
    live.switch(new.clone()).await.unwrap();
    settled(&live).await;
    assert_eq!(asked(&broker.seen()), []);
    let wrong = live.on(old.slot).publish(TOPIC, Bytes::from_static(b"{}")).await;
    assert!(matches!(&wrong, Err(Broken::Unsent(why)) if why.contains("slot 1")), "{wrong:?}");
    live.on(new.slot).publish(TOPIC, Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(asked(&broker.seen()), [new.certificate.id]);
}

#[tokio::test]
async fn what_was_not_acknowledged_is_not_sent_again_with_another_identity() {
    let broker = Broker::start().await;
    let (old, new) = (identity(&broker, 1), identity(&broker, 2));
    let (live, _events) = session(&broker, &old).await;
    broker.registry().silent = 1;
    let asking = tokio::spawn({
        let live = live.clone();
        async move { live.on(SlotId(1)).publish(TOPIC, Bytes::from_static(b"{}")).await }
    });
    broker.until(|seen| asked(seen).len() == 1).await;
    live.switch(new).await.unwrap();
    assert!(matches!(asking.await.unwrap(), Err(Broken::Closed(_))));
    settled(&live).await;
    assert_eq!(asked(&broker.seen()), [old.certificate.id]);
}
