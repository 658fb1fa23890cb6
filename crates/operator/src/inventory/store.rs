//! The store: rows of certificates and things ([`row`]), and how events and lists change them.
//!
//! Events may be lost, duplicated and out of order; timestamps by the broker's clock and session ids put them right, and
//! the account's next list is right in any case.

use std::collections::{BTreeMap, HashMap};

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;

use super::census::{Described, ListedCertificate, ListedThing};
use super::findings::Thresholds;
use super::index::{Index, Marks, Suspects};
use super::state;
use crate::control_plane::CertificateSummary;
use crate::controller::presence::Overtaking;
use crate::controller::{FreezeReason, PresenceEvent};

pub use ids::Ids;
pub(super) use restore::Restoring;
pub use row::{Ages, Certificate, Open, Past, Thing};

mod ids;
mod restore;
mod row;
mod uses;

/// The operator's own certificates by role: `claim`, `observer`, `controller`.
pub type Own = BTreeMap<CertificateId, String>;

/// How long connections of one thing are counted together.
const WINDOW_MILLIS: u64 = 10 * 60 * 1000;

/// All rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    // Boxed: a tree of nodes that are half empty holds places for them, not for the rows.
    pub(super) certificates: BTreeMap<CertificateId, Box<Certificate>>,
    pub(super) things: BTreeMap<ThingName, Box<Thing>>,
    pub(super) ages: Ages,
    pub(super) own: Own,
    /// Whose connection each client id is now.
    clients: HashMap<ClientId, CertificateId>,
    overtaking: Overtaking<1024>,
    index: Index,
}

impl Store {
    /// An empty store that knows which certificates are the operator's own.
    pub fn new(own: Own) -> Self {
        Self { own, ..Self::default() }
    }

    /// How old the knowledge is.
    pub const fn ages(&self) -> Ages {
        self.ages
    }

    /// The operator's own certificates, by role.
    pub const fn own(&self) -> &Own {
        &self.own
    }

    /// A certificate's row.
    pub fn certificate(&self, id: &CertificateId) -> Option<&Certificate> {
        self.certificates.get(id).map(Box::as_ref)
    }

    /// A thing's row.
    pub fn thing(&self, name: &ThingName) -> Option<&Thing> {
        self.things.get(name).map(Box::as_ref)
    }

    /// Every certificate, by id.
    pub fn certificates(&self) -> impl Iterator<Item = (&CertificateId, &Certificate)> {
        self.certificates.iter().map(|(id, row)| (id, row.as_ref()))
    }

    /// Every thing, by name.
    pub fn things(&self) -> impl Iterator<Item = (&ThingName, &Thing)> {
        self.things.iter().map(|(name, row)| (name, row.as_ref()))
    }

    /// The connected certificates, one for each client.
    pub(super) fn connected_now(&self) -> impl ExactSizeIterator<Item = &CertificateId> {
        self.clients.values()
    }

    /// Which rows a question can be about.
    pub(super) const fn index(&self) -> &Index {
        &self.index
    }

    /// Which rows rules have to look at.
    pub(super) fn suspects(&self, now: Timestamp, thresholds: &Thresholds) -> Suspects {
        let mut suspects = self.index.suspects(now, thresholds, &self.ages);
        suspects.certificates.extend(self.own.keys().filter(|id| self.certificates.contains_key(*id)));
        suspects.certificates.sort_unstable();
        suspects.certificates.dedup();
        suspects
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
        let client = self.known_client(client.clone());
        let open = Open { client: client.clone(), since: at, session: session.clone() };
        let over = self.overtaking.has_ended(session.as_ref());
        self.edit(id, |row| row.connect(open));
        self.clients.insert(client.clone(), id);
        if over {
            self.close(&client);
        }
        if let Some(thing) = client.thing() {
            self.count_connect(&thing, at);
        }
    }

    /// A client is gone.
    pub fn disconnected(&mut self, now: Timestamp, client: &ClientId, event: &PresenceEvent) {
        self.note_event(now);
        let (id, session) = (event.principal_identifier, &event.session_identifier);
        if self.certificates.contains_key(&id) {
            self.edit(id, |row| row.seen_at = row.seen_at.max(Some(event.timestamp)));
        }
        let same = self.open_of(client).is_some_and(|open| match (&open.session, session) {
            (Some(open), Some(gone)) => open == gone,
            _ => self.clients.get(client) == Some(&id) && event.timestamp >= open.since,
        });
        if same {
            self.close(client);
        }
        // Also of one that was open: that it began may be told once more.
        self.overtaking.ended(session.as_ref());
    }

    /// The broker has attested a message of a thing's live session.
    pub fn attested(&mut self, now: Timestamp, thing: &ThingName, id: CertificateId, at: Timestamp) {
        self.note_event(now);
        self.edit(id, |row| row.seen_at = row.seen_at.max(Some(at)));
        self.attach(thing, id);
    }

    /// A certificate became a thing's witness.
    pub fn witnessed(&mut self, thing: &ThingName, id: CertificateId, at: Timestamp) {
        self.attach(thing, id);
        let row = self.things.entry(thing.clone()).or_default();
        let before = row.attested.replace((id, at));
        if before.map(|(before, _)| before) != Some(id) {
            self.supersede(thing, id, at);
        }
        self.weigh(thing);
    }

    /// A thing is frozen, or (`None`) is not any more.
    pub fn frozen(&mut self, thing: &ThingName, why: Option<String>) {
        self.things.entry(thing.clone()).or_default().frozen = why;
        self.weigh(thing);
    }

    /// A certificate came of a thing's recovery and waits for a decision, or (`None`) none does.
    pub fn recovered(&mut self, thing: &ThingName, certificate: Option<CertificateId>) {
        let row = match certificate {
            Some(_) => Some(self.things.entry(thing.clone()).or_default()),
            None => self.things.get_mut(thing),
        };
        let Some(row) = row else {
            return;
        };
        if certificate.is_none() && row.recovered.is_some() {
            row.frozen = row.frozen.take().filter(|why| *why != FreezeReason::Recovered.to_string());
        }
        row.recovered = certificate.map(Box::new);
        self.weigh(thing);
    }

    /// Presence may have been missed: nobody is known to be connected.
    pub fn presence_missed(&mut self, now: Timestamp) {
        self.ages.missed(now);
        for id in std::mem::take(&mut self.clients).into_values() {
            self.edit(id, |row| row.open.clear());
        }
    }

    /// Events are heard, though there may be none.
    pub fn listening(&mut self, now: Timestamp) {
        self.ages.listen(now);
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
            Some(status) => self.edit(id, |row| row.set_status(now, status)),
            None => self.remove(now, &id),
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
            let before = std::mem::replace(&mut row.newest, found.newest);
            row.told_at = now;
            if row.recovered.as_deref() != found.recovered.as_ref() {
                self.recovered(&found.name, found.recovered);
            }
            if let Some(id) = found.newest.filter(|id| self.certificates.contains_key(id)) {
                self.attach(&found.name, id);
            }
            if before != found.newest {
                self.weigh(&found.name);
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
        if self.certificates.contains_key(&id) {
            self.edit(id, |row| row.not_after = Some(found.not_after));
        }
    }

    /// Every certificate has been listed since `begun`: what was not is gone.
    pub fn swept_certificates(&mut self, begun: Timestamp, now: Timestamp) {
        let gone = |row: &Certificate| row.told_at < begun && row.seen_at < Some(begun);
        let gone: Vec<_> = self.certificates.iter().filter(|(_, row)| gone(row)).map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| self.remove(now, id));
        self.ages.certificates = Some(now);
    }

    /// Every thing has been listed since `begun`: what was not is gone, unless a certificate of it is still there.
    pub fn swept_things(&mut self, begun: Timestamp, now: Timestamp) {
        let Self { things, index, .. } = self;
        things.retain(|name, row| {
            let stays = row.told_at >= begun || !row.certificates.is_empty();
            if !stays {
                index.thing(name, false, true);
                index.connects(name, row.connects.1, 0);
            }
            stays
        });
        self.ages.things = Some(now);
    }

    /// Of every certificate that was there at `then`, the thing has been asked for.
    pub const fn joined(&mut self, then: Timestamp) {
        self.ages.attachments = Some(then);
    }

    fn told(&mut self, now: Timestamp, id: CertificateId, status: CertificateStatus, created_at: Timestamp) {
        self.edit(id, |row| {
            row.set_status(now, status);
            row.created_at = Some(created_at);
            row.told_at = now;
        });
    }

    /// Changes a certificate's row, made if need be, and keeps the index in line.
    fn edit(&mut self, id: CertificateId, act: impl FnOnce(&mut Certificate)) {
        let row = self.certificates.entry(id).or_default();
        let before = Marks::of(row);
        act(row);
        let after = Marks::of(row);
        self.index.certificate(id, before, after);
        if let Some(thing) = row.thing.clone().filter(|_| after.is_otherwise_in_use(&before)) {
            self.weigh(&thing);
        }
    }

    /// Whether a thing is one that rules have to look at.
    fn weigh(&mut self, name: &ThingName) {
        let is_uneasy = self.things.get(name).is_some_and(|row| {
            let used = |id: &CertificateId, since| {
                self.certificates.get(id).is_some_and(|row| row.is_used_since(since))
            };
            let others = |witness, at| row.certificates.iter().any(|id| *id != witness && used(id, at));
            row.frozen.is_some()
                || row.recovered.is_some()
                || row.attested.is_some_and(|(witness, at)| others(witness, at))
        });
        let is_settled = self.things.get(name).is_none_or(|row| state::is_settled(self, row));
        self.index.thing(name, is_uneasy, is_settled);
    }

    /// A certificate was attested: those of its thing that are older have a successor now.
    fn supersede(&mut self, thing: &ThingName, id: CertificateId, at: Timestamp) {
        self.edit(id, |row| (row.attested_at, row.superseded_at) = (row.attested_at.or(Some(at)), None));
        let created = self.certificates.get(&id).and_then(|row| row.created_at);
        let is_older = |row: &Certificate| row.attested_at.is_some() || row.created_at < created;
        let others: Vec<_> = self.things.get(thing).map_or_else(Vec::new, |row| {
            let others = row.certificates.iter().filter(|other| **other != id);
            others.filter(|id| self.certificate(id).is_some_and(is_older)).copied().collect()
        });
        for other in others {
            self.edit(other, |row| row.superseded_at = row.superseded_at.or(Some(at)));
        }
    }

    fn attach(&mut self, thing: &ThingName, id: CertificateId) {
        if self.certificates.get(&id).is_some_and(|row| row.thing.as_ref() == Some(thing)) {
            return;
        }
        self.detach(&id);
        self.forget_former(&id);
        let thing = self.known(thing.clone());
        self.edit(id, |row| (row.thing, row.was_of) = (Some(thing.clone()), None));
        self.things.entry(thing.clone()).or_default().certificates.insert(id);
        self.weigh(&thing);
    }

    /// The name of a thing, its text shared with the thing's row where there is one: the names of a hundred thousand are to be
    /// in memory once.
    pub(super) fn known(&self, thing: ThingName) -> ThingName {
        self.things.get_key_value(&thing).map_or(thing, |(name, _)| name.clone())
    }

    fn detach(&mut self, id: &CertificateId) {
        let Some(thing) = self.certificates.get(id).and_then(|row| row.thing.clone()) else {
            return;
        };
        self.edit(*id, |row| (row.thing, row.was_of) = (None, Some(Box::new(thing.clone()))));
        if let Some(row) = self.things.get_mut(&thing) {
            row.certificates.remove(id);
            row.former.insert(*id);
        }
        self.weigh(&thing);
    }

    /// The thing that it was detached from has no more to do with it.
    fn forget_former(&mut self, id: &CertificateId) {
        let was_of = self.certificates.get(id).and_then(|row| row.was_of.as_deref());
        if let Some(row) = was_of.and_then(|thing| self.things.get_mut(thing)) {
            row.former.remove(id);
        }
    }

    fn remove(&mut self, now: Timestamp, id: &CertificateId) {
        // Whoever deletes a certificate detaches it first, and its thing may be looked at in between.
        if let Some(row) = self.certificates.get(id)
            && let Some(thing) = row.thing.as_ref().or(row.was_of.as_deref())
            && let Some(thing) = self.things.get_mut(thing)
        {
            thing.remember(now, *id, row);
        }
        self.detach(id);
        self.forget_former(id);
        if let Some(row) = self.certificates.remove(id) {
            self.index.certificate(*id, Marks::of(&row), Marks::default());
            for open in &row.open {
                self.clients.remove(&open.client);
            }
        }
    }

    fn open_of(&self, client: &ClientId) -> Option<&Open> {
        self.certificates.get(self.clients.get(client)?)?.open.iter().find(|open| open.client == *client)
    }

    fn close(&mut self, client: &ClientId) {
        if let Some(id) = self.clients.remove(client).filter(|id| self.certificates.contains_key(id)) {
            self.edit(id, |row| row.open.retain(|open| open.client != *client));
        }
    }

    fn count_connect(&mut self, thing: &ThingName, at: Timestamp) {
        let (begun, count) = &mut self.things.entry(thing.clone()).or_default().connects;
        let before = *count;
        if at.as_millis().saturating_sub(begun.as_millis()) > WINDOW_MILLIS {
            (*begun, *count) = (at, 0);
        }
        *count = count.saturating_add(1);
        let after = *count;
        self.index.connects(thing, before, after);
    }

    fn note_event(&mut self, now: Timestamp) {
        self.ages.events = Some(now);
        self.ages.watching_since.get_or_insert(now);
        self.ages.listen(now);
    }
}

#[cfg(test)]
mod tests;
