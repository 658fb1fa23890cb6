//! The dashboard on a listener that is given: limits, timeouts, a clean end, and the one-time URL.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::time::Timestamp;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use crate::Clock;
use crate::access::{Access, Desk, Grant, NoRandomness, Scope, bucket};
use crate::bench::Bench;
use crate::fleet::Fleet;
use crate::http::{Body, Place};
use crate::hub::Hub;
use crate::pages;
use crate::router::{App, Streams};
use crate::seats::Seats;

pub use tls::{Tls, TlsError};

use progress::Progress;

mod progress;
mod tls;

/// How long a client may take to send its request's head, and a kept connection to send the next one.
const HEAD: Duration = Duration::from_secs(30);
/// How many headers a request may have, and how many bytes they.
const HEADERS: usize = 64;
const HEAD_BYTES: usize = 16 * 1024;
/// How many connections may be open at once; beyond it, clients wait in the listener's backlog.
const CONNECTIONS: usize = 256;
/// How many of them one address may have, which may be that of a proxy with many browsers behind it; of IPv6 a /64.
const EACH: usize = 128;
/// How long to wait when the system has no more sockets to give.
const BREATHER: Duration = Duration::from_millis(50);
/// How long requests under way may take when the dashboard stops.
const GOODBYE: Duration = Duration::from_secs(5);

/// What the pages are about.
pub struct Parts {
    /// Read model and orders.
    pub fleet: Arc<dyn Fleet>,
    /// Devices to try things with, where there are any.
    pub bench: Option<Arc<dyn Bench>>,
    /// Where the fleet tells what has changed.
    pub hub: Arc<Hub>,
    /// The time of day.
    pub clock: Clock,
}

/// Why a dashboard does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener is bound to an address that others can reach, and there is no TLS.
    #[error(
        "without TLS the dashboard is served on loopback addresses only, not on {0}: give it a certificate and its key"
    )]
    NotLoopback(SocketAddr),
    /// Everybody would be let in who can reach the address.
    #[error(
        "SKIP_AUTH lets everybody in as admin who reaches the dashboard, so it is for loopback addresses only, not for {0}"
    )]
    Open(SocketAddr),
    /// The listener cannot tell its address.
    #[error("the dashboard's socket cannot be used: {0}")]
    Socket(#[from] io::Error),
    /// Nobody can be let in safely.
    #[error("the dashboard cannot start: {0}")]
    Randomness(#[from] NoRandomness),
}

/// A dashboard that is being served.
pub struct Dashboard {
    address: SocketAddr,
    url: Zeroizing<String>,
    stopped: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
    accepting: JoinHandle<()>,
}

impl std::fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dashboard").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Dashboard {
    /// Serves `listener` without TLS, on loopback.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(listener: TcpListener, parts: Parts, access: Access) -> Result<Self, StartError> {
        Self::serve(listener, None, parts, access)
    }

    /// Serves `listener` with TLS, on any address. The names of the certificate are those that it answers to.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_tls(
        listener: TcpListener,
        tls: Tls,
        parts: Parts,
        access: Access,
    ) -> Result<Self, StartError> {
        Self::serve(listener, Some(tls), parts, access)
    }

    fn serve(
        listener: TcpListener,
        tls: Option<Tls>,
        parts: Parts,
        access: Access,
    ) -> Result<Self, StartError> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            match (&tls, access.open) {
                (_, true) => return Err(StartError::Open(address)),
                (None, false) => return Err(StartError::NotLoopback(address)),
                (Some(_), false) => {}
            }
        }
        if access.open {
            tracing::warn!("SKIP_AUTH: whoever has a login on this computer can use the dashboard");
        }
        let desk = Desk::new(access)?;
        let front = Front::new(address, tls.as_ref());
        let url = start_url(&front, &desk, (parts.clock)())?;
        let (stopped, cut) = (CancellationToken::new(), CancellationToken::new());
        let app = Arc::new(App::new(parts, desk, front, Streams::default(), stopped.clone()));
        let connections = TaskTracker::new();
        let (ending, cutting) = (stopped.clone(), cut.clone());
        let door = Door { app, tls, stopped: ending, cut: cutting, tracker: connections.clone() };
        let accepting = tokio::spawn(accept(listener, door));
        Ok(Self { address, url, stopped, cut, connections, accepting })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The link that opens it, once. Whoever has it is let in as admin: it is for the terminal, not for a log.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets nobody in any more and waits for the requests under way.
    pub async fn stop(self) {
        self.stopped.cancel();
        self.connections.close();
        // Its end, not its result: it was told to stop.
        let _ = self.accepting.await;
        if tokio::time::timeout(GOODBYE, self.connections.wait()).await.is_err() {
            tracing::warn!("some requests to the dashboard did not end in time");
            self.cut.cancel();
        }
    }
}

/// Where the dashboard is, and what a link to it begins with.
pub(crate) struct Front {
    pub(crate) place: Place,
    pub(crate) origin: String,
}

impl Front {
    fn new(bound: SocketAddr, tls: Option<&Tls>) -> Self {
        let names = tls.map(Tls::names).unwrap_or_default();
        let place = match tls {
            None => Place::plain(bound),
            Some(_) => Place::secure(bound, names),
        };
        Self { origin: place.origin(names), place }
    }
}

fn start_url(front: &Front, desk: &Desk, now: Timestamp) -> Result<Zeroizing<String>, NoRandomness> {
    let origin = &front.origin;
    Ok(match desk.is_open() {
        true => Zeroizing::new(format!("{origin}/")),
        false => {
            let grant = Grant { scope: Scope::Admin, proves: true, bearer: None };
            Zeroizing::new(format!("{origin}/start/{}", &*desk.ticket(grant, now)?))
        }
    })
}

/// What each connection is given.
#[derive(Clone)]
struct Door {
    app: Arc<App>,
    tls: Option<Tls>,
    stopped: CancellationToken,
    cut: CancellationToken,
    tracker: TaskTracker,
}

async fn accept(listener: TcpListener, door: Door) {
    let (places, seats) = (Arc::new(Semaphore::new(CONNECTIONS)), Seats::new(EACH));
    loop {
        let next = async { (places.clone().acquire_owned().await, listener.accept().await) };
        let Some((place, accepted)) = door.stopped.run_until_cancelled(next).await else {
            return;
        };
        match accepted {
            Ok((tcp, peer)) => {
                let Some(seat) = seats.take(bucket(peer.ip())) else {
                    tracing::debug!(%peer, "too many connections to the dashboard from one address");
                    continue;
                };
                let inside = door.clone();
                door.tracker.spawn(async move {
                    inside.cut.clone().run_until_cancelled(welcome(tcp, peer.ip(), inside)).await;
                    drop((place, seat));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the dashboard cannot accept a connection");
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
}

async fn welcome(tcp: TcpStream, peer: IpAddr, door: Door) {
    // Events must not wait for an acknowledgement.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    if let Err(error) = progress::expect_acknowledgements(&tcp) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT cannot be set");
    }
    let tcp = Progress::new(tcp);
    match &door.tls {
        None => serve(tcp, peer, door).await,
        Some(tls) => {
            if let Some(stream) = tls.accept(tcp).await {
                serve(stream, peer, door).await;
            }
        }
    }
}

/// Answering has panicked; the log has told of it.
fn broken() -> Response<Body> {
    pages::plain(500, "this could not be answered").into_response()
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, peer: IpAddr, door: Door) {
    let Door { app, stopped, tracker, .. } = door;
    let service = service_fn(move |request| {
        let app = app.clone();
        // On a task of its own: what was ordered comes to its end, with all that is noted of it, whether the browser waits or not.
        let answering = tracker.spawn(async move { app.answer(request, peer).await });
        async move { answering.await.or_else(|_| Ok::<_, Infallible>(broken())) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(HEADERS).max_buf_size(HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the dashboard ended badly");
    }
}
