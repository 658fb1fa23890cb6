//! What the sidecar is told once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
/// QoS 0 messages that may wait: of ten seconds, the longest hold, at four hundred a second.
const QUEUE: usize = 4000;
/// Bytes that may wait: some 27 000 small messages, which are gone in less than five minutes at a hundred a second.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
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
    /// QoS 0 messages of the client that may wait; beyond it the oldest are dropped.
    pub queue: usize,
    /// Bytes of memory that what waits of the client may take, at any QoS; beyond it the oldest QoS 0 messages are
    /// dropped, and where there are none the client is read no further. Its PINGREQs are not heard then.
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
            queue: QUEUE,
            queue_bytes: QUEUE_BYTES,
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
        if self.drain > self.longest_drain() {
            return Err(format!(
                "sidecar.drain ({:?}) must be at most half of sidecar.max_hold ({:?}): a client is held while answers \
                 are waited for, and closed after max_hold; lower drain or raise max_hold",
                self.drain, self.max_hold
            ));
        }
        if let Some(to) = self.circle() {
            return Err(format!(
                "sidecar.route: to = {to:?} is this agent's own sidecar, and a client would be passed round and round; \
                 name the socket of the other agent's, or leave the route out: who fits none is this device's client"
            ));
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
        let unfit = |listen: &Listen| match listen {
            Listen::Tls(tls) => tls.unfit_name().map(str::to_owned),
            Listen::Tcp(_) | Listen::Unix(_) => None,
        };
        if let Some(name) = self.listen.iter().find_map(unfit) {
            return Err(format!(
                "sidecar.listen: names has {name:?}, which is neither a host name (in ASCII, an international one as \
                 xn--...) nor an IP address: no client could know the server by it"
            ));
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

    /// The longest `drain` that leaves time for the link that follows it.
    pub(crate) fn longest_drain(&self) -> Duration {
        self.max_hold / 2
    }

    /// A route that leads to a socket which is listened on here.
    pub(super) fn circle(&self) -> Option<PathBuf> {
        let own: Vec<_> = self
            .listen
            .iter()
            .filter_map(|listen| match listen {
                Listen::Unix(path) => Some(in_full(path)),
                Listen::Tcp(_) | Listen::Tls(_) => None,
            })
            .collect();
        self.routes.iter().map(|route| &route.to).find(|to| own.contains(&in_full(to))).cloned()
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
            queue: QueueLimits { quality_zero: self.queue, bytes: self.queue_bytes },
            filters_per_subscribe: FILTERS,
            expiry_floor: EXPIRY_FLOOR,
            max_payload: MAX_PAYLOAD,
            max_packet: fleetkey_mqtt::Limits::default().max_packet,
        }
    }
}

/// The path without links and dots, as far as it is there: a socket may not be yet.
fn in_full(path: &Path) -> PathBuf {
    let beside = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
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

    #[test]
    fn a_drain_that_leaves_no_time_for_the_new_link_is_refused() {
        let fine = SidecarSettings::new(vec![Listen::Unix("/run/x".into())]);
        let drains =
            |seconds| SidecarSettings { drain: Duration::from_secs(seconds), ..fine.clone() }.check();
        assert_eq!((drains(0), drains(5)), (Ok(()), Ok(())));
        for seconds in [6, 10, 3600] {
            let error = drains(seconds).unwrap_err();
            assert!(error.contains("sidecar.drain") && error.contains("max_hold (10s)"), "{error}");
        }
    }

    #[test]
    fn a_route_to_the_agents_own_socket_is_refused_however_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("mqtt.sock");
        let alias = dir.path().join("alias");
        std::os::unix::fs::symlink(dir.path(), &alias).unwrap();
        let listens = SidecarSettings::new(vec![Listen::Unix(own.clone())]);
        let to = |to: &Path| {
            let route = Route { client_id: Some("plc".into()), user: None, to: to.to_owned() };
            SidecarSettings { routes: vec![route], ..listens.clone() }.check()
        };
        let dotted = dir.path().join("./mqtt.sock");
        for path in [&own, &alias.join("mqtt.sock"), &dotted] {
            let error = to(path).unwrap_err();
            assert!(error.contains("own sidecar") && error.contains("mqtt.sock"), "{error}");
        }
        assert_eq!(to(&dir.path().join("other.sock")), Ok(()));
        std::fs::write(&own, "").unwrap();
        std::os::unix::fs::symlink(&own, dir.path().join("link")).unwrap();
        assert!(to(&dir.path().join("link")).is_err());
    }

    #[test]
    fn a_name_that_no_client_can_know_a_server_by_is_refused_and_named() {
        let check = |names: &[&str]| {
            let tls = TlsListen {
                address: "0.0.0.0:8883".parse().unwrap(),
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                directory: "ca".into(),
                users: "users".into(),
            };
            SidecarSettings::new(vec![Listen::Tls(tls)]).check()
        };
        assert_eq!(check(&["gateway.plant", "gw_1", "192.168.1.5", "fe80::1", "*.plant"]), Ok(()));
        for unfit in ["", "\u{e4}", "a b", "https://gateway", "gateway:8883", "*"] {
            let error = check(&["localhost", unfit]).unwrap_err();
            assert!(error.contains(&format!("{unfit:?}")), "{error}");
        }
    }
}
