//! Things that recovered by their claim, on which no operator has decided: nothing of theirs is retired.
//!
//! Who holds a leaked claim can recover as any device that a window names, so what comes of it is not by itself the
//! device's. The account says so itself: the recovery template marks the thing with the certificate
//! ([`crate::documents::RECOVERED_ATTRIBUTE`]), and a decision takes the mark away ([`crate::plan`]). The mark is asked for
//! after each listing, so every plan rests on both, and while it is there *every* retirement of the thing is held,
//! whichever certificate asks: the one that recovered may have rotated since, or recovered twice.

use fleetkey_model::time::Timestamp;

use super::case::Case;
use super::config::Config;
use super::record::FreezeReason;

/// How many of the shortest times between two looks pass before the account is asked whether somebody has decided.
const LOOK_AGAIN: u32 = 10;

impl Case {
    /// Somebody has decided: as after a release, the next attested request counts as the first.
    pub(super) fn end_quarantine(&mut self) {
        if !self.recovered && self.record().is_some_and(super::Record::is_quarantined) {
            self.release();
        }
    }

    /// Nobody has: whatever was concluded, nothing follows from it.
    pub(super) fn quarantine(&mut self, now: Timestamp) {
        if self.recovered
            && let Some(record) = self.record_mut()
        {
            record.freeze(FreezeReason::Recovered, now);
        }
    }

    /// When to ask again whether somebody has decided.
    pub(super) fn decision_at(&self, config: &Config) -> Option<Timestamp> {
        let quarantined = self.record().is_some_and(super::Record::is_quarantined);
        let look = |at| at + config.look_again.saturating_mul(LOOK_AGAIN);
        quarantined.then(|| self.listed_at().map_or_else(Timestamp::default, look))
    }
}
