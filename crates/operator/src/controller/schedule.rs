//! What is due of a record, and when to look again.
//!
//! Time alone takes nothing away: before an older certificate becomes INACTIVE the witness shows that it has outlived
//! the soak. A device repeats its request until it hears that it is done with, so the rightful one always will; whoever
//! rotated with a stolen key and went loses to an owner who came back, even if that was never told.

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;

use super::action::Change;
use super::config::Config;
use super::judgement::Listing;
use super::presence::Seen;
use super::pulse::Pulse;
use super::record::{Older, Record, Stage};

impl Record {
    /// The changes that are due, by the account's list of this moment: a frozen thing has none.
    pub(super) fn due(
        &self,
        now: Timestamp,
        config: &Config,
        listing: &Listing,
        seen: &Seen,
        pulse: &Pulse,
    ) -> Vec<(CertificateId, Change)> {
        if self.frozen.is_some() {
            return Vec::new();
        }
        let surplus = self.surplus();
        let step = |(id, older): (&CertificateId, &Older)| {
            let (at, expected, change) = older.next(config);
            let as_expected = match listing.get(id) {
                Some(found) => found.status == expected,
                None => change == Change::Delete,
            };
            let ripe = now >= at || surplus.contains(id);
            let due = as_expected && ripe && !older.is_held(id, seen) && self.outlives(id, config, pulse);
            due.then_some((*id, change))
        };
        let leftovers = self.leftovers.iter().filter(|(_, leftover)| self.may_sweep(leftover, pulse));
        self.older.iter().chain(leftovers).filter_map(step).collect()
    }

    /// When to look at the thing again; `None` when nothing is to come.
    pub(super) fn look_at(&self, config: &Config, seen: &Seen, pulse: &Pulse) -> Option<Timestamp> {
        if self.frozen.is_some() {
            return None;
        }
        let surplus = self.surplus();
        let leftovers = self.leftovers.iter().filter(|(_, leftover)| self.may_sweep(leftover, pulse));
        let outgoing = self.older.iter().chain(leftovers);
        let steps = outgoing.filter_map(|(id, older)| match older.is_held(id, seen) {
            true => Some(older.since + config.soak + config.outlast),
            false if surplus.contains(id) => Some(older.since),
            false => self.outlives(id, config, pulse).then(|| older.next(config).0),
        });
        steps.chain(self.newcomers_at(config, seen, pulse)).min()
    }

    /// Whether the witness was the last to hold the live session at the end of an older one's soak, or since. A leftover
    /// has never been in use.
    fn outlives(&self, id: &CertificateId, config: &Config, pulse: &Pulse) -> bool {
        let soaking = self.older.get(id).filter(|older| older.stage == Stage::Soaking);
        soaking.is_none_or(|older| pulse.shows(&self.witness.certificate, older.since + config.soak))
    }
}

impl Older {
    /// Whether it must be left alone for now: in use, or back in use after its successor was attested.
    pub(super) fn is_held(&self, id: &CertificateId, seen: &Seen) -> bool {
        self.stage == Stage::Soaking && (self.returned.is_some() || seen.uses(id))
    }

    /// The next step: when, from which status, which.
    fn next(&self, config: &Config) -> (Timestamp, CertificateStatus, Change) {
        match self.stage {
            Stage::Soaking => (self.since + config.soak, CertificateStatus::Active, Change::Deactivate),
            Stage::Inactive => (self.since + config.grace, CertificateStatus::Inactive, Change::Revoke),
            Stage::Revoked => (self.since + config.delete_after, CertificateStatus::Revoked, Change::Delete),
        }
    }
}
