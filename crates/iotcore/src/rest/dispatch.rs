//! The way of a request: who may speak, whose it is, what it means, the operation, the answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use fleetkey_model::time::Timestamp;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::USER_AGENT;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use serde_json::{Map, Value};

use super::auth::Claimed;
use super::body;
use super::context::{Caller, Context, RequestId, Services};
use super::coverage::Coverage;
use super::guard::Guard;
use super::protocol::Protocol;
use super::refusal::Refusal;
use super::reply::Reply;
use super::route::Wire;
use super::routes::{Call, Routes};
use super::service::Service;
use super::sigv4::{self, Claims, Flaw, Head};
use super::throttle::Throttle;
use super::trail::{self, Trail};

/// The management events; the rest of [`admin`] needs no signature.
const EVENTS: &str = "/_fleetkey/events";

/// Everything that answers requests.
pub(super) struct Api {
    pub(super) services: Services,
    pub(super) routes: Routes,
    pub(super) guard: Guard,
    pub(super) coverage: Coverage,
    pub(super) trail: Arc<Trail>,
    /// Where the account's rates are kept.
    pub(super) throttle: Option<Throttle>,
    pub(super) allow_reset: bool,
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
        let path = sigv4::normalize(parts.uri.path());
        if let Some(own) = self.own(&parts.method, &path).await {
            return match own {
                Ok(reply) => Protocol::RestJson.reply("", reply, &id),
                Err(refusal) => Protocol::RestJson.refusal(&refusal, &id),
            };
        }
        let known = match self.identify(&parts) {
            Ok(known) => known,
            Err((protocol, refusal)) => {
                body::discard(body, &parts.headers).await;
                return protocol.refusal(&refusal, &id);
            }
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
            Err(_) if self.services.keys.take_any() => {
                return Ok(Known { service: self.guess(&head), claimed: None });
            }
            Err(flaw) => return Err(refuse(guess_protocol(parts))(flaw)),
        };
        let service = Service::of_scope(&claims.service);
        let protocol = service.map_or(Protocol::RestJson, Service::protocol);
        let now = self.services.clock.now();
        let claimed =
            Claimed::of(claims, &self.services.keys, &self.services.scope, now).map_err(refuse(protocol))?;
        Ok(Known { service: claimed.service, claimed: Some(claimed) })
    }

    /// The service that an unsigned request means, when those are let in.
    fn guess(&self, head: &Head<'_>) -> Service {
        let path = sigv4::normalize(head.path);
        let call =
            Call { method: head.method, path: &path, query: head.query, headers: head.headers, body: &[] };
        if let Some(target) = head.headers.get("x-amz-target") {
            let quotas = target.as_bytes().starts_with(b"ServiceQuotas");
            return if quotas { Service::Quotas } else { Service::Logs };
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
        let body = body::read(body, &parts.headers, service.body_limit()).await?;
        let head = head(&parts);
        let now = self.services.clock.now();
        let caller = self.caller(claimed, &head, &body, now, service)?;
        let path = sigv4::normalize(head.path);
        let call =
            Call { method: head.method, path: &path, query: head.query, headers: head.headers, body: &body };
        // Whatever service it was signed for: what was done here is not for everybody on this computer to read.
        if path == EVENTS && parts.method == Method::GET {
            return Ok(("", self.events(head.query).await?));
        }
        let Some((route, labels)) = self.routes.find(service, &call) else {
            return Err(self.coverage.refuse(service, &call));
        };
        self.coverage.served(service, route.name());
        let refuse = |refusal| {
            let refusal = named_by(service, refusal);
            self.coverage.refused(service, route.name(), &refusal);
            refusal
        };
        let wire = Wire { query: head.query, headers: head.headers, body: &body };
        let members: Map<String, Value> = route.members(&wire, labels).map_err(refuse)?;
        if let Some(throttle) = &self.throttle {
            let client = members.get("clientId").and_then(Value::as_str);
            throttle.admit((service, route.name()), client, now).map_err(refuse)?;
        }
        let user_agent =
            parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let context = Context {
            services: self.services.clone(),
            caller: caller.clone(),
            request: id.clone(),
            now,
            body: body.clone(),
        };
        let outcome = route.call(context, &members).await.map_err(refuse);
        self.trail.note(&trail::Call {
            service,
            name: route.name(),
            members: &members,
            outcome: &outcome,
            caller: &caller,
            request: id,
            now,
            source,
            user_agent,
        });
        Ok((route.name(), outcome?))
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
            Some(claimed) => claimed
                .verify(head, body, &self.services.keys, now)
                .map_err(|flaw| flaw.refusal(service.protocol())),
            None => Ok(super::auth::owner(&self.services.scope, "anonymous")),
        }
    }
}

/// What is said of a member in the same words everywhere has another name in each service.
fn named_by(service: Service, refusal: Refusal) -> Refusal {
    if refusal.is_constraint() {
        refusal.with_code(service.validation_code())
    } else if refusal.code == "InvalidRequestException" {
        refusal.with_code(service.invalid_code())
    } else {
        refusal
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
