//! Links and clients against a broker that a test plays by hand, over a stream in memory and virtual time.

#![cfg(feature = "io")]
#![cfg(test)]

mod broker;
mod client;
mod connecting;
mod keeping_alive;
mod stepping;

use std::time::Duration;

use fleetkey_mqtt::link::{ConnectOptions, Connected, Link};
use fleetkey_mqtt::session::{Event, Outgoing, Session, SessionConfig};
use fleetkey_mqtt::{Properties, QoS, Version};
use tokio::io::{DuplexStream, duplex};

use broker::Broker;

const SECOND: Duration = Duration::from_secs(1);

/// Keep alive 30 s, PINGRESP within 5 s.
fn options(version: Version) -> ConnectOptions {
    ConnectOptions { version, ping_timeout: 5 * SECOND, ..ConnectOptions::new("device") }
}

/// A connected link, its session and its broker, with so many bytes between them.
async fn connected(version: Version, between: usize) -> (Link<DuplexStream>, Session, Broker) {
    connected_with(version, between, Properties::new()).await
}

async fn connected_with(
    version: Version,
    between: usize,
    properties: Properties,
) -> (Link<DuplexStream>, Session, Broker) {
    let (near, far) = duplex(between);
    let mut broker = Broker::new(far, version);
    let options = options(version);
    let (connected, _) = tokio::join!(Link::connect(near, &options, SECOND), broker.accept(properties));
    let (link, connected): (_, Connected) = connected.expect("accepted");
    let mut session = Session::new(SessionConfig::default());
    connected.begin(&mut session);
    (link, session, broker)
}

fn message(payload: &str) -> Outgoing {
    Outgoing::new("t", payload.to_owned(), QoS::AtLeastOnce)
}

fn happened(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}
