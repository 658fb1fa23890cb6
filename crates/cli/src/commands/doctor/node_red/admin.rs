//! Node-RED's Admin API, as far as it is read: one GET after the other over HTTP/1.0, which needs no client library.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one answer may take, unless somebody says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than anybody's flows.
const MAX_ANSWER: u64 = 32 * 1024 * 1024;

/// Where an Admin API is, and what opens it.
pub(super) struct Admin {
    host: String,
    port: u16,
    path: String,
    token: Option<String>,
    patience: Duration,
}

/// What it answers.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Json(Value),
    /// The HTTP status.
    Refused(u16),
}

impl Admin {
    /// Reads the address. A token goes nowhere but to this machine, because it would go in clear.
    pub(super) fn new(url: &str, token: Option<String>) -> Result<Self> {
        let rest = url.strip_prefix("http://").with_context(|| {
            format!("{url}: only http:// is spoken here; ask on Node-RED's own machine, or give --flows FILE")
        })?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().with_context(|| format!("{port:?} is no port"))?)
            }
            _ => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        ensure!(!host.is_empty(), "{url} names no host");
        ensure!(!url.contains(|c: char| c.is_control() || c == ' '), "{url:?} is no address");
        let here = ["127.0.0.1", "::1", "localhost"].contains(&host);
        ensure!(here || token.is_none(), "{host} is another machine: the token could be read on the way");
        let whole = |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(token.as_ref().is_none_or(whole), "the token's file holds no token: one word, no spaces");
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { String::from("/") } else { format!("/{path}/") };
        Ok(Self { host: host.to_owned(), port, path, token, patience: PATIENCE })
    }

    /// The same with as much patience for each answer.
    pub(super) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// GET below the Admin API's root.
    pub(super) async fn get(&self, target: &str) -> Result<Answer> {
        let place = format!("http://{}:{}{}{target}", self.host, self.port, self.path);
        let answer = tokio::time::timeout(self.patience, self.exchange(target)).await;
        let bytes = answer.with_context(|| {
            format!("{place} does not answer within {}", humantime::format_duration(self.patience))
        })?;
        let bytes = bytes.with_context(|| format!("{place} cannot be asked"))?;
        parse(&bytes).with_context(|| format!("{place} does not answer as Node-RED does"))
    }

    async fn exchange(&self, target: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "GET {}{target} HTTP/1.0\r\nHost: {}:{}\r\nAccept: application/json\r\nNode-RED-API-Version: v2\r\n{}\r\n",
            self.path,
            self.host,
            self.port,
            token.unwrap_or_default()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("there is no head")?;
    let (head, body) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head);
    let status =
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("there is no status")?;
    match status {
        200 => {
            let body = body.get(4..).unwrap_or_default();
            Ok(Answer::Json(serde_json::from_slice(body).context("the body is no JSON")?))
        }
        300..400 => bail!("it sends us elsewhere ({status})"),
        status => Ok(Answer::Refused(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_a_token_stays_on_this_machine() {
        let admin = Admin::new("http://[::1]:1880/red/", Some("t".into())).unwrap();
        assert_eq!((admin.host.as_str(), admin.port, admin.path.as_str()), ("::1", 1880, "/red/"));
        let admin = Admin::new("http://plant.example", None).unwrap();
        assert_eq!((admin.port, admin.path.as_str()), (80, "/"));
        assert!(Admin::new("http://plant.example", Some("t".into())).is_err());
        assert!(Admin::new("http://127.0.0.1", Some("t\r\nX-Other: y".into())).is_err());
        for bad in ["https://x", "http://", "http://:80", "http://a b", "http://x:port", "x"] {
            assert!(Admin::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_json_or_a_refusal_and_rubbish_is_an_error() {
        let json = parse(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}").unwrap();
        assert_eq!(json, Answer::Json(serde_json::json!({})));
        assert_eq!(parse(b"HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap(), Answer::Refused(401));
        for bad in [&b"HTTP/1.1 200 OK\r\n\r\nhalf"[..], b"", b"\r\n\r\n", b"HTTP/1.1 302 x\r\n\r\n"] {
            assert!(parse(bad).is_err());
        }
    }
}
