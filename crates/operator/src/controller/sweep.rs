//! Leftovers: certificates that a rotation registered and never used, because it was given up.
//!
//! They are newer than the witness, so no request ever reaches them before the next rotation commits. They take the
//! way of the older ones, ACTIVE for a soak, INACTIVE for a grace, REVOKED, deleted, if all of this holds:
//!
//! - never in use as the thing or its agent ([`super::newcomer`] remembers those that were), and never attested. Use
//!   is durable from the thing's first attestation on, so only what was registered after that can be judged;
//! - [`Config::leftover_after`] old: a device whose disk is read-only may need that long to commit;
//! - the witness gave a sign of life after that, so the device has another identity and uses it; and another one
//!   after the deactivation, before what cannot be undone.
//!
//! A device that holds a candidate ready for an operator's switch tells so, on the witness: then [`Config::staged_for`]
//! counts from there. That gives whoever holds the key in use nothing that it has not got.
//!
//! A verification does not count as use: a candidate that was rolled back has been seen verifying.

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;

use super::config::Config;
use super::judgement::Listing;
use super::pulse::Pulse;
use super::record::{Older, Record, Stage};
use crate::control_plane::CertificateSummary;

impl Record {
    /// Takes on what has turned out to be a leftover. Returns when the next certificate will have had its time.
    pub(super) fn sweep(
        &mut self,
        now: Timestamp,
        config: &Config,
        listing: &Listing,
        pulse: &Pulse,
    ) -> Option<Timestamp> {
        let witness = self.witness.certificate;
        self.begun.get_or_insert(now);
        let sound = listing.get(&witness).is_some_and(|found| found.status == CertificateStatus::Active);
        if self.frozen.is_some() || !sound {
            return None;
        }
        let unused: Vec<_> = listing.values().filter(|found| self.is_unused(found)).collect();
        let mut next = None;
        for found in unused {
            let ripe = self.ripe_at(found.created_at, config);
            if now >= ripe && pulse.shows(&witness, ripe) {
                self.leftovers.insert(found.id, Older::new(Stage::Soaking, now));
            } else {
                next = Some(next.map_or(ripe, |next: Timestamp| next.min(ripe)));
            }
        }
        next
    }

    /// What was there when the device told that it holds one ready is given longer.
    fn ripe_at(&self, created_at: Timestamp, config: &Config) -> Timestamp {
        let ripe = created_at + config.leftover_after;
        let held = self.staged.filter(|told| *told >= created_at).map(|told| told + config.staged_for);
        held.map_or(ripe, |held| held.max(ripe))
    }

    /// The witness tells that it holds a certificate ready: what was taken for a leftover and is still ACTIVE is none.
    /// Whether that was news.
    pub(super) fn hold_staged(&mut self, at: Timestamp) -> bool {
        if self.frozen.is_some() || self.staged >= Some(at) {
            return false;
        }
        self.staged = Some(at);
        self.leftovers.retain(|_, leftover| leftover.stage != Stage::Soaking);
        true
    }

    /// ACTIVE, newer than the witness, and never seen. What somebody else deactivated is theirs to decide on.
    fn is_unused(&self, found: &CertificateSummary) -> bool {
        found.status == CertificateStatus::Active
            && found.created_at > self.witness.created_at
            && self.begun.is_some_and(|begun| found.created_at > begun)
            && !self.newcomers.contains_key(&found.id)
            && !self.leftovers.contains_key(&found.id)
    }

    /// Whether a leftover may take its next step when that is due: what cannot be undone needs a sign of life of the
    /// witness after the leftover was taken away.
    pub(super) fn may_sweep(&self, leftover: &Older, pulse: &Pulse) -> bool {
        leftover.stage != Stage::Inactive || pulse.shows(&self.witness.certificate, leftover.since)
    }

    /// Leftovers that the witness has overtaken are older certificates like any other. One that is still ACTIVE begins
    /// afresh: as an older one it is given the soak of its successor.
    pub(super) fn overtaken(&mut self, id: &CertificateId) -> Option<Older> {
        self.leftovers.remove(id).filter(|leftover| leftover.stage != Stage::Soaking)
    }
}
