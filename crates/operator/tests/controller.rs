//! The controller whole: MQTT, ledger, journal and account. Time is tokio's, paused.

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

use account::{Account, Failure};
use broker::{Broker, Dial};
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, PolicyName, ThingName};
use fleetkey_model::retirement::{ControllerAnswer, DeviceCommand, RetireStatus};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::controller::{
    Clock, Config, Connection, Controller, Engine, FreezeReason, Journal, Ledger,
};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

const SOAK: Duration = Duration::from_secs(600);

struct Bench {
    account: Arc<Account>,
    directory: TempDir,
    dialled: mpsc::Receiver<DuplexStream>,
    dial: mpsc::Sender<DuplexStream>,
    clock: Clock,
}

impl Bench {
    /// A thing with two ACTIVE certificates, the old and the new.
    fn new() -> Self {
        let account = Account::default();
        account.provision(&thing(), old(), Timestamp::from_secs(1));
        account.provision(&thing(), new(), Timestamp::from_secs(2));
        let (dial, dialled) = mpsc::channel(1);
        let start = Instant::now();
        let clock: Clock = Arc::new(move || Timestamp::from_secs(1000) + start.elapsed());
        Self { account: Arc::new(account), directory: TempDir::new().unwrap(), dialled, dial, clock }
    }

    fn start(&self) -> Controller {
        let config = Config { soak: SOAK, grace: SOAK, delete_after: SOAK, ..Config::default() };
        let (journal, records) = Journal::open(&self.directory.path().join("ledger")).unwrap();
        let ledger = Ledger::read(config, records).unwrap();
        let engine = Engine::new(ledger, journal, Arc::clone(&self.account), Arc::clone(&self.clock));
        let connection = Connection::new(ClientId::new("~controller").unwrap());
        Controller::start(engine, Dial(self.dial.clone()), connection)
    }

    fn request(&self, principal: &CertificateId, client: &str) -> String {
        let at = (self.clock)().as_millis();
        format!(
            r#"{{"op":"retire","id":"r1","principal":"{principal}","clientid":"{client}","thing":"pump-1","at":{at}}}"#
        )
    }

    /// The live session begins, with this certificate.
    fn connected(&self, principal: &CertificateId) -> String {
        let at = (self.clock)().as_millis();
        format!(r#"{{"timestamp":{at},"principalIdentifier":"{principal}","sessionIdentifier":"s{at}"}}"#)
    }

    async fn wait_for(&self, id: &CertificateId, status: Option<CertificateStatus>) {
        for _ in 0..10_000 {
            if self.account.status(id) == status {
                return;
            }
            // Paused time moves on only while nothing is at work, the disk included.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{id} never became {status:?}, it is {:?}", self.account.status(id));
    }
}

fn thing() -> ThingName {
    ThingName::new("pump-1").unwrap()
}

fn old() -> CertificateId {
    CertificateId::of_der(b"old")
}

fn new() -> CertificateId {
    CertificateId::of_der(b"new")
}

const REQUESTS: &str = "fleetkey/attested/pump-1/requests";
const CONNECTED: &str = "$aws/events/presence/connected/pump-1";

async fn answer(broker: &mut Broker) -> ControllerAnswer {
    let (topic, payload) = broker.published().await;
    assert_eq!(topic, "fleetkey/things/pump-1/answers");
    serde_json::from_str(&payload).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_and_the_old_certificate_retired_and_deleted() {
    let mut bench = Bench::new();
    let policy = PolicyName::new("DevicePolicy").unwrap();
    bench.account.state().attached.insert((old(), policy));
    let mut controller = bench.start();
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    assert!(controller.ready().await);
    assert_eq!(broker.client_id, "~controller");

    broker.deliver(CONNECTED, &bench.connected(&new())).await;
    broker.deliver(REQUESTS, &bench.request(&new(), "pump-1")).await;
    let first = answer(&mut broker).await;
    assert_eq!((first.status, first.id.as_str()), (RetireStatus::Pending, "r1"));

    let second = answer(&mut broker).await;
    assert_eq!((second.status, second.retired), (RetireStatus::Retired, vec![old()]));
    assert_eq!(bench.account.status(&old()), Some(CertificateStatus::Inactive));
    bench.wait_for(&old(), Some(CertificateStatus::Revoked)).await;
    bench.wait_for(&old(), None).await;
    assert!(bench.account.state().attached.is_empty());
    assert_eq!(bench.account.status(&new()), Some(CertificateStatus::Active));
    controller.stop().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_not_understood_are_acknowledged_and_left() {
    let mut bench = Bench::new();
    let controller = bench.start();
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    for (topic, payload) in [(REQUESTS, "no json"), ("x/y", "{}"), ("$aws/events/presence/connected/a", "[]")]
    {
        broker.deliver(topic, payload).await;
    }
    broker.deliver(REQUESTS, &bench.request(&new(), "pump-1~verify")).await;
    assert!(controller.records().await.is_empty() && bench.account.state().calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_again_and_the_answer_arrives_on_the_next() {
    let mut bench = Bench::new();
    let _controller = bench.start();
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    broker.deliver(REQUESTS, &bench.request(&new(), "pump-1")).await;
    drop(broker);
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    assert_eq!(answer(&mut broker).await.status, RetireStatus::Pending);
    drop(broker);
    tokio::time::sleep(SOAK).await;
    // The device asks again, as it does until it hears that it is done with.
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    broker.send(REQUESTS, &bench.request(&new(), "pump-1")).await;
    assert_eq!(answer(&mut broker).await.status, RetireStatus::Pending);
    assert_eq!(answer(&mut broker).await.status, RetireStatus::Retired);
    assert_eq!(bench.account.status(&old()), Some(CertificateStatus::Inactive));
}

#[tokio::test(start_paused = true)]
async fn a_retirement_survives_a_restart() {
    let mut bench = Bench::new();
    let controller = bench.start();
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    broker.deliver(REQUESTS, &bench.request(&new(), "pump-1")).await;
    let (_, ()) = tokio::join!(broker.farewell(), controller.stop());
    let controller = bench.start();
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    broker.deliver(CONNECTED, &bench.connected(&new())).await;
    assert_eq!(answer(&mut broker).await.status, RetireStatus::Retired);
    assert_eq!(controller.records().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_about_some_things_is_told_of_those_that_are_known_while_there_is_a_controller() {
    let mut bench = Bench::new();
    let controller = bench.start();
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    broker.deliver(REQUESTS, &bench.request(&new(), "pump-1")).await;
    answer(&mut broker).await;
    let (reception, unknown) = (controller.reception(), ThingName::new("pump-2").unwrap());
    let known = reception.records_of(vec![unknown.clone(), thing()]).await.unwrap();
    assert_eq!(known, controller.records().await);
    assert_eq!(known.len(), 1);
    assert_eq!(reception.records_of(vec![unknown]).await, Some(Vec::new()));
    let (_, ()) = tokio::join!(broker.farewell(), controller.stop());
    assert_eq!(reception.records_of(vec![thing()]).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_command_is_acknowledged_when_the_broker_has_it_and_not_before() {
    let mut bench = Bench::new();
    let mut controller = bench.start();
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    assert!(controller.ready().await);
    let reception = controller.reception();
    let command = || reception.command(thing(), DeviceCommand::Rotate { id: "c".into() }, "why".into());
    let mut acknowledged = tokio::spawn(command().await.unwrap().acknowledged());
    let (_, topic, payload) = broker.unanswered().await;
    assert_eq!(
        (topic.as_str(), payload.as_str()),
        ("fleetkey/things/pump-1/commands", r#"{"op":"rotate","id":"c"}"#)
    );
    let waited = tokio::time::timeout(Duration::from_secs(30), &mut acknowledged).await;
    assert!(waited.is_err(), "it went out, and that is all");
    drop(broker);
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    assert_eq!(broker.published().await, (topic, payload));
    assert_eq!(acknowledged.await.unwrap(), Ok(()));

    let never = command().await.unwrap();
    let (_, ()) = tokio::join!(broker.farewell(), controller.stop());
    assert!(never.acknowledged().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_thing_is_released_by_the_operator() {
    let mut bench = Bench::new();
    let controller = bench.start();
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    broker.deliver(REQUESTS, &bench.request(&new(), "pump-1")).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    broker.deliver(REQUESTS, &bench.request(&old(), "pump-1")).await;
    assert_eq!(answer(&mut broker).await.status, RetireStatus::Pending);
    let frozen = answer(&mut broker).await;
    assert_eq!(frozen.status, RetireStatus::Frozen);
    assert_eq!(frozen.message, Some(FreezeReason::OlderAsked.to_string()));
    controller.release(thing()).await;
    assert!(controller.records().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_subscription_is_tried_again() {
    let mut bench = Bench::new();
    let mut controller = bench.start();
    let mut refused = Broker::accept(&mut bench.dialled, false).await;
    refused.farewell().await;
    let _broker = Broker::accept(&mut bench.dialled, true).await;
    assert!(controller.ready().await);
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_are_repeated_until_they_pass() {
    let mut bench = Bench::new();
    let error = ApiError::Throttled;
    bench.account.state().fail = Some(Failure { at: 0, times: 6, after_effect: false, error });
    let _controller = bench.start();
    let mut broker = Broker::accept(&mut bench.dialled, true).await;
    broker.deliver(CONNECTED, &bench.connected(&new())).await;
    broker.send(REQUESTS, &bench.request(&new(), "pump-1")).await;
    assert_eq!(answer(&mut broker).await.status, RetireStatus::Pending);
    assert_eq!(answer(&mut broker).await.status, RetireStatus::Retired);
}
