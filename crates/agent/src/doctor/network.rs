//! From a name to an open port.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::{Check, Target, Tier};

/// How far the network goes.
#[derive(Debug)]
pub(super) struct Network {
    /// An address that takes connections on the broker's port.
    pub(super) open: Option<SocketAddr>,
    pub(super) checks: Vec<Check>,
}

impl Network {
    /// Resolves the endpoint and tries its addresses one after the other.
    pub(super) async fn explore(target: &Target) -> Self {
        let host = target.endpoint.host.as_str();
        let addresses = match resolve(host, target.endpoint.port, target.limit).await {
            Ok(addresses) => addresses,
            Err(why) => return Self { open: None, checks: vec![unresolved(host, &why)] },
        };
        let listed: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
        let named = Check::ok(Tier::Name, "host", format!("{host} is {}", listed.join(", ")));
        let (open, trouble) = first_open(&addresses, target.limit).await;
        let check = match open {
            Some(address) => Check::ok(Tier::Tcp, "port", format!("{address} takes connections")),
            None => closed(target, &addresses, &trouble).await,
        };
        Self { open, checks: vec![named, check] }
    }
}

async fn resolve(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    let found = timeout(limit, lookup_host((host, port))).await;
    let found =
        found.map_err(|_| format!("no answer within {limit:?}"))?.map_err(|error| error.to_string())?;
    let addresses: Vec<_> = found.collect();
    if addresses.is_empty() { Err("it has no address".into()) } else { Ok(addresses) }
}

fn unresolved(host: &str, why: &str) -> Check {
    Check::failed(Tier::Name, "host", format!("{host} does not resolve")).why(why).todo(
        "compare with: aws iot describe-endpoint --endpoint-type iot:Data-ATS; then look at the device's DNS",
    )
}

async fn first_open(addresses: &[SocketAddr], limit: Duration) -> (Option<SocketAddr>, String) {
    let mut trouble = Vec::new();
    for address in addresses {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return (Some(*address), String::new()),
            Ok(Err(error)) => trouble.push(format!("{address}: {error}")),
            Err(_) => trouble.push(format!("{address}: no answer within {limit:?}")),
        }
    }
    (None, trouble.join("; "))
}

/// Whether the other of the broker's two ports is open tells a firewall from a host that is not there.
async fn closed(target: &Target, addresses: &[SocketAddr], trouble: &str) -> Check {
    let (port, other) = (target.endpoint.port, target.alpn_port);
    let check = Check::failed(Tier::Tcp, "port", format!("port {port} takes no connections")).why(trouble);
    let others: Vec<_> = addresses.iter().map(|address| SocketAddr::new(address.ip(), other)).collect();
    if other != port && first_open(&others, target.limit).await.0.is_some() {
        return check.todo(format!(
            "port {other} is open: let {port} through the firewall, or use {other} with ALPN x-amzn-mqtt-ca"
        ));
    }
    check.todo(
        "look at the endpoint's host and port, then at firewalls: AWS has MQTT on 8883, and on 443 with ALPN",
    )
}
