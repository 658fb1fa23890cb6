//! By which names we may be called: a page that somebody visits can rebind a name of its own to 127.0.0.1 and read what
//! is served there, unless the `Host` header is held to our names.

use std::net::IpAddr;

use hyper::http::uri::Authority;
use hyper::{HeaderMap, StatusCode};

use crate::reply::Refused;

/// Our names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    hosts: Vec<String>,
}

impl Guard {
    /// Localhost and its addresses, the address that we listen on, and `hosts`.
    pub(crate) fn new(bound: IpAddr, hosts: &[String]) -> Self {
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let named = hosts.iter().map(|host| host.to_ascii_lowercase());
        Self { hosts: own.into_iter().chain([bound.to_string()]).chain(named).collect() }
    }

    /// Lets a request through.
    ///
    /// # Errors
    /// 400 without one `Host`, 403 for a foreign one and for requests that another site's page makes.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut hosts = headers.get_all("host").iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refused(StatusCode::BAD_REQUEST, "a request needs one Host header"));
        };
        if !self.knows(host.to_str().unwrap_or_default()) {
            return Err(Refused(StatusCode::FORBIDDEN, "this host is none of ours; --host NAME adds a name"));
        }
        let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
        match site {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) => Err(Refused(StatusCode::FORBIDDEN, "requests of other sites' pages are refused")),
        }
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
        let guard = Guard::new("127.0.0.1".parse().unwrap(), &["Control.example".to_owned()]);
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        guard.admit(&headers.collect()).map_err(|refused| refused.0.as_u16())
    }

    #[test]
    fn our_own_names_are_let_in_with_any_port_and_foreign_ones_are_not() {
        for host in ["localhost", "LOCALHOST:9464", "127.0.0.1:1", "[::1]:9464", "control.example"] {
            assert_eq!(admitted(&[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example", "localhost@evil.example", "user@localhost", "", "localhost:1:2", "[::1"]
        {
            assert_eq!(admitted(&[("host", host)]), Err(403), "{host}");
        }
        assert_eq!(admitted(&[]), Err(400));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for (site, expected) in
            [("same-origin", Ok(())), ("none", Ok(())), ("cross-site", Err(403)), ("same-site", Err(403))]
        {
            assert_eq!(admitted(&[("host", "localhost"), ("sec-fetch-site", site)]), expected, "{site}");
        }
    }
}
