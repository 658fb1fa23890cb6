//! Lambda's Runtime API for one invocation, on a loopback port of its own.
//!
//! `GET …/invocation/next` gives the event once and then nothing more; `POST …/{request}/response`, `…/{request}/error`
//! and `…/init/error` end the run. Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. The port
//! has no password, as Lambda's has none: another user of this computer who finds it in time could read the event.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::{Outcome, Run};
use crate::functions::MAX_PAYLOAD;

/// Connections at once; a runtime needs one or two.
const CONNECTIONS: usize = 32;
const BASE: &str = "/2018-06-01/runtime/";

/// The server of one run. It ends when the value is dropped.
pub(super) struct Server {
    address: SocketAddr,
    outcome: oneshot::Receiver<Outcome>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    request: String,
    arn: String,
    deadline: u64,
    event: Bytes,
    given: AtomicBool,
    outcome: Mutex<Option<oneshot::Sender<Outcome>>>,
}

impl Server {
    pub(super) async fn start(run: &Run<'_>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, outcome) = oneshot::channel();
        let shared = Arc::new(Shared {
            request: run.request.to_owned(),
            arn: run.arn.to_owned(),
            deadline: run.deadline,
            event: run.event.clone(),
            given: AtomicBool::new(false),
            outcome: Mutex::new(Some(sender)),
        });
        let task = AbortOnDropHandle::new(tokio::spawn(serve(listener, shared)));
        Ok(Self { address, outcome, _task: task })
    }

    /// For `AWS_LAMBDA_RUNTIME_API`.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the runtime answers.
    pub(super) async fn outcome(self) -> Option<Outcome> {
        self.outcome.await.ok()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                // Out of descriptors: the run ends with its time.
                let Ok((stream, _)) = accepted else { return };
                let shared = shared.clone();
                let service = service_fn(move |request| {
                    let shared = shared.clone();
                    async move { Ok::<_, Infallible>(shared.answer(request).await) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().strip_prefix(BASE).unwrap_or_default().to_owned();
        let own = |rest: &str| path == format!("invocation/{}/{rest}", self.request);
        if request.method() == Method::GET && path == "invocation/next" {
            return self.next().await;
        }
        if request.method() != Method::POST {
            return said(StatusCode::NOT_FOUND, r#"{"errorType":"NotFound","errorMessage":"no such path"}"#);
        }
        match path.as_str() {
            "init/error" => self.end(request, Outcome::Failed).await,
            _ if own("response") => self.end(request, Outcome::Answer).await,
            _ if own("error") => self.end(request, Outcome::Failed).await,
            _ => said(
                StatusCode::BAD_REQUEST,
                r#"{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}"#,
            ),
        }
    }

    /// The event; the second time there is none, and the runtime waits until it is killed.
    async fn next(&self) -> Response<Full<Bytes>> {
        if self.given.swap(true, Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", &self.request)
            .header("lambda-runtime-deadline-ms", self.deadline)
            .header("lambda-runtime-invoked-function-arn", &self.arn)
            .body(Full::new(self.event.clone()));
        response.unwrap_or_else(|_| said(StatusCode::INTERNAL_SERVER_ERROR, ""))
    }

    async fn end(&self, request: Request<Incoming>, outcome: fn(Bytes) -> Outcome) -> Response<Full<Bytes>> {
        let body = Limited::new(request.into_body(), MAX_PAYLOAD).collect().await;
        let (status, outcome) = match body {
            Ok(body) => (StatusCode::ACCEPTED, outcome(body.to_bytes())),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                (StatusCode::PAYLOAD_TOO_LARGE, Outcome::TooLarge)
            }
            Err(_) => return said(StatusCode::BAD_REQUEST, "{}"),
        };
        if let Some(sender) = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody waits any more: the time is over.
            let _ = sender.send(outcome);
        }
        said(status, r#"{"status":"OK"}"#)
    }
}

fn said(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
