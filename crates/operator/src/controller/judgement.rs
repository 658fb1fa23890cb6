//! What evidence means for a record: requests, sightings, the account's list, and time.
//!
//! Evidence only ever moves a witness forward, holds, or freezes; what is due follows in [`super::schedule`].

use std::collections::BTreeMap;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::retirement::Attested;
use fleetkey_model::time::Timestamp;

use super::action::Ignored;
use super::config::Config;
use super::presence::{Role, Seen};
use super::record::{FreezeReason, Newcomer, Older, Record, Stage, Witness};
use crate::control_plane::CertificateSummary;

/// How long the account may take to show a change that we made ourselves.
const SETTLE: core::time::Duration = core::time::Duration::from_secs(60);

/// A certificate seen connecting as a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) role: Role,
    pub(super) principal: CertificateId,
    /// By the broker's clock.
    pub(super) at: Timestamp,
}

/// The certificates of a thing, as the account lists them.
pub(super) type Listing = BTreeMap<CertificateId, CertificateSummary>;

impl Record {
    /// The record of a thing that was never attested before.
    pub(super) fn first(attested: &Attested, principal: &CertificateSummary) -> Self {
        Self {
            thing: attested.thing.clone(),
            witness: Witness::of(attested, principal),
            request: attested.request.id.clone(),
            older: BTreeMap::new(),
            newcomer: None,
            frozen: None,
            seen: Seen::default(),
        }
    }

    /// Takes in a request whose client id and principal are in order.
    pub(super) fn attest(
        &mut self,
        now: Timestamp,
        attested: &Attested,
        principal: &CertificateSummary,
    ) -> Result<(), Ignored> {
        let same = principal.id == self.witness.certificate;
        let newer = principal.created_at > self.witness.created_at;
        if !same && !newer && attested.at <= self.witness.at {
            return Err(Ignored::Superseded);
        }
        self.request.clone_from(&attested.request.id);
        if self.frozen.is_some() {
            return Ok(());
        }
        if same {
            self.witness_lives(now, attested.at);
        } else if newer {
            self.advance(attested, principal);
        } else {
            self.freeze(FreezeReason::OlderAsked, now);
        }
        Ok(())
    }

    /// A newer certificate is the witness from now on; what came back under the last one starts afresh.
    fn advance(&mut self, attested: &Attested, principal: &CertificateSummary) {
        self.witness = Witness::of(attested, principal);
        for older in self.older.values_mut() {
            older.returned = None;
        }
        self.newcomer = self.newcomer.filter(|newcomer| newcomer.created_at > principal.created_at);
    }

    /// The witness is in use at `at`: if an older one had come back before, they take turns.
    fn witness_lives(&mut self, now: Timestamp, at: Timestamp) {
        if self.older.values().any(|older| older.returned.is_some_and(|returned| returned < at)) {
            self.freeze(FreezeReason::TakingTurns, now);
        }
    }

    /// Brings the certificates on their way out into line with the account.
    pub(super) fn reconcile(&mut self, now: Timestamp, config: &Config, listing: &Listing) {
        // One that is detached but not yet deleted is no longer listed.
        self.older.retain(|id, older| listing.contains_key(id) || older.stage == Stage::Revoked);
        let before = |found: &&CertificateSummary| found.created_at < self.witness.created_at;
        for found in listing.values().filter(before) {
            let Some(stage) = stage_of(found.status) else {
                continue;
            };
            let older = self.older.entry(found.id).or_insert_with(|| Older::new(stage, now));
            let undone = older.stage != Stage::Soaking && stage == Stage::Soaking;
            if older.stage == stage {
                continue;
            }
            if !undone {
                (older.stage, older.since) = (stage, now);
            } else if now >= older.since + config.grace.min(SETTLE) {
                self.frozen.get_or_insert(super::Freeze { reason: FreezeReason::Reactivated, at: now });
            }
        }
        let witness = listing.get(&self.witness.certificate);
        let gone = witness.is_none_or(|found| found.status != CertificateStatus::Active);
        if gone && !self.older.is_empty() {
            self.freeze(FreezeReason::WitnessGone, now);
        }
    }

    /// Takes in a connection as the thing.
    pub(super) fn sight(&mut self, now: Timestamp, sighting: &Sighting, listing: &Listing) {
        let Some(found) = listing.get(&sighting.principal) else {
            return;
        };
        if found.id == self.witness.certificate {
            if sighting.role == Role::Live {
                self.witness_lives(now, sighting.at);
            }
        } else if found.created_at > self.witness.created_at {
            let newcomer = Newcomer { certificate: found.id, created_at: found.created_at, since: now };
            self.newcomer.get_or_insert(newcomer);
        } else if sighting.role == Role::Live && sighting.at > self.witness.at {
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

    /// Freezes what has gone on for too long.
    pub(super) fn expire(&mut self, now: Timestamp, config: &Config, listing: &Listing, seen: &Seen) {
        let active = |newcomer: &Newcomer| {
            listing.get(&newcomer.certificate).is_some_and(|found| found.status == CertificateStatus::Active)
        };
        self.newcomer = self.newcomer.filter(active);
        if self.newcomer.is_some_and(|newcomer| now >= newcomer.since + config.outlast) {
            self.freeze(FreezeReason::NewcomerSilent, now);
        }
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
