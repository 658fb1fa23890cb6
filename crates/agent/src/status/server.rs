//! The agent's side of the status socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetkey_lifecycle::Status;
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{Address, Answer, MAX_LINE, Report, Request};
use crate::disk::View;
use crate::driver::{Order, Ordered};
use crate::event::AgentEvent;
use crate::sidecar::SidecarStatus;

/// How long an order may take to be noted. Below what a client waits for its answer.
const NOTED: Duration = Duration::from_secs(3);
/// How long a peer may take for its one line.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a request may reach. The sender is weak: the socket alone does not keep an agent running.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) disk: watch::Receiver<View>,
    pub(crate) sidecar: Option<watch::Receiver<SidecarStatus>>,
    pub(crate) orders: mpsc::WeakSender<Ordered>,
    pub(crate) events: broadcast::WeakSender<AgentEvent>,
}

/// How often to try again to make the socket.
const REBIND: Duration = Duration::from_secs(30);

/// Binds the socket; a stale one is replaced, which the lock of the state directory makes safe.
pub(crate) fn bind(state_dir: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let address = Address::of(state_dir)?;
    match std::fs::remove_file(&address.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(&address.path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers until it is dropped. Without a socket it tries, again and again, to make one.
pub(crate) async fn serve(
    bound: Option<std::os::unix::net::UnixListener>,
    state_dir: PathBuf,
    service: Service,
) {
    let mut bound = bound.map_or_else(|| Err(io::ErrorKind::ReadOnlyFilesystem.into()), Ok);
    let listener = loop {
        match bound.and_then(UnixListener::from_std) {
            Ok(listener) => break listener,
            Err(error) => tracing::debug!(%error, "no status socket"),
        }
        tokio::time::sleep(REBIND).await;
        bound = bind(&state_dir);
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = service.clone();
                tokio::spawn(async move {
                    if let Err(error) = talk(stream, service).await {
                        tracing::debug!(%error, "the status socket");
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: they come back.
                tracing::warn!(%error, "the status socket cannot accept");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

async fn talk(stream: UnixStream, service: Service) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let read = async { (&mut stream).take(MAX_LINE).read_line(&mut line).await };
    tokio::time::timeout(PATIENCE, read).await??;
    match serde_json::from_str::<Request>(&line) {
        Ok(Request::Events) => return tell_events(stream, service).await,
        Ok(request) => say(&mut stream, &service.meet(request).await).await?,
        Err(error) => say(&mut stream, &Answer::Error(format!("the request does not read: {error}"))).await?,
    }
    stream.shutdown().await
}

async fn say(stream: &mut BufReader<UnixStream>, what: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(what).map_err(io::Error::other)?;
    text.push(b'\n');
    tokio::time::timeout(PATIENCE, stream.write_all(&text)).await?
}

/// Until the agent ends or the listener goes. The first line says that nothing is missed from now on; one that is too slow is told how much it has missed.
async fn tell_events(mut stream: BufReader<UnixStream>, service: Service) -> io::Result<()> {
    let Some(mut events) = service.events.upgrade().map(|events| events.subscribe()) else {
        return Ok(());
    };
    // What is held here must not keep the agent's channels open.
    drop(service);
    say(&mut stream, &json!({"event": "following"})).await?;
    let mut end = [0];
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => say(&mut stream, &event).await?,
                Err(RecvError::Lagged(count)) => {
                    say(&mut stream, &json!({"event": "missed", "count": count})).await?;
                }
                Err(RecvError::Closed) => return stream.shutdown().await,
            },
            _ = stream.read(&mut end) => return Ok(()),
        }
    }
}

impl Service {
    async fn meet(&self, request: Request) -> Answer {
        let order = match request {
            Request::Status | Request::Events => return self.status(),
            Request::Rotate { compromised: false } => Order::Rotate,
            Request::Rotate { compromised: true } => Order::Compromised,
            Request::Offline { step } => Order::Offline(step),
        };
        let (noted, note) = oneshot::channel();
        let ordered = Ordered { order, noted: Some(noted) };
        let taken = match self.orders.upgrade() {
            Some(orders) => orders.send(ordered).await.is_ok(),
            None => false,
        };
        if !taken {
            return Answer::Error("the agent is stopping".into());
        }
        match tokio::time::timeout(NOTED, note).await {
            Ok(Ok(Ok(()))) => self.status(),
            Ok(Ok(Err(why))) => Answer::Error(why),
            _ => Answer::Error(self.not_noted()),
        }
    }

    /// The order stands, but a restart would forget it.
    fn not_noted(&self) -> String {
        let blocked = self.status.borrow().blocked.clone();
        let why = blocked.unwrap_or_else(|| "another step is under way".into());
        format!("the order is taken, but not noted on the disk yet ({why}): a restart would forget it")
    }

    fn status(&self) -> Answer {
        let View { ballast, audit } = self.disk.borrow().clone();
        let sidecar = self.sidecar.as_ref().map(|sidecar| sidecar.borrow().clone());
        Answer::Status(Box::new(Report { status: self.status.borrow().clone(), ballast, audit, sidecar }))
    }
}
