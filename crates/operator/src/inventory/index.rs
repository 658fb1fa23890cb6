//! Which rows a rule or a question can be about: so few that nobody has to look at them all.
//!
//! Kept by the store with every change of a row. What it names may be too much, never too little: rules and questions
//! look at the rows themselves. Only sets that stay small in a fleet that is well, or that are ordered by what is asked
//! for, are worth their memory.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::findings::Thresholds;
use super::store::{Ages, Certificate};

/// Certificates by a moment of theirs.
type Moments = BTreeSet<(Timestamp, CertificateId)>;

/// The index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// ACTIVE and on a thing, by registration.
    attached: Moments,
    /// Those of them of which no sign was ever heard.
    unseen: Moments,
    /// ACTIVE and on no thing, by registration.
    orphans: Moments,
    /// ACTIVE and described, by their end.
    ends: Moments,
    /// Connected although not ACTIVE any more, or under several names.
    odd: BTreeSet<CertificateId>,
    /// Of a status other than ACTIVE.
    ended: BTreeMap<CertificateStatus, BTreeSet<CertificateId>>,
    /// Frozen, or with a certificate in use that is not the attested one.
    uneasy: BTreeSet<ThingName>,
    /// Whose certificates are not just one ACTIVE one, which is the attested or the newest.
    unsettled: BTreeSet<ThingName>,
    /// By the connections of their window, from two on.
    restless: BTreeSet<(u32, ThingName)>,
}

/// What of a certificate decides where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    created: Option<Timestamp>,
    status: Option<CertificateStatus>,
    attached: bool,
    seen: bool,
    end: Option<Timestamp>,
    open: bool,
    shared: bool,
    connected: Option<Timestamp>,
}

/// Rows that rules have to look at.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    pub(super) things: Vec<ThingName>,
    pub(super) certificates: Vec<CertificateId>,
}

impl Marks {
    pub(super) fn of(row: &Certificate) -> Self {
        Self {
            created: row.created_at,
            status: row.status,
            attached: row.thing.is_some(),
            seen: row.seen_at.is_some(),
            end: row.not_after,
            open: !row.open.is_empty(),
            shared: row.is_shared(),
            connected: row.connected_at,
        }
    }

    /// Whether its thing may be uneasy, or settled, by one and not by the other.
    pub(super) fn is_otherwise_in_use(&self, other: &Self) -> bool {
        let of = |marks: &Self| (marks.open, marks.connected, marks.status, marks.end);
        of(self) != of(other)
    }

    const fn is_active(&self) -> bool {
        matches!(self.status, Some(CertificateStatus::Active))
    }

    fn attached(&self) -> Option<Timestamp> {
        self.created.filter(|_| self.is_active() && self.attached)
    }

    fn unseen(&self) -> Option<Timestamp> {
        self.attached().filter(|_| !self.seen)
    }

    fn orphan(&self) -> Option<Timestamp> {
        self.created.filter(|_| self.is_active() && !self.attached)
    }

    fn end(&self) -> Option<Timestamp> {
        self.end.filter(|_| self.is_active())
    }

    fn is_odd(&self) -> bool {
        self.shared || (self.open && self.ended().is_some())
    }

    fn ended(&self) -> Option<CertificateStatus> {
        self.status.filter(|_| !self.is_active())
    }
}

impl Index {
    /// A certificate is otherwise than before. One that is not there has no marks.
    pub(super) fn certificate(&mut self, id: CertificateId, before: Marks, after: Marks) {
        if before == after {
            return;
        }
        move_moment(&mut self.attached, id, before.attached(), after.attached());
        move_moment(&mut self.unseen, id, before.unseen(), after.unseen());
        move_moment(&mut self.orphans, id, before.orphan(), after.orphan());
        move_moment(&mut self.ends, id, before.end(), after.end());
        set(&mut self.odd, id, after.is_odd());
        if before.ended() != after.ended() {
            if let Some(ids) = before.ended().and_then(|status| self.ended.get_mut(&status)) {
                ids.remove(&id);
            }
            if let Some(status) = after.ended() {
                self.ended.entry(status).or_default().insert(id);
            }
        }
    }

    /// Gives back the empty places of the large ones, which came one by one and in no order.
    pub(super) fn pack(&mut self) {
        for moments in [&mut self.attached, &mut self.unseen, &mut self.orphans, &mut self.ends] {
            *moments = core::mem::take(moments).into_iter().collect();
        }
        for ids in self.ended.values_mut() {
            *ids = core::mem::take(ids).into_iter().collect();
        }
    }

    /// A thing is, or is not, one to look at; and it is, or is not, settled.
    pub(super) fn thing(&mut self, name: &ThingName, is_uneasy: bool, is_settled: bool) {
        for (names, is_in) in [(&mut self.uneasy, is_uneasy), (&mut self.unsettled, !is_settled)] {
            if !is_in {
                names.remove(name);
            } else if !names.contains(name) {
                names.insert(name.clone());
            }
        }
    }

    /// The things whose state is not Ready as a matter of course.
    pub(super) const fn unsettled(&self) -> &BTreeSet<ThingName> {
        &self.unsettled
    }

    /// A thing's window has so many connections, and had so many.
    pub(super) fn connects(&mut self, name: &ThingName, before: u32, after: u32) {
        if before != after {
            if before > 1 {
                self.restless.remove(&(before, name.clone()));
            }
            if after > 1 {
                self.restless.insert((after, name.clone()));
            }
        }
    }

    /// The ends of ACTIVE certificates, the first one first.
    pub(super) fn ends(&self) -> impl Iterator<Item = &(Timestamp, CertificateId)> {
        self.ends.iter()
    }

    /// The certificates of a status; `None` for ACTIVE, which nearly all are.
    pub(super) fn of(&self, status: CertificateStatus) -> Option<impl Iterator<Item = &CertificateId>> {
        let ended = status != CertificateStatus::Active;
        ended.then(|| self.ended.get(&status).into_iter().flatten())
    }

    /// All that rules can find something in; the operator's own certificates are looked at anyway.
    pub(super) fn suspects(&self, now: Timestamp, thresholds: &Thresholds, ages: &Ages) -> Suspects {
        let restless = self.restless.iter().rev().take_while(|(connects, _)| *connects > thresholds.connects);
        let things = self.uneasy.iter().chain(restless.map(|(_, name)| name)).cloned();
        let idle = now - thresholds.idle_after;
        let watched = ages.listened_since.is_some_and(|since| since <= idle);
        let moments = [
            until(&self.attached, now - thresholds.aged_after),
            until(&self.unseen, if watched { idle } else { Timestamp::default() }),
            until(&self.orphans, if ages.attachments.is_some() { idle } else { Timestamp::default() }),
            until(&self.ends, now + thresholds.expiring_within),
        ];
        let mut found = Suspects {
            things: things.collect(),
            certificates: moments.into_iter().flatten().chain(&self.odd).copied().collect(),
        };
        found.things.sort_unstable();
        found.things.dedup();
        found.certificates.sort_unstable();
        found.certificates.dedup();
        found
    }
}

fn until(moments: &Moments, limit: Timestamp) -> impl Iterator<Item = &CertificateId> {
    moments.iter().take_while(move |(at, _)| *at <= limit).map(|(_, id)| id)
}

fn move_moment(moments: &mut Moments, id: CertificateId, from: Option<Timestamp>, to: Option<Timestamp>) {
    if from != to {
        if let Some(at) = from {
            moments.remove(&(at, id));
        }
        moments.extend(to.map(|at| (at, id)));
    }
}

fn set(ids: &mut BTreeSet<CertificateId>, id: CertificateId, is_in: bool) {
    match is_in {
        true => ids.insert(id),
        false => ids.remove(&id),
    };
}

#[cfg(test)]
mod tests;
