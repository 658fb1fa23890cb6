//! Which certificate devices are seen connected with, and since when it is a new one.
//!
//! That a device is connected with a new certificate is not yet that it keeps it: a verification by takeover connects
//! with a candidate before it is committed, and goes back if the commit fails. So it counts once the device has not been
//! seen on an older one for [`Plan::settling`]. Its request for retirement comes after its soak, a day as it comes: a
//! campaign does not wait for that.

use std::collections::BTreeMap;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::{Device, Plan, Turn};

/// Which certificate a device uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// One that was registered since the campaign was made.
    New,
    /// One from before.
    Old,
    /// It is away.
    Away,
    /// That is not known.
    Unknown,
}

impl Place {
    pub(super) fn of(device: Device, made: Timestamp) -> Self {
        // The account counts in seconds: what is registered in the second of the beginning is taken for new.
        let made = Timestamp::from_secs(made.as_secs());
        match device.using {
            Some((_, created)) if created >= made => Self::New,
            Some(_) => Self::Old,
            None if device.is_away => Self::Away,
            None => Self::Unknown,
        }
    }
}

/// Those who were told and are on a new certificate, which one, and since when. Not kept: the next process begins anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sightings(BTreeMap<ThingName, (CertificateId, Timestamp)>);

impl Sightings {
    /// Takes in what is known of a device; where it is by that, if it has been on its new certificate for long enough.
    pub(super) fn look(
        &mut self,
        plan: &Plan,
        thing: &ThingName,
        device: Device,
        now: Timestamp,
    ) -> Option<Turn> {
        let known = self.0.get(thing).copied();
        let seen = match (device.using, Place::of(device, plan.created_at)) {
            (Some((certificate, _)), Place::New) => {
                known.filter(|(id, _)| *id == certificate).or(Some((certificate, now)))
            }
            (_, Place::Old) => None,
            // It may be asleep.
            _ => known,
        };
        let settled = seen.filter(|(_, since)| now.since(*since) >= plan.settling());
        match seen.filter(|_| settled.is_none()) {
            Some(_) if seen == known => {}
            Some(seen) => drop(self.0.insert(thing.clone(), seen)),
            None if known.is_some() => drop(self.0.remove(thing)),
            None => {}
        }
        settled.map(|(certificate, _)| Turn::Soaking { at: now, certificate })
    }

    /// Whether a device is on a new certificate, and nobody knows yet whether it stays there.
    pub(super) fn has(&self, thing: &ThingName) -> bool {
        self.0.contains_key(thing)
    }
}
