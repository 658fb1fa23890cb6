//! The MQTT broker: what it knows, and the way of a message through it.
//!
//! One task a connection ([`connection`]); a message is routed by whoever published it straight into the queues
//! of its receivers ([`route`]), whose own tasks send it. Locks are taken in this order and never held across an
//! await: clients, one session, shares, subscription tree, the sessions file's batch.
//!
//! # Modules
//! - [`admission`]: CONNECT: who may come in, as what
//! - [`authority`]: what a connection may do
//! - [`clients`]: client ids, their sessions, takeover
//! - [`connection`]: the life of one connection
//! - [`table`], [`presence`]: who is connected, and who was
//! - [`data`]: what the data plane's REST API asks
//! - [`route`], [`trie`], [`message`], [`session`], [`retained`]: the way of a message
//! - [`rules`]: topic rules at work
//! - [`watch`]: what happens without a packet: expiry, revocation
//!
//! Not here: TLS, the registry, the rules of the wire (`fleetkey_mqtt`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use fleetkey_model::arn::Scope;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::Matching;

pub use close::DisconnectReason;
pub use table::ConnectionInfo;

pub(crate) use admission::Guest;
pub(crate) use close::Close;
pub(crate) use connection::{Admitted, enter, serve};
pub(crate) use data::{PublishRefused, Retained};
pub(crate) use presence::Presence;
pub(crate) use trie::Trie;
pub(crate) use watch::{tell, watch};

use crate::clock::Clock;
use crate::events::{Event, Subject};
use crate::faults::Faults;
use crate::limits::{Limits, Switches};
use crate::provisioning::ProvisioningApi;
use crate::rules::Sender;
use crate::seams::{FunctionInvoker, Roles};
use crate::sessions::{Loaded, Sessions};
use crate::store::Store;

pub(crate) use authority::Standing;

use authority::Authority;
use clients::Clients;
use message::Message;
use presence::Presences;
use route::{Subscriber, Subscription};
use rules::Engine;
use table::Table;

mod admission;
mod authority;
mod clients;
mod close;
mod connection;
mod data;
mod link;
mod message;
mod presence;
mod provision;
mod retained;
mod route;
mod rules;
mod session;
mod share;
mod table;
mod trie;
mod watch;
mod wire;

/// What the broker is made of.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) scope: Scope,
    pub(crate) switches: Switches,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) provisioning: ProvisioningApi,
    pub(crate) faults: Faults,
    pub(crate) sessions: Sessions,
    pub(crate) limits: Limits,
    pub(crate) functions: Arc<dyn FunctionInvoker>,
    pub(crate) roles: Arc<dyn Roles>,
}

/// Everything that connections share.
pub(crate) struct Broker {
    authority: Authority,
    clock: Arc<dyn Clock>,
    provisioning: ProvisioningApi,
    faults: Faults,
    sessions: Sessions,
    limits: Limits,
    tree: RwLock<Trie<Subscription, Subscriber>>,
    shares: Mutex<share::Shares>,
    clients: Mutex<Clients>,
    table: Mutex<Table>,
    presences: Mutex<Presences>,
    retained: RwLock<retained::RetainedMessages>,
    ids: AtomicU64,
    engine: Engine,
    /// For tasks that outlive the call that starts them.
    me: Weak<Self>,
}

impl Broker {
    /// A broker that goes on where `loaded` ends.
    pub(crate) fn new(parts: Parts, loaded: Loaded) -> Arc<Self> {
        let broker = Arc::new_cyclic(|me| Self {
            authority: Authority { store: parts.store, scope: parts.scope, switches: parts.switches },
            clock: parts.clock,
            provisioning: parts.provisioning,
            faults: parts.faults,
            sessions: parts.sessions,
            limits: parts.limits,
            tree: RwLock::new(Trie::new(Matching::Aws)),
            shares: Mutex::default(),
            clients: Mutex::default(),
            table: Mutex::default(),
            presences: Mutex::default(),
            retained: RwLock::default(),
            ids: AtomicU64::new(1),
            engine: Engine::new(parts.functions, parts.roles),
            me: me.clone(),
        });
        broker.restore(loaded);
        broker
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What is allowed.
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How what AWS leaves open is decided here.
    pub(crate) fn switches(&self) -> &Switches {
        &self.authority.switches
    }

    /// A number that nothing else in this run has.
    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Publishes a lifecycle event. Nobody waits for it to be durable.
    fn announce(&self, subject: Subject<'_>, event: Event<'_>) {
        if let Some((topic, payload)) = event.render(subject) {
            self.deliver(Message::internal(topic, payload), Sender::Broker);
        }
    }
}

/// Takes a lock whoever panicked with it before: no invariant here spans a panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
