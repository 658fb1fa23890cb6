//! The way of a request: who may speak, whose it is, what it means, the operation, the answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_model::time::Timestamp;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use serde_json::{Map, Value};

use super::auth::{Claimed, Keys};
use super::context::{Caller, Context, RequestId, Services};
use super::guard::Guard;
use super::protocol::Protocol;
use super::refusal::Refusal;
use super::reply::Reply;
use super::route::Wire;
use super::routes::{self, Call, Routes};
use super::service::Service;
use super::sigv4::{self, Claims, Flaw, Head};

/// How long a body may take to arrive.
const BODY: Duration = Duration::from_secs(60);

/// Everything that answers requests.
pub(super) struct Api {
    pub(super) services: Services,
    pub(super) routes: Routes,
    pub(super) keys: Keys,
    pub(super) guard: Guard,
}

/// A request whose service is known.
struct Known {
    service: Service,
    claimed: Option<Claimed>,
}

impl Api {
    /// Answers one request; every request gets an answer.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        source: SocketAddr,
    ) -> Response<Full<Bytes>> {
        let id = RequestId::random();
        let (parts, body) = request.into_parts();
        if let Err(refusal) = self.guard.admit(&parts.headers) {
            return Protocol::RestJson.refusal(&refusal, &id);
        }
        let known = match self.identify(&parts) {
            Ok(known) => known,
            Err((protocol, refusal)) => return protocol.refusal(&refusal, &id),
        };
        let protocol = known.service.protocol();
        match self.serve(parts, body, known, source.ip(), &id).await {
            Ok((name, reply)) => protocol.reply(name, reply, &id),
            Err(refusal) => protocol.refusal(&refusal, &id),
        }
    }

    /// What the head says: for which service, and by whom it claims to be.
    fn identify(&self, parts: &Parts) -> Result<Known, (Protocol, Refusal)> {
        let head = head(parts);
        let refuse = |protocol: Protocol| move |flaw: Flaw| (protocol, flaw.refusal(protocol));
        let claims = match Claims::read(&head) {
            Ok(claims) => claims,
            Err(_) if self.keys.take_any() => {
                return Ok(Known { service: self.guess(&head), claimed: None });
            }
            Err(flaw) => return Err(refuse(guess_protocol(parts))(flaw)),
        };
        let service = Service::of_scope(&claims.service);
        let protocol = service.map_or(Protocol::RestJson, Service::protocol);
        let now = self.services.clock.now();
        let claimed = Claimed::of(claims, &self.keys, &self.services.scope, now).map_err(refuse(protocol))?;
        Ok(Known { service: claimed.service, claimed: Some(claimed) })
    }

    /// The service that an unsigned request means, when those are let in.
    fn guess(&self, head: &Head<'_>) -> Service {
        let path = sigv4::normalize(head.path);
        let call =
            Call { method: head.method, path: &path, query: head.query, headers: head.headers, body: &[] };
        if head.headers.contains_key("x-amz-target") {
            return Service::Logs;
        }
        let fits = |service: &Service| self.routes.find(*service, &call).is_some();
        Service::ALL.into_iter().find(fits).unwrap_or(if path == "/" { Service::Iam } else { Service::Iot })
    }

    async fn serve(
        &self,
        parts: Parts,
        body: Incoming,
        known: Known,
        source: IpAddr,
        id: &RequestId,
    ) -> Result<(&'static str, Reply), Refusal> {
        let Known { service, claimed } = known;
        let body = read(body, service.body_limit()).await?;
        let head = head(&parts);
        let now = self.services.clock.now();
        let caller = self.caller(claimed, &head, &body, now, service)?;
        let path = sigv4::normalize(head.path);
        let call =
            Call { method: head.method, path: &path, query: head.query, headers: head.headers, body: &body };
        let Some((route, labels)) = self.routes.find(service, &call) else {
            return Err(routes::unknown(service, &call));
        };
        let wire = Wire { query: head.query, headers: head.headers, body: &body };
        let members: Map<String, Value> = route.members(&wire, labels)?;
        let context = Context {
            services: self.services.clone(),
            caller,
            request: id.clone(),
            now,
            body: body.clone(),
            source,
        };
        let reply = route.call(context, &members).await?;
        Ok((route.name(), reply))
    }

    fn caller(
        &self,
        claimed: Option<Claimed>,
        head: &Head<'_>,
        body: &[u8],
        now: Timestamp,
        service: Service,
    ) -> Result<Caller, Refusal> {
        match claimed {
            Some(claimed) => {
                claimed.verify(head, body, &self.keys, now).map_err(|flaw| flaw.refusal(service.protocol()))
            }
            None => Ok(super::auth::owner(&self.services.scope, "anonymous")),
        }
    }
}

fn head(parts: &Parts) -> Head<'_> {
    Head {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    }
}

/// How an unsigned client wants its refusal: Query clients post forms to `/`.
fn guess_protocol(parts: &Parts) -> Protocol {
    let form = parts
        .headers
        .get("content-type")
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if form { Service::Sts.protocol() } else { Protocol::RestJson }
}

async fn read(body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::new(413, "RequestEntityTooLargeException", format!("The body is longer than {limit} bytes"))
    };
    // Who says beforehand that it is too long need not send it.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY, Limited::new(body, limit).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Refusal::invalid(format!("The body cannot be read: {error}"))),
        Err(_) => Err(Refusal::new(408, "RequestTimeoutException", "The body took too long to arrive")),
    }
}
