//! One operation: where it is called, and what answers it.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::context::Context;
use super::input;
use super::refusal::Refusal;
use super::reply::Reply;
use super::template::{Labels, Template};
use super::text;

/// The answer to come.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;
type Handler = Box<dyn Fn(Context, &Map<String, Value>) -> Answer + Send + Sync>;

/// An operation and its handler.
pub(crate) struct Route {
    name: &'static str,
    address: Address,
    query: Vec<(&'static str, &'static str)>,
    headers: Vec<(&'static str, &'static str)>,
    blob: bool,
    handler: Handler,
}

/// Where an operation is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// rest-json: by method and path.
    Path(Method, Template),
    /// Query: by the form's `Action`.
    Action,
    /// JSON 1.1: by `X-Amz-Target`.
    Target,
}

/// What of a request makes an operation's input.
pub(super) struct Wire<'a> {
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Bytes,
}

/// An operation of a rest-json service: `handler` answers `method` on `path`, a template such as
/// `/things/{thingName}`.
///
/// `I` is read from one object that holds the JSON body's members, then the query string's parameters (as text; a
/// repeated one as a list), then the path's labels, each under its own name unless [`Route::query`] or
/// [`Route::header`] says otherwise. Members that `I` does not know are ignored, as AWS ignores them.
pub(crate) fn route<I, F, Fut>(name: &'static str, method: Method, path: &'static str, handler: F) -> Route
where
    I: DeserializeOwned,
    F: Fn(Context, I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Refusal>> + Send + 'static,
{
    Route::new(name, Address::Path(method, Template::parse(path)), handler)
}

/// An operation of a Query service (IAM, STS): `handler` answers `Action=name`. `I` is read from the form:
/// `Tags.member.1.Key=a` is `{"Tags": [{"Key": "a"}]}`; every value is text.
pub(crate) fn action<I, F, Fut>(name: &'static str, handler: F) -> Route
where
    I: DeserializeOwned,
    F: Fn(Context, I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Refusal>> + Send + 'static,
{
    Route::new(name, Address::Action, handler)
}

/// An operation of a JSON 1.1 service (CloudWatch Logs): `handler` answers `X-Amz-Target: ….name`.
pub(crate) fn target<I, F, Fut>(name: &'static str, handler: F) -> Route
where
    I: DeserializeOwned,
    F: Fn(Context, I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Refusal>> + Send + 'static,
{
    Route::new(name, Address::Target, handler)
}

impl Route {
    fn new<I, F, Fut>(name: &'static str, address: Address, handler: F) -> Self
    where
        I: DeserializeOwned,
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply, Refusal>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |context, members| match input::read(members) {
            Ok(input) => Box::pin(handler(context, input)),
            Err(refusal) => Box::pin(std::future::ready(Err(refusal))),
        });
        Self { name, address, query: Vec::new(), headers: Vec::new(), blob: false, handler }
    }

    /// The same with `member` in the query string as `wire`.
    pub(crate) fn query(mut self, member: &'static str, wire: &'static str) -> Self {
        self.query.push((member, wire));
        self
    }

    /// The same with `member` in the header `wire` (lower case).
    pub(crate) fn header(mut self, member: &'static str, wire: &'static str) -> Self {
        self.headers.push((member, wire));
        self
    }

    /// The same with a body that is no JSON but a blob, in [`Context::body`].
    pub(crate) const fn blob(mut self) -> Self {
        self.blob = true;
        self
    }

    /// The operation's name, for example `CreatePolicy`.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// The members of a request, by the names that the operation's model gives them.
    ///
    /// # Errors
    /// `SerializationException` when body or query string cannot be read.
    pub(super) fn members(&self, wire: &Wire<'_>, labels: Labels) -> Result<Map<String, Value>, Refusal> {
        if self.address == Address::Action {
            return form(wire);
        }
        let mut members = if self.blob { Map::new() } else { body(wire.body)? };
        if matches!(self.address, Address::Path(..)) {
            for (name, value) in query(wire.query)? {
                let member = member(&self.query, &name).unwrap_or(&name);
                members.insert(member.to_owned(), value);
            }
        }
        for (member, name) in &self.headers {
            if let Some(value) = wire.headers.get(*name).and_then(|value| value.to_str().ok()) {
                members.insert((*member).to_owned(), value.into());
            }
        }
        members.extend(labels.into_iter().map(|(label, value)| (label, Value::String(value))));
        Ok(members)
    }

    /// Runs the operation.
    pub(super) fn call(&self, context: Context, members: &Map<String, Value>) -> Answer {
        (self.handler)(context, members)
    }
}

fn member(places: &[(&'static str, &'static str)], wire: &str) -> Option<&'static str> {
    places.iter().find(|(_, name)| *name == wire).map(|(member, _)| *member)
}

fn body(body: &Bytes) -> Result<Map<String, Value>, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(unreadable("the body is no JSON object")),
        Err(error) => Err(unreadable(&format!("the body is no JSON: {error}"))),
    }
}

fn query(query: &str) -> Result<Map<String, Value>, Refusal> {
    let pairs = text::query_pairs(query).ok_or_else(|| unreadable("the query string cannot be decoded"))?;
    let mut members = Map::new();
    for (name, value) in pairs {
        let value = Value::String(value);
        match members.get_mut(&name) {
            None => {
                members.insert(name, value);
            }
            Some(Value::Array(several)) => several.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    Ok(members)
}

/// The parameters of a Query request: the form, and the query string for a GET.
fn form(wire: &Wire<'_>) -> Result<Map<String, Value>, Refusal> {
    let form = std::str::from_utf8(wire.body).ok().and_then(text::form_pairs);
    let pairs = form.zip(text::query_pairs(wire.query));
    let (form, query) = pairs.ok_or_else(|| unreadable("the form cannot be decoded"))?;
    super::form::nest(query.into_iter().chain(form))
}

fn unreadable(why: &str) -> Refusal {
    Refusal::new(400, "SerializationException", why)
}
