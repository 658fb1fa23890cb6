//! Which certificate devices are seen connected with, and since when it is a new one.
//!
//! That a device is connected with a new certificate is not yet that it keeps it: a verification by takeover connects
//! with a candidate before it is committed, and goes back if the commit fails. So it counts once the device has not been
//! seen on an older one for [`Plan::settling`]. Its request for retirement comes after its soak, a day as it comes: a
//! campaign does not wait for that.
//!
//! What was seen is kept: events are told once, and the next process would wait in vain for a device that soaks.

use std::collections::BTreeMap;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Baseline, Device, Plan, Turn};

/// Which certificate a device uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// One that came since the campaign was made.
    New,
    /// One from before.
    Old,
    /// It is away.
    Away,
    /// That is not known.
    Unknown,
}

impl Place {
    /// Where a device is that was on a new certificate at `since`, if it was: with which it was connected before, is no
    /// news. A controller that was killed begins with what it had kept of connections a while before.
    pub(super) fn of(device: Device, baseline: &Baseline, since: Timestamp) -> Self {
        match device.using {
            Some(held) if baseline.is_new(&held.certificate, held.registered) => Self::New,
            Some(held) if held.since > since => Self::Old,
            None if device.is_away => Self::Away,
            Some(_) | None => Self::Unknown,
        }
    }
}

/// A device was seen on a new certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which one.
    pub certificate: CertificateId,
    /// When it connected with that, by the broker's clock.
    pub since: Timestamp,
    /// When that was found.
    pub at: Timestamp,
}

/// Those who were told, by their places, and are on a new certificate, and nobody knows yet whether they stay there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sightings(BTreeMap<usize, Seen>);

/// What a look at a device has come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// Where it is, if it has been on its new certificate for long enough.
    pub(super) settled: Option<Turn>,
    /// What it is seen on, if that is otherwise than before; nothing new in the inner one.
    pub(super) news: Option<Option<Seen>>,
}

impl Sightings {
    /// Takes in what is known of a device.
    pub(super) fn look(
        &mut self,
        (plan, baseline): (&Plan, &Baseline),
        place: usize,
        device: Device,
        now: Timestamp,
    ) -> Look {
        let known = self.0.get(&place).copied();
        let since = known.map(|seen| seen.since).unwrap_or_default();
        let seen = match (device.using, Place::of(device, baseline, since)) {
            (Some(held), Place::New) => {
                let fresh = Seen { certificate: held.certificate, since: held.since, at: now };
                known.filter(|seen| seen.certificate == held.certificate).or(Some(fresh))
            }
            (_, Place::Old) => None,
            // It may be asleep.
            _ => known,
        };
        let settled = seen.filter(|seen| now.since(seen.at) >= plan.settling());
        let settled =
            settled.map(|Seen { certificate, since, .. }| Turn::Soaking { at: now, certificate, since });
        self.put(place, seen);
        Look { settled, news: (seen != known).then_some(seen) }
    }

    /// What a device is seen on, as it was kept; nothing once it is elsewhere.
    pub(super) fn put(&mut self, place: usize, seen: Option<Seen>) {
        match seen {
            Some(seen) => drop(self.0.insert(place, seen)),
            None => drop(self.0.remove(&place)),
        }
    }

    /// Whether a device is on a new certificate, and nobody knows yet whether it stays there.
    pub(super) fn has(&self, place: usize) -> bool {
        self.0.contains_key(&place)
    }

    /// When a device connected with its new certificate, by the broker's clock.
    pub(super) fn since(&self, place: usize) -> Timestamp {
        self.0.get(&place).map(|seen| seen.since).unwrap_or_default()
    }
}
