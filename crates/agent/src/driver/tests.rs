//! The driver's parts on a real disk and the test broker: who is asked with what, and what is heard first.

use std::sync::Arc;

use fleetkey_lifecycle::event::{FailureKind, Tier};
use fleetkey_lifecycle::{Found, SlotId};

use super::*;
use crate::SystemClock;
use crate::disk::{Disk, Files};
use crate::live::Live;
use crate::store::testing::{Disk as TestDisk, issued, store};
use crate::store::{AuditLog, Lock, SlotIdentity, StoreFault};
use crate::testing::{Broker, Seen};

/// What an agent has besides its machine.
struct Parts {
    executor: Executor,
    live: mpsc::Receiver<LiveEvent>,
    clock: FlooredClock,
}

async fn parts(broker: &Broker) -> (Parts, Live) {
    let mut config = broker.device("dev-1");
    config.timeouts.answer = Duration::from_millis(50);
    let clock = FlooredClock::new(Arc::new(SystemClock));
    let connector = crate::agent::connector(&config, &clock).unwrap();
    let (task, live, handle) = crate::agent::live(&config, &connector);
    let on = TestDisk::new();
    let root = on.root().to_path_buf();
    let open = move || {
        let (lock, audit) =
            (Lock::acquire(on.root()).unwrap(), AuditLog::new(Arc::new(on.clone()), on.root()));
        Ok::<_, StoreFault>((Files { store: store(&on), audit, _lock: lock }, ()))
    };
    let disk = Disk::start(&root, open).await.unwrap().0;
    let executor = Executor {
        sidecar: None,
        config: Arc::new(config),
        disk,
        connector,
        claim: ClaimDesk::default(),
        live: handle,
        clock: Arc::new(clock.clone()),
    };
    (Parts { executor, live, clock }, task)
}

/// An identity on the disk that the broker accepts.
async fn stored(executor: &Executor, broker: &Broker, slot: u64) -> Arc<SlotIdentity> {
    let (slot, now) = (SlotId(slot), executor.clock.now());
    let made = executor.on_disk(move |store| {
        store.make_key(slot)?;
        store.store_certificate(slot, &issued(store, slot), now)?;
        store.identity(slot)
    });
    let identity = made.await.unwrap();
    broker.registry().accept(identity.certificate.id);
    Arc::new(identity)
}

fn requests(seen: &[Seen]) -> usize {
    let is_request =
        |seen: &&Seen| matches!(seen, Seen::Published { topic, .. } if topic.ends_with("/requests"));
    seen.iter().filter(is_request).count()
}

#[tokio::test]
async fn a_retire_request_that_was_not_sent_never_goes_out_with_another_identity() {
    let mut broker = Broker::start().await;
    let (Parts { executor, mut live, .. }, task) = parts(&broker).await;
    tokio::spawn(task.run());
    let (old, committed) = (stored(&executor, &broker, 1).await, stored(&executor, &broker, 2).await);
    executor.live.switch(committed).await.unwrap();
    broker.crash().await;
    while !matches!(live.recv().await, Some(LiveEvent::Down { .. })) {}
    let retire = || Action::RequestRetire { id: "r-1".into() };
    let outcome = executor.clone().execute(retire(), Some(SlotId(2))).await;
    assert!(matches!(outcome, Event::NoAnswer { .. }), "{outcome:?}");
    broker.restart().await;
    // A fall back, or a candidate on trial: an identity that is not the committed one.
    executor.live.switch(old).await.unwrap();
    executor.live.publish("device/dev-1/telemetry", "0".into()).await.unwrap();
    assert_eq!(requests(&broker.seen()), 0, "the broker would attest it with the wrong principal");
    let outcome = executor.clone().execute(retire(), Some(SlotId(2))).await;
    assert!(matches!(&outcome, Event::NoAnswer { why } if why.contains("slot 2")), "{outcome:?}");
    executor.clone().execute(retire(), Some(SlotId(1))).await;
    assert_eq!(requests(&broker.seen()), 1);
}

#[tokio::test]
async fn nothing_is_asked_to_be_retired_for_a_committed_slot_that_no_longer_reads() {
    let broker = Broker::start().await;
    let (Parts { executor, .. }, task) = parts(&broker).await;
    tokio::spawn(task.run());
    let committed = stored(&executor, &broker, 2).await;
    executor.live.switch(committed).await.unwrap();
    executor.on_disk(|store| store.destroy(SlotId(2))).await.unwrap();
    let export = executor.clone().execute(Action::Export { slot: SlotId(2) }, Some(SlotId(2))).await;
    let retire = Action::RequestRetire { id: "r-1".into() };
    let retire = executor.clone().execute(retire, Some(SlotId(2))).await;
    for outcome in [export, retire] {
        assert!(matches!(outcome, Event::SlotDamaged { slot: SlotId(2), .. }), "{outcome:?}");
    }
    assert_eq!(requests(&broker.seen()), 0);
}

#[tokio::test]
async fn what_the_live_session_told_before_an_action_ended_is_heard_before_its_outcome() {
    let broker = Broker::start().await;
    let (Parts { executor, clock, .. }, _task) = parts(&broker).await;
    // Chance would have it right every other time.
    for _ in 0..24 {
        let machine = Machine::new(executor.config.machine(7), Found::default(), clock.now());
        let (told, live) = mpsc::channel(4);
        let (_orders, orders) = mpsc::channel(1);
        let mut driver = Driver {
            status: watch::channel(machine.status()).0,
            machine,
            executor: executor.clone(),
            clock: clock.clone(),
            live,
            orders,
            events: broadcast::channel(4).0,
            receipts: Receipts::default(),
            frozen: None,
        };
        told.send(LiveEvent::Up { slot: SlotId(1) }).await.unwrap();
        let (slot, tier, kind) = (SlotId(2), Tier::Suback, FailureKind::Refused);
        let failed = Event::VerifyFailed { slot, tier, kind, why: "not ours".into() };
        let action = Action::Verify { slot, thing: driver.executor.config.thing() };
        let mut running = Some(Running { action, outcome: Box::pin(std::future::ready(failed)) });
        while running.is_some() {
            assert!(driver.turn(&mut running).await);
        }
        assert!(driver.machine.status().connected);
    }
}
