//! Answers: a status, a type, a body, and the headers that every answer has.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

pub(crate) type Reply = Response<BoxBody<Bytes, Infallible>>;

/// A request that is not answered, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) &'static str);

/// The type that Prometheus asks for.
pub(crate) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// For programs.
pub(crate) const JSON: &str = "application/json";
/// Words.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()).boxed());
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}

/// A line of words.
pub(crate) fn words(status: StatusCode, text: &str) -> Reply {
    reply(status, TEXT, format!("{text}\n"))
}

/// 405, which names what is allowed.
pub(crate) fn only(methods: &'static str) -> Reply {
    let mut reply = words(StatusCode::METHOD_NOT_ALLOWED, "not by this method");
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    reply
}
