//! Bodies that are sent piece by piece: server-sent events (HTML Standard, 9.2), which are notices of the hub and heartbeats,
//! resumed by `Last-Event-ID`; and long files.
//!
//! Nothing piles up for a page that reads slowly: a stream holds a few lines, and its position in the hub's ring.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::hub::{Hub, Next, Notice};
use crate::router::StreamPlace;

/// How often a silent stream shows that it lives; whoever has it is looked at again then.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Lines that wait for the socket.
const WAITING: usize = 4;
/// Notices a line.
const BATCH: usize = 64;
/// How long a browser waits before it connects again, in milliseconds.
const RETRY: u32 = 1000;

/// A body that comes piece by piece.
#[derive(Debug)]
pub(crate) struct BodyStream {
    lines: mpsc::Receiver<Bytes>,
}

/// What a stream needs.
pub(crate) struct Source {
    pub(crate) hub: Arc<Hub>,
    /// After which notice it begins.
    pub(crate) after: u64,
    /// Whether whoever opened it may still read it; asked before each line.
    pub(crate) admitted: Box<dyn Fn() -> bool + Send + Sync>,
    /// Changes when somebody's right to read has ended.
    pub(crate) ended: watch::Receiver<u64>,
    /// Ends it.
    pub(crate) stop: CancellationToken,
    /// One of the places for streams.
    pub(crate) place: StreamPlace,
}

impl BodyStream {
    /// Starts sending what `next` gives, until it gives nothing. It is asked only as fast as the client reads.
    pub(crate) fn pieces(
        stop: CancellationToken,
        place: StreamPlace,
        mut next: impl FnMut() -> Option<Bytes> + Send + 'static,
    ) -> Self {
        let (sender, lines) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(piece) = next() {
                let sent = stop.run_until_cancelled(sender.send(piece)).await;
                if !matches!(sent, Some(Ok(()))) {
                    break;
                }
            }
            drop(place);
        });
        Self { lines }
    }

    /// Starts sending events.
    pub(crate) fn events(source: Source) -> Self {
        let (sender, lines) = mpsc::channel(WAITING);
        tokio::spawn(send(source, sender));
        Self { lines }
    }
}

impl Body for BodyStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.lines.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

async fn send(source: Source, lines: mpsc::Sender<Bytes>) {
    let Source { hub, mut after, admitted, mut ended, stop, place } = source;
    let mut news = hub.watch();
    let mut line = format!("retry: {RETRY}\nid: {after}\nevent: hello\ndata: {{}}\n\n");
    while admitted() {
        tokio::select! {
            sent = lines.send(line.into()) => if sent.is_err() { break },
            () = stop.cancelled() => break,
        }
        line = match hub.after(after, BATCH) {
            Next::Missed(last) => {
                after = last;
                format!("id: {last}\nevent: reload\ndata: {{}}\n\n")
            }
            Next::Notices(notices) if !notices.is_empty() => {
                after = notices.last().map_or(after, |notice| notice.id);
                notices.iter().map(event).collect()
            }
            Next::Notices(_) => {
                let wake = async { news.wait_for(|last| *last > after).await.is_ok() };
                let woken = tokio::select! {
                    woken = tokio::time::timeout(HEARTBEAT, wake) => woken,
                    _ = ended.changed() => Ok(true),
                    () = lines.closed() => break,
                    () = stop.cancelled() => break,
                };
                match woken {
                    Ok(true) => String::new(),
                    Ok(false) => break,
                    Err(_) => ":\n\n".to_owned(),
                }
            }
        };
    }
    drop(place);
}

fn event(notice: &Notice) -> String {
    let data = json!({ "thing": notice.thing, "kind": notice.kind });
    format!("id: {}\nevent: change\ndata: {data}\n\n", notice.id)
}
