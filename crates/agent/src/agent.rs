//! Starting and stopping an agent, and the handle to one that runs. Many agents run in one process.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fleetkey_lifecycle::event::Offline;
use fleetkey_lifecycle::{Found, Machine, Record, Status};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::FleetTopic;
use serde_json::json;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument;

use crate::clock::{Clock, FlooredClock};
use crate::config::AgentConfig;
use crate::connect::Connector;
use crate::disk::{Disk, Files};
use crate::driver::{ClaimDesk, Driver, Executor, NOT_OUR_SESSION, Order, Ordered, Receipts};
use crate::event::AgentEvent;
use crate::hooks::{self, Runner};
use crate::keys::{Keys, P256Keys};
use crate::live::{Live, LiveHandle, LiveSettings, PublishError};
use crate::pace::Pacer;
use crate::sidecar::{BindError, Bound, Session, SidecarHandle, SidecarStatus};
use crate::status::{Service, bind, serve};
use crate::store::{
    Aside, AuditEntry, AuditLog, EXPORT_LINK, Filesystem, Lock, LockError, ReadOnly, RealFs, RecordError,
    Scan, Store, StoreFault, Unread, read_record,
};
use crate::tls::{ClientIdentity, Dialer, IdentityError, PemKeys, Roots, RootsError, SigningKeys};
use crate::watch as log_watch;
use crate::way_back;

/// Orders that may wait for the driver.
const ORDERS: usize = 16;
/// Happenings on the live session that may wait for the driver.
const LIVE_EVENTS: usize = 64;
/// Events that a slow listener may be behind.
const EVENTS: usize = 256;

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory is not ours.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state file is of a newer version, or the disk refuses to be read.
    #[error(transparent)]
    Record(RecordError),
    /// The disk refuses to be read.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// No server could be trusted.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The device has no identity yet, and what it should provision with cannot be read.
    #[error(transparent)]
    Claim(#[from] IdentityError),
    /// The device has no identity and nothing to get one with.
    #[error(
        "{} holds no identity and no claim certificate is configured; add [claim], or restore the directory",
        .0.display()
    )]
    NoIdentity(PathBuf),
    /// Local clients cannot be taken.
    #[error(transparent)]
    Sidecar(#[from] BindError),
    /// The status socket cannot be made, for another reason than a disk that takes no writes.
    #[error("cannot make the status socket in {}: {error}", path.display())]
    Socket {
        /// The state directory.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

/// The device agent.
#[derive(Debug)]
pub struct Agent;

/// What an agent stands on. A device whose keys live in a PKCS#11 token or a TPM puts their keeper in the place of files:
/// what the store then keeps as a slot's key is the name by which the keeper knows it (RFC 7512, for example).
#[derive(Debug, Clone)]
pub struct Ground {
    /// The disk: the one that the state directory is on as far as the lock and the status socket are concerned.
    pub fs: Arc<dyn Filesystem>,
    /// Makes key pairs, tells their public keys, signs requests.
    pub keys: Arc<dyn Keys>,
    /// Signs handshakes: of the live session, of verifications, of the sidecar's links, and of the claim, whose key is a
    /// file in any case (see [`PemKeys`]).
    pub signing: Arc<dyn SigningKeys>,
}

/// The operating system's file system, and keys in files.
impl Default for Ground {
    fn default() -> Self {
        Self { fs: Arc::new(RealFs), keys: Arc::new(P256Keys), signing: Arc::new(PemKeys) }
    }
}

/// A running agent. Dropping it without [`AgentHandle::stop`] stops the agent too, but nobody waits for it.
#[derive(Debug)]
pub struct AgentHandle {
    live: LiveHandle,
    orders: mpsc::Sender<Ordered>,
    status: watch::Receiver<Status>,
    events: broadcast::Sender<AgentEvent>,
    sidecar: Option<watch::Receiver<SidecarStatus>>,
    task: JoinHandle<()>,
}

/// The parts of the sidecar, before they run.
struct Sidecar {
    session: Session,
    handle: SidecarHandle,
    status: watch::Receiver<SidecarStatus>,
    bound: Bound,
}

/// What was found on disk.
struct Opened {
    record: Option<Record>,
    /// A newer version's directory is only served from: why, for people.
    newer: Option<String>,
    scan: Scan,
    socket: Option<UnixListener>,
}

impl Agent {
    /// Starts an agent on the operating system's file system, with keys in files.
    ///
    /// # Errors
    /// When the state directory cannot be taken or read, or the configuration names what is not there. Trouble
    /// with the network is no error: the agent goes on trying.
    pub async fn start(config: AgentConfig, clock: Arc<dyn Clock>) -> Result<AgentHandle, StartError> {
        Self::start_on(config, clock, Ground::default()).await
    }

    /// The same on another ground.
    ///
    /// # Errors
    /// See [`Agent::start`].
    pub async fn start_on(
        config: AgentConfig,
        clock: Arc<dyn Clock>,
        ground: Ground,
    ) -> Result<AgentHandle, StartError> {
        let (config, Ground { fs, keys, signing }) = (Arc::new(config), ground);
        let span = tracing::info_span!("agent", thing = %config.serial);
        let clock = FlooredClock::new(clock);
        let mut connector = connector(&config, &clock)?;
        connector.dialer = connector.dialer.with_keys(signing);
        let bound = match &config.sidecar {
            Some(sidecar) => Some(Bound::bind(sidecar, clock.now()).await?),
            None => None,
        };
        // Nothing fails after this: a caller that tries again would meet its own lock for a moment.
        let (disk, opened) = {
            let (root, config, now) = (config.state_dir.clone(), config.clone(), clock.now());
            Disk::start(&root, move || open(&config, fs, keys, now)).instrument(span.clone()).await?
        };
        let (live, live_events, live_handle) = live(&config, &connector);
        let machine = machine(&config, &opened, &clock);
        let (orders, orders_in) = mpsc::channel(ORDERS);
        let (shown, status) = watch::channel(machine.status());
        let (events, _) = broadcast::channel(EVENTS);
        let sidecar = bound.map(|bound| Sidecar::new(&config, &connector, bound, &events));
        let sidecar_status = sidecar.as_ref().map(|sidecar| sidecar.status.clone());
        let (state_dir, seen) = (config.state_dir.clone(), disk.view());
        let driver = Driver {
            machine,
            clock: clock.clone(),
            live: live_events,
            orders: orders_in,
            status: shown,
            events: events.clone(),
            receipts: Receipts::default(),
            frozen: opened.newer,
            executor: Executor {
                config,
                disk,
                connector,
                claim: ClaimDesk::default(),
                live: live_handle.clone(),
                sidecar: sidecar.as_ref().map(|sidecar| sidecar.handle.clone()),
                clock: Arc::new(clock),
            },
        };
        let hooks = Runner {
            hooks: driver.executor.config.hooks.clone(),
            export: driver.executor.config.state_dir.join(EXPORT_LINK),
            path: hooks::PATH.into(),
            status: status.clone(),
            disk: driver.executor.disk.clone(),
            events: events.clone(),
            clock: driver.clock.clone(),
        };
        let service = Service {
            status: status.clone(),
            disk: seen,
            sidecar: sidecar_status.clone(),
            orders: orders.downgrade(),
            events: events.downgrade(),
        };
        let watching = log_watch::watch(driver.executor.config.watch.clone(), orders.downgrade());
        let commands = FleetTopic::Commands(driver.executor.config.thing()).to_string();
        let ways_back = live_handle.listen(vec![commands]).await;
        let mut beside = JoinSet::new();
        let going_back = way_back::obey(ways_back, orders.downgrade(), status.clone());
        beside.spawn(going_back.instrument(span.clone()));
        beside.spawn(serve(opened.socket, state_dir, service).instrument(span.clone()));
        beside.spawn(hooks.run().instrument(span.clone()));
        beside.spawn(watching.instrument(span.clone()));
        let parts = supervise(driver, opened.scan, live, sidecar, beside);
        let task = tokio::spawn(parts.instrument(span));
        Ok(AgentHandle { live: live_handle, orders, status, events, sidecar: sidecar_status, task })
    }
}

impl AgentHandle {
    /// Publishes at QoS 1 and returns after the PUBACK, over as many connections and rotations as that takes.
    /// Before the device is provisioned, messages wait.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, topic: &str, payload: impl Into<Bytes>) -> Result<(), PublishError> {
        self.live.publish(topic, payload.into()).await
    }

    /// The state of the device.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The state of the device, to be told of each change; of several in a row perhaps only the last.
    pub fn statuses(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The state of the sidecar, if there is one.
    pub fn sidecar(&self) -> Option<SidecarStatus> {
        self.sidecar.as_ref().map(|status| status.borrow().clone())
    }

    /// Waits until the state of the sidecar is as wanted; `None` if there is none or the agent ends before.
    pub async fn sidecar_until(&self, wanted: impl FnMut(&SidecarStatus) -> bool) -> Option<SidecarStatus> {
        let mut status = self.sidecar.clone()?;
        status.wait_for(wanted).await.ok().map(|status| status.clone())
    }

    /// Orders a rotation.
    pub async fn rotate(&self) {
        self.order(Order::Rotate).await;
    }

    /// Says that the key may be known to others: a rotation that waits for nothing.
    pub async fn compromised(&self) {
        self.order(Order::Compromised).await;
    }

    /// Orders a step of a rotation, and waits until a restart would not forget it.
    ///
    /// # Errors
    /// Why the step makes no sense as things stand, or that the agent has ended.
    pub async fn offline(&self, step: Offline) -> Result<(), String> {
        let (noted, note) = oneshot::channel();
        let ordered = Ordered { order: Order::Offline(step), noted: Some(noted) };
        let _ = self.orders.send(ordered).await;
        note.await.unwrap_or_else(|_| Err("the agent has ended".to_owned()))
    }

    /// Holds back rotations that only time asks for, or lets them go on.
    pub async fn hold(&self, held: bool) {
        self.order(Order::Hold(held)).await;
    }

    /// What happens from now on. A listener that is too slow misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<AgentEvent> {
        self.events.subscribe()
    }

    /// Waits until the device has a committed identity; `None` if the agent ends before.
    pub async fn provisioned(&self) -> Option<Status> {
        self.until(|status| status.current.is_some()).await
    }

    /// Waits until the live session is connected; `None` if the agent ends before.
    pub async fn connected(&self) -> Option<Status> {
        self.until(|status| status.connected).await
    }

    /// Waits until the status is as wanted; `None` if the agent ends before.
    pub async fn until(&self, wanted: impl FnMut(&Status) -> bool) -> Option<Status> {
        let mut status = self.status.clone();
        status.wait_for(wanted).await.ok().map(|status| status.clone())
    }

    /// Stops: lets a write come to its end, says DISCONNECT, releases the state directory.
    pub async fn stop(self) {
        self.order(Order::Stop).await;
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the agent ended badly");
        }
    }

    async fn order(&self, order: Order) {
        // An agent that has ended has nothing to be ordered.
        let _ = self.orders.send(order.into()).await;
    }
}

/// Runs all parts until the driver ends, then ends the others and what runs beside; the disk thread, and the lock with it, goes last.
async fn supervise(
    driver: Driver,
    scan: Scan,
    live: Live,
    sidecar: Option<Sidecar>,
    mut beside: JoinSet<()>,
) {
    let (live_handle, disk) = (driver.executor.live.clone(), driver.executor.disk.ended());
    let live = tokio::spawn(live.run().in_current_span());
    let sidecar = sidecar.map(Sidecar::spawn);
    for Aside { path, reason } in scan.aside {
        driver.emit(AgentEvent::PutAside { path, reason });
    }
    for Unread { path, reason, .. } in scan.unread {
        driver.emit(AgentEvent::Unreadable { path, reason });
    }
    driver.run().await;
    if let Some((sidecar, listening)) = sidecar {
        listening.abort();
        sidecar.stop().await;
    }
    live_handle.stop().await;
    beside.abort_all();
    let mut ended = vec![live.await];
    while let Some(part) = beside.join_next().await {
        ended.push(part);
    }
    for ended in ended {
        match ended {
            Err(error) if error.is_panic() => tracing::error!(%error, "a part of the agent ended badly"),
            _ => {}
        }
    }
    disk.wait().await;
}

impl Sidecar {
    fn new(
        config: &AgentConfig,
        connector: &Connector,
        bound: Bound,
        events: &broadcast::Sender<AgentEvent>,
    ) -> Self {
        let (dialer, listen) = (connector.dialer.clone(), bound.addresses());
        let (session, handle, status) = Session::new(config, dialer, listen, events.clone());
        Self { session, handle, status, bound }
    }

    /// Takes clients from now on; how to stop it, and what else to end.
    fn spawn(self) -> (SidecarHandle, JoinHandle<()>) {
        tokio::spawn(self.session.run().in_current_span());
        let listening = self.bound.serve(self.handle.clone());
        (self.handle, tokio::spawn(listening.in_current_span()))
    }
}

/// Takes the directory and reads it, on the disk thread.
fn open(
    config: &AgentConfig,
    fs: Arc<dyn Filesystem>,
    keys: Arc<dyn Keys>,
    now: Timestamp,
) -> Result<(Files, Opened), StartError> {
    let lock = Lock::acquire(&config.state_dir)?;
    let (record, newer, fs) = recall(config, fs, now)?;
    let store = Store::open(fs.clone(), keys, &config.state_dir, config.serial.clone())?;
    let current = record.as_ref().and_then(|record| record.current);
    let scan = store.scan_for(current)?;
    if !config.session.live && config.sidecar.is_none() {
        tracing::warn!("once a rotation is committed, {NOT_OUR_SESSION}");
    }
    if current.is_none() && !scan.slots.iter().any(fleetkey_lifecycle::SlotFacts::is_complete) {
        check_claim(config)?;
    }
    let socket = socket(&config.state_dir, bind)?;
    let mut files = Files { store, audit: AuditLog::new(fs, &config.state_dir), _lock: lock };
    files.note(&started(config, record.as_ref(), now));
    Ok((files, Opened { record, newer, scan, socket }))
}

/// What [`recall`] finds: the record, why nothing may be written, and the disk to work on.
type Recalled = (Option<Record>, Option<String>, Arc<dyn Filesystem>);

/// The record, if there is one that reads. What a newer version wrote may mean more than we understand: its directory
/// is left exactly as it is, and served from like one on a read-only disk, if it says which identity is in use.
fn recall(config: &AgentConfig, fs: Arc<dyn Filesystem>, now: Timestamp) -> Result<Recalled, StartError> {
    match read_record(&*fs, &config.state_dir) {
        Ok(record) => Ok((record, None, fs)),
        Err(error @ RecordError::Damaged { .. }) => {
            tracing::error!(%error, "the slots tell who the device is");
            Ok((None, None, fs))
        }
        Err(error @ RecordError::Newer { current: Some(current), .. }) => {
            tracing::error!(%error, "the identity in use is served, and nothing is written");
            let fresh = Record::fresh(Timestamp::default());
            let next_slot = current.0.saturating_add(1);
            let record = Record { current: Some(current), current_since: now, next_slot, ..fresh };
            Ok((Some(record), Some(error.to_string()), Arc::new(ReadOnly(fs))))
        }
        Err(error) => Err(StartError::Record(error)),
    }
}

/// The audit log's entry of a start.
fn started(config: &AgentConfig, record: Option<&Record>, at: Timestamp) -> AuditEntry {
    let event = json!({
        "event": "agent_started",
        "version": env!("CARGO_PKG_VERSION"),
        "thing": config.thing(),
        "current": record.and_then(|record| record.current),
    });
    AuditEntry { at, id: None, event }
}

/// The status socket; on a disk that takes no writes the device is served without one.
fn socket(
    dir: &Path,
    bind: impl FnOnce(&Path) -> io::Result<UnixListener>,
) -> Result<Option<UnixListener>, StartError> {
    match bind(dir) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if StoreFault::io("make", dir, &error).refuses_writes() => {
            tracing::warn!(%error, "no status socket until the state directory takes writes");
            Ok(None)
        }
        Err(error) => Err(StartError::Socket { path: dir.to_path_buf(), error }),
    }
}

/// Without an identity everything hangs on the claim: better told at the start than in a log.
fn check_claim(config: &AgentConfig) -> Result<(), StartError> {
    let claim = config.claim.as_ref();
    let claim = claim.ok_or_else(|| StartError::NoIdentity(config.state_dir.clone()))?;
    ClientIdentity::from_files(&claim.certificate, &claim.key)?;
    Ok(())
}

pub(crate) fn connector(config: &AgentConfig, clock: &FlooredClock) -> Result<Connector, StartError> {
    let roots = Arc::new(Roots::new(config.roots.clone()));
    roots.load()?;
    let limit = config.timeouts.connect;
    Ok(Connector {
        dialer: Dialer::new(config.endpoint.clone(), roots, Arc::new(clock.clone()), limit),
        pacer: Pacer::new(config.session.connect_spacing),
        limit,
        version: config.session.version,
        keep_alive: config.session.keep_alive,
    })
}

pub(crate) fn live(
    config: &AgentConfig,
    connector: &Connector,
) -> (Live, mpsc::Receiver<crate::live::LiveEvent>, LiveHandle) {
    let thing = config.thing();
    let settings = LiveSettings {
        client: config.live_client_id(),
        commands: FleetTopic::Commands(thing.clone()).to_string(),
        answers: FleetTopic::Answers(thing).to_string(),
        expiry: config.session.expiry,
        outbox: config.session.outbox,
        max_in_flight: config.session.max_in_flight,
        reconnect_cap: config.session.reconnect_cap,
        drain: config.timeouts.drain,
    };
    let (events, events_in) = mpsc::channel(LIVE_EVENTS);
    let (live, handle) = Live::new(connector.clone(), settings, events);
    (live, events_in, handle)
}

fn machine(config: &AgentConfig, opened: &Opened, clock: &FlooredClock) -> Machine {
    let unread = opened.scan.unread.iter().map(|unread| unread.slot).collect();
    let found = Found { record: opened.record.clone(), slots: opened.scan.slots.clone(), unread };
    // Only jitter hangs on the seed: without randomness the clock will do.
    let seed = getrandom::u64().unwrap_or_else(|_| clock.now().as_millis());
    Machine::new(config.machine(seed), found, clock.now())
}

#[cfg(test)]
mod tests;
