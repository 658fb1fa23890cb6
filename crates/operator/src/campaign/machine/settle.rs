//! Who has arrived, who has failed, who has gone: the places of those who were told, by what is known of them.

use std::time::Duration;

use fleetkey_model::time::Timestamp;

use super::{Campaign, Device, FOLLOWED, Mode, Place, Step, Turn};
use fleetkey_model::name::ThingName;

/// How often those are looked at who hold nobody up: who soaks, has failed, has left, or is away.
const ROUND: Duration = Duration::from_secs(30);

impl Campaign {
    /// Those who were told, or given up, and are on a new certificate; those whose time is over; and those who went back.
    pub(super) fn settle(&mut self, now: Timestamp, look: &impl Fn(&ThingName) -> Device, step: &mut Step) {
        for place in self.roll.told() {
            self.settle_one(place, now, look, step);
        }
        // On the way back everybody is looked at there.
        if matches!(self.mode, Mode::RolledBack { .. }) {
            return;
        }
        for place in self.resting.part(now, self.roll.len(), ROUND) {
            self.settle_one(place, now, look, step);
        }
        let soaks = self.counts().soaking > 0 && now.since(self.roll.soaked()) < FOLLOWED;
        self.follows = soaks || !self.resting.has_been();
    }

    fn settle_one(
        &mut self,
        place: usize,
        now: Timestamp,
        look: &impl Fn(&ThingName) -> Device,
        step: &mut Step,
    ) {
        let Some((thing, turn)) = self.roll.at(place) else { return };
        let new = match turn {
            Turn::Waiting if self.absent.contains(&place) => {
                let device = look(thing);
                // Whoever is to be told is looked at then.
                if !device.is_away || self.rotated(device).is_some() {
                    self.absent.remove(&place);
                }
                return;
            }
            Turn::Told { at, tries, acknowledged } => {
                let device = look(thing);
                let arrived = self.arrived(place, device, now, step);
                arrived.or_else(|| self.outcome(place, device, now, (at, tries, acknowledged)))
            }
            Turn::Soaking { since, .. } => {
                let device = look(thing);
                // It went back, by itself or by somebody's order.
                let is_back = self.goes_on() && self.place_of(device, since) == Place::Old;
                self.rotated(device).or_else(|| is_back.then_some(Turn::Failed { at: now }))
            }
            Turn::Failed { .. } | Turn::Left { .. } => {
                let device = look(thing);
                if !device.is_away {
                    self.absent.remove(&place);
                }
                self.arrived(place, device, now, step)
            }
            _ => return,
        };
        if let Some(new) = new {
            self.put(place, new, step);
        }
    }

    /// Where a device is that is on a new certificate for good.
    pub(super) fn arrived(
        &mut self,
        place: usize,
        device: Device,
        now: Timestamp,
        step: &mut Step,
    ) -> Option<Turn> {
        let baseline = self.baseline.as_ref()?;
        let found = self.sightings.look((&self.plan, baseline), place, device, now);
        let rotated = self.rotated(device);
        if let (Some(seen), Some((thing, _)), None) = (found.news, self.roll.at(place), rotated) {
            step.seen.push((thing.clone(), seen));
        }
        let is_taken_back = matches!(self.mode, Mode::RolledBack { .. });
        rotated.or_else(|| found.settled.filter(|_| !is_taken_back))
    }

    /// What it has come to with a device that was told and has not arrived.
    fn outcome(
        &self,
        place: usize,
        device: Device,
        now: Timestamp,
        (at, tries, acknowledged): (Timestamp, u8, bool),
    ) -> Option<Turn> {
        let (goes_on, plan) = (self.goes_on(), &self.plan);
        let is_there = self.sightings.has(place) || device.is_asked;
        if is_there && !matches!(self.mode, Mode::RolledBack { .. }) {
            return None;
        }
        // One whose command was swallowed is told again before it can fail, as long as anybody is told.
        let was_tried = acknowledged || self.given.contains(&place) || !goes_on;
        let is_last = tries >= plan.tries || !goes_on;
        let over = now.since(at) >= plan.patience && is_last;
        let left = device.is_away && now.since(at) >= plan.time_to_leave();
        match (was_tried, over) {
            (true, true) if goes_on || !device.is_away => Some(Turn::Failed { at: now }),
            (true, _) => left.then_some(Turn::Left { at: now, tries }),
            // It was never told.
            (false, _) if tries <= 1 => left.then_some(Turn::Waiting),
            (false, _) => left.then_some(Turn::Left { at: now, tries: tries.saturating_sub(1) }),
        }
    }

    /// Whether a device was attested with a certificate that it did not have when the campaign was made.
    pub(super) fn rotated(&self, device: Device) -> Option<Turn> {
        let held = device.attested?;
        let is_new = self.baseline.as_ref()?.is_new(&held.certificate, held.registered);
        is_new.then_some(Turn::Rotated { at: held.since, certificate: held.certificate })
    }

    const fn goes_on(&self) -> bool {
        matches!(self.mode, Mode::Running | Mode::Paused { .. })
    }
}
