//! The status socket from both sides.

use std::path::Path;

use fleetkey_lifecycle::config::Config;
use fleetkey_lifecycle::{Found, Machine, Record, SlotId, Status};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;
use tokio::sync::{broadcast, mpsc, watch};

use super::client::{AskError, DeviceState, events, rotate, status_of};
use super::server::{Service, bind};
use super::*;
use crate::disk::View;
use crate::driver::{Order, Ordered};
use crate::event::AgentEvent;
use crate::store::Lock;
use crate::store::testing::{Disk, issued, store};

fn status() -> Status {
    let config = Config::new(SerialNumber::new("dev-1").unwrap());
    Machine::new(config, Found::default(), Timestamp::default()).status()
}

fn report() -> Report {
    let audit = Some(AuditHead { n: 7, hash: "00".into() });
    Report { status: status(), ballast: true, audit, sidecar: None }
}

fn view() -> View {
    let Report { ballast, audit, .. } = report();
    View { ballast, audit }
}

struct Agent {
    orders: mpsc::Receiver<Ordered>,
    events: broadcast::Sender<AgentEvent>,
    _keep: (mpsc::Sender<Ordered>, watch::Sender<Status>, watch::Sender<View>),
}

fn agent(dir: &Path) -> Agent {
    let (sender, orders) = mpsc::channel(4);
    let (shown, status) = watch::channel(status());
    let (seen, disk) = watch::channel(view());
    let (events, _) = broadcast::channel(4);
    let service =
        Service { status, disk, sidecar: None, orders: sender.downgrade(), events: events.downgrade() };
    tokio::spawn(serve(Some(bind(dir).unwrap()), dir.to_path_buf(), service));
    Agent { orders, events, _keep: (sender, shown, seen) }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(call).await.unwrap()
}

#[tokio::test]
async fn a_running_agent_tells_its_status_and_takes_orders_however_deep_its_directory() {
    for depth in [1, 12] {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join(["sub-directory"; 12][..depth].join("/"));
        std::fs::create_dir_all(&state).unwrap();
        let mut agent = agent(&state);
        let asked = state.clone();
        let told = blocking(move || status_of(&asked)).await.unwrap();
        assert_eq!(told, DeviceState::Running(report()));
        let asked = state.clone();
        let orders = blocking(move || rotate(&asked, false).and_then(|_| rotate(&asked, true)));
        let taken = async {
            for expected in [Order::Rotate, Order::Compromised] {
                let Ordered { order, noted } = agent.orders.recv().await.unwrap();
                assert_eq!(order, expected);
                noted.unwrap().send(Ok(())).unwrap();
            }
        };
        let (answered, ()) = tokio::join!(orders, taken);
        answered.unwrap();
    }
}

#[tokio::test]
async fn an_order_that_is_not_noted_is_not_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = agent(dir.path());
    let path = dir.path().to_path_buf();
    let order = tokio::spawn(blocking(move || rotate(&path, false)));
    let Ordered { noted, .. } = agent.orders.recv().await.unwrap();
    assert!(!order.is_finished(), "no answer before the note");
    drop(noted);
    let Err(AskError::Refused(reason)) = order.await.unwrap() else { panic!("it was said to be noted") };
    assert!(reason.contains("a restart would forget it"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_could_not_be_made_is_made_when_the_directory_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (sender, _orders) = mpsc::channel(4);
    let (_shown, status) = watch::channel(status());
    let (_seen, disk) = watch::channel(view());
    let (events, _) = broadcast::channel(4);
    let service =
        Service { status, disk, sidecar: None, orders: sender.downgrade(), events: events.downgrade() };
    tokio::spawn(serve(None, state.clone(), service));
    tokio::time::advance(std::time::Duration::from_secs(100)).await;
    std::fs::create_dir(&state).unwrap();
    while !state.join(SOCKET).exists() {
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn events_are_told_as_they_come_until_the_agent_ends() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let path = dir.path().to_path_buf();
    let mut lines = blocking(move || events(&path)).await.unwrap();
    let (first, lines) = blocking(move || (lines.next(), lines)).await;
    assert_eq!(first.unwrap().unwrap(), r#"{"event":"following"}"#);
    for id in ["r1", "r2"] {
        agent.events.send(AgentEvent::RetirePending { id: id.into() }).unwrap();
    }
    drop(agent);
    let told = blocking(move || lines.map(Result::unwrap).collect::<Vec<_>>()).await;
    let pending = |id: &str| format!(r#"{{"event":"retire_pending","id":"{id}"}}"#);
    assert_eq!(told, [pending("r1"), pending("r2")]);
    let refused = blocking(move || events(&dir.path().join("nowhere")).err()).await;
    assert!(matches!(refused, Some(AskError::NotRunning(_))));
}

#[tokio::test]
async fn a_listener_that_hangs_up_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let path = dir.path().to_path_buf();
    let lines = blocking(move || events(&path)).await.unwrap();
    while agent.events.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    drop(lines);
    while agent.events.receiver_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_request_that_does_not_read_gets_a_reason() {
    use std::io::{BufRead, BufReader, Write};
    let dir = tempfile::tempdir().unwrap();
    let _agent = agent(dir.path());
    let socket = dir.path().join(SOCKET);
    let line = blocking(move || {
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        stream.write_all(b"{\"op\":\"explode\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    });
    assert!(line.await.contains("explode"));
}

#[test]
fn without_an_agent_the_directory_speaks_and_orders_are_refused() {
    let disk = Disk::new();
    assert_eq!(status_of(disk.root()), Ok(DeviceState::Empty));
    let store = store(&disk);
    store.make_key(SlotId(1)).unwrap();
    let facts = store.store_certificate(SlotId(1), &issued(&store, SlotId(1)), Timestamp::default()).unwrap();
    let mut record = Record::fresh(Timestamp::default());
    record.current = Some(SlotId(1));
    store.write_record(&record).unwrap();
    let Ok(DeviceState::Stopped { certificate: Some(certificate), ballast: true, .. }) =
        status_of(disk.root())
    else {
        panic!("{:?}", status_of(disk.root()));
    };
    assert_eq!(certificate.id, facts.id);
    let refused = rotate(disk.root(), false).unwrap_err();
    assert_eq!(refused, AskError::NotRunning(disk.root().to_path_buf()));
    let told = || status_of(disk.root()).unwrap().json()["agent"].clone();
    assert_eq!(told(), "stopped");
    let _held = Lock::acquire(disk.root()).unwrap();
    assert_eq!(told(), "silent", "an agent without a socket");
}

#[test]
fn a_socket_that_nobody_listens_on_is_no_agent() {
    let dir = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.path().join(SOCKET)).unwrap());
    assert!(matches!(rotate(dir.path(), false), Err(AskError::NotRunning(_))));
}
