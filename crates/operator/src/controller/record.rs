//! What the ledger knows of a thing for good; one small JSON file each.

use std::collections::BTreeSet;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::retirement::RetireStatus;
use fleetkey_model::time::Timestamp;
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::audit::AuditHeads;
use super::judgement::Sighting;
use super::newcomer::Newcomer;
use super::presence::Seen;
use crate::few;

/// How many retired certificates an answer names.
const MOST_TOLD: usize = 50;

/// How many revoked certificates of one thing are kept until [`super::Config::delete_after`]: a device that rotates
/// without end must fill neither account nor ledger.
const MOST_REVOKED: usize = 100;

/// A thing whose new certificate was attested at least once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The thing.
    pub thing: ThingName,
    /// The newest certificate that the broker attested.
    pub witness: Witness,
    /// The id of the last request, which answers repeat.
    pub request: String,
    /// Since when every use of the thing's certificates is on record: its first attestation, by the broker's clock, or the start
    /// after a gap in the evidence, by the controller's.
    #[serde(default)]
    pub(super) begun: Option<Timestamp>,
    /// The heads of the device's audit chain as its requests carried them.
    #[serde(default)]
    pub audit: AuditHeads,
    /// Certificates registered before the witness, on their way out.
    #[serde(serialize_with = "few::as_map")]
    pub older: LiteMap<CertificateId, Older>,
    /// Certificates registered after the witness and never used, on their way out: what rotations that were given up
    /// have left behind.
    #[serde(default, serialize_with = "few::as_map")]
    pub leftovers: LiteMap<CertificateId, Older>,
    /// When the device last told, on the witness, that it holds a certificate ready, by the broker's clock.
    #[serde(default)]
    pub(super) staged: Option<Timestamp>,
    /// Certificates registered after the witness that were in use and have not asked for anything.
    #[serde(default, serialize_with = "few::as_map")]
    pub(super) newcomers: LiteMap<CertificateId, Newcomer>,
    /// Set when retirement is held until an operator decides.
    pub frozen: Option<Freeze>,
    /// Who was connected when the record was written; on disk only, in memory the case has it.
    pub(super) seen: Option<Box<Seen>>,
    /// What was seen and is not judged, because the account has not been asked yet, or does not answer; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[allow(clippy::box_collection, reason = "in memory there is none: it takes eight bytes")]
    pub(super) sightings: Option<Box<Vec<Sighting>>>,
}

/// An attested certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The certificate.
    pub certificate: CertificateId,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When the broker first attested it, by the broker's clock.
    pub at: Timestamp,
}

/// A certificate on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Older {
    /// How far it is.
    pub stage: Stage,
    /// Since when, by the controller's clock.
    pub since: Timestamp,
    /// When it last connected as the thing although its successor was attested, by the broker's clock.
    pub returned: Option<Timestamp>,
    /// How many witnesses it has come back under.
    pub returns: u8,
}

/// How far a certificate is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Still ACTIVE.
    Soaking,
    /// INACTIVE: can be undone.
    Inactive,
    /// REVOKED: cannot.
    Revoked,
}

/// Why and since when a thing is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// What was seen.
    pub reason: FreezeReason,
    /// By the controller's clock.
    pub at: Timestamp,
}

/// What freezes a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum FreezeReason {
    /// Two generations took turns in the live session, for longer than a device does that tries and rolls back.
    #[error("an older certificate and its successor take turns: two parties may hold this thing's keys")]
    TakingTurns,
    /// An older certificate asked for retirement after a newer one had.
    #[error("an older certificate asked for retirement after its successor had been attested")]
    OlderAsked,
    /// An older certificate outlasted its soak in use, or was seen after it had been deactivated.
    #[error("an older certificate is still in use although its successor was attested")]
    OlderStays,
    /// A newer certificate is in use, and its holder never asked for retirement as a fleetkey agent would; or one that
    /// was taken for a leftover turned out to be in use after it had been deactivated.
    #[error("a newer certificate is in use that never asked for retirement: who requested it?")]
    NewcomerSilent,
    /// The attested certificate is no longer ACTIVE or no longer the thing's.
    #[error("the attested certificate is no longer active: retiring the others would take the last identity")]
    WitnessGone,
    /// A certificate came of a recovery, and nobody has approved or rejected it.
    #[error(
        "a certificate came of a recovery by claim: nothing is retired until fleetkey recovery approve or reject"
    )]
    Recovered,
    /// Somebody made a deactivated certificate ACTIVE again.
    #[error("a deactivated certificate was activated again")]
    Reactivated,
    /// A campaign was taken back ([`super::Event::Hold`]).
    #[error("a campaign was taken back: what it superseded is kept until somebody releases the thing")]
    TakenBack,
}

impl Record {
    /// As it is written: with who is connected, and what is not judged.
    pub(super) fn with_seen(&self, seen: &Seen, sightings: &[Sighting]) -> Self {
        let sightings = (!sightings.is_empty()).then(|| Box::new(sightings.to_vec()));
        Self { seen: Some(Box::new(seen.clone())), sightings, ..self.clone() }
    }

    /// Takes out who was connected when it was written, and connections of which it is not written what they mean: the
    /// controller ended before.
    pub(super) fn take_seen(&mut self) -> (Seen, Vec<Sighting>) {
        let mut sightings = self.sightings.take().map(|sightings| *sightings).unwrap_or_default();
        let seen = self.seen.take().map(|seen| *seen).unwrap_or_default();
        sightings.extend(seen.open().filter(|(_, open)| !self.knows(&open.principal)).map(Sighting::of));
        (seen, sightings)
    }

    /// The same, with no more room than it needs: reading it has taken some in reserve.
    pub(super) fn shrunk(self) -> Self {
        let (older, leftovers) = (few::shrunk(self.older), few::shrunk(self.leftovers));
        Self { older, leftovers, newcomers: few::shrunk(self.newcomers), ..self }
    }

    /// How far the retirement is, as the device is told.
    pub fn status(&self) -> RetireStatus {
        if self.frozen.is_some() {
            return RetireStatus::Frozen;
        }
        match self.older.values().any(|older| older.stage == Stage::Soaking) {
            true => RetireStatus::Pending,
            false => RetireStatus::Retired,
        }
    }

    /// The newest of the certificates that can no longer connect: an answer must fit a message.
    pub fn retired(&self) -> Vec<CertificateId> {
        let mut retired = newest_first(self.older.iter(), |stage| stage != Stage::Soaking);
        retired.truncate(MOST_TOLD);
        retired
    }

    /// Those of the revoked certificates that are too many: they are deleted before their time.
    pub(super) fn surplus(&self) -> BTreeSet<CertificateId> {
        let revoked = newest_first(self.outgoing(), |stage| stage == Stage::Revoked);
        revoked.into_iter().skip(MOST_REVOKED).collect()
    }

    /// All certificates on their way out, the older ones and the leftovers.
    pub(super) fn outgoing(&self) -> impl Iterator<Item = (&CertificateId, &Older)> {
        self.older.iter().chain(&self.leftovers)
    }

    /// What was heard before `now` may be forgotten: whoever is in use on an older certificate is given the time of a soak
    /// to be heard again, and nothing that was registered before is a leftover, also if it was taken for one and is ACTIVE.
    pub(super) fn evidence_lost(&mut self, now: Timestamp) {
        self.begun = Some(now);
        self.leftovers.retain(|_, leftover| leftover.stage != Stage::Soaking);
        for (_, older) in self.older.iter_mut().filter(|(_, older)| older.stage == Stage::Soaking) {
            older.since = now;
        }
    }

    /// Nothing that came back or came anew is waiting for the witness's next sign of life.
    pub(super) fn is_calm(&self) -> bool {
        !self.has_challenger() && self.older.values().all(|older| older.returned.is_none())
    }

    /// Whether a certificate's use is on record.
    pub(super) fn knows(&self, certificate: &CertificateId) -> bool {
        *certificate == self.witness.certificate
            || self.older.contains_key(certificate)
            || self.newcomers.contains_key(certificate)
    }

    /// Whether it waits for a decision on a recovery, and for nothing else.
    pub(super) fn is_quarantined(&self) -> bool {
        self.frozen.is_some_and(|freeze| freeze.reason == FreezeReason::Recovered)
    }

    /// Freezes the thing; the first reason stays.
    pub(super) fn freeze(&mut self, reason: FreezeReason, at: Timestamp) {
        self.frozen.get_or_insert(Freeze { reason, at });
    }
}

impl Older {
    pub(super) const fn new(stage: Stage, since: Timestamp) -> Self {
        Self { stage, since, returned: None, returns: 0 }
    }
}

fn newest_first<'a>(
    outgoing: impl Iterator<Item = (&'a CertificateId, &'a Older)>,
    counts: impl Fn(Stage) -> bool,
) -> Vec<CertificateId> {
    let mut found: Vec<_> = outgoing.filter(|(_, older)| counts(older.stage)).collect();
    found.sort_by_key(|(_, older)| core::cmp::Reverse(older.since));
    found.into_iter().map(|(id, _)| *id).collect()
}
