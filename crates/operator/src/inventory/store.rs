//! The store: rows of certificates and things, and how events and lists change them.
//!
//! Events may be lost, duplicated and out of order; timestamps by the broker's clock and session ids put them right, and
//! the account's next list is right in any case.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ROLE_SEPARATOR, ThingName};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::census::{Described, ListedCertificate, ListedThing};
use crate::control_plane::CertificateSummary;
use crate::controller::PresenceEvent;

/// How long connections of one thing are counted together.
const WINDOW_MILLIS: u64 = 10 * 60 * 1000;
/// How many things' names one certificate is remembered to have connected under.
const MOST_HOLDERS: usize = 4;

/// What is known of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its status, as the account last told; `None` while only events have told of it.
    pub status: Option<CertificateStatus>,
    /// Since when it is known to have that status, by our clock.
    pub status_since: Timestamp,
    /// When the account last told of it, by our clock.
    pub told_at: Timestamp,
    /// When it was registered.
    pub created_at: Option<Timestamp>,
    /// Its end, once it was described.
    pub not_after: Option<Timestamp>,
    /// The thing that it is attached to, as far as is known.
    pub thing: Option<ThingName>,
    /// When it last connected, by the broker's clock.
    pub connected_at: Option<Timestamp>,
    /// The last sign of it, by the broker's clock.
    pub seen_at: Option<Timestamp>,
    /// Its connections now.
    pub open: Vec<Open>,
    /// The names that it has connected under, roles left out: more than one is one too many.
    pub holders: BTreeMap<String, Timestamp>,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Under which client id.
    pub client: ClientId,
    /// Since when, by the broker's clock.
    pub since: Timestamp,
    /// Its session, where the broker names it.
    pub session: Option<String>,
}

/// What is known of a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// When the account last listed it, by our clock.
    pub told_at: Timestamp,
    /// The certificate that its attribute names: the newest that was registered for it.
    pub newest: Option<CertificateId>,
    /// The certificate that the broker attested last, and when first.
    pub attested: Option<(CertificateId, Timestamp)>,
    /// Why nothing of it is retired, in words.
    pub frozen: Option<String>,
    /// When the present window of connections began, by the broker's clock, and how many it has.
    pub connects: (Timestamp, u32),
    /// Its certificates, as far as is known.
    pub certificates: BTreeSet<CertificateId>,
}

/// How old the knowledge is: when each kind of it was last complete, by our clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ages {
    /// Every certificate was listed.
    pub certificates: Option<Timestamp>,
    /// Every thing was listed.
    pub things: Option<Timestamp>,
    /// Every certificate's thing was asked for.
    pub attachments: Option<Timestamp>,
    /// The last event that was heard.
    pub events: Option<Timestamp>,
    /// Since when events are heard without a gap that is known of.
    pub watching_since: Option<Timestamp>,
}

/// All rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    pub(super) certificates: BTreeMap<CertificateId, Certificate>,
    pub(super) things: BTreeMap<ThingName, Thing>,
    pub(super) ages: Ages,
    /// The operator's own certificates by role: `claim`, `observer`, `controller`.
    pub(super) own: BTreeMap<CertificateId, String>,
    /// Whose connection each client id is now.
    clients: HashMap<ClientId, CertificateId>,
}

impl Store {
    /// An empty store that knows which certificates are the operator's own.
    pub fn new(own: BTreeMap<CertificateId, String>) -> Self {
        Self { own, ..Self::default() }
    }

    /// How old the knowledge is.
    pub const fn ages(&self) -> Ages {
        self.ages
    }

    /// The operator's own certificates, by role.
    pub const fn own(&self) -> &BTreeMap<CertificateId, String> {
        &self.own
    }

    /// A certificate's row.
    pub fn certificate(&self, id: &CertificateId) -> Option<&Certificate> {
        self.certificates.get(id)
    }

    /// A thing's row.
    pub fn thing(&self, name: &ThingName) -> Option<&Thing> {
        self.things.get(name)
    }

    /// Every certificate, by id.
    pub fn certificates(&self) -> impl Iterator<Item = (&CertificateId, &Certificate)> {
        self.certificates.iter()
    }

    /// Every thing, by name.
    pub fn things(&self) -> impl Iterator<Item = (&ThingName, &Thing)> {
        self.things.iter()
    }

    /// Takes rows in as they were kept.
    pub(super) fn restore_certificate(&mut self, id: CertificateId, row: Certificate) {
        for open in &row.open {
            self.clients.insert(open.client.clone(), id);
        }
        if let Some(thing) = &row.thing {
            self.things.entry(thing.clone()).or_default().certificates.insert(id);
        }
        self.certificates.insert(id, row);
    }

    /// A client has connected.
    pub fn connected(&mut self, now: Timestamp, client: &ClientId, event: &PresenceEvent) {
        self.note_event(now);
        let (id, at) = (event.principal_identifier, event.timestamp);
        let session = &event.session_identifier;
        if self
            .open_of(client)
            .is_some_and(|open| open.since > at || (session.is_some() && open.session == *session))
        {
            return;
        }
        self.close(client);
        let row = self.certificates.entry(id).or_default();
        row.connected_at = row.connected_at.max(Some(at));
        row.seen_at = row.seen_at.max(Some(at));
        row.open.push(Open { client: client.clone(), since: at, session: session.clone() });
        let holder = holder(client);
        row.holders.insert(holder.to_owned(), at);
        if row.holders.len() > MOST_HOLDERS {
            let oldest = row.holders.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone());
            if let Some(name) = oldest {
                row.holders.remove(&name);
            }
        }
        self.clients.insert(client.clone(), id);
        if let Some(thing) = client.thing() {
            self.count_connect(&thing, at);
        }
    }

    /// A client is gone.
    pub fn disconnected(&mut self, now: Timestamp, client: &ClientId, event: &PresenceEvent) {
        self.note_event(now);
        let (id, session) = (event.principal_identifier, &event.session_identifier);
        if let Some(row) = self.certificates.get_mut(&id) {
            row.seen_at = row.seen_at.max(Some(event.timestamp));
        }
        let same = self.open_of(client).is_some_and(|open| match (&open.session, session) {
            (Some(open), Some(gone)) => open == gone,
            _ => self.clients.get(client) == Some(&id) && event.timestamp >= open.since,
        });
        if same {
            self.close(client);
        }
    }

    /// The broker has attested a message of a thing's live session.
    pub fn attested(&mut self, now: Timestamp, thing: &ThingName, id: CertificateId, at: Timestamp) {
        self.note_event(now);
        let row = self.certificates.entry(id).or_default();
        row.seen_at = row.seen_at.max(Some(at));
        self.attach(thing, id);
    }

    /// A certificate became a thing's witness.
    pub fn witnessed(&mut self, thing: &ThingName, id: CertificateId, at: Timestamp) {
        self.attach(thing, id);
        self.things.entry(thing.clone()).or_default().attested = Some((id, at));
    }

    /// A thing is frozen, or (`None`) is not any more.
    pub fn frozen(&mut self, thing: &ThingName, why: Option<String>) {
        self.things.entry(thing.clone()).or_default().frozen = why;
    }

    /// Presence may have been missed: nobody is known to be connected.
    pub fn presence_missed(&mut self, now: Timestamp) {
        self.ages.watching_since = Some(now);
        self.clients.clear();
        self.certificates.values_mut().for_each(|row| row.open.clear());
    }

    /// The account has told a thing's certificates, all of them.
    pub fn listed(&mut self, now: Timestamp, thing: &ThingName, certificates: &[CertificateSummary]) {
        for found in certificates {
            self.told(now, found.id, found.status, found.created_at);
            self.attach(thing, found.id);
        }
        let gone: Vec<_> = self.things.get(thing).map_or_else(Vec::new, |row| {
            let listed = |id: &CertificateId| certificates.iter().any(|found| found.id == *id);
            row.certificates.iter().filter(|id| !listed(id)).copied().collect()
        });
        gone.iter().for_each(|id| self.detach(id));
    }

    /// A certificate has another status, or (`None`) is deleted.
    pub fn changed(&mut self, now: Timestamp, id: CertificateId, status: Option<CertificateStatus>) {
        match status {
            Some(status) => {
                let row = self.certificates.entry(id).or_default();
                row.set_status(now, status);
            }
            None => self.remove(&id),
        }
    }

    /// A page of the account's certificates.
    pub fn listed_certificates(&mut self, now: Timestamp, page: &[ListedCertificate]) {
        for found in page {
            self.told(now, found.id, found.status, found.created_at);
        }
    }

    /// A page of the account's things.
    pub fn listed_things(&mut self, now: Timestamp, page: &[ListedThing]) {
        for found in page {
            let row = self.things.entry(found.name.clone()).or_default();
            (row.told_at, row.newest) = (now, found.newest);
            if let Some(id) = found.newest.filter(|id| self.certificates.contains_key(id)) {
                self.attach(&found.name, id);
            }
        }
    }

    /// The things that a certificate is attached to, all of them.
    pub fn attachments(&mut self, id: CertificateId, things: &[ThingName]) {
        self.detach(&id);
        if let Some(thing) = things.first() {
            self.attach(thing, id);
        }
    }

    /// What a certificate says of itself.
    pub fn described(&mut self, id: CertificateId, found: &Described) {
        if let Some(row) = self.certificates.get_mut(&id) {
            row.not_after = Some(found.not_after);
        }
    }

    /// Every certificate has been listed since `begun`: what was not is gone.
    pub fn swept_certificates(&mut self, begun: Timestamp, now: Timestamp) {
        let gone = |row: &Certificate| row.told_at < begun && row.seen_at < Some(begun);
        let gone: Vec<_> = self.certificates.iter().filter(|(_, row)| gone(row)).map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| self.remove(id));
        self.ages.certificates = Some(now);
    }

    /// Every thing has been listed since `begun`: what was not is gone, unless a certificate of it is still there.
    pub fn swept_things(&mut self, begun: Timestamp, now: Timestamp) {
        self.things.retain(|_, row| row.told_at >= begun || !row.certificates.is_empty());
        self.ages.things = Some(now);
    }

    /// Every certificate's thing has been asked for.
    pub const fn joined(&mut self, now: Timestamp) {
        self.ages.attachments = Some(now);
    }

    fn told(&mut self, now: Timestamp, id: CertificateId, status: CertificateStatus, created_at: Timestamp) {
        let row = self.certificates.entry(id).or_default();
        row.set_status(now, status);
        row.created_at = Some(created_at);
        row.told_at = now;
    }

    fn attach(&mut self, thing: &ThingName, id: CertificateId) {
        let row = self.certificates.entry(id).or_default();
        if row.thing.as_ref() != Some(thing) {
            let before = row.thing.replace(thing.clone());
            if let Some(row) = before.and_then(|before| self.things.get_mut(&before)) {
                row.certificates.remove(&id);
            }
        }
        self.things.entry(thing.clone()).or_default().certificates.insert(id);
    }

    fn detach(&mut self, id: &CertificateId) {
        let thing = self.certificates.get_mut(id).and_then(|row| row.thing.take());
        if let Some(row) = thing.and_then(|thing| self.things.get_mut(&thing)) {
            row.certificates.remove(id);
        }
    }

    fn remove(&mut self, id: &CertificateId) {
        self.detach(id);
        if let Some(row) = self.certificates.remove(id) {
            for open in &row.open {
                self.clients.remove(&open.client);
            }
        }
    }

    fn open_of(&self, client: &ClientId) -> Option<&Open> {
        let row = self.certificates.get(self.clients.get(client)?)?;
        row.open.iter().find(|open| open.client == *client)
    }

    fn close(&mut self, client: &ClientId) {
        if let Some(row) = self.clients.remove(client).and_then(|id| self.certificates.get_mut(&id)) {
            row.open.retain(|open| open.client != *client);
        }
    }

    fn count_connect(&mut self, thing: &ThingName, at: Timestamp) {
        let (begun, count) = &mut self.things.entry(thing.clone()).or_default().connects;
        if at.as_millis().saturating_sub(begun.as_millis()) > WINDOW_MILLIS {
            (*begun, *count) = (at, 0);
        }
        *count = count.saturating_add(1);
    }

    fn note_event(&mut self, now: Timestamp) {
        self.ages.events = Some(now);
        self.ages.watching_since.get_or_insert(now);
    }
}

impl Certificate {
    fn set_status(&mut self, now: Timestamp, status: CertificateStatus) {
        if self.status != Some(status) {
            (self.status, self.status_since) = (Some(status), now);
        }
    }
}

/// The name that a client id speaks for: what stands before a role.
fn holder(client: &ClientId) -> &str {
    let text = client.as_str();
    match text.split_once(ROLE_SEPARATOR) {
        // The operator's own begin with it.
        Some((name, _)) if !name.is_empty() => name,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> CertificateId {
        CertificateId::of_der(&[n])
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn client(text: &str) -> ClientId {
        ClientId::new(text).unwrap()
    }

    fn event(n: u8, seconds: u64, session: &str) -> PresenceEvent {
        PresenceEvent {
            timestamp: at(seconds),
            principal_identifier: id(n),
            session_identifier: Some(session.into()),
        }
    }

    #[test]
    fn a_client_id_is_connected_with_one_certificate_at_a_time() {
        let mut store = Store::default();
        store.connected(at(1), &client("a"), &event(1, 1, "s1"));
        store.connected(at(2), &client("a"), &event(2, 2, "s2"));
        assert!(store.certificate(&id(1)).unwrap().open.is_empty());
        assert_eq!(store.certificate(&id(2)).unwrap().open.len(), 1);
        store.disconnected(at(3), &client("a"), &event(1, 2, "s1"));
        assert_eq!(
            store.certificate(&id(2)).unwrap().open.len(),
            1,
            "the end of the one that was taken over"
        );
        store.disconnected(at(4), &client("a"), &event(2, 4, "s2"));
        assert!(store.certificate(&id(2)).unwrap().open.is_empty());
    }

    #[test]
    fn late_and_repeated_events_change_nothing() {
        let mut store = Store::default();
        store.connected(at(5), &client("a"), &event(2, 5, "s2"));
        let before = store.clone();
        store.connected(at(5), &client("a"), &event(2, 5, "s2"));
        store.connected(at(5), &client("a"), &event(1, 1, "s1"));
        assert_eq!(store.certificate(&id(2)), before.certificate(&id(2)));
        assert!(store.certificate(&id(1)).is_none());
    }

    #[test]
    fn what_a_whole_sweep_has_not_listed_is_gone() {
        let mut store = Store::default();
        let listed =
            |n| ListedCertificate { id: id(n), status: CertificateStatus::Active, created_at: at(1) };
        store.listed_certificates(at(10), &[listed(1), listed(2)]);
        store.listed_certificates(at(20), &[listed(1)]);
        store.swept_certificates(at(15), at(21));
        assert!(store.certificate(&id(1)).is_some() && store.certificate(&id(2)).is_none());
        assert_eq!(store.ages().certificates, Some(at(21)));
    }

    #[test]
    fn attachments_follow_what_the_account_tells_last() {
        let mut store = Store::default();
        let [a, b] = ["a", "b"].map(|name| ThingName::new(name).unwrap());
        let summary = CertificateSummary { id: id(1), status: CertificateStatus::Active, created_at: at(1) };
        store.listed(at(1), &a, &[summary]);
        store.attachments(id(1), std::slice::from_ref(&b));
        assert_eq!(store.certificate(&id(1)).unwrap().thing.as_ref(), Some(&b));
        assert!(store.thing(&a).unwrap().certificates.is_empty());
        store.listed(at(2), &b, &[]);
        assert_eq!(store.certificate(&id(1)).unwrap().thing, None);
    }

    #[test]
    fn roles_of_a_thing_are_one_holder() {
        assert_eq!(holder(&client("press-1~verify")), "press-1");
        assert_eq!(holder(&client("press-1")), "press-1");
        assert_eq!(holder(&client("~controller")), "~controller");
    }
}
