//! Certificates registered after the witness that were in use as the thing without asking for anything: the next
//! generation in its soak, a candidate that was tried and rolled back, or somebody else's.
//!
//! What tells them apart is time. The next generation keeps the live session and asks; a device that rolled back
//! keeps to the witness from then on; two parties go on taking the session from each other, or live side by side.

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::action::Report;
use super::config::Config;
use super::judgement::{Listing, Sighting};
use super::presence::Seen;
use super::pulse::Pulse;
use super::record::{FreezeReason, Record, Stage};
use crate::control_plane::CertificateSummary;

/// A newer certificate that was in use; remembered for as long as it is attached, for it is no leftover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Newcomer {
    pub(super) created_at: Timestamp,
    /// Since when it could have asked, by the controller's clock.
    since: Timestamp,
    /// Its latest connection, by the broker's clock.
    last: Timestamp,
    /// The witness was in use after `last`.
    gave_way: bool,
    /// When the witness first took the session back, by the controller's clock.
    pub(super) contested: Option<Timestamp>,
    /// As the account lists it.
    active: bool,
}

impl Record {
    /// A newer certificate was in use. If it was taken for a leftover, that was wrong.
    pub(super) fn newcomer_seen(
        &mut self,
        now: Timestamp,
        config: &Config,
        sighting: &Sighting,
        found: &CertificateSummary,
    ) {
        let newcomer = self.newcomers.entry(found.id).or_insert_with(|| Newcomer::new(now, found));
        if !sighting.over && sighting.at > newcomer.last {
            // One that was away when its time to ask was over gets the time again.
            if sighting.at >= newcomer.since + config.ask_within {
                newcomer.since = now;
            }
            (newcomer.last, newcomer.gave_way) = (sighting.at, false);
        }
        match self.leftovers.get(&found.id).map(|leftover| leftover.stage) {
            Some(Stage::Soaking) => drop(self.leftovers.remove(&found.id)),
            Some(Stage::Inactive) => self.freeze(FreezeReason::NewcomerSilent, now),
            Some(Stage::Revoked) | None => {}
        }
    }

    /// The witness is in use at `at`: a newcomer that was in use before gives way, once. A device that rolls back may
    /// try its candidate a few times more; whoever still comes after [`Config::outlast`] is somebody else.
    pub(super) fn contest(&mut self, now: Timestamp, config: &Config, at: Timestamp) {
        let mut turns = false;
        for (_, newcomer) in self.newcomers.iter_mut().filter(|(_, newcomer)| newcomer.is_before(at)) {
            newcomer.gave_way = true;
            let first = *newcomer.contested.get_or_insert(now);
            turns |= now >= first + config.outlast;
        }
        if turns {
            self.freeze(FreezeReason::TakingTurns, now);
        }
    }

    /// Whether a newcomer was in use after the witness: the witness's next sign of life is then news.
    pub(super) fn has_challenger(&self) -> bool {
        self.newcomers.values().any(|newcomer| !newcomer.gave_way)
    }

    /// Brings newcomers into line with the account, and freezes what has gone on for too long.
    pub(super) fn expire_newcomers(
        &mut self,
        now: Timestamp,
        config: &Config,
        listing: &Listing,
        seen: &Seen,
        pulse: &Pulse,
    ) {
        let beside = pulse.beats(&self.witness.certificate);
        self.newcomers.retain(|id, _| listing.contains_key(id));
        for (id, newcomer) in &mut self.newcomers {
            newcomer.active = listing.get(id).is_some_and(|found| found.status == CertificateStatus::Active);
            if newcomer.active && beside && seen.uses(id) {
                newcomer.contested.get_or_insert(now);
            }
        }
        let silent = |(id, newcomer): (&CertificateId, &Newcomer)| {
            newcomer.deadline(config, seen.uses(id), beside).is_some_and(|at| now >= at)
        };
        if self.newcomers.iter().any(silent) {
            self.freeze(FreezeReason::NewcomerSilent, now);
        }
    }

    /// What became of newer certificates since `before`, for people.
    pub(super) fn news_of_newer(&self, before: Option<&Self>) -> Vec<Report> {
        let thing = || self.thing.clone();
        let known = |id: &&CertificateId| before.is_some_and(|before| before.leftovers.contains_key(*id));
        let leftovers = self.leftovers.keys().filter(|id| !known(id));
        let leftovers = leftovers.map(|id| Report::Leftover { thing: thing(), certificate: *id });
        let newly = |(id, newcomer): &(&CertificateId, &Newcomer)| {
            let before = before.and_then(|before| before.newcomers.get(*id)?.contested);
            newcomer.contested.is_some() && before.is_none()
        };
        let contested = self.newcomers.iter().filter(newly);
        let contested = contested.map(|(id, _)| Report::Contested { thing: thing(), certificate: *id });
        leftovers.chain(contested).collect()
    }

    /// When a newcomer that stays in use is too long in use.
    pub(super) fn newcomers_at(&self, config: &Config, seen: &Seen, pulse: &Pulse) -> Option<Timestamp> {
        let beside = pulse.beats(&self.witness.certificate);
        let deadline =
            |(id, newcomer): (&CertificateId, &Newcomer)| newcomer.deadline(config, seen.uses(id), beside);
        self.newcomers.iter().filter_map(deadline).min()
    }
}

impl Newcomer {
    fn new(now: Timestamp, found: &CertificateSummary) -> Self {
        let (created_at, last) = (found.created_at, Timestamp::default());
        Self { created_at, since: now, last, gave_way: false, contested: None, active: true }
    }

    /// Whether the witness, in use at `at`, came after it.
    fn is_before(&self, at: Timestamp) -> bool {
        !self.gave_way && self.last < at
    }

    /// When its holder must have asked; the time is shorter while the witness lives beside it.
    fn deadline(&self, config: &Config, in_use: bool, beside: bool) -> Option<Timestamp> {
        let alone = self.since + config.ask_within;
        let beside = self.contested.filter(|_| beside).map(|contested| contested + config.outlast);
        (self.active && in_use).then(|| beside.map_or(alone, |at| at.min(alone)))
    }
}
