//! A running local IoT Core: listeners, broker and registry together, and the handle to them.
//!
//! Listeners are given, bound by the caller, who decides who can reach them. Not here: flags, signals, printing.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use redb::Database;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::access_key::{AccessKey, AccessKeyError};
use crate::account::Account;
use crate::broker::{Broker, Close, ConnectionInfo, Parts, tell, watch};
use crate::ca::{Authorities, CaConfig, CaError, ServerResolver};
use crate::clock::Clock;
use crate::config::{Config, RestOptions};
use crate::document::DocumentError;
use crate::faults::Faults;
use crate::functions::{Functions, FunctionsConfig, FunctionsError};
use crate::iam::Iam;
use crate::limits::Limits;
use crate::log_groups::LogGroups;
use crate::provisioning::{ProvisioningApi, ProvisioningConfig, Rates};
use crate::rest::{Endpoints, Keys, Rest, RestConfig, Services};
use crate::seams::Roles;
use crate::sessions::{self, Sessions, SessionsError, Writer};
use crate::store::{OpenError, Store};
use crate::tls::{ListenerKind, Tls};

use accept::Acceptor;

mod accept;

/// How long connections may take to say goodbye when the server stops.
const GOODBYE: Duration = Duration::from_secs(5);
/// A name in the server's certificate.
const HOST: &str = "localhost";

/// The sockets to serve; `TcpListener::bind` made them.
#[derive(Debug)]
pub struct Listeners {
    /// AWS's 8883: MQTT.
    pub mqtt: TcpListener,
    /// AWS's 443: the protocol that ALPN names.
    pub alpn: TcpListener,
    /// The REST APIs over HTTP; `None` for no REST.
    pub rest: Option<TcpListener>,
}

impl Listeners {
    /// Ports of the system's choice on 127.0.0.1, for all there is.
    ///
    /// # Errors
    /// When the system has none.
    pub async fn loopback() -> io::Result<Self> {
        Ok(Self {
            mqtt: TcpListener::bind("127.0.0.1:0").await?,
            alpn: TcpListener::bind("127.0.0.1:0").await?,
            rest: Some(TcpListener::bind("127.0.0.1:0").await?),
        })
    }
}

/// Storage other than the files of the data directory, for tests that watch or break the disk.
#[derive(Debug, Default)]
pub struct Storage {
    /// In place of `registry.redb`.
    pub registry: Option<Store>,
    /// In place of `sessions.redb`.
    pub sessions: Option<Database>,
}

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// MQTT.
    pub mqtt: u16,
    /// By ALPN.
    pub alpn: u16,
    /// REST over HTTP, if it is served.
    pub rest: Option<u16>,
}

/// Why a local IoT Core does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made.
    #[error("cannot make the data directory {}: {source}", path.display())]
    DataDir {
        /// Which directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The registry cannot be opened.
    #[error(transparent)]
    Registry(#[from] OpenError),
    /// The CAs cannot be read or made.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The sessions cannot be opened.
    #[error(transparent)]
    Sessions(#[from] SessionsError),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The access key cannot be read or made.
    #[error(transparent)]
    AccessKey(#[from] AccessKeyError),
    /// Whoever reaches the listener could do anything, and more than this computer can reach it.
    #[error("any credentials are accepted on loopback addresses only, and REST would listen on {0}")]
    AnyCredentials(SocketAddr),
    /// A reset needs no signature, so whoever reaches the listener could empty the account.
    #[error("a reset without a signature is served on loopback addresses only, and REST would listen on {0}")]
    AllowReset(SocketAddr),
    /// The roles cannot be read.
    #[error(transparent)]
    Roles(#[from] DocumentError),
    /// The functions cannot be opened.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// A listener is not usable.
    #[error("listener: {0}")]
    Listener(io::Error),
    /// Opening the files died.
    #[error("opening the data directory died: {0}")]
    Died(#[from] tokio::task::JoinError),
}

/// A running local IoT Core. Dropping it stops the server without saying goodbye; [`Handle::shutdown`] is better.
pub struct Handle {
    ports: Ports,
    root_ca: PathBuf,
    account: Account,
    faults: Faults,
    broker: Arc<Broker>,
    acceptor: Acceptor,
    rest: Option<Rest>,
    functions: Functions,
    access_key: AccessKey,
    tasks: Vec<JoinHandle<()>>,
    writer: Option<Writer>,
}

/// Who is connected, for as long as the server lives. Clones share it.
#[derive(Clone)]
pub struct Presences(Weak<Broker>);

impl std::fmt::Debug for Presences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presences")
    }
}

impl Presences {
    /// Since when a client id is connected; `None` when it is not.
    pub fn since(&self, client: &ClientId) -> Option<Timestamp> {
        let presence = self.0.upgrade()?.presence(client)?;
        presence.gone.is_none().then_some(presence.since)
    }
}

/// Starts a local IoT Core on the files of `config.data_dir`.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub async fn start(
    config: Config,
    listeners: Listeners,
    clock: Arc<dyn Clock>,
) -> Result<Handle, StartError> {
    start_on(config, listeners, clock, Storage::default()).await
}

/// As [`start`], with storage of the caller's.
///
/// # Errors
/// As [`start`].
pub async fn start_on(
    config: Config,
    listeners: Listeners,
    clock: Arc<dyn Clock>,
    storage: Storage,
) -> Result<Handle, StartError> {
    let rest_address = match &listeners.rest {
        Some(listener) => Some(listener.local_addr().map_err(StartError::Listener)?),
        None => None,
    };
    check_reach(rest_address, config.rest)?;
    let ports = Ports {
        mqtt: listeners.mqtt.local_addr().map_err(StartError::Listener)?.port(),
        alpn: listeners.alpn.local_addr().map_err(StartError::Listener)?.port(),
        rest: rest_address.map(|address| address.port()),
    };
    let opened = {
        let (config, clock) = (config.clone(), clock.clone());
        tokio::task::spawn_blocking(move || open(&config, &clock, storage)).await??
    };
    let Opened { store, authorities, database, access_key, iam, functions, log_groups } = opened;
    let scope = config.scope.clone();
    let devices = &authorities.devices;
    let account = Account::new(store.clone(), devices.clone(), clock.clone(), scope.clone());
    let roles: Arc<dyn Roles> = config.roles.unwrap_or_else(|| Arc::new(iam.clone()));
    let provisioning = ProvisioningApi::new(
        store.clone(),
        devices.clone(),
        clock.clone(),
        scope.clone(),
        with_own(config.provisioning, &config.limits, &functions, &roles),
    );
    let resolver = Arc::new(ServerResolver::new(authorities.server.clone(), clock.clone()));
    let tls = Tls::new(resolver, config.limits.handshake, config.switches.require_sni)?;
    let (rest_clock, rest_scope, throttled) = (clock.clone(), scope.clone(), config.limits.account_rates);
    let (sessions, loaded, writer) = Sessions::start(database)?;
    let faults = Faults::default();
    let (changes, happenings) = (store.subscribe(), store.happenings());
    let acceptor = Acceptor::new(tls, config.limits.connections);
    let parts = Parts {
        store,
        scope,
        switches: config.switches,
        clock,
        provisioning,
        faults: faults.clone(),
        sessions,
        limits: config.limits,
        functions: config.functions.unwrap_or_else(|| Arc::new(functions.clone())),
        roles,
    };
    let broker = Broker::new(parts, loaded);
    let rest = listeners.rest.zip(rest_address).map(|(listener, address)| {
        let services = Services {
            account: account.clone(),
            broker: broker.clone(),
            clock: rest_clock,
            scope: rest_scope,
            iam: iam.clone(),
            functions: functions.clone(),
            log_groups: log_groups.clone(),
            endpoints: Arc::new(Endpoints { host: announced(&config.hosts), ports }),
            keys: Keys::of_owner(access_key.clone(), account.scope(), config.rest.any_credentials),
            resets: Arc::new(vec![Arc::new(functions.clone()), Arc::new(iam), Arc::new(log_groups)]),
        };
        let config = RestConfig {
            hosts: config.hosts,
            data_dir: config.data_dir,
            allow_reset: config.rest.allow_reset,
            throttled,
        };
        Rest::start(listener, address, services, &config)
    });
    let tasks = vec![
        tokio::spawn(watch(broker.clone(), changes, config.sweep_every)),
        tokio::spawn(tell(broker.clone(), happenings)),
        acceptor.spawn(listeners.mqtt, ListenerKind::Mqtt, broker.clone()),
        acceptor.spawn(listeners.alpn, ListenerKind::Alpn, broker.clone()),
    ];
    Ok(Handle {
        ports,
        root_ca: authorities.root_ca_path(),
        account,
        faults,
        broker,
        acceptor,
        rest,
        functions,
        access_key,
        tasks,
        writer: Some(writer),
    })
}

/// What needs no signature is for this computer alone.
fn check_reach(rest: Option<SocketAddr>, options: RestOptions) -> Result<(), StartError> {
    match rest.filter(|address| !address.ip().is_loopback()) {
        Some(address) if options.any_credentials => Err(StartError::AnyCredentials(address)),
        Some(address) if options.allow_reset => Err(StartError::AllowReset(address)),
        _ => Ok(()),
    }
}

/// The registry first: its lock keeps a second process away from the rest.
fn open(config: &Config, clock: &Arc<dyn Clock>, storage: Storage) -> Result<Opened, StartError> {
    make_private(&config.data_dir)
        .map_err(|source| StartError::DataDir { path: config.data_dir.clone(), source })?;
    let store = match storage.registry {
        Some(store) => store,
        None => Store::open(&config.registry_file())?,
    };
    let ca = CaConfig { hosts: config.hosts.clone(), device_validity: config.device_validity };
    let authorities = Authorities::open(&config.data_dir, &ca, clock.now())?;
    let database = match storage.sessions {
        Some(database) => database,
        None => sessions::open(&config.sessions_file())?,
    };
    let access_key = AccessKey::open(&config.data_dir)?;
    let iam = Iam::open(&config.data_dir, clock.clone(), config.scope.clone())?;
    let allow_code = !config.rest.any_credentials || config.rest.allow_code;
    let functions = FunctionsConfig { allow_code, ..FunctionsConfig::default() };
    let functions = Functions::open(&config.data_dir, functions, iam.clone(), clock.clone())?;
    let log_groups = LogGroups::open(&config.data_dir, clock.clone(), functions.logs().clone())?;
    Ok(Opened { store, authorities, database, access_key, iam, functions, log_groups })
}

/// Where devices are sent: a name that was given for this server is one they can reach, perhaps from elsewhere.
fn announced(hosts: &[String]) -> String {
    hosts.first().map_or(HOST, String::as_str).to_owned()
}

/// Templates may name functions and roles: the server's, unless whoever embeds it brings other ones. The account's rates hold
/// here, too.
fn with_own(
    config: ProvisioningConfig,
    limits: &Limits,
    functions: &Functions,
    roles: &Arc<dyn Roles>,
) -> ProvisioningConfig {
    let own = || Arc::new(functions.clone()) as _;
    ProvisioningConfig {
        rates: config.rates.or_else(|| limits.account_rates.then_some(Rates::AWS)),
        functions: Some(config.functions.unwrap_or_else(own)),
        roles: Some(config.roles.unwrap_or_else(|| roles.clone())),
        ..config
    }
}

/// What lies in the data directory.
struct Opened {
    store: Store,
    authorities: Authorities,
    database: Database,
    access_key: AccessKey,
    iam: Iam,
    functions: Functions,
    log_groups: LogGroups,
}

fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(directory)
}

impl Handle {
    /// Where the server listens.
    pub const fn ports(&self) -> Ports {
        self.ports
    }

    /// The name to connect to on this computer: it is in the server's certificate. DescribeEndpoint answers the first of
    /// [`Config::hosts`] if there is one.
    pub const fn endpoint(&self) -> &'static str {
        HOST
    }

    /// Where the REST APIs are served, if they are.
    pub fn rest_address(&self) -> Option<SocketAddr> {
        self.rest.as_ref().map(Rest::address)
    }

    /// The key that REST requests are signed with.
    pub const fn access_key(&self) -> &AccessKey {
        &self.access_key
    }

    /// The certificate that clients must trust, a PEM file.
    pub fn root_ca_path(&self) -> &Path {
        &self.root_ca
    }

    /// The control plane.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// The fault switchboard.
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Who is connected now, by client id.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.broker.connections()
    }

    /// Since when who is connected, as GetConnection tells it.
    pub fn presences(&self) -> Presences {
        Presences(Arc::downgrade(&self.broker))
    }

    /// Ends the connection of a client id (DeleteConnection: `API_INITIATED_DISCONNECT`, the will is sent); says
    /// whether there was one.
    pub fn disconnect(&self, client: &ClientId) -> bool {
        self.broker.disconnect(client)
    }

    /// Publishes the presence event of a connection that nobody has made, or whose end nobody has: for those who measure
    /// what thousands a second do to a listener. Nothing else happens.
    pub fn rehearse(&self, client: &ClientId, certificate: &CertificateId, session: &str, begins: bool) {
        self.broker.rehearse(client, certificate, session, begins);
    }

    /// What a client's session is subscribed to, in order; `None` when it has none.
    pub fn subscriptions(&self, client: &ClientId) -> Option<Vec<String>> {
        Some(self.broker.subscriptions(client)?.into_iter().map(|(filter, _)| filter).collect())
    }

    /// How many topics have a retained message.
    pub fn retained_count(&self) -> usize {
        self.broker.retained_count()
    }

    /// How many persistent or connected sessions there are.
    pub fn session_count(&self) -> usize {
        self.broker.session_count()
    }

    /// Stops: no new connections, every client told (version 5), every session on disk, files closed.
    pub async fn shutdown(mut self) {
        self.stop();
        if tokio::time::timeout(GOODBYE, self.acceptor.idle()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        if let Some(rest) = self.rest.take() {
            rest.ended().await;
        }
        self.functions.stop().await;
        for task in self.tasks.drain(..) {
            task.abort();
            // Its end, not its result: it was told to stop.
            let _ = task.await;
        }
        if let Some(writer) = self.writer.take() {
            writer.close().await;
        }
    }

    fn stop(&self) {
        self.faults.clear();
        self.acceptor.stop();
        if let Some(rest) = &self.rest {
            rest.stop();
        }
        self.broker.close_all(Close::SHUTDOWN);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
