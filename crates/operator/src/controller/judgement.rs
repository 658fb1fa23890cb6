//! What evidence means for a record: requests, sightings, the account's list, and time.
//!
//! Evidence only ever moves a witness forward, holds, or freezes; what is due follows in [`super::schedule`].

use std::collections::BTreeMap;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::retirement::Attested;
use fleetkey_model::time::Timestamp;
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::action::Ignored;
use super::audit::AuditHeads;
use super::config::Config;
use super::presence::{Connection, Role, Seen};
use super::record::{FreezeReason, Older, Record, Stage, Witness};
use crate::control_plane::CertificateSummary;

/// How long the account may take to show a change that we made ourselves.
const SETTLE: core::time::Duration = core::time::Duration::from_secs(60);

/// A certificate seen connecting as a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sighting {
    pub(super) role: Role,
    pub(super) principal: CertificateId,
    /// By the broker's clock.
    pub(super) at: Timestamp,
    /// It is the end of a connection that was heard: all it proves is that there was one.
    pub(super) over: bool,
}

impl Sighting {
    pub(super) const fn of((role, open): (Role, &Connection)) -> Self {
        Self { role, principal: open.principal, at: open.since, over: false }
    }
}

/// The certificates of a thing, as the account lists them.
pub(super) type Listing = BTreeMap<CertificateId, CertificateSummary>;

impl Record {
    /// The record of a thing that was never attested before.
    pub(super) fn first(attested: &Attested, principal: &CertificateSummary) -> Self {
        let mut audit = AuditHeads::default();
        audit.take(attested.request.audit.as_deref());
        Self {
            thing: attested.thing.clone(),
            witness: Witness::of(attested, principal),
            request: attested.request.id.clone(),
            begun: Some(attested.at),
            audit,
            older: LiteMap::new(),
            leftovers: LiteMap::new(),
            staged: None,
            newcomers: LiteMap::new(),
            frozen: None,
            seen: None,
            sightings: None,
        }
    }

    /// Takes in a request whose client id and principal are in order.
    pub(super) fn attest(
        &mut self,
        now: Timestamp,
        config: &Config,
        attested: &Attested,
        principal: &CertificateSummary,
    ) -> Result<(), Ignored> {
        let same = principal.id == self.witness.certificate;
        let newer = !same && self.succeeds(principal);
        if !same && !newer && attested.at <= self.witness.at {
            return Err(Ignored::Superseded);
        }
        self.request.clone_from(&attested.request.id);
        if self.frozen.is_some() {
            return Ok(());
        }
        if same || newer {
            self.audit.take(attested.request.audit.as_deref());
        }
        if same {
            self.witness_lives(now, config, attested.at);
        } else if newer {
            self.advance(now, attested, principal);
        } else {
            self.freeze(FreezeReason::OlderAsked, now);
        }
        Ok(())
    }

    /// Whether a certificate is newer than the witness. Of two that were registered in one second the account does not
    /// tell which came first: the one that asks later does, unless it was the witness before.
    fn succeeds(&self, principal: &CertificateSummary) -> bool {
        let (created_at, last) = (principal.created_at, self.witness.created_at);
        created_at > last || (created_at == last && !self.older.contains_key(&principal.id))
    }

    /// A newer certificate is the witness from now on; what came back under the last one starts afresh.
    fn advance(&mut self, now: Timestamp, attested: &Attested, principal: &CertificateSummary) {
        let last = core::mem::replace(&mut self.witness, Witness::of(attested, principal));
        if last.created_at == principal.created_at {
            // Time does not tell that it is older.
            self.older.insert(last.certificate, Older::new(Stage::Soaking, now));
        }
        for (_, older) in self.older.iter_mut() {
            older.returned = None;
        }
        self.leftovers.remove(&principal.id);
        self.staged = None;
        self.newcomers.retain(|_, newcomer| newcomer.created_at > principal.created_at);
        self.newcomers.iter_mut().for_each(|(_, newcomer)| newcomer.contested = None);
    }

    /// The witness is in use at `at`: if an older one had come back before, they take turns.
    fn witness_lives(&mut self, now: Timestamp, config: &Config, at: Timestamp) {
        self.contest(now, config, at);
        if self.older.values().any(|older| older.returned.is_some_and(|returned| returned < at)) {
            self.freeze(FreezeReason::TakingTurns, now);
        }
    }

    /// Brings the certificates on their way out into line with the account.
    pub(super) fn reconcile(&mut self, now: Timestamp, config: &Config, listing: &Listing) {
        // One that is detached but not yet deleted is no longer listed.
        let there =
            |id: &CertificateId, older: &Older| listing.contains_key(id) || older.stage == Stage::Revoked;
        self.older.retain(there);
        self.leftovers.retain(there);
        let before = |found: &&CertificateSummary| found.created_at < self.witness.created_at;
        let before: Vec<_> = listing.values().filter(before).collect();
        if self.older.is_empty() {
            self.older = LiteMap::with_capacity(before.len());
        }
        for found in before {
            let Some(stage) = stage_of(found.status) else {
                continue;
            };
            let overtaken = self.overtaken(&found.id);
            self.older.entry(found.id).or_insert_with(|| overtaken.unwrap_or_else(|| Older::new(stage, now)));
        }
        let mut undone = false;
        for (id, older) in self.older.iter_mut().chain(&mut self.leftovers) {
            if let Some(stage) = listing.get(id).and_then(|found| stage_of(found.status)) {
                undone |= older.align(now, config, stage);
            }
        }
        if undone {
            self.freeze(FreezeReason::Reactivated, now);
        }
        let witness = listing.get(&self.witness.certificate);
        let gone = witness.is_none_or(|found| found.status != CertificateStatus::Active);
        if gone && self.outgoing().next().is_some() {
            self.freeze(FreezeReason::WitnessGone, now);
        }
    }

    /// Takes in a connection as the thing.
    pub(super) fn sight(&mut self, now: Timestamp, config: &Config, sighting: &Sighting, listing: &Listing) {
        let Some(found) = listing.get(&sighting.principal) else {
            return;
        };
        let live = sighting.role == Role::Live && !sighting.over;
        if found.id == self.witness.certificate {
            if live {
                self.witness_lives(now, config, sighting.at);
            }
        } else if found.created_at > self.witness.created_at {
            self.newcomer_seen(now, config, sighting, found);
        } else if live && sighting.at > self.witness.at {
            self.older_returns(now, sighting);
        }
    }

    fn older_returns(&mut self, now: Timestamp, sighting: &Sighting) {
        let Some(older) = self.older.get_mut(&sighting.principal) else {
            return;
        };
        if older.returned.is_none() {
            older.returns = older.returns.saturating_add(1);
        }
        older.returned = older.returned.max(Some(sighting.at));
        let (again, late) = (older.returns > 1, older.stage != Stage::Soaking);
        if again {
            self.freeze(FreezeReason::TakingTurns, now);
        }
        if late {
            self.freeze(FreezeReason::OlderStays, now);
        }
    }

    /// Freezes an older certificate that has stayed in use for too long.
    pub(super) fn expire(&mut self, now: Timestamp, config: &Config, seen: &Seen) {
        let outlasted = |(id, older): (&CertificateId, &Older)| {
            older.stage == Stage::Soaking
                && older.is_held(id, seen)
                && now >= older.since + config.soak + config.outlast
        };
        if self.older.iter().any(outlasted) {
            self.freeze(FreezeReason::OlderStays, now);
        }
    }
}

impl Older {
    /// Takes in what the account shows. Returns whether somebody has undone what was done.
    fn align(&mut self, now: Timestamp, config: &Config, stage: Stage) -> bool {
        if self.stage == stage {
            return false;
        }
        if self.stage == Stage::Soaking || stage != Stage::Soaking {
            (self.stage, self.since) = (stage, now);
            return false;
        }
        now >= self.since + config.grace.min(SETTLE)
    }
}

impl Witness {
    const fn of(attested: &Attested, principal: &CertificateSummary) -> Self {
        Self { certificate: principal.id, created_at: principal.created_at, at: attested.at }
    }
}

/// The stage that a status means; `None` for a certificate that was never in use.
const fn stage_of(status: CertificateStatus) -> Option<Stage> {
    match status {
        CertificateStatus::Active => Some(Stage::Soaking),
        CertificateStatus::Inactive => Some(Stage::Inactive),
        CertificateStatus::Revoked => Some(Stage::Revoked),
        CertificateStatus::PendingActivation | CertificateStatus::PendingTransfer => None,
    }
}
