//! HTTPS publish: what a device with a certificate may ask on the ALPN port, which is to publish.
//!
//! Source: Developer Guide, http and protocols (`x-amzn-http-ca`). TLS has proved the key; whether the certificate
//! may publish is the broker's to say. Not here: the REST API for operators, which signs.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::context::RequestId;
use super::protocol::Protocol;
use super::refusal::Refusal;
use super::reply::Reply;
use super::route::Wire;
use super::{body, data};
use crate::broker::{Broker, Guest};

/// How long a client may take to send a request's head, and a kept connection to send the next one.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 * 1024;
/// Bytes of a body that are read at all; the broker's own limit is lower.
const BODY_BYTES: usize = 256 * 1024;

/// Serves one connection until it ends or the server stops.
pub(crate) async fn serve<S>(broker: Arc<Broker>, stream: S, guest: Guest, stopped: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let guest = Arc::new(guest);
    let source = guest.source;
    let service = service_fn(move |request| {
        let (broker, guest) = (broker.clone(), guest.clone());
        async move { Ok::<_, Infallible>(answer(&broker, &guest, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = stopped.run_until_cancelled(connection).await {
        tracing::debug!(%source, %error, "an HTTPS connection ended badly");
    }
}

async fn answer(broker: &Broker, guest: &Guest, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let id = RequestId::random();
    match publish(broker, guest, request, &id).await {
        Ok(reply) => Protocol::RestJson.reply("Publish", reply, &id),
        Err(refusal) => Protocol::RestJson.refusal(&refusal, &id),
    }
}

async fn publish(
    broker: &Broker,
    guest: &Guest,
    request: Request<Incoming>,
    id: &RequestId,
) -> Result<Reply, Refusal> {
    let (parts, body) = request.into_parts();
    let Some(labels) = data::topic_of(parts.uri.path()) else {
        return Err(Refusal::new(404, "ResourceNotFoundException", "Only /topics/TOPIC is served here"));
    };
    if parts.method != Method::POST {
        return Err(Refusal::new(405, "MethodNotAllowedException", "Messages are published with POST"));
    }
    let body = body::read(body, &parts.headers, BODY_BYTES).await?;
    let wire = Wire { query: parts.uri.query().unwrap_or_default(), headers: &parts.headers, body: &body };
    let message = data::message_of(&wire, labels, body.clone())?;
    broker.publish_as(guest, message).await.map_err(|why| data::refused(&why))?;
    Ok(data::published(id))
}
