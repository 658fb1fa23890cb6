//! HTTP/1.1 on a listener that is given: limits, timeouts, and a clean end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
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

use crate::api::Api;
use crate::backend::Backend;
use crate::guard::Guard;
use crate::routes;

/// How long a client may take to send its request's head, and a kept connection to send the next one.
const HEAD: Duration = Duration::from_secs(30);
/// How many headers a request may have, and how many bytes they.
const HEADERS: usize = 100;
const HEAD_BYTES: usize = 64 * 1024;
/// How many connections may be open at once; beyond it, clients wait in the listener's backlog.
const CONNECTIONS: usize = 256;
/// How long to wait when the system has no more sockets to give.
const BREATHER: Duration = Duration::from_millis(50);
/// How long requests under way may take when the server stops.
const GOODBYE: Duration = Duration::from_secs(5);

/// How to serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerConfig {
    /// Names, besides localhost and the address listened on, that a `Host` header may have.
    pub hosts: Vec<String>,
}

/// What is being served. Dropping it lets nobody in any more; [`Self::stop`] waits for those who are.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stopped: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `backend` on `listener`, bound by the caller, who decides who can reach it.
    ///
    /// # Errors
    /// When the listener is not usable.
    pub fn start<B: Backend>(
        listener: TcpListener,
        backend: Arc<B>,
        config: &ServerConfig,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let guard = Arc::new(Guard::new(address.ip(), &config.hosts));
        let (stopped, cut) = (CancellationToken::new(), CancellationToken::new());
        let connections = TaskTracker::new();
        let door = Door {
            backend,
            guard,
            api: Arc::default(),
            stopped: stopped.clone(),
            cut: cut.clone(),
            tracker: connections.clone(),
        };
        let accepting = Some(tokio::spawn(accept(listener, door)));
        Ok(Self { address, stopped, cut, connections, accepting })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nobody in any more, and waits for the requests under way.
    pub async fn stop(mut self) {
        self.stopped.cancel();
        self.connections.close();
        if let Some(accepting) = self.accepting.take() {
            // Its end, not its result: it was told to stop.
            let _ended = accepting.await;
        }
        if tokio::time::timeout(GOODBYE, self.connections.wait()).await.is_err() {
            tracing::warn!("some requests did not end in time");
            self.cut.cancel();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

/// What each connection is given.
struct Door<B> {
    backend: Arc<B>,
    guard: Arc<Guard>,
    api: Arc<Api>,
    stopped: CancellationToken,
    cut: CancellationToken,
    tracker: TaskTracker,
}

impl<B> Clone for Door<B> {
    fn clone(&self) -> Self {
        Self {
            backend: self.backend.clone(),
            guard: self.guard.clone(),
            api: self.api.clone(),
            stopped: self.stopped.clone(),
            cut: self.cut.clone(),
            tracker: self.tracker.clone(),
        }
    }
}

async fn accept<B: Backend>(listener: TcpListener, door: Door<B>) {
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

async fn serve<B: Backend>(tcp: TcpStream, source: SocketAddr, door: Door<B>) {
    let Door { backend, guard, api, stopped, tracker, .. } = door;
    // Small answers must not wait for an acknowledgement.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    let service = service_fn(move |request| {
        let (backend, guard, api) = (backend.clone(), guard.clone(), api.clone());
        // On a task of its own: what was ordered comes to its end, with all that is noted of it, whether the client waits or not.
        let answering = tracker.spawn(async move { routes::answer(&*backend, &guard, &api, request).await });
        async move { answering.await.or_else(|_| Ok::<_, Infallible>(routes::broken())) }
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
