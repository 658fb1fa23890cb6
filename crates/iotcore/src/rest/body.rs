//! A request's body: read up to a limit and in time, or got out of the way.
//!
//! A server that closes while the client still sends makes the client's system throw the answer away (RFC 9112, 9.6);
//! so what is refused is read on for a while.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::EXPECT;

use super::refusal::Refusal;

/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);
/// How much of a refused body is read on, and for how long.
const DISCARDED: usize = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// The whole body.
///
/// # Errors
/// 413 when it is longer than `limit` bytes, 408 when it takes too long, 400 when it breaks off.
pub(super) async fn read(body: Incoming, headers: &HeaderMap, limit: usize) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(ARRIVAL, collect(body, headers, limit)).await {
        Ok(read) => read,
        Err(_) => Err(Refusal::new(408, "RequestTimeoutException", "The body took too long to arrive")),
    }
}

/// Gets the body of a refused request out of the way.
pub(super) async fn discard(mut body: Incoming, headers: &HeaderMap) {
    // Who asks before sending has not sent anything.
    if headers.contains_key(EXPECT) {
        return;
    }
    let mut seen = 0_usize;
    let rest = async {
        while let Some(Ok(frame)) = body.frame().await {
            seen = seen.saturating_add(frame.data_ref().map_or(0, Bytes::len));
            if seen > DISCARDED {
                return;
            }
        }
    };
    // What is left after that closes the connection.
    let _ = tokio::time::timeout(PATIENCE, rest).await;
}

async fn collect(mut body: Incoming, headers: &HeaderMap, limit: usize) -> Result<Bytes, Refusal> {
    let too_long = || {
        Refusal::new(413, "RequestEntityTooLargeException", format!("The body is longer than {limit} bytes"))
    };
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        discard(body, headers).await;
        return Err(too_long());
    }
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::invalid(format!("The body cannot be read: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if kept.len().saturating_add(data.len()) > limit {
            discard(body, headers).await;
            return Err(too_long());
        }
        kept.extend_from_slice(&data);
    }
    Ok(kept.freeze())
}
