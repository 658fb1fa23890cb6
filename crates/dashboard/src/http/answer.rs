//! What a request gets, with the headers that every answer has.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};
use maud::Markup;
use serde_json::Value;

use super::stream::BodyStream;

/// Nothing from elsewhere, nothing inline, no frames: what is not from us does not run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const ALWAYS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    // Nothing of an address leaves for elsewhere. Not less than this: under `no-referrer` a browser sends `Origin: null` with a form
    // of ours, too (Fetch, "append a request Origin header"), and from one without `Sec-Fetch-Site` no order would be taken.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// The body of an answer.
pub(crate) type Body = Either<Full<Bytes>, BodyStream>;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content: Content,
    cache: &'static str,
}

#[derive(Debug)]
enum Content {
    Whole(&'static str, Bytes),
    Stream(&'static str, BodyStream),
}

impl Answer {
    /// A page.
    pub(crate) fn page(status: u16, page: Markup) -> Self {
        Self::whole(status, "text/html; charset=utf-8", page.into_string())
    }

    /// A JSON text.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::whole(status, "application/json", value.to_string())
    }

    /// Go there, by GET.
    pub(crate) fn see_other(place: &str) -> Self {
        Self::whole(303, "text/plain; charset=utf-8", String::new()).with("location", place)
    }

    /// A file of ours whose name changes with its content.
    pub(crate) fn asset(kind: &'static str, bytes: Bytes) -> Self {
        let content = Content::Whole(kind, bytes);
        Self { status: 200, headers: Vec::new(), content, cache: "public, max-age=31536000, immutable" }
    }

    /// A file for the user to keep.
    pub(crate) fn download(kind: &'static str, name: &str, text: String) -> Self {
        Self::whole(200, kind, text).with("content-disposition", format!("attachment; filename=\"{name}\""))
    }

    /// A body that comes piece by piece.
    pub(crate) fn stream(kind: &'static str, stream: BodyStream) -> Self {
        Self { status: 200, headers: Vec::new(), content: Content::Stream(kind, stream), cache: "no-store" }
    }

    /// One more header. A value that no header can carry stays out.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn whole(status: u16, kind: &'static str, text: String) -> Self {
        Self { status, headers: Vec::new(), content: Content::Whole(kind, text.into()), cache: "no-store" }
    }

    /// As hyper sends it.
    pub(crate) fn into_response(self) -> Response<Body> {
        let (kind, body) = match self.content {
            Content::Whole(kind, bytes) => (kind, Either::Left(Full::new(bytes))),
            Content::Stream(kind, stream) => (kind, Either::Right(stream)),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            hyper::StatusCode::from_u16(self.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        let fixed = ALWAYS.into_iter().chain([("content-type", kind), ("cache-control", self.cache)]);
        for (name, value) in fixed {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
