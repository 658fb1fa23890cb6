//! `/events`: what happens, as Server-Sent Events (HTML, 9.2). Whoever comes back names the last number seen
//! (`Last-Event-ID`, or `?after=`) and gets what came since.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Refusal, question};
use crate::feed::{Feed, Since};
use crate::reply::{Reply, reply};
use crate::token::Holder;

/// How many streams there may be at once.
const MOST: usize = 32;
/// How many of them by one token: whoever has all that they may have keeps nobody else out.
const EACH: usize = 8;
/// How often an idle stream says that it lives; proxies cut what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The streams that are open.
#[derive(Debug)]
pub(crate) struct Streams {
    all: Arc<Semaphore>,
    /// The places of those tokens that have one open.
    each: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// A place for a stream: one of its token's and one of all.
type Place = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Default for Streams {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MOST)), each: Mutex::default() }
    }
}

impl Streams {
    fn place(&self, holder: &Holder) -> Result<Place, Refusal> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        each.retain(|_, places| places.available_permits() < EACH);
        let own = each.entry(holder.name.clone()).or_insert_with(|| Arc::new(Semaphore::new(EACH)));
        let full = |why: String| Refusal(StatusCode::TOO_MANY_REQUESTS, why);
        let own = own.clone().try_acquire_owned();
        let own =
            own.map_err(|_| full(format!("{EACH} streams are open by this token: close some of them")))?;
        let all = self.all.clone().try_acquire_owned();
        let all =
            all.map_err(|_| full(format!("{MOST} streams are open: try again once some are closed")))?;
        Ok((own, all))
    }

    /// Opens one for this holder of a token. Without a number it begins with what comes next.
    pub(super) fn open(
        &self,
        feed: &Arc<Feed>,
        holder: &Holder,
        (headers, query): (&HeaderMap, &str),
    ) -> Result<Reply, Refusal> {
        let place = self.place(holder)?;
        let after = match after(headers, query)? {
            Some(after) => after,
            None => *feed.latest().borrow(),
        };
        let (sender, pieces) = mpsc::channel(16);
        let feed = feed.clone();
        tokio::spawn(async move {
            // That the reader has gone is how every stream ends; its place is free at once.
            tokio::select! {
                () = sender.closed() => {}
                _gone = tell(&feed, after, &sender) => {}
            }
            drop(place);
        });
        let mut answer: Reply = Response::new(Pieces(pieces).boxed());
        *answer.headers_mut() = reply(StatusCode::OK, "text/event-stream", Bytes::new()).headers().clone();
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        Ok(answer)
    }
}

/// The number after which to begin.
fn after(headers: &HeaderMap, query: &str) -> Result<Option<u64>, Refusal> {
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut text = header;
    for (name, value) in question::pairs(query)? {
        match name.as_str() {
            "after" => text = Some(value),
            _ => return Err(Refusal::bad("there is no parameter but after here")),
        }
    }
    let number = text.map(|text| text.parse().map_err(|_| Refusal::bad("after: the number of an event")));
    number.transpose()
}

/// A body that comes in pieces.
struct Pieces(Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

async fn tell(feed: &Feed, mut after: u64, sender: &Sender<Bytes>) -> Result<(), SendError<Bytes>> {
    let mut latest = feed.latest();
    loop {
        latest.mark_unchanged();
        let Since { events, missed } = feed.since(after);
        if missed {
            sender.send(Bytes::from_static(b"event: missed\ndata: {}\n\n")).await?;
            after = 0;
        }
        for event in events {
            let text = format!("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, event.data);
            sender.send(text.into()).await?;
            after = event.id;
        }
        let Ok(changed) = tokio::time::timeout(HEARTBEAT, latest.changed()).await else {
            sender.send(Bytes::from_static(b": \n\n")).await?;
            continue;
        };
        if changed.is_err() {
            return Ok(());
        }
    }
}
