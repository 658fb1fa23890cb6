//! `/api/v1`: JSON, for scripts, for the command line, and for the pages to come. Every request names a token.
//!
//! The routes stand in [`ROUTES`], and in `openapi.json`, which a test holds to them.

mod order;
mod question;
mod stream;
mod throttle;

use bytes::Bytes;
use fleetkey_model::name::ThingName;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::backend::{Backend, CampaignStep, Fate, Question, Trouble, Verdict};
use crate::reply::{JSON, Reply, reply};
use crate::token::{Holder, Role};

pub(crate) use stream::Streams;
pub(crate) use throttle::Throttle;

/// What every path begins with.
pub(crate) const PREFIX: &str = "/api/v1";
/// The description of all this.
const OPENAPI: &str = include_str!("api/openapi.json");

/// One operation: how it is asked for, and who may.
struct Route {
    method: Method,
    /// `{…}` is any one segment.
    path: &'static str,
    role: Role,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Status,
    Certificates,
    Certificate,
    Things,
    Thing,
    History,
    Findings,
    Journal,
    Recovery,
    Panic,
    Campaigns,
    Campaign,
    Events,
    Description,
    Order(Ordered),
}

/// What is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ordered {
    Release,
    Rotate,
    Certificate(Fate),
    Recovered(Verdict),
    Open,
    Close,
    StopClaims,
    StopPolicy,
    Restore,
    Start,
    Campaign(CampaignStep),
}

const fn get(path: &'static str, what: What) -> Route {
    Route { method: Method::GET, path, role: Role::Auditor, what }
}

const fn post(path: &'static str, role: Role, ordered: Ordered) -> Route {
    Route { method: Method::POST, path, role, what: What::Order(ordered) }
}

static ROUTES: [Route; 31] = [
    get("/status", What::Status),
    get("/certificates", What::Certificates),
    get("/certificates/{id}", What::Certificate),
    get("/things", What::Things),
    get("/things/{name}", What::Thing),
    get("/things/{name}/history", What::History),
    get("/findings", What::Findings),
    get("/journal", What::Journal),
    get("/recovery", What::Recovery),
    get("/panic", What::Panic),
    get("/campaigns", What::Campaigns),
    get("/campaigns/{name}", What::Campaign),
    get("/events", What::Events),
    get("/openapi.json", What::Description),
    post("/things/{name}/release", Role::Operator, Ordered::Release),
    post("/things/{name}/rotate", Role::Operator, Ordered::Rotate),
    post("/things/{name}/approve", Role::Admin, Ordered::Recovered(Verdict::Approve)),
    post("/things/{name}/reject", Role::Admin, Ordered::Recovered(Verdict::Reject)),
    post("/recovery", Role::Admin, Ordered::Open),
    post("/recovery/{window}/close", Role::Admin, Ordered::Close),
    post("/panic/claims", Role::Admin, Ordered::StopClaims),
    post("/panic/policies/{name}", Role::Admin, Ordered::StopPolicy),
    post("/panic/undo", Role::Admin, Ordered::Restore),
    post("/campaigns", Role::Operator, Ordered::Start),
    post("/campaigns/{name}/pause", Role::Operator, Ordered::Campaign(CampaignStep::Pause)),
    post("/campaigns/{name}/resume", Role::Operator, Ordered::Campaign(CampaignStep::Resume)),
    post("/campaigns/{name}/abort", Role::Operator, Ordered::Campaign(CampaignStep::Abort)),
    post("/campaigns/{name}/rollback", Role::Admin, Ordered::Campaign(CampaignStep::Rollback)),
    post("/certificates/{id}/deactivate", Role::Admin, Ordered::Certificate(Fate::Deactivate)),
    post("/certificates/{id}/reactivate", Role::Admin, Ordered::Certificate(Fate::Reactivate)),
    post("/certificates/{id}/revoke", Role::Admin, Ordered::Certificate(Fate::Revoke)),
];

/// A refusal: HTTP status and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Missing(why) => Self(StatusCode::NOT_FOUND, why),
            Trouble::Bad(why) => Self(StatusCode::BAD_REQUEST, why),
            Trouble::Conflict(why) => Self(StatusCode::CONFLICT, why),
            Trouble::Unavailable(why) => Self(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

/// What the API keeps between requests.
#[derive(Debug, Default)]
pub(crate) struct Api {
    throttle: Throttle,
    streams: Streams,
}

impl Api {
    /// Answers a request whose path begins with [`PREFIX`].
    pub(crate) async fn answer<B: Backend>(&self, backend: &B, request: Request<Incoming>) -> Reply {
        match self.handle(backend, request).await {
            Ok(reply) => reply,
            Err(Refusal(status, why)) => {
                let mut refused = reply(status, JSON, json!({ "message": why }).to_string());
                if status == StatusCode::UNAUTHORIZED {
                    refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                refused
            }
        }
    }

    async fn handle<B: Backend>(&self, backend: &B, request: Request<Incoming>) -> Result<Reply, Refusal> {
        let holder = self.holder(backend, &request)?;
        let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
        let (route, segment) = found(request.method(), &path)?;
        if holder.role < route.role {
            let why = format!(
                "this takes the role {}, the token has {}",
                route.role.as_str(),
                holder.role.as_str()
            );
            return Err(Refusal(StatusCode::FORBIDDEN, why));
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        let question = match route.what {
            What::Description => return Ok(reply(StatusCode::OK, JSON, OPENAPI)),
            What::Events => {
                return self.streams.open(backend.feed(), &holder, (request.headers(), &query));
            }
            What::Order(ordered) => {
                let order = order::read(ordered, segment, request).await?;
                return Ok(answered(&backend.order(&holder, order).await?));
            }
            What::Recovery => Question::Recovery,
            What::Panic => Question::Panic,
            What::Things => Question::Things(question::things(&query)?),
            What::Campaigns => Question::Campaigns,
            What::Campaign => Question::Campaign(segment),
            What::Status => Question::Status,
            What::Certificates => Question::Certificates(question::selection(&query)?),
            What::Certificate => Question::Certificate(segment.parse().map_err(|error| bad(&error))?),
            What::Thing => Question::Thing(ThingName::new(segment).map_err(|error| bad(&error))?),
            What::History => Question::History(ThingName::new(segment).map_err(|error| bad(&error))?),
            What::Findings => Question::Findings(question::rule(&query)?),
            What::Journal => question::journal(&query)?,
        };
        Ok(answered(&backend.ask(question).await?))
    }

    /// Whose request it is.
    fn holder<B: Backend>(&self, backend: &B, request: &Request<Incoming>) -> Result<Holder, Refusal> {
        let token = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let unknown = |why: &str| Refusal(StatusCode::UNAUTHORIZED, why.to_owned());
        let Some(token) = token else {
            return Err(unknown("Authorization: Bearer TOKEN is missing; fleetkey token create makes one"));
        };
        if let Some(holder) = backend.holder(token) {
            return Ok(holder);
        }
        match self.throttle.wrong(backend.now()) {
            true => Err(unknown("this token is nobody's, or has ended")),
            false => {
                Err(Refusal(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; try in a minute".into()))
            }
        }
    }
}

/// The route of a request, and what stands in the place of its one variable segment.
fn found(method: &Method, path: &str) -> Result<(&'static Route, String), Refusal> {
    let mut allowed = Vec::new();
    for route in &ROUTES {
        if let Some(segment) = matched(route.path, path) {
            if *method == route.method {
                return Ok((route, segment));
            }
            allowed.push(route.method.as_str());
        }
    }
    Err(match allowed.is_empty() {
        false => Refusal(StatusCode::METHOD_NOT_ALLOWED, format!("only by {}", allowed.join(" or "))),
        true => {
            Refusal(StatusCode::NOT_FOUND, "nothing here; /api/v1/openapi.json tells what there is".into())
        }
    })
}

fn matched(pattern: &str, path: &str) -> Option<String> {
    let mut found = String::new();
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(found),
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {
                found = question::decoded(given)?;
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

fn answered(value: &Value) -> Reply {
    reply(StatusCode::OK, JSON, Bytes::from(value.to_string()))
}

fn bad(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::bad(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_has_every_route_and_no_other() {
        let description: Value = serde_json::from_str(OPENAPI).unwrap();
        let mut described: Vec<String> = Vec::new();
        for (path, operations) in description["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                described.push(format!(
                    "{} {path} {}",
                    method.to_uppercase(),
                    operation["x-role"].as_str().unwrap()
                ));
            }
        }
        let mut served: Vec<_> = ROUTES
            .iter()
            .map(|route| format!("{} {PREFIX}{} {}", route.method, route.path, route.role.as_str()))
            .collect();
        described.sort();
        served.sort();
        assert_eq!(described, served);
    }

    #[test]
    fn a_path_is_matched_segment_by_segment() {
        assert_eq!(matched("/things/{name}", "/things/press-1"), Some("press-1".into()));
        assert_eq!(matched("/things/{name}", "/things/a%3Ab"), Some("a:b".into()));
        for other in ["/things", "/things/", "/things/a/b", "/certificates/a", "/things/%zz"] {
            assert_eq!(matched("/things/{name}", other), None, "{other}");
        }
        assert_eq!(found(&Method::POST, "/status").err().unwrap().0, StatusCode::METHOD_NOT_ALLOWED);
        let Refusal(_, why) = found(&Method::DELETE, "/campaigns").err().unwrap();
        assert_eq!(why, "only by GET or POST");
        assert_eq!(found(&Method::POST, "/campaigns/spring/abort").ok().unwrap().1, "spring");
    }
}
