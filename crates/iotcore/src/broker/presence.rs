//! What GetConnection knows: who is connected how, and who was until half an hour ago.
//!
//! Source: Developer Guide, connection APIs (facts are kept for 30 minutes after the end of a connection).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;

use super::link::Link;
use super::table::ConnectionInfo;
use super::{Broker, DisconnectReason, lock};
use crate::events::{Event, Subject};

/// How long a connection is remembered after its end.
const MEMORY: Duration = Duration::from_secs(30 * 60);

/// How a client is connected, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presence {
    /// What its CONNECT asked for and was granted.
    pub(crate) terms: Terms,
    /// When the connection began.
    pub(crate) since: Timestamp,
    /// Where it comes from.
    pub(crate) source: IpAddr,
    /// When and why it ended, if it has.
    pub(crate) gone: Option<(Timestamp, DisconnectReason)>,
    link: u64,
}

/// What a CONNECT was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Whether it asked for a clean session.
    pub(crate) clean: bool,
    /// As clamped.
    pub(crate) keep_alive: Duration,
    /// How long the session outlives the connection.
    pub(crate) session_expiry: Duration,
    /// The thing that owns its certificate exclusively.
    pub(crate) thing: Option<ThingName>,
}

/// Presence by client id.
pub(super) type Presences = HashMap<ClientId, Presence>;

impl Broker {
    /// Notes that a connection has begun.
    pub(super) fn note_arrival(&self, link: &Link, info: &Arc<ConnectionInfo>, terms: Terms) {
        let presence = Presence { terms, since: info.since, source: info.ip, gone: None, link: link.id };
        lock(&self.presences).insert(info.client_id.clone(), presence);
    }

    /// Notes that a connection has ended, unless its client id is connected again by now.
    pub(super) fn note_departure(&self, link: &Link, client: &ClientId, reason: DisconnectReason) {
        let now = self.now();
        let mut presences = lock(&self.presences);
        if let Some(presence) = presences.get_mut(client).filter(|presence| presence.link == link.id) {
            presence.gone = Some((now, reason));
        }
    }

    /// Forgets connections that ended long ago.
    pub(super) fn expire_presences(&self) {
        let now = self.now();
        lock(&self.presences)
            .retain(|_, presence| presence.gone.is_none_or(|(gone, _)| now.since(gone) < MEMORY));
    }

    /// Tells of the beginning or the end of a connection that there never was.
    pub(crate) fn rehearse(
        &self,
        client: &ClientId,
        certificate: &CertificateId,
        session: &str,
        begins: bool,
    ) {
        let subject = Subject { client, thing: None, certificate, session, at: self.now() };
        let event = match begins {
            true => Event::Connected { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), version: 0 },
            false => Event::Disconnected { reason: DisconnectReason::ConnectionLost, version: 0 },
        };
        self.announce(subject, event);
    }

    /// How a client id is connected, or was until half an hour ago.
    pub(crate) fn presence(&self, client: &ClientId) -> Option<Presence> {
        lock(&self.presences).get(client).cloned()
    }
}
