//! Where local clients come in. What is read here is one CONNECT, within a time; the rest is the session's, or another
//! agent's.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fleetkey_model::time::Timestamp;
use fleetkey_mqtt::{Connect, DecodeError, ReasonCode, Version};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::route::{Route, pass, route};
use super::secure::{Guard, SecureError};
use super::wire::{Arrived, Reader, Writer, read_connect, refuse};
use super::{Command, Listen, SidecarHandle, SidecarSettings};
use crate::prompt::Prompt;

use asking::{Asking, Origin, Seat};

mod asking;

/// How long a client may take for its CONNECT.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients at once that are passed on to other agents.
const PASSING: usize = 256;
/// The wait after a failed accept: most likely descriptors are short.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the sidecar cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The place is not to be had.
    #[error("the sidecar cannot listen on {at}: {error}")]
    Place {
        /// Where.
        at: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// A route leads back here: a client would be passed round and round.
    #[error("sidecar.route: to = {to:?} is this agent's own sidecar; name the socket of the other agent's")]
    Circle {
        /// Where it leads.
        to: PathBuf,
    },
    /// What TLS and passwords need is not to be had.
    #[error(transparent)]
    Secure(#[from] SecureError),
}

/// Places that are listened on already.
#[derive(Debug)]
pub(crate) struct Bound {
    places: Vec<Place>,
    routes: Arc<[Route]>,
}

#[derive(Debug)]
enum Place {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
    Tls(TcpListener, Guard),
}

impl Bound {
    /// Binds all places.
    ///
    /// # Errors
    /// When one cannot be listened on.
    pub(crate) async fn bind(settings: &SidecarSettings, now: Timestamp) -> Result<Self, BindError> {
        let mut places = Vec::new();
        for one in &settings.listen {
            let place = match one {
                Listen::Tcp(address) => TcpListener::bind(address).await.map(Place::Tcp),
                Listen::Unix(path) => bind_unix(path).map(|listener| Place::Unix(listener, path.clone())),
                Listen::Tls(tls) => {
                    let guard = Guard::open(tls, now)?;
                    TcpListener::bind(tls.address).await.map(|listener| Place::Tls(listener, guard))
                }
            };
            places.push(place.map_err(|error| BindError::Place { at: one.to_string(), error })?);
        }
        // The settings were looked at before the sockets were there, and a link may have led nowhere then.
        match settings.circle() {
            Some(to) => Err(BindError::Circle { to }),
            None => Ok(Self { places, routes: settings.routes.clone().into() }),
        }
    }

    /// Where, with the ports that the system chose.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let address = |place: &Place| match place {
            Place::Tcp(listener) => match listener.local_addr() {
                Ok(address) => Listen::Tcp(address).to_string(),
                Err(_) => "tcp".to_owned(),
            },
            Place::Unix(_, path) => Listen::Unix(path.clone()).to_string(),
            Place::Tls(listener, _) => match listener.local_addr() {
                Ok(address) => format!("tls {address}"),
                Err(_) => "tls".to_owned(),
            },
        };
        self.places.iter().map(address).collect()
    }

    /// Takes clients until it is dropped.
    pub(crate) async fn serve(self, to: SidecarHandle) {
        let way = Way { here: to.commands, routes: self.routes, passing: Arc::new(Semaphore::new(PASSING)) };
        let mut places = JoinSet::new();
        for place in self.places {
            places.spawn(accept(place, way.clone()));
        }
        while places.join_next().await.is_some() {}
    }
}

/// A socket that nobody listens on any more is replaced; anything else that is there is not ours.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Where clients go from here.
#[derive(Clone)]
struct Way {
    here: mpsc::Sender<Command>,
    routes: Arc<[Route]>,
    passing: Arc<Semaphore>,
}

impl Way {
    /// Brings a client to whoever serves it. It asks no longer then.
    async fn bring(&self, arrived: Arrived, seat: Seat) -> io::Result<()> {
        let Some(other) = route(&self.routes, &arrived.connect) else {
            // A session that is gone takes no client.
            let _ = self.here.send(Command::Arrived(Box::new(arrived))).await;
            return Ok(());
        };
        let passing = self.passing.try_acquire();
        let _passing = passing.map_err(|_| io::Error::other("too many clients are passed on already"))?;
        drop(seat);
        pass(arrived, other).await
    }
}

async fn accept(place: Place, way: Way) {
    let asking = Asking::default();
    let mut clients = JoinSet::new();
    loop {
        match place.accept().await {
            Ok((stream, peer, origin)) => {
                let (way, seat) = (way.clone(), asking.seat(origin));
                clients.spawn(async move { receive(stream, &peer, way, seat).await });
            }
            Err(error) => {
                tracing::warn!(%error, "the sidecar cannot accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
}

/// Asks a client for its CONNECT, and brings it where it belongs.
async fn receive(stream: Incoming, peer: &str, way: Way, mut seat: Seat) {
    let greeted = tokio::select! {
        greeted = greet(stream, peer) => greeted,
        () = seat.lost() => return,
    };
    match greeted {
        Ok(Some(arrived)) => {
            if let Err(error) = way.bring(arrived, seat).await {
                tracing::warn!(peer, %error, "a local client was not passed on");
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(peer, %error, "a local client's CONNECT was not to be had"),
    }
}

impl Place {
    async fn accept(&self) -> io::Result<(Incoming, String, Origin)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Incoming::Tcp(Prompt::new(stream)?), peer.to_string(), Origin::of(peer.ip())))
            }
            Self::Tls(listener, guard) => {
                let (stream, peer) = listener.accept().await?;
                Ok((
                    Incoming::Tls(Prompt::new(stream)?, guard.clone()),
                    peer.to_string(),
                    Origin::of(peer.ip()),
                ))
            }
            Self::Unix(listener, path) => {
                let (stream, _) = listener.accept().await?;
                Ok((Incoming::Unix(stream), path.display().to_string(), Origin::HERE))
            }
        }
    }
}

/// A client that has said nothing yet.
enum Incoming {
    Tcp(Prompt),
    Unix(UnixStream),
    Tls(Prompt, Guard),
}

impl Incoming {
    /// Its halves, once there is TLS where there is to be; and who decides whether it is let in.
    async fn open(self) -> io::Result<(Reader, Writer, Option<Guard>)> {
        match self {
            Self::Tcp(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                Ok((Box::new(reader), Box::new(writer), None))
            }
            Self::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                Ok((Box::new(reader), Box::new(writer), None))
            }
            Self::Tls(stream, guard) => {
                let stream = guard.acceptor.accept(stream).await?;
                let (reader, writer) = tokio::io::split(stream);
                Ok((Box::new(reader), Box::new(writer), Some(guard)))
            }
        }
    }
}

/// A client that has said CONNECT and may; `None` is one that may not, and was told.
async fn greet(stream: Incoming, peer: &str) -> io::Result<Option<Arrived>> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let (mut reader, mut writer, guard) = timeout(PATIENCE, stream.open()).await.map_err(late)??;
    let mut rest = BytesMut::new();
    let connect = match timeout(PATIENCE, read_connect(&mut reader, &mut rest)).await.map_err(late)? {
        Ok(connect) => connect,
        Err(error) => {
            if let Some(version) = foreign(&error) {
                let refusal = refuse(&mut writer, version, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
                timeout(PATIENCE, refusal).await.map_err(late)??;
            }
            return Err(error);
        }
    };
    if let Some(guard) = guard
        && !admits(guard, &connect).await
    {
        tracing::warn!(peer, user = ?connect.username, "a local client's user name or password is wrong");
        timeout(PATIENCE, turn_away(&mut writer, connect.version)).await.map_err(late)??;
        return Ok(None);
    }
    if connect.version == Version::V311 && connect.client_id.bytes().is_empty() && !connect.clean_start {
        let refusal = refuse(&mut writer, Version::V311, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
        timeout(PATIENCE, refusal).await.map_err(late)??;
        return Err(io::Error::other("it wants its session kept and gives no client id (MQTT-3.1.3-8)"));
    }
    Ok(Some(Arrived { connect, peer: peer.to_owned(), reader, writer, rest }))
}

/// The version to refuse a client in that speaks one which is not spoken here: a later one may be expected to know
/// the form of 5 (MQTT 5 section 3.1.2.2), an earlier one that of 3.1.1 (MQTT-3.1.2-2).
fn foreign(error: &io::Error) -> Option<Version> {
    match error.get_ref()?.downcast_ref()? {
        DecodeError::UnsupportedVersion { level } if *level > Version::V5.level() => Some(Version::V5),
        DecodeError::UnsupportedVersion { .. } => Some(Version::V311),
        _ => None,
    }
}

/// Hashing takes a while on a small device: not on the thread that serves, and not for all at once. What was begun is
/// finished, whether the client still waits for it or not.
async fn admits(guard: Guard, connect: &Connect) -> bool {
    let (name, password) = (connect.username.clone(), connect.password.clone());
    // Never closed.
    let Ok(turn) = guard.checks.clone().acquire_owned().await else { return false };
    let admitted = tokio::task::spawn_blocking(move || {
        let admitted = guard.admits(name.as_deref(), password.as_deref());
        drop(turn);
        admitted
    });
    admitted.await.unwrap_or(false)
}

/// Not at once: who guesses shall not guess fast.
async fn turn_away(writer: &mut Writer, version: Version) -> io::Result<()> {
    tokio::time::sleep(PAUSE).await;
    refuse(writer, version, ReasonCode::BAD_USER_NAME_OR_PASSWORD).await
}

impl Drop for Place {
    /// The socket file goes with its listener.
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Somebody may have removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}
