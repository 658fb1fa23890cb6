//! A request, read whole and in time: method, path, query, form, and the two headers that say who asks.

use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};

use super::text;

/// The longest body: a form with the names of a page of devices, or a message of AWS's 128 KiB, percent-encoded.
const BODY: usize = 512 * 1024;
/// The longest reason for the journal, in characters.
pub(crate) const WHY: usize = 200;
/// How long it may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

/// The methods that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Other,
}

/// Why a request cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the path is no text")]
    Path,
    #[error("the request is longer than {BODY} bytes")]
    TooLong,
    #[error("the request took too long to arrive")]
    TooSlow,
    #[error("the request broke off")]
    BrokenOff,
}

impl Unreadable {
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Path | Self::BrokenOff => 400,
            Self::TooLong => 413,
            Self::TooSlow => 408,
        }
    }
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// It is HEAD: whoever asks, a preview of a link most likely, must not use anything up.
    pub(crate) is_head: bool,
    /// Who sent it.
    pub(crate) peer: IpAddr,
    /// The path's parts without their encoding; `/` has none.
    pub(crate) path: Vec<String>,
    pub(crate) headers: HeaderMap,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Request {
    /// Reads a request to its end.
    pub(crate) async fn read(request: hyper::Request<Incoming>, peer: IpAddr) -> Result<Self, Unreadable> {
        let (head, body) = request.into_parts();
        let parts = head.uri.path().split('/').filter(|part| !part.is_empty()).map(text::decode);
        let path = parts.collect::<Option<Vec<_>>>().ok_or(Unreadable::Path)?;
        let query = text::form(head.uri.query().unwrap_or_default());
        let method = match head.method {
            hyper::Method::GET | hyper::Method::HEAD => Method::Get,
            hyper::Method::POST => Method::Post,
            _ => Method::Other,
        };
        let is_head = head.method == hyper::Method::HEAD;
        let body = tokio::time::timeout(ARRIVAL, collect(body)).await.map_err(|_| Unreadable::TooSlow)??;
        Ok(Self { method, is_head, peer, path, headers: head.headers, query, body })
    }

    /// The path's parts, to match on.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// The first value of a name in the query; empty when it is not there.
    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The query as a form: what a page's fields begin with.
    pub(crate) fn asked(&self) -> Form {
        Form(self.query.clone())
    }

    /// The form in the body.
    pub(crate) fn form(&self) -> Form {
        Form(std::str::from_utf8(&self.body).map(text::form).unwrap_or_default())
    }

    /// The JSON object in the body.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok().filter(serde_json::Value::is_object)
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The cookie with this name. When there are two, neither counts: one may have been planted.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let headers = self.headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
        let pairs =
            headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    }

    /// The API token that a script sends: `Authorization: Bearer …` or `X-API-Token`.
    pub(crate) fn token(&self) -> Option<&str> {
        let bearer = self.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        bearer.or_else(|| self.header("x-api-token")).map(str::trim)
    }
}

/// A form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// The first value of a name; empty when it is not there.
    pub(crate) fn first<'a>(&'a self, name: &'a str) -> &'a str {
        self.all(name).next().unwrap_or_default()
    }

    /// The field `why`: one line, as long as a journal is to have it; empty when nothing is said.
    pub(crate) fn reason(&self) -> String {
        let line = self.first("why").chars().filter(|char| !char.is_control());
        line.take(WHY).collect::<String>().trim().to_owned()
    }

    /// All values of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

async fn collect(mut body: Incoming) -> Result<Bytes, Unreadable> {
    if body.size_hint().lower() > u64::try_from(BODY).unwrap_or(u64::MAX) {
        return Err(Unreadable::TooLong);
    }
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unreadable::BrokenOff)?.into_data() else {
            continue;
        };
        if kept.len().saturating_add(data.len()) > BODY {
            return Err(Unreadable::TooLong);
        }
        kept.extend_from_slice(&data);
    }
    Ok(kept.freeze())
}
