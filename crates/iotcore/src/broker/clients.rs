//! Client ids: whose session is whose, takeover, the end of sessions, the counters of an id.
//!
//! A client id belongs to whoever connected with it last (Developer Guide, mqtt): the new connection is let in
//! first, then the old one is told to go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::Matching;
use fleetkey_mqtt::{QoS, Version};
use tokio::time::Instant;

use super::link::Link;
use super::message::Message;
use super::retained::Kept;
use super::session::{Ended, Options, Session, State};
use super::share::{Share, Wanted};
use super::{Broker, lock, write};
use crate::limits::{Rate, Switches};
use crate::sessions::{Loaded, SessionRecord, Stored, SubscriptionRecord};

/// How long an id's version number outlives its last connection (Developer Guide, life-cycle-events).
const VERSION_LIFE: Duration = Duration::from_secs(3600);

/// What is known of client ids.
#[derive(Debug, Default)]
pub(super) struct Clients {
    sessions: HashMap<ClientId, Arc<Session>>,
    connects: HashMap<ClientId, Rate>,
    versions: HashMap<ClientId, VersionNumber>,
}

/// `versionNumber` of presence events.
#[derive(Debug)]
struct VersionNumber {
    number: u64,
    gone_since: Option<Timestamp>,
}

/// What a connection asks of its session.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) client: ClientId,
    pub(super) principal: CertificateId,
    pub(super) version: Version,
    pub(super) clean: bool,
    pub(super) expiry: Duration,
    /// How many unacknowledged messages the client takes.
    pub(super) window: usize,
}

/// A session that a connection was given.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) session: Arc<Session>,
    /// Whether there was one to resume.
    pub(super) present: bool,
    /// `versionNumber` of this connection's presence events.
    pub(super) version_number: u64,
    /// The connection that had the client id until now.
    pub(super) former: Option<Arc<Link>>,
}

impl Broker {
    /// Whether one more CONNECT with this id keeps the rate; counts it if so.
    pub(super) fn admit_rate(&self, client: &ClientId) -> bool {
        let now = Instant::now();
        let mut clients = lock(&self.clients);
        let rate = clients.connects.entry(client.clone()).or_insert_with(|| Rate::new(now));
        rate.admit(now, self.limits.connects_per_second)
    }

    /// Gives `link` the session of its client id, the old one or a new one.
    pub(super) fn open_session(&self, link: &Arc<Link>, claim: Claim) -> Opened {
        let now = self.now();
        let mut clients = lock(&self.clients);
        let version_number = clients.next_version(&claim.client, now);
        let former = clients.sessions.get(&claim.client).cloned();
        let mut former_link = None;
        if let Some(session) = former {
            let mut state = session.lock();
            if claim.resumes(&state, now, self.switches()) {
                former_link = state.attach(link.clone(), claim.window);
                state.expiry = claim.expiry;
                state.principal = claim.principal;
                // One that is not persistent any more is written too: its rows must not come to life again.
                self.sessions.put_session(&session.key, state.record());
                drop(state);
                return Opened { session, present: true, version_number, former: former_link };
            }
            former_link = state.link().cloned();
            self.end_session(&session, &mut state);
        }
        let mut state = State::new(claim.version, claim.expiry, claim.principal);
        state.attach(link.clone(), claim.window);
        state.on_disk = state.is_persistent();
        let record = state.on_disk.then(|| state.record());
        let session = Session::new(self.next_id(), claim.client.clone(), state);
        if let Some(record) = record {
            self.sessions.put_session(&session.key, record);
        }
        clients.sessions.insert(claim.client, session.clone());
        Opened { session, present: false, version_number, former: former_link }
    }

    /// Takes the session from `link` at the end of its connection; `expiry` is what a version 5 DISCONNECT
    /// changed it to. A session that does not outlive its connection ends here.
    pub(super) fn close_session(&self, session: &Arc<Session>, link: &Link, expiry: Option<Duration>) {
        let now = self.now();
        let mut clients = lock(&self.clients);
        let mut state = session.lock();
        if !state.detach(link, now) {
            return;
        }
        if let Some(version) = clients.versions.get_mut(&session.client) {
            version.gone_since = Some(now);
        }
        state.expiry = expiry.unwrap_or(state.expiry);
        if state.is_persistent() {
            self.sessions.put_session_lazily(&session.key, state.record());
        } else {
            self.end_session(session, &mut state);
            clients.forget(session);
        }
    }

    /// Ends a session: its subscriptions, what waits for it, its rows on disk.
    pub(super) fn end_session(&self, session: &Session, state: &mut State) {
        let Ended { subscriptions, orphans } = state.end();
        for (filter, _) in subscriptions {
            self.uproot(session, &filter);
        }
        self.pass_on(orphans);
        if state.on_disk {
            self.sessions.forget_session(&session.key);
        }
    }

    /// Ends the live connection of a client id; says whether there was one.
    pub(crate) fn disconnect(&self, client: &ClientId) -> bool {
        let session = lock(&self.clients).sessions.get(client).cloned();
        let link = session.and_then(|session| session.lock().link().cloned());
        let found = link.is_some();
        link.into_iter().for_each(|link| link.close(super::Close::BY_OPERATOR));
        found
    }

    /// Ends every connection, every session and every retained message, and forgets what was counted.
    pub(crate) fn empty(&self) {
        self.close_all(super::Close::BY_OPERATOR);
        let mut clients = lock(&self.clients);
        for (_, session) in clients.sessions.drain() {
            let mut state = session.lock();
            self.end_session(&session, &mut state);
        }
        clients.connects.clear();
        clients.versions.clear();
        drop(clients);
        lock(&self.presences).clear();
        for topic in std::mem::take(&mut *write(&self.retained)).into_keys() {
            self.sessions.put_retained(&topic, None);
        }
    }

    /// How many sessions there are, with a connection or without.
    pub(crate) fn session_count(&self) -> usize {
        lock(&self.clients).sessions.len()
    }

    /// Ends sessions whose time has passed, and forgets counters that mean nothing any more.
    pub(super) fn expire_clients(&self) {
        let (now, instant) = (self.now(), Instant::now());
        let mut clients = lock(&self.clients);
        clients.connects.retain(|_, rate| !rate.is_stale(instant));
        clients.versions.retain(|_, version| !version.is_over(now));
        clients.sessions.retain(|_, session| {
            let mut state = session.lock();
            let expired = state.is_expired(now);
            if expired {
                self.end_session(session, &mut state);
            }
            !expired
        });
    }

    /// Takes over what the sessions file holds, less what the registry or the clock says is over.
    pub(super) fn restore(&self, loaded: Loaded) {
        let now = self.now();
        for (client, stored) in loaded.sessions {
            let known = self.authority.store.read().certificate(&stored.record.principal).is_some();
            let restored = known.then(|| self.restore_session(&client, stored, now)).flatten();
            match restored {
                Some(session) => {
                    lock(&self.clients).sessions.insert(session.client.clone(), session);
                }
                None => {
                    tracing::info!(
                        client,
                        "session dropped: expired, unreadable, or its certificate is gone"
                    );
                    self.sessions.forget_session(&client.into());
                }
            }
        }
        for (topic, stored) in loaded.retained {
            match Kept::from_stored(&stored) {
                Some(kept) => {
                    write(&self.retained).insert(topic.into(), kept);
                }
                None => tracing::warn!(topic, "unreadable retained message dropped"),
            }
        }
    }

    fn restore_session(&self, client: &str, stored: Stored, now: Timestamp) -> Option<Arc<Session>> {
        let client = ClientId::new(client).ok()?;
        let record = stored.record;
        let version = Version::from_level(record.version)?;
        let mut state = State::new(version, Duration::from_secs(record.expiry), record.principal);
        state.offline_since = Some(record.offline_since.unwrap_or(now));
        state.on_disk = true;
        if state.is_expired(now) {
            return None;
        }
        let subscriptions = wanted(&record)?;
        for (number, message) in stored.messages {
            match Message::from_stored(&message) {
                Some(message) => {
                    let share = share_of(&subscriptions, &message.topic);
                    state.restore(number, message, share);
                }
                None => tracing::warn!(%client, number, "unreadable message dropped"),
            }
        }
        let session = Session::new(self.next_id(), client, state);
        let mut state = session.lock();
        for (filter, wanted, options) in subscriptions {
            state.subscribe(&filter, options, usize::MAX);
            wanted.share.iter().for_each(|share| lock(&self.shares).rejoin(share));
            self.plant(&session, wanted, options);
        }
        drop(state);
        Some(session)
    }
}

/// A session's subscriptions as they are kept, read; `None` when one is none.
fn wanted(record: &SessionRecord) -> Option<Vec<(String, Wanted, Options)>> {
    let read = |kept: &SubscriptionRecord| {
        let qos = QoS::from_bits(kept.qos)?;
        let options = Options { qos, retain_as_published: kept.retain_as_published };
        Some((kept.filter.clone(), Wanted::parse(&kept.filter)?, options))
    };
    record.subscriptions.iter().map(read).collect()
}

/// By which share a message came that was kept: none if it may have come without.
fn share_of(subscriptions: &[(String, Wanted, Options)], topic: &str) -> Option<Share> {
    let mut reached =
        subscriptions.iter().filter(|(_, wanted, _)| wanted.filter.matches(topic, Matching::Aws));
    let shares: Option<Vec<_>> = reached.by_ref().map(|(_, wanted, _)| wanted.share.clone()).collect();
    shares?.pop()
}

impl Claim {
    /// AWS resumes no session across protocol versions; whether across certificates is a switch.
    fn resumes(&self, state: &State, now: Timestamp, switches: &Switches) -> bool {
        let same_owner = switches.session_survives_certificate_change || state.principal == self.principal;
        same_owner
            && !self.clean
            && state.is_persistent()
            && !state.has_ended()
            && !state.is_expired(now)
            && state.version == self.version
    }
}

impl Clients {
    /// The session of a client id.
    pub(super) fn session(&self, client: &ClientId) -> Option<Arc<Session>> {
        self.sessions.get(client).cloned()
    }

    fn next_version(&mut self, client: &ClientId, now: Timestamp) -> u64 {
        match self.versions.get_mut(client) {
            Some(version) if !version.is_over(now) => {
                version.number += 1;
                version.gone_since = None;
                version.number
            }
            _ => {
                let first = VersionNumber { number: 0, gone_since: None };
                self.versions.insert(client.clone(), first);
                0
            }
        }
    }

    /// Forgets a session unless its client id has another by now.
    pub(super) fn forget(&mut self, session: &Session) {
        let current = self.sessions.get(&session.client);
        if current.is_some_and(|current| current.id == session.id) {
            self.sessions.remove(&session.client);
        }
    }
}

impl VersionNumber {
    fn is_over(&self, now: Timestamp) -> bool {
        self.gone_since.is_some_and(|since| now.since(since) >= VERSION_LIFE)
    }
}
