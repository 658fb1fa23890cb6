//! What became of a thing's certificates, from the first that is known to the last: what the account and the broker have
//! told, and what stands in the journals of whoever changed them.
//!
//! Not here: reading the journals ([`crate::chronicle::lines_with`]).

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{ROLE_SEPARATOR, ThingName};
use fleetkey_model::time::Timestamp;
use serde::Serialize;

use super::store::{Certificate, Past, Store, Thing};
use crate::chronicle::Kept;

/// Something that became of a certificate, or of its thing. Moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// To which certificate; `None` when it concerns the thing.
    pub certificate: Option<CertificateId>,
    /// What: `registered`, `attested`, `superseded`, `seen`, `INACTIVE`, `REVOKED`, `deleted`, or what a journal calls it.
    pub what: String,
    /// Who did it, where a journal tells.
    pub who: Option<String>,
    /// Why, likewise.
    pub why: Option<String>,
    /// Who tells: `account`, `broker`, `journal`.
    pub told_by: &'static str,
}

/// The history of a thing, gathered.
#[derive(Debug)]
pub struct History<'a> {
    thing: &'a ThingName,
    ids: BTreeSet<CertificateId>,
    happenings: Vec<Happening>,
    /// Whose end, or whose being no more, a journal has told of.
    journaled: BTreeSet<(CertificateId, &'static str)>,
    /// When a journal last told that it was made ACTIVE again: what the account told before is over.
    restored: BTreeMap<CertificateId, Timestamp>,
}

impl<'a> History<'a> {
    /// Of a thing; which certificates it has and had, as far as the store knows.
    pub fn of(store: &Store, thing: &'a ThingName) -> Self {
        let ids = store.thing(thing).into_iter();
        let ids = ids.flat_map(|row| all(row).chain(row.past.iter().map(|past| &past.certificate)));
        Self {
            thing,
            ids: ids.copied().collect(),
            happenings: Vec::new(),
            journaled: BTreeSet::new(),
            restored: BTreeMap::new(),
        }
    }

    /// What lines of journals contain that may be about it.
    pub fn words(&self) -> Vec<String> {
        let ids = self.ids.iter().map(CertificateId::short);
        ids.chain([self.thing.to_string()]).collect()
    }

    /// Learns from lines which further certificates were the thing's; whether there were any, about which there may be
    /// more lines.
    pub fn learn(&mut self, lines: &[Kept]) -> bool {
        let of = format!(" of {}", self.thing);
        let named = lines.iter().filter_map(|line| {
            let id = line.what.strip_suffix(&of)?.rsplit(' ').next()?;
            id.parse::<CertificateId>().ok()
        });
        let before = self.ids.len();
        self.ids.extend(named);
        self.ids.len() > before
    }

    /// All of it, oldest first. `lines` are the journals', those about others are passed over.
    pub fn told(mut self, store: &Store, mut lines: Vec<Kept>) -> Vec<Happening> {
        lines.sort_by_key(|line| line.at);
        self.take_lines(lines);
        if let Some(row) = store.thing(self.thing) {
            for id in all(row) {
                if let Some(row) = store.certificate(id) {
                    self.take_row(*id, row);
                }
            }
            row.past.iter().for_each(|past| self.take_past(past));
        }
        self.happenings.sort_by_key(|found| found.at);
        self.happenings
    }

    /// A change is told once: by its end, with the reason that stands at its beginning.
    fn take_lines(&mut self, lines: Vec<Kept>) {
        let mut begun = BTreeMap::new();
        for line in lines {
            let Some(certificate) = self.about(&line.what) else { continue };
            let key = (line.what.clone(), line.action.clone());
            if line.phase == "begun" {
                begun.insert(key, line);
                continue;
            }
            let why = line.why.or_else(|| begun.get(&key)?.why.clone());
            begun.remove(&key);
            let what = match line.phase.as_str() {
                "failed" => format!("{} failed", line.action),
                _ => line.action,
            };
            self.note_journaled(line.at, certificate, &what);
            self.journal(line.at, certificate, what, line.who, why);
        }
        for line in begun.into_values() {
            let certificate = self.about(&line.what).flatten();
            let what = format!("{} begun, and no end of it is on record", line.action);
            self.journal(line.at, certificate, what, line.who, line.why);
        }
    }

    fn note_journaled(&mut self, at: Timestamp, certificate: Option<CertificateId>, what: &str) {
        let Some(id) = certificate else { return };
        let end = match what {
            "deactivate" => "INACTIVE",
            "revoke" => "REVOKED",
            "delete" => "deleted",
            "reactivate" => {
                // Whoever makes it INACTIVE after this may keep no journal.
                self.journaled.remove(&(id, "INACTIVE"));
                self.restored.insert(id, at);
                return;
            }
            _ => return,
        };
        self.journaled.insert((id, end));
    }

    fn journal(
        &mut self,
        at: Timestamp,
        certificate: Option<CertificateId>,
        what: String,
        who: String,
        why: Option<String>,
    ) {
        self.happenings.push(Happening { at, certificate, what, who: Some(who), why, told_by: "journal" });
    }

    /// Whether what an entry names is of this thing, and which certificate it is: `thing NAME`, `client NAME~ROLE`,
    /// `certificate ID`, `certificate ID of NAME`, also with what it is for in front.
    fn about(&self, what: &str) -> Option<Option<CertificateId>> {
        let name = self.thing.as_str();
        if let Some(client) = what.strip_prefix("client ") {
            let rest = client.strip_prefix(name)?;
            return (rest.is_empty() || rest.starts_with(ROLE_SEPARATOR)).then_some(None);
        }
        if let Some(thing) = what.strip_prefix("thing ") {
            return (thing == name).then_some(None);
        }
        let (_, rest) = what.split_once("certificate ")?;
        let (id, of) = rest.split_once(" of ").map_or((rest, None), |(id, of)| (id, Some(of)));
        let of_ours = of == Some(name);
        let found = id.parse().ok().or_else(|| self.ids.iter().find(|known| known.short() == id).copied());
        match found {
            Some(id) => (of_ours || (of.is_none() && self.ids.contains(&id))).then_some(Some(id)),
            None => of_ours.then_some(None),
        }
    }

    fn take_row(&mut self, id: CertificateId, row: &Certificate) {
        let Certificate { created_at, attested_at, superseded_at, seen_at, .. } = *row;
        self.moments(id, [created_at, attested_at, superseded_at, seen_at]);
        let ended = row.status.filter(|status| *status != CertificateStatus::Active);
        let is_over = self.restored.get(&id).is_some_and(|at| row.status_since <= *at);
        let is_told = |status: &CertificateStatus| is_over || self.journaled.contains(&(id, status.as_str()));
        if let Some(status) = ended.filter(|status| !is_told(status)) {
            self.fact(row.status_since, id, status.as_str(), "account");
        }
    }

    fn take_past(&mut self, past: &Past) {
        let Past { certificate, created_at, attested_at, superseded_at, seen_at, gone_at } = *past;
        self.moments(certificate, [created_at, attested_at, superseded_at, seen_at]);
        if !self.journaled.contains(&(certificate, "deleted")) {
            self.fact(gone_at, certificate, "deleted", "account");
        }
    }

    fn moments(&mut self, id: CertificateId, moments: [Option<Timestamp>; 4]) {
        let words =
            [("registered", "account"), ("attested", "broker"), ("superseded", "broker"), ("seen", "broker")];
        for (at, (what, by)) in moments.into_iter().zip(words) {
            at.into_iter().for_each(|at| self.fact(at, id, what, by));
        }
    }

    fn fact(&mut self, at: Timestamp, id: CertificateId, what: &str, told_by: &'static str) {
        let (certificate, what) = (Some(id), what.to_owned());
        self.happenings.push(Happening { at, certificate, what, who: None, why: None, told_by });
    }
}

/// Those that a thing has, and those that were detached from it and are still there.
fn all(row: &Thing) -> impl Iterator<Item = &CertificateId> {
    row.certificates.iter().chain(&row.former)
}

#[cfg(test)]
mod tests;
