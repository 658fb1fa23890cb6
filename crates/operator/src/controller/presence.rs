//! Who is connected as a thing, by the broker's lifecycle events (Developer Guide, life-cycle-events).
//!
//! Events may be duplicated and out of order, all the more where they come by several connections; the broker's timestamps
//! and session ids put them right, and an end that overtakes its beginning is remembered until that comes. Only the live
//! session and `<thing>~agent` are tracked: a verification connection proves nothing and holds nothing.
//!
//! What is seen is durable from a thing's first attestation on; a restart before that forgets it, and so does one after a gap in
//! the evidence ([`super::Event::EvidenceLost`]). Two things follow. The
//! sweep judges only what was registered later. And a program that has been connected as `<thing>~agent` with the first
//! certificate since before such a restart holds nothing: it is cut when that certificate becomes INACTIVE, and must
//! come back with the new one, as it would have had to anyway. The device itself lives on the witness.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// AWS takes one CONNECT a second of a client id (AWS IoT Core quotas): two connections never begin closer together.
const CONNECT_SPACING: Duration = Duration::from_millis(900);

/// The fields of a presence event that count here; the client id and the kind are in its topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PresenceEvent {
    /// The broker's time, milliseconds.
    pub timestamp: Timestamp,
    /// The certificate of the connection.
    pub principal_identifier: CertificateId,
    /// One a connection.
    #[serde(default)]
    pub session_identifier: Option<SessionId>,
}

/// What the broker names one connection by. Clones share their text: ledger and inventory hold it beside each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// The broker's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for SessionId {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl From<SessionId> for String {
    fn from(session: SessionId) -> Self {
        session.as_str().into()
    }
}

/// In which part a client speaks for a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Client id = thing name.
    Live,
    /// `<thing>~agent`.
    Agent,
}

impl Role {
    /// The thing and the part; `None` for any other client, `<thing>~verify` included.
    pub(super) fn of(client: &ClientId) -> Option<(ThingName, Self)> {
        if let Some(thing) = client.thing() {
            return Some((thing, Self::Live));
        }
        let (thing, _) = client.as_str().split_once(fleetkey_model::name::ROLE_SEPARATOR)?;
        let thing = ThingName::new(thing).ok()?;
        (*client == ClientId::agent(&thing)).then_some((thing, Self::Agent))
    }
}

/// A connection as a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Connection {
    pub(super) principal: CertificateId,
    /// The broker's time of its beginning.
    pub(super) since: Timestamp,
    session: Option<SessionId>,
    pub(super) open: bool,
}

impl Connection {
    fn told(event: &PresenceEvent, open: bool) -> Box<Self> {
        Box::new(Self {
            principal: event.principal_identifier,
            since: event.timestamp,
            session: event.session_identifier.clone(),
            open,
        })
    }
}

/// Connections that have ended before they began, as far as one has heard; the latest `MOST` of them. The ends of those
/// that were taken over are among them, and do no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(
    clippy::box_collection,
    reason = "of a hundred thousand things nearly all have none: it takes eight bytes"
)]
pub(crate) struct Overtaking<const MOST: usize>(Option<Box<VecDeque<SessionId>>>);

impl<const MOST: usize> Overtaking<MOST> {
    /// The end of a session came that is none of those that are open.
    pub(crate) fn ended(&mut self, session: Option<&SessionId>) {
        let known = self.0.get_or_insert_default();
        let Some(session) = session.filter(|session| !known.contains(session)) else {
            return;
        };
        if known.len() >= MOST {
            known.pop_front();
        }
        known.push_back(session.clone());
    }

    /// Whether a session that begins has ended already.
    pub(crate) fn has_ended(&mut self, session: Option<&SessionId>) -> bool {
        let Some((session, known)) = session.zip(self.0.as_mut()) else {
            return false;
        };
        let place = known.iter().position(|ended| ended == session);
        place.is_some_and(|place| known.remove(place).is_some())
    }
}

/// What the word of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It is the latest in its part.
    News,
    /// It is not any more: another one has begun since.
    Late,
    /// The same was told before.
    Known,
}

/// The latest connection in each part. Boxed: most things have but one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    live: Option<Box<Connection>>,
    agent: Option<Box<Connection>>,
    #[serde(skip)]
    overtaking: Overtaking<4>,
}

impl Seen {
    /// Takes a connection in, which may have ended already, if it is the latest in its part.
    pub(super) fn connected(&mut self, role: Role, event: &PresenceEvent) -> Told {
        let slot = self.slot(role);
        if let Some(known) = slot {
            let same_session =
                event.session_identifier.is_some() && known.session == event.session_identifier;
            // Of one that has ended before it began, as far as one has heard, the end is what is known.
            if event.timestamp < known.since {
                return Told::Late;
            }
            if same_session {
                return Told::Known;
            }
        }
        let over = self.overtaking.has_ended(event.session_identifier.as_ref());
        *self.slot(role) = Some(Connection::told(event, !over));
        Told::News
    }

    /// Takes an end in; `false` when it is another connection's, for example one that was taken over.
    pub(super) fn disconnected(&mut self, role: Role, event: &PresenceEvent) -> bool {
        let Some(known) = self.slot(role) else {
            // Its beginning may still be on its way: remember that it is over.
            *self.slot(role) = Some(Connection::told(event, false));
            return false;
        };
        let same = match (&known.session, &event.session_identifier) {
            (Some(known), Some(gone)) => known == gone,
            _ => known.principal == event.principal_identifier && event.timestamp >= known.since,
        };
        let ended = same && known.open;
        known.open &= !same;
        if !same {
            self.overtaking.ended(event.session_identifier.as_ref());
        }
        ended
    }

    /// The broker attested a message of the live session: it was connected then.
    pub(super) fn attested(&mut self, principal: CertificateId, at: Timestamp) {
        let known = self.live.as_ref();
        if known.is_none_or(|known| known.since < at && known.principal != principal) {
            self.live = Some(Box::new(Connection { principal, since: at, session: None, open: true }));
        }
    }

    /// Whether the connection that holds the live client id since `since` is one that an event told of. The account's
    /// word on when it began and the event's may differ by less than [`CONNECT_SPACING`].
    pub(super) fn knows_live(&self, since: Timestamp) -> bool {
        let told = self.live.as_ref().filter(|known| known.session.is_some());
        told.is_some_and(|known| since < known.since + CONNECT_SPACING)
    }

    /// Whether somebody is connected in this part.
    pub(super) fn is_open(&self, role: Role) -> bool {
        self.open().any(|(other, _)| other == role)
    }

    /// Whether a certificate is connected as the thing right now.
    pub(super) fn uses(&self, certificate: &CertificateId) -> bool {
        let connections = self.live.iter().chain(&self.agent);
        connections.filter(|connection| connection.open).any(|found| found.principal == *certificate)
    }

    /// The connections that are open, with their part.
    pub(super) fn open(&self) -> impl Iterator<Item = (Role, &Connection)> {
        let live = self.live.iter().map(|connection| (Role::Live, connection.as_ref()));
        let agent = self.agent.iter().map(|connection| (Role::Agent, connection.as_ref()));
        live.chain(agent).filter(|(_, connection)| connection.open)
    }

    const fn slot(&mut self, role: Role) -> &mut Option<Box<Connection>> {
        match role {
            Role::Live => &mut self.live,
            Role::Agent => &mut self.agent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64, certificate: &[u8], session: &str) -> PresenceEvent {
        PresenceEvent {
            timestamp: Timestamp::from_millis(at),
            principal_identifier: CertificateId::of_der(certificate),
            session_identifier: Some(session.into()),
        }
    }

    fn uses(seen: &Seen, certificate: &[u8]) -> bool {
        seen.uses(&CertificateId::of_der(certificate))
    }

    #[test]
    fn only_the_live_session_and_the_agent_count() {
        let role =
            |id: &str| Role::of(&ClientId::new(id).unwrap()).map(|(thing, role)| (thing.to_string(), role));
        assert_eq!(role("a"), Some(("a".into(), Role::Live)));
        assert_eq!(role("a~agent"), Some(("a".into(), Role::Agent)));
        for other in ["a~verify", "a~agent~x", "~agent", "~controller", "claim~a", "a/b"] {
            assert_eq!(role(other), None, "{other}");
        }
    }

    #[test]
    fn a_session_that_was_taken_over_ends_without_ending_its_successor() {
        let mut seen = Seen::default();
        assert_eq!(seen.connected(Role::Live, &event(1, b"old", "s1")), Told::News);
        assert_eq!(seen.connected(Role::Live, &event(2, b"new", "s2")), Told::News);
        assert!(!seen.disconnected(Role::Live, &event(2, b"old", "s1")));
        assert!(uses(&seen, b"new") && !uses(&seen, b"old"));
    }

    #[test]
    fn duplicates_and_late_news_change_nothing() {
        let mut seen = Seen::default();
        assert_eq!(seen.connected(Role::Live, &event(5, b"new", "s2")), Told::News);
        assert_eq!(seen.connected(Role::Live, &event(5, b"new", "s2")), Told::Known);
        assert_eq!(seen.connected(Role::Live, &event(1, b"old", "s1")), Told::Late);
        assert!(seen.disconnected(Role::Live, &event(6, b"new", "s2")));
        assert_eq!(seen.connected(Role::Live, &event(5, b"new", "s2")), Told::Known, "and its end is");
        assert!(!uses(&seen, b"new"));
    }

    #[test]
    fn an_end_that_overtakes_its_beginning_still_ends_it() {
        let mut seen = Seen::default();
        assert!(!seen.disconnected(Role::Agent, &event(2, b"x", "s1")));
        assert_eq!(seen.connected(Role::Agent, &event(1, b"x", "s1")), Told::Late);
        assert!(!uses(&seen, b"x"));
    }

    #[test]
    fn an_end_that_overtakes_its_beginning_ends_it_after_an_earlier_connection_too() {
        let mut seen = Seen::default();
        assert_eq!(seen.connected(Role::Live, &event(1, b"old", "s1")), Told::News);
        assert!(!seen.disconnected(Role::Live, &event(4, b"new", "s2")));
        assert_eq!(seen.connected(Role::Live, &event(3, b"new", "s2")), Told::News, "that it was there");
        assert!(!seen.is_open(Role::Live) && !uses(&seen, b"old") && !uses(&seen, b"new"));
        assert_eq!(seen.connected(Role::Live, &event(5, b"new", "s3")), Told::News);
        assert!(uses(&seen, b"new"));
        // The end of what was taken over comes late and ends nothing, however many of them there are.
        for session in ["s1", "a", "b", "c", "d", "e"] {
            assert!(!seen.disconnected(Role::Live, &event(5, b"old", session)));
        }
        assert!(uses(&seen, b"new"));
    }

    #[test]
    fn an_attestation_proves_a_connection_that_no_event_told_of() {
        let mut seen = Seen::default();
        seen.connected(Role::Live, &event(1, b"old", "s1"));
        seen.attested(CertificateId::of_der(b"new"), Timestamp::from_millis(3));
        assert!(uses(&seen, b"new") && !uses(&seen, b"old"));
        assert_eq!(
            seen.connected(Role::Live, &event(4, b"old", "s3")),
            Told::News,
            "a later one replaces it"
        );
        seen.attested(CertificateId::of_der(b"new"), Timestamp::from_millis(3));
        assert!(uses(&seen, b"old"));
    }
}
