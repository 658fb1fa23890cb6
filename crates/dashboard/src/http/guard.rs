//! Who may speak to us: requests to our own names only, and orders only from our own pages.
//!
//! A page that somebody visits can make the browser send requests to 127.0.0.1 (cross-site request forgery), and by
//! rebinding a name of its own to 127.0.0.1 it can read the answers. `Host` ends the second; `Sec-Fetch-Site`, or
//! `Origin` from browsers that do not send it, ends the first.

use hyper::HeaderMap;

use super::Place;

/// Knows where we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    place: Place,
}

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stranger {
    /// `Host` is missing, is there twice, or names somebody else.
    #[error("this address is none of ours: open the dashboard by the address that it printed")]
    Host,
    /// Another site's page asks.
    #[error("another site sent this request; open the page here and try again")]
    Origin,
}

impl Guard {
    /// Of this place.
    pub(crate) const fn new(place: Place) -> Self {
        Self { place }
    }

    /// The place.
    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Lets a request to one of our names through.
    ///
    /// # Errors
    /// [`Stranger::Host`].
    pub(crate) fn host(&self, headers: &HeaderMap) -> Result<(), Stranger> {
        let host = single(headers, "host").ok_or(Stranger::Host)?;
        if self.place.is_ours(host) { Ok(()) } else { Err(Stranger::Host) }
    }

    /// Lets an order through that a page of ours sent.
    ///
    /// # Errors
    /// [`Stranger::Origin`] when the browser says otherwise, or nothing.
    pub(crate) fn same_origin(&self, headers: &HeaderMap) -> Result<(), Stranger> {
        let ours = match (headers.contains_key("sec-fetch-site"), headers.contains_key("origin")) {
            (true, _) => single(headers, "sec-fetch-site") == Some("same-origin"),
            (false, true) => {
                single(headers, "origin").is_some_and(|origin| self.is_our_origin(origin, headers))
            }
            (false, false) => false,
        };
        if ours { Ok(()) } else { Err(Stranger::Origin) }
    }

    /// Refuses what another site's page embeds or fetches. Following a link from there is no such thing.
    ///
    /// # Errors
    /// [`Stranger::Origin`].
    pub(crate) fn not_embedded(&self, headers: &HeaderMap) -> Result<(), Stranger> {
        let site = single(headers, "sec-fetch-site");
        let follows_a_link = single(headers, "sec-fetch-mode") == Some("navigate")
            && single(headers, "sec-fetch-dest") == Some("document");
        match site {
            Some("cross-site" | "same-site") if !follows_a_link => Err(Stranger::Origin),
            _ => Ok(()),
        }
    }

    fn is_our_origin(&self, origin: &str, headers: &HeaderMap) -> bool {
        let host = single(headers, "host");
        origin
            .strip_prefix(self.place.scheme())
            .and_then(|rest| rest.strip_prefix("://"))
            .is_some_and(|authority| self.place.is_ours(authority) && Some(authority) == host)
    }
}

/// The value of a header that is there once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn guard() -> Guard {
        Guard::new(Place::plain("127.0.0.1:8321".parse().unwrap()))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn our_names_with_our_port_are_let_in_and_no_others() {
        for host in ["127.0.0.1:8321", "localhost:8321", "LOCALHOST:8321", "[::1]:8321"] {
            assert_eq!(guard().host(&headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in [
            "evil.example:8321",
            "localhost",
            "localhost:80",
            "localhost.evil.example:8321",
            "127.0.0.1.evil.example:8321",
            "x@localhost:8321",
            "localhost:8321@evil.example",
            "",
            "localhost:8321:1",
        ] {
            assert_eq!(guard().host(&headers(&[("host", host)])), Err(Stranger::Host), "{host}");
        }
        assert_eq!(guard().host(&headers(&[])), Err(Stranger::Host));
        let twice = headers(&[("host", "localhost:8321"), ("host", "localhost:8321")]);
        assert_eq!(guard().host(&twice), Err(Stranger::Host));
    }

    #[test]
    fn orders_come_from_our_own_pages_only() {
        let host = ("host", "localhost:8321");
        let good = [("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8321")];
        for pair in good {
            assert_eq!(guard().same_origin(&headers(&[host, pair])), Ok(()), "{pair:?}");
        }
        for pair in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("origin", "http://evil.example"),
            ("origin", "http://127.0.0.1:8321"),
            ("origin", "http://localhost:8322"),
            ("origin", "null"),
            ("accept", "text/html"),
        ] {
            assert_eq!(guard().same_origin(&headers(&[host, pair])), Err(Stranger::Origin), "{pair:?}");
        }
        // What the browser says of the site counts, whatever the origin.
        let both = headers(&[host, ("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8321")]);
        assert_eq!(guard().same_origin(&both), Err(Stranger::Origin));
    }

    #[test]
    fn a_link_from_elsewhere_may_be_followed_but_nothing_embedded() {
        let cross = ("sec-fetch-site", "cross-site");
        let link = headers(&[cross, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]);
        assert_eq!(guard().not_embedded(&link), Ok(()));
        let frame = headers(&[cross, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]);
        assert_eq!(guard().not_embedded(&frame), Err(Stranger::Origin));
        assert_eq!(
            guard().not_embedded(&headers(&[cross, ("sec-fetch-mode", "cors")])),
            Err(Stranger::Origin)
        );
        assert_eq!(guard().not_embedded(&headers(&[])), Ok(()));
    }
}
