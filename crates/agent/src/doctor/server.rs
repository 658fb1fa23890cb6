//! The server's side of TLS: does it speak TLS at all, does it mind our ALPN or SNI, and is it the right server?

use std::net::SocketAddr;
use std::time::Duration;

use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::time::Timestamp;
use fleetkey_mqtt::link::{ConnectOptions, Link};
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::trust::{self, Trust};
use super::{Check, Target, Tier};
use crate::tls::{Hello, NoTls, Roots, Seen, inspect};

/// The protocol that AWS serves MQTT by on port 443 (Developer Guide, protocols).
const ALPN_MQTT: &str = "x-amzn-mqtt-ca";

/// What the server showed, judged.
#[derive(Debug)]
pub(super) struct Server {
    /// Whether a connection may be tried.
    pub(super) trusted: bool,
    /// The span in which its certificate is valid.
    pub(super) validity: Option<(Timestamp, Timestamp)>,
    pub(super) checks: Vec<Check>,
}

impl Server {
    /// Looks at whoever answers at `address`. What time it is matters to nothing here.
    pub(super) async fn look(target: &Target, address: SocketAddr, now: Timestamp) -> Self {
        let text = target.endpoint.server_name.as_ref().unwrap_or(&target.endpoint.host);
        let Ok(name) = ServerName::try_from(text.clone()) else {
            let check = Check::failed(Tier::ServerTls, "name", format!("{text:?} is no host name"));
            return Self { trusted: false, validity: None, checks: vec![check] };
        };
        let hello = Hello { sni: target.sni, alpn: target.endpoint.alpn.clone() };
        match inspect(address, &name, &hello, target.limit).await {
            Ok(seen) => Self::judge(target, &name, &seen, now),
            Err(trouble) => {
                let check = explain(target, address, &name, &hello, &trouble).await;
                Self { trusted: false, validity: None, checks: vec![check] }
            }
        }
    }

    fn judge(target: &Target, name: &ServerName<'static>, seen: &Seen, now: Timestamp) -> Self {
        let mut checks = vec![Check::ok(Tier::ServerTls, "version", seen.version)];
        let Some(leaf) = seen.chain.first().and_then(|der| CertificateFacts::from_der(der).ok()) else {
            checks.push(Check::failed(Tier::ServerTls, "chain", "the server's certificate does not read"));
            return Self { trusted: false, validity: None, checks };
        };
        // Within its validity, so that a wrong clock is not taken for a wrong chain.
        let at = now.max(leaf.not_before).min(leaf.not_after);
        let chain = chain_check(target, seen, at);
        let named = name_check(target, name, seen);
        let good = |check: &Check| check.verdict == super::Verdict::Ok;
        let trusted = good(&chain) && good(&named);
        checks.extend([chain, named]);
        Self { trusted, validity: Some((leaf.not_before, leaf.not_after)), checks }
    }

    /// That the server's certificate is over, where the clock is known to be right.
    pub(super) fn expired(&self, now: Timestamp) -> Option<Check> {
        let (not_before, not_after) = self.validity?;
        (now > not_after || now < not_before).then(|| {
            Check::failed(
                Tier::ServerTls,
                "validity",
                format!("the server's certificate is valid from {not_before} to {not_after}"),
            )
            .why(format!("it is {now}"))
            .todo("this is the server's business, or it is not the server you mean")
        })
    }
}

fn chain_check(target: &Target, seen: &Seen, at: Timestamp) -> Check {
    let roots = match Roots::new(target.roots.clone()).load() {
        Ok(roots) => roots,
        Err(error) => return Check::not_checked(Tier::ServerTls, "chain", error.to_string()),
    };
    match trust::chain(&seen.chain, &roots, at) {
        Trust::Given => Check::ok(Tier::ServerTls, "chain", "it ends at a root that is trusted"),
        Trust::Refused(why) => {
            let check =
                Check::failed(Tier::ServerTls, "chain", "the server's chain ends at no root that is trusted");
            let check = check
                .why(format!("{why}; its last certificate is issued by {}", trust::last_issuer(&seen.chain)));
            check.todo(match trust::known(target.known_roots.as_ref(), &seen.chain, at) {
                Some(name) => format!("trust {name}: it is there that the chain ends"),
                None => {
                    "trust the root of this broker (Amazon's roots, or root-ca.pem of a local IoT Core); \
                         if it is none of these, somebody stands between"
                        .to_owned()
                }
            })
        }
    }
}

fn name_check(target: &Target, name: &ServerName<'static>, seen: &Seen) -> Check {
    match trust::name(&seen.chain, name) {
        Trust::Given => {
            Check::ok(Tier::ServerTls, "name", format!("the certificate is for {}", name.to_str()))
        }
        Trust::Refused(why) => Check::failed(
            Tier::ServerTls,
            "name",
            format!("the server's certificate is not for {}", name.to_str()),
        )
        .why(why)
        .todo(match target.sni {
            true => "use the endpoint's own name: aws iot describe-endpoint --endpoint-type iot:Data-ATS",
            false => "send the server's name (SNI): without it a server shows its default certificate",
        }),
    }
}

/// The same again with one thing changed: what helps is what was wrong.
async fn explain(
    target: &Target,
    address: SocketAddr,
    name: &ServerName<'static>,
    hello: &Hello,
    trouble: &NoTls,
) -> Check {
    let check = Check::failed(Tier::ServerTls, "handshake", format!("no TLS with {address}: {trouble}"));
    if *trouble == NoTls::Alert(AlertDescription::ProtocolVersion)
        || matches!(trouble, NoTls::Incompatible(_))
    {
        return check
            .why("this program speaks TLS 1.2 and 1.3, as AWS asks for; the server speaks neither")
            .todo("AWS IoT Core speaks both: this is another server, or something stands between");
    }
    for (other, why, todo) in variants(target, hello) {
        if inspect(address, name, &other, target.limit).await.is_ok() {
            return check.why(why).todo(todo);
        }
    }
    if speaks_plain_mqtt(address, target.limit).await {
        return check
            .why("it answers MQTT without TLS")
            .todo("this is a plain port: take the one for TLS, 8883 on AWS");
    }
    check.todo("look whether this is the broker's port for MQTT over TLS, and what stands between")
}

fn variants(target: &Target, hello: &Hello) -> Vec<(Hello, String, String)> {
    let port = target.endpoint.port;
    let mut variants = Vec::new();
    match &hello.alpn {
        None => variants.push((
            Hello { alpn: Some(ALPN_MQTT.to_owned()), ..hello.clone() },
            format!("it takes the handshake with ALPN {ALPN_MQTT}"),
            format!("have the client offer ALPN {ALPN_MQTT} on port {port}, or use 8883"),
        )),
        Some(alpn) => variants.push((
            Hello { alpn: None, ..hello.clone() },
            format!("it takes the handshake without ALPN {alpn}"),
            format!("do not offer {alpn} on port {port}"),
        )),
    }
    if !hello.sni {
        variants.push((
            Hello { sni: true, ..hello.clone() },
            "it takes the handshake of a client that sends the server's name (SNI)".to_owned(),
            "have the client send SNI: libraries call it server name, servername or tls host".to_owned(),
        ));
    }
    variants
}

/// A CONNECT without TLS, with an id that is nobody's and nothing secret in it.
async fn speaks_plain_mqtt(address: SocketAddr, limit: Duration) -> bool {
    let Ok(Ok(tcp)) = tokio::time::timeout(limit, TcpStream::connect(address)).await else {
        return false;
    };
    let options =
        ConnectOptions { version: fleetkey_mqtt::Version::V311, ..ConnectOptions::new("fleetkey-doctor") };
    use fleetkey_mqtt::link::ConnectError::Refused;
    matches!(Link::connect(tcp, &options, limit).await, Ok(_) | Err(Refused(_)))
}
