//! The session through its public face: scenarios, and any interleaving of what a connection can do to it.

#![cfg(test)]

mod any_inbound;
mod any_outbound;
mod scenarios;

use fleetkey_mqtt::session::{Event, Outgoing, Session};
use fleetkey_mqtt::{Packet, QoS};

/// Everything it wants to send now.
fn transmitted(session: &mut Session) -> Vec<Packet> {
    std::iter::from_fn(|| session.poll_transmit()).collect()
}

/// Everything that happened.
fn happened(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

fn message(payload: &str, qos: QoS) -> Outgoing {
    Outgoing::new("t", payload.to_owned(), qos)
}
