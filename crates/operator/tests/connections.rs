//! Several connections of one controller, as the broker sees them: who hears, who acknowledges, who answers. Time is
//! tokio's, paused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test"
)]
#![allow(unreachable_pub, dead_code, reason = "the doubles are shared by several tests")]

#[path = "support/account.rs"]
mod account;
#[path = "support/broker.rs"]
mod broker;

use std::sync::Arc;
use std::time::Duration;

use account::Account;
use broker::{Broker, Dial};
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::retirement::{ControllerAnswer, RetireStatus};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::controller::{
    Clock, Config, Connection, Connections, Controller, Engine, Journal, Ledger,
};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

const SOAK: Duration = Duration::from_secs(600);
const REQUESTS: &str = "fleetkey/attested/pump-1/requests";
const CONNECTED: &str = "$aws/events/presence/connected/pump-1";

/// A thing with two ACTIVE certificates, the old and the new, and a controller of so many connections.
struct Bench {
    account: Arc<Account>,
    controller: Controller,
    dialled: mpsc::Receiver<DuplexStream>,
    clock: Clock,
    _directory: TempDir,
}

impl Bench {
    fn with(connections: usize) -> Self {
        let account = Account::default();
        account.provision(&thing(), id(b"old"), Timestamp::from_secs(1));
        account.provision(&thing(), id(b"new"), Timestamp::from_secs(2));
        let (account, directory) = (Arc::new(account), TempDir::new().unwrap());
        let (dial, dialled) = mpsc::channel(1);
        let start = Instant::now();
        let clock: Clock = Arc::new(move || Timestamp::from_secs(1000) + start.elapsed());
        let config = Config { soak: SOAK, grace: SOAK, delete_after: SOAK, ..Config::default() };
        let (journal, records) = Journal::open(&directory.path().join("ledger")).unwrap();
        let ledger = Ledger::read(config, records).unwrap();
        let engine = Engine::new(ledger, journal, account.clone(), clock.clone());
        let connection = Connection::new(ClientId::new("~controller").unwrap()).shared_by(connections);
        let controller = Controller::start(engine, Dial(dial), connection);
        Self { account, controller, dialled, clock, _directory: directory }
    }

    fn connections(&self) -> (usize, usize) {
        let Connections { hearing, wanted } = self.controller.reception().connections();
        (hearing, wanted)
    }

    /// The device asks with its new certificate.
    fn request(&self) -> String {
        let (at, principal) = ((self.clock)().as_millis(), id(b"new"));
        format!(
            r#"{{"op":"retire","id":"r1","principal":"{principal}","clientid":"pump-1","thing":"pump-1","at":{at}}}"#
        )
    }

    /// Its live session begins, with its new certificate.
    fn begins(&self) -> String {
        let (at, principal) = ((self.clock)().as_millis(), id(b"new"));
        format!(r#"{{"timestamp":{at},"principalIdentifier":"{principal}","sessionIdentifier":"s{at}"}}"#)
    }
}

fn thing() -> ThingName {
    ThingName::new("pump-1").unwrap()
}

fn id(der: &[u8]) -> CertificateId {
    CertificateId::of_der(der)
}

async fn status(broker: &mut Broker) -> RetireStatus {
    let (topic, payload) = broker.published().await;
    assert_eq!(topic, "fleetkey/things/pump-1/answers");
    serde_json::from_str::<ControllerAnswer>(&payload).unwrap().status
}

#[tokio::test(start_paused = true)]
async fn each_message_is_acknowledged_where_it_came_and_whoever_hears_answers() {
    let mut bench = Bench::with(3);
    let mut first = Broker::accept(&mut bench.dialled, true).await;
    let mut second = Broker::accept(&mut bench.dialled, true).await;
    let mut third = Broker::accept(&mut bench.dialled, true).await;
    assert!(bench.controller.ready().await);
    assert_eq!(bench.connections(), (3, 3));
    let mut ids = [&second, &third].map(|broker| broker.client_id.clone());
    ids.sort();
    assert_eq!(
        (first.client_id.as_str(), ids),
        ("~controller", ["~controller-2", "~controller-3"].map(String::from))
    );

    third.deliver(CONNECTED, &bench.begins()).await;
    second.deliver(REQUESTS, &bench.request()).await;
    assert_eq!(status(&mut second).await, RetireStatus::Pending);
    drop((second, third));
    assert_eq!(status(&mut first).await, RetireStatus::Retired);
    assert_eq!(bench.account.status(&id(b"old")), Some(CertificateStatus::Inactive));
    assert_eq!(bench.connections(), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_comes_back_and_acknowledges_what_is_sent_again() {
    let mut bench = Bench::with(2);
    let _first = Broker::accept(&mut bench.dialled, true).await;
    for _ in 0..3 {
        let mut second = Broker::accept(&mut bench.dialled, true).await;
        assert_eq!(second.client_id, "~controller-2");
        second.send(REQUESTS, &bench.request()).await;
        drop(second);
    }
    let mut second = Broker::accept(&mut bench.dialled, true).await;
    second.deliver(REQUESTS, &bench.request()).await;
    assert!(bench.controller.ready().await);
    assert_eq!((bench.connections(), bench.controller.records().await.len()), ((2, 2), 1));
}

#[tokio::test(start_paused = true)]
async fn where_shared_subscriptions_are_refused_one_connection_hears_alone() {
    let mut bench = Bench::with(3);
    let mut only = Broker::accept(&mut bench.dialled, false).await;
    assert_eq!(only.grant().await.first().map(String::as_str), Some("fleetkey/attested/+/requests"));
    assert!(bench.controller.ready().await);
    assert_eq!(bench.connections(), (1, 3));
    only.deliver(REQUESTS, &bench.request()).await;
    assert_eq!(status(&mut only).await, RetireStatus::Pending);
    assert!(bench.dialled.try_recv().is_err(), "nobody else connects");
}

#[tokio::test(start_paused = true)]
async fn a_client_id_that_the_policy_does_not_allow_holds_nobody_up() {
    let mut bench = Bench::with(2);
    let mut first = Broker::accept(&mut bench.dialled, true).await;
    assert_eq!(Broker::refuse(&mut bench.dialled).await, "~controller-2");
    assert!(bench.controller.ready().await);
    assert_eq!(bench.connections(), (1, 2));
    first.deliver(REQUESTS, &bench.request()).await;
    assert_eq!(status(&mut first).await, RetireStatus::Pending);
    // Once it is allowed, it is there without a restart.
    let second = Broker::accept(&mut bench.dialled, true).await;
    while bench.connections() != (2, 2) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn what_the_registry_tells_by_any_connection_has_the_thing_looked_at() {
    let mut bench = Bench::with(2);
    let mut first = Broker::accept(&mut bench.dialled, true).await;
    let mut second = Broker::accept(&mut bench.dialled, true).await;
    for broker in [&mut first, &mut second] {
        assert_eq!(broker.grant().await, ["$share/fleetkey-controller/$aws/events/thing/+/+"]);
    }
    second.deliver("$aws/events/thing/pump-1/updated", "{}").await;
    let lists = || bench.account.state().calls.iter().filter(|call| call.contains("pump-1")).count();
    assert!(lists() > 0, "{:?}", bench.account.state().calls);
    assert_eq!(bench.controller.records().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_before_the_registry_was_heard_costs_nothing_else() {
    let mut bench = Bench::with(1);
    let mut only = Broker::accept(&mut bench.dialled, true).await;
    assert_eq!(only.refuse_subscription().await, ["$aws/events/thing/+/+"]);
    only.deliver(REQUESTS, &bench.request()).await;
    assert_eq!(status(&mut only).await, RetireStatus::Pending);
    assert_eq!(bench.connections(), (1, 1));
}

/// AWS may answer a subscription that a policy does not allow by closing the connection.
#[tokio::test(start_paused = true)]
async fn a_broker_that_closes_on_the_news_is_soon_asked_for_the_rest_alone() {
    let mut bench = Bench::with(1);
    for _ in 0..3 {
        let mut only = Broker::accept(&mut bench.dialled, true).await;
        assert_eq!(only.subscription().await, ["$aws/events/thing/+/+"]);
    }
    let mut only = Broker::accept(&mut bench.dialled, true).await;
    only.deliver(REQUESTS, &bench.request()).await;
    assert!(!only.was_asked(), "it is given up");
    assert_eq!(status(&mut only).await, RetireStatus::Pending);
}
