//! What the sidecar is told once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::relay::{QueueLimits, Settings};
use super::route::Route;
use super::secure::TlsListen;
use crate::config::AgentConfig;
use crate::live::MAX_PAYLOAD;

/// Unanswered QoS 1 messages at once, either way (AWS IoT Core quotas).
const WINDOW: u16 = 100;
/// Messages a second on one connection (AWS IoT Core quotas): what is more it throws away.
const RATE: usize = 100;
/// Filters in one SUBSCRIBE (AWS IoT Core quotas).
const FILTERS: usize = 8;
/// Seconds that a session outlives a link: long enough for a rotation, short enough that a dead client's is gone soon.
const EXPIRY_FLOOR: u32 = 300;

/// The settings of the sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarSettings {
    /// Where clients come in; at least one place.
    pub listen: Vec<Listen>,
    /// Clients that belong to other agents.
    pub routes: Vec<Route>,
    /// How long a hand-over waits for the broker's answers that are still out.
    pub drain: Duration,
    /// How long a client is held while the broker is out of reach; then its connection is closed.
    pub max_hold: Duration,
    /// Packets of the client that may wait; beyond it the client is read no further, and of QoS 0 messages the oldest
    /// are dropped.
    pub queue: usize,
    /// Bytes that may wait, by the same rule.
    pub queue_bytes: usize,
    /// Messages of the client a second that the broker takes; what is more waits. 0 is no bound.
    pub messages_per_second: usize,
}

/// A place where clients come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Plain MQTT over TCP: only on a loopback address, where no other machine can listen or pretend.
    Tcp(SocketAddr),
    /// Plain MQTT over a unix socket: who may write to the socket file may be the client. Its mode is 0660.
    Unix(PathBuf),
    /// MQTT over TLS under a local CA, with a user name and password each.
    Tls(TlsListen),
}

impl SidecarSettings {
    /// Listens there, with defaults for everything else.
    pub fn new(listen: Vec<Listen>) -> Self {
        Self {
            listen,
            routes: Vec::new(),
            drain: Duration::from_secs(1),
            max_hold: Duration::from_secs(10),
            queue: 1000,
            queue_bytes: 8 * 1024 * 1024,
            messages_per_second: RATE,
        }
    }

    /// Whether the settings can be used.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub fn check(&self) -> Result<(), String> {
        if self.listen.is_empty() {
            return Err("[sidecar] listens nowhere: add [[sidecar.listen]]".into());
        }
        if self.queue == 0 || self.queue_bytes == 0 {
            return Err("sidecar.queue and sidecar.queue_bytes must be more than nothing".into());
        }
        if self.max_hold.is_zero() {
            return Err("sidecar.max_hold must be longer than nothing".into());
        }
        if self.routes.iter().any(|route| route.client_id.is_none() && route.user.is_none()) {
            return Err("sidecar.route needs client_id or user, or everybody would be passed on".into());
        }
        let nameless = |listen: &Listen| matches!(listen, Listen::Tls(tls) if tls.names.is_empty());
        if self.listen.iter().any(nameless) {
            return Err(
                "sidecar.listen: tls needs names, the host names or addresses that clients know it by".into(),
            );
        }
        let open = self.listen.iter().find_map(|listen| match listen {
            Listen::Tcp(address) if !address.ip().is_loopback() => Some(address),
            Listen::Tcp(_) | Listen::Unix(_) | Listen::Tls(_) => None,
        });
        match open {
            Some(address) => Err(format!(
                "sidecar.listen: plain MQTT on {address} would let anybody on the network be the device; use 127.0.0.1"
            )),
            None => Ok(()),
        }
    }

    pub(super) fn relay(&self, config: &AgentConfig) -> Settings {
        Settings {
            client_id: config.thing().as_str().into(),
            keep_alive: config.session.keep_alive,
            ping_timeout: config.timeouts.connect,
            spacing: config.session.connect_spacing,
            drain: self.drain,
            part: Duration::from_secs(1).min(self.max_hold),
            connect: config.timeouts.connect,
            max_hold: self.max_hold,
            reconnect_cap: config.session.reconnect_cap,
            window: WINDOW,
            rate: self.messages_per_second,
            queue: QueueLimits { packets: self.queue, bytes: self.queue_bytes },
            filters_per_subscribe: FILTERS,
            expiry_floor: EXPIRY_FLOOR,
            max_payload: MAX_PAYLOAD,
            max_packet: fleetkey_mqtt::Limits::default().max_packet,
        }
    }
}

impl core::fmt::Display for Listen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Unix(path) => write!(f, "unix {}", path.display()),
            Self::Tls(tls) => write!(f, "tls {}", tls.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_let_strangers_in_or_nobody_is_refused() {
        let check = |listen| SidecarSettings::new(listen).check();
        assert!(check(vec![]).unwrap_err().contains("listens nowhere"));
        let open = check(vec![Listen::Tcp("0.0.0.0:1883".parse().unwrap())]);
        assert!(open.unwrap_err().contains("127.0.0.1"));
        let fine = vec![Listen::Tcp("[::1]:0".parse().unwrap()), Listen::Unix("/run/x".into())];
        assert_eq!(check(fine.clone()), Ok(()));
        let everybody = Route { client_id: None, user: None, to: "/run/other".into() };
        let passes = SidecarSettings { routes: vec![everybody], ..SidecarSettings::new(fine) };
        assert!(passes.check().unwrap_err().contains("everybody"));
    }
}
