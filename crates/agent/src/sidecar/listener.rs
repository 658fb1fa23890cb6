//! Where local clients come in. What is read here is one CONNECT, within a time; the rest is the session's.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::wire::{Arrived, Reader, Writer, read_connect};
use super::{Command, Listen, SidecarHandle};

/// How long a client may take for its CONNECT.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients at once that have not said CONNECT, on one listener.
const ASKING: usize = 32;
/// The wait after a failed accept: most likely descriptors are short.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the sidecar cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("the sidecar cannot listen on {at}: {error}")]
pub struct BindError {
    /// Where.
    pub at: String,
    /// What the operating system said.
    pub error: io::Error,
}

/// Places that are listened on already.
#[derive(Debug)]
pub(crate) struct Bound(Vec<Place>);

#[derive(Debug)]
enum Place {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Bound {
    /// Binds all places.
    ///
    /// # Errors
    /// When one cannot be listened on.
    pub(crate) async fn bind(listen: &[Listen]) -> Result<Self, BindError> {
        let mut places = Vec::new();
        for one in listen {
            let place = match one {
                Listen::Tcp(address) => TcpListener::bind(address).await.map(Place::Tcp),
                Listen::Unix(path) => bind_unix(path).map(|listener| Place::Unix(listener, path.clone())),
            };
            places.push(place.map_err(|error| BindError { at: one.to_string(), error })?);
        }
        Ok(Self(places))
    }

    /// Where, with the ports that the system chose.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let address = |place: &Place| match place {
            Place::Tcp(listener) => match listener.local_addr() {
                Ok(address) => Listen::Tcp(address).to_string(),
                Err(_) => "tcp".to_owned(),
            },
            Place::Unix(_, path) => Listen::Unix(path.clone()).to_string(),
        };
        self.0.iter().map(address).collect()
    }

    /// Takes clients until it is dropped.
    pub(crate) async fn serve(self, to: SidecarHandle) {
        let mut places = JoinSet::new();
        for place in self.0 {
            places.spawn(accept(place, to.commands.clone()));
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

async fn accept(place: Place, to: mpsc::Sender<Command>) {
    let asking = std::sync::Arc::new(Semaphore::new(ASKING));
    let mut clients = JoinSet::new();
    loop {
        // Never closed.
        let Ok(permit) = asking.clone().acquire_owned().await else { return };
        match place.accept().await {
            Ok((reader, writer, peer)) => {
                let to = to.clone();
                clients.spawn(async move {
                    if let Err(error) = greet(reader, writer, &peer, to).await {
                        tracing::warn!(peer, %error, "a local client did not say CONNECT");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the sidecar cannot accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
}

impl Place {
    async fn accept(&self) -> io::Result<(Reader, Writer, String)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let (reader, writer) = stream.into_split();
                Ok((Box::new(reader), Box::new(writer), peer.to_string()))
            }
            Self::Unix(listener, path) => {
                let (stream, _) = listener.accept().await?;
                let (reader, writer) = stream.into_split();
                Ok((Box::new(reader), Box::new(writer), path.display().to_string()))
            }
        }
    }
}

async fn greet(mut reader: Reader, writer: Writer, peer: &str, to: mpsc::Sender<Command>) -> io::Result<()> {
    let mut rest = BytesMut::new();
    let connect = timeout(PATIENCE, read_connect(&mut reader, &mut rest))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let arrived = Arrived { connect, peer: peer.to_owned(), reader, writer, rest };
    // A session that is gone takes no client.
    let _ = to.send(Command::Arrived(Box::new(arrived))).await;
    Ok(())
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
