//! From a listening socket to a served connection: places, TLS, and the end of it all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::broker::{Admitted, Broker, Guest, enter, serve};
use crate::rest::device;
use crate::tls::{ListenerKind, Peer, Protocol, Tls};

/// How long to wait when the system has no more sockets to give.
const BREATHER: Duration = Duration::from_millis(50);

/// Lets connections in, up to a number at once.
pub(super) struct Acceptor {
    tls: Tls,
    places: Arc<Semaphore>,
    count: u32,
    stopped: CancellationToken,
}

impl Acceptor {
    pub(super) fn new(tls: Tls, connections: usize) -> Self {
        let count = u32::try_from(connections).unwrap_or(u32::MAX).min(1 << 20);
        Self {
            tls,
            places: Arc::new(Semaphore::new(count as usize)),
            count,
            stopped: CancellationToken::new(),
        }
    }

    /// Serves a listener until [`Acceptor::stop`].
    pub(super) fn spawn(
        &self,
        listener: TcpListener,
        kind: ListenerKind,
        broker: Arc<Broker>,
    ) -> JoinHandle<()> {
        let (tls, places, stopped) = (self.tls.clone(), self.places.clone(), self.stopped.clone());
        tokio::spawn(async move {
            // Beyond the number, clients wait in the listener's backlog.
            while let Ok(place) = places.clone().acquire_owned().await {
                let Some(accepted) = stopped.run_until_cancelled(listener.accept()).await else {
                    return;
                };
                match accepted {
                    Ok((tcp, address)) => {
                        let (tls, broker, stopped) = (tls.clone(), broker.clone(), stopped.clone());
                        tokio::spawn(async move {
                            one(tls, kind, broker, stopped, tcp, address).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(BREATHER).await;
                    }
                }
            }
        })
    }

    /// Lets nobody in any more; handshakes under way are dropped.
    pub(super) fn stop(&self) {
        self.stopped.cancel();
    }

    /// Waits until every connection has ended, after [`Acceptor::stop`].
    pub(super) async fn idle(&self) {
        // An error means that the semaphore is closed, which nobody does.
        let _ = self.places.acquire_many(self.count).await;
    }
}

/// Who has come in.
enum Entered {
    Mqtt(Admitted<TlsStream<TcpStream>>),
    Https(Box<TlsStream<TcpStream>>, Box<Guest>),
}

/// Each stage is boxed and freed before the next: what remains of a served connection is small.
async fn one(
    tls: Tls,
    kind: ListenerKind,
    broker: Arc<Broker>,
    stopped: CancellationToken,
    tcp: TcpStream,
    address: SocketAddr,
) {
    match Box::pin(come_in(tls, kind, broker.clone(), stopped.clone(), tcp, address)).await {
        Some(Entered::Mqtt(client)) => serve(client).await,
        Some(Entered::Https(stream, guest)) => {
            Box::pin(device::serve(broker, *stream, *guest, stopped)).await;
        }
        None => {}
    }
}

async fn come_in(
    tls: Tls,
    kind: ListenerKind,
    broker: Arc<Broker>,
    stopped: CancellationToken,
    tcp: TcpStream,
    address: SocketAddr,
) -> Option<Entered> {
    let Peer { stream, certificate, server_name, protocol } =
        match stopped.run_until_cancelled(tls.accept(tcp, kind)).await? {
            Ok(peer) => peer,
            Err(error) => {
                tracing::info!(%address, %error, "connection closed");
                return None;
            }
        };
    let guest = Guest {
        certificate,
        // An IPv4 client of an IPv6 socket is written as policies write it.
        source: address.ip().to_canonical(),
        server_name,
    };
    match protocol {
        Protocol::Mqtt => enter(broker, stream, guest, stopped).await.map(Entered::Mqtt),
        Protocol::Https => Some(Entered::Https(Box::new(stream), Box::new(guest))),
    }
}
