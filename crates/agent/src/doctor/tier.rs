//! The tiers between a device's files and its messages, in the order in which a connection meets them.

use core::fmt;

use serde::Serialize;

/// Where something can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The certificate, its key and the trusted roots, as files.
    Files,
    /// Whom the certificate and the client id name.
    Identity,
    /// The time of day.
    Clock,
    /// The endpoint's name in the DNS.
    Name,
    /// The way to its port.
    Tcp,
    /// The server's side of TLS: version, chain, name, ALPN, SNI.
    ServerTls,
    /// Our side of TLS.
    ClientTls,
    /// Whether the account takes the certificate: registered, ACTIVE.
    Certificate,
    /// `iot:Connect` under the client id.
    Connect,
    /// `iot:Subscribe`.
    Subscribe,
    /// `iot:Publish`.
    Publish,
    /// `iot:Receive`.
    Receive,
}

impl Tier {
    /// All tiers, in order.
    pub const ALL: [Self; 12] = [
        Self::Files,
        Self::Identity,
        Self::Clock,
        Self::Name,
        Self::Tcp,
        Self::ServerTls,
        Self::ClientTls,
        Self::Certificate,
        Self::Connect,
        Self::Subscribe,
        Self::Publish,
        Self::Receive,
    ];

    /// As JSON and people are told, for example `server_tls`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Identity => "identity",
            Self::Clock => "clock",
            Self::Name => "name",
            Self::Tcp => "tcp",
            Self::ServerTls => "server_tls",
            Self::ClientTls => "client_tls",
            Self::Certificate => "certificate",
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Receive => "receive",
        }
    }

    /// The exit code of a program that found this tier to be the first that fails: 10 and on, in order.
    pub const fn exit_code(self) -> u8 {
        10 + self as u8
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_order_and_names_are_those_of_json() {
        for (code, tier) in (10..).zip(Tier::ALL) {
            assert_eq!(tier.exit_code(), code);
            assert_eq!(serde_json::to_value(tier).unwrap(), tier.as_str());
        }
    }
}
