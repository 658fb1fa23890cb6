//! Who may speak to us at all: no browser, and nobody who came by a foreign name.
//!
//! A page that somebody visits can make the browser send requests to 127.0.0.1 (cross-site request forgery), and by
//! rebinding a name of its own to 127.0.0.1 it can read the answers. Neither gets past `Origin`, `Sec-Fetch-Site`
//! and `Host`. AWS's clients and programs send none of the first two, and the host that they were told.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::http::uri::Authority;

use super::refusal::Refusal;

/// Headers of browsers alone. Not `sec-fetch-mode`: the `fetch` of Node and its like sends it from no page (undici), and
/// a browser that sends it sends `sec-fetch-site` too (Fetch Metadata, section 2).
const BROWSERS: [&str; 5] =
    ["origin", "access-control-request-method", "sec-fetch-site", "sec-fetch-dest", "sec-fetch-user"];

/// The names by which we may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guard {
    hosts: Vec<String>,
}

impl Guard {
    /// Localhost and its addresses, the address that we listen on, and `hosts`.
    pub(super) fn new(bound: IpAddr, hosts: &[String]) -> Self {
        let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        all.push(bound.to_string());
        all.extend(hosts.iter().map(|host| host.to_ascii_lowercase()));
        Self { hosts: all }
    }

    /// Lets a request through.
    ///
    /// # Errors
    /// 403 for a browser or a foreign `Host`, 400 for none.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let browser = headers.keys().find(|name| BROWSERS.contains(&name.as_str()));
        if let Some(name) = browser {
            let message = format!("Requests of web pages are refused: the request has the header {name}");
            return Err(Refusal::new(403, "AccessDeniedException", message));
        }
        let mut hosts = headers.get_all("host").iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::new(400, "InvalidRequestException", "The request needs one Host header"));
        };
        let text = host.to_str().unwrap_or_default();
        if self.knows(text) {
            return Ok(());
        }
        let text: String = text.chars().take(256).collect();
        let message = format!("The host {text:?} is none of ours; fleetkey local --host NAME adds a name");
        Err(Refusal::new(403, "AccessDeniedException", message))
    }

    fn knows(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        !host.contains('@') && self.hosts.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn admitted(headers: &[(&'static str, &'static str)]) -> Result<(), u16> {
        let guard = Guard::new("127.0.0.1".parse().unwrap(), &["Core.example".to_owned()]);
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        guard.admit(&headers.collect()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn our_own_names_are_let_in_with_any_port() {
        for host in ["localhost", "LOCALHOST:4566", "127.0.0.1:1", "[::1]:4566", "core.example:80"] {
            assert_eq!(admitted(&[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn foreign_names_are_not() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "user@localhost",
            "",
            "localhost:1:2",
            "[::1",
        ] {
            assert_eq!(admitted(&[("host", host)]), Err(403), "{host}");
        }
        assert_eq!(admitted(&[]), Err(400));
    }

    #[test]
    fn browsers_are_refused_whatever_they_call_us() {
        for name in ["origin", "sec-fetch-site", "sec-fetch-dest", "access-control-request-method"] {
            assert_eq!(admitted(&[("host", "localhost"), (name, "null")]), Err(403), "{name}");
        }
    }

    /// What Node 20 sends of its own accord.
    #[test]
    fn a_programs_fetch_is_let_in_and_bound_to_our_names() {
        let fetch = [("accept-language", "*"), ("sec-fetch-mode", "cors"), ("user-agent", "node")];
        for (host, outcome) in [("localhost:4566", Ok(())), ("evil.example", Err(403))] {
            assert_eq!(admitted(&[&[("host", host)], fetch.as_slice()].concat()), outcome, "{host}");
        }
    }
}
