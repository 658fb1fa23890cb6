//! HTTP/1.1 on a listener that is given: limits, timeouts, and a clean end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::Services;
use super::coverage::Coverage;
use super::dispatch::Api;
use super::guard::Guard;
use super::routes::Routes;
use super::throttle::Throttle;
use super::trail::Trail;

/// How long a client may take to send its request's head, and a kept connection to send the next one.
const HEAD: Duration = Duration::from_secs(30);
/// How many headers a request may have, and how many bytes they.
const HEADERS: usize = 100;
const HEAD_BYTES: usize = 64 * 1024;
/// How many connections may be open at once; beyond it, clients wait in the listener's backlog.
const CONNECTIONS: usize = 512;
/// How long to wait when the system has no more sockets to give.
const BREATHER: Duration = Duration::from_millis(50);
/// How long requests under way may take when the server stops.
const GOODBYE: Duration = Duration::from_secs(5);

/// How the REST side is to behave.
#[derive(Debug, Clone)]
pub(crate) struct RestConfig {
    /// Names, besides localhost and the address listened on, that a `Host` header may have.
    pub(crate) hosts: Vec<String>,
    /// Where the management events are kept, in a directory of their own.
    pub(crate) data_dir: PathBuf,
    /// Whether `POST /_fleetkey/reset` is served.
    pub(crate) allow_reset: bool,
    /// Whether calls are refused that are more than the account's rates.
    pub(crate) throttled: bool,
}

/// A REST API that is being served.
pub(crate) struct Rest {
    address: SocketAddr,
    stopped: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
    accepting: JoinHandle<()>,
}

impl Rest {
    /// Serves `listener`, bound to `address`.
    pub(crate) fn start(
        listener: TcpListener,
        address: SocketAddr,
        services: Services,
        config: &RestConfig,
    ) -> Self {
        let guard = Guard::new(address.ip(), &config.hosts);
        let api = Arc::new(Api {
            trail: Arc::new(Trail::new(&config.data_dir, services.scope.clone())),
            services,
            routes: Routes::all(),
            coverage: Coverage::new(),
            guard,
            allow_reset: config.allow_reset,
            throttle: config.throttled.then(Throttle::default),
        });
        let (stopped, cut) = (CancellationToken::new(), CancellationToken::new());
        let connections = TaskTracker::new();
        let door = Door { api, stopped: stopped.clone(), cut: cut.clone(), tracker: connections.clone() };
        let accepting = tokio::spawn(accept(listener, door));
        Self { address, stopped, cut, connections, accepting }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nobody in any more; requests under way go on.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
        self.connections.close();
    }

    /// Waits for the requests under way, after [`Rest::stop`].
    pub(crate) async fn ended(self) {
        self.stop();
        // Its end, not its result: it was told to stop.
        let _ = self.accepting.await;
        if tokio::time::timeout(GOODBYE, self.connections.wait()).await.is_err() {
            tracing::warn!("some requests did not end in time");
            self.cut.cancel();
        }
    }
}

/// What each connection is given.
#[derive(Clone)]
struct Door {
    api: Arc<Api>,
    stopped: CancellationToken,
    cut: CancellationToken,
    tracker: TaskTracker,
}

async fn accept(listener: TcpListener, door: Door) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async { (places.clone().acquire_owned().await, listener.accept().await) };
        let Some((place, accepted)) = door.stopped.run_until_cancelled(next).await else {
            return;
        };
        match accepted {
            Ok((tcp, source)) => {
                let inside = door.clone();
                door.tracker.spawn(async move {
                    inside.cut.clone().run_until_cancelled(serve(tcp, source, inside)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
}

async fn serve(tcp: TcpStream, source: SocketAddr, door: Door) {
    let Door { api, stopped, .. } = door;
    // Small answers must not wait for an acknowledgement.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    let service = service_fn(move |request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(api.answer(request, source).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(HEADERS).max_buf_size(HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(tcp), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%source, %error, "a connection ended badly");
    }
}
