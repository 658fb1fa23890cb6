//! Where the dashboard is: the names it is opened by, with or without TLS, and the cookie that belongs to that place.

use std::net::SocketAddr;

use hyper::http::uri::Authority;

/// Names, port and scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    bound: SocketAddr,
    /// Names of hosts and addresses, without brackets and in lower case.
    names: Vec<String>,
    secure: bool,
}

impl Place {
    /// Without TLS, on loopback: localhost, its addresses, and the address listened on.
    pub(crate) fn plain(bound: SocketAddr) -> Self {
        Self { bound, names: own_names(bound), secure: false }
    }

    /// With TLS: the names of the certificate too.
    pub(crate) fn secure(bound: SocketAddr, certified: &[String]) -> Self {
        let mut names = own_names(bound);
        names.extend(certified.iter().map(|name| name.to_ascii_lowercase()));
        Self { bound, names, secure: true }
    }

    /// `http` or `https`.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// What a link to us begins with. With TLS and where the certificate does not name the address, by its first name:
    /// a browser would refuse another.
    pub(crate) fn origin(&self, certified: &[String]) -> String {
        let (ip, port) = (self.bound.ip(), self.bound.port());
        let by_name = self.secure && !certified.contains(&ip.to_string());
        match certified.first().filter(|_| by_name) {
            Some(name) if name.contains(':') => format!("https://[{name}]:{port}"),
            Some(name) => format!("https://{name}:{port}"),
            None => format!("{}://{}", self.scheme(), self.bound),
        }
    }

    /// Whether this is the authority of a URL of ours.
    pub(crate) fn is_ours(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(if self.secure { 443 } else { 80 });
        !host.contains('@') && port == self.bound.port() && self.names.contains(&name)
    }

    /// The name of the session cookie: cookies know no ports, so the name does. With TLS its prefix has the browser take
    /// it from this host alone, over TLS alone (RFC 6265bis, 4.1.3.2).
    pub(crate) fn cookie(&self) -> String {
        format!("{}fleetkey-{}", if self.secure { "__Host-" } else { "" }, self.bound.port())
    }

    /// The attributes of every cookie of ours.
    pub(crate) const fn attributes(&self) -> &'static str {
        if self.secure {
            "Path=/; HttpOnly; SameSite=Strict; Secure"
        } else {
            "Path=/; HttpOnly; SameSite=Strict"
        }
    }
}

fn own_names(bound: SocketAddr) -> Vec<String> {
    let ip = bound.ip();
    let mut names = Vec::new();
    if ip.is_loopback() {
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    }
    if !ip.is_unspecified() {
        names.push(ip.to_string());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secure(bound: &str, names: &[&str]) -> (Place, Vec<String>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        (Place::secure(bound.parse().unwrap(), &names), names)
    }

    #[test]
    fn with_tls_the_certificates_names_are_ours_and_localhost_is_not() {
        let (place, _) = secure("0.0.0.0:8443", &["Fleet.example", "192.0.2.7"]);
        for ours in ["fleet.example:8443", "FLEET.example:8443", "192.0.2.7:8443"] {
            assert!(place.is_ours(ours), "{ours}");
        }
        for other in [
            "fleet.example",
            "localhost:8443",
            "0.0.0.0:8443",
            "x.fleet.example:8443",
            "a@fleet.example:8443",
        ] {
            assert!(!place.is_ours(other), "{other}");
        }
        let (place, _) = secure("192.0.2.7:443", &["fleet.example"]);
        assert!(place.is_ours("fleet.example") && place.is_ours("192.0.2.7"));
    }

    #[test]
    fn a_link_names_what_the_certificate_names() {
        for (bound, names, origin) in [
            ("0.0.0.0:8443", ["fleet.example", "192.0.2.7"].as_slice(), "https://fleet.example:8443"),
            ("192.0.2.7:8443", &["fleet.example", "192.0.2.7"], "https://192.0.2.7:8443"),
            ("[::]:8443", &["2001:db8::1"], "https://[2001:db8::1]:8443"),
        ] {
            let (place, names) = secure(bound, names);
            assert_eq!(place.origin(&names), origin);
        }
        let plain = Place::plain("127.0.0.1:80".parse().unwrap());
        assert_eq!(plain.origin(&[]), "http://127.0.0.1:80");
        assert!(plain.is_ours("localhost"));
    }

    #[test]
    fn only_over_tls_a_cookie_is_secure() {
        let (secure, _) = secure("192.0.2.7:8443", &[]);
        assert_eq!(secure.cookie(), "__Host-fleetkey-8443");
        assert!(secure.attributes().ends_with("; Secure"));
        let plain = Place::plain("127.0.0.1:1".parse().unwrap());
        assert_eq!((plain.cookie().as_str(), plain.attributes().contains("Secure")), ("fleetkey-1", false));
    }
}
