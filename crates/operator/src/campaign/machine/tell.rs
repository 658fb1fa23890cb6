//! Whom to tell next, and which wave it is.

use std::time::Duration;

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::roll::PART;
use super::{Campaign, Device, SLACK, Step, Turn};

impl Campaign {
    pub(super) fn tell(
        &mut self,
        now: Timestamp,
        most: usize,
        look: &impl Fn(&ThingName) -> Device,
        step: &mut Step,
    ) {
        let at_once = usize::try_from(self.plan.at_once).unwrap_or(usize::MAX);
        let (pause, mut looks) = (self.pause(), 0);
        let reached = self.reached(look, &mut looks);
        let end = self.roll.end_of(reached);
        let has_room = |campaign: &Self| campaign.roll.counts().told < at_once;
        let mut room = has_room(self);
        self.next = self.next.max(now - SLACK);
        for place in 0..end {
            if self.next > now || looks >= PART || step.tell.len() >= most {
                return;
            }
            let Some((thing, turn)) = self.roll.at(place) else { continue };
            let Some(tries) = self.tries(place, turn, now, room) else { continue };
            let thing = thing.clone();
            let device = look(&thing);
            looks += 1;
            // One that rotates by itself meanwhile is on its way, and need not be told.
            let new = match self.arrived(place, device, now, step) {
                Some(arrived) => arrived,
                None if self.sightings.has(place) || device.is_asked => continue,
                None if device.is_away => {
                    self.absent.insert(place);
                    continue;
                }
                None => {
                    self.next = self.next + pause;
                    self.given.insert(place);
                    step.tell.push(thing);
                    Turn::Told { at: now, tries, acknowledged: false }
                }
            };
            self.put(place, new, step);
            room = has_room(self);
        }
    }

    /// How often a device was told if it is told now, if it is its turn.
    fn tries(&self, place: usize, turn: Turn, now: Timestamp, has_room: bool) -> Option<u8> {
        let plan = &self.plan;
        match turn {
            Turn::Waiting | Turn::Left { .. } if !has_room || self.absent.contains(&place) => None,
            Turn::Waiting => Some(1),
            Turn::Left { tries, .. } => Some(tries.saturating_add(1)),
            // The same command under the same id: a device that has it already does nothing.
            Turn::Told { tries, acknowledged: false, .. } if !self.given.contains(&place) => Some(tries),
            Turn::Told { at, tries, .. } if now.since(at) >= plan.patience && tries < plan.tries => {
                Some(tries.saturating_add(1))
            }
            _ => None,
        }
    }

    /// Between one command and the next.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_millis(60_000 / u64::from(self.plan.rate.max(1)))
    }

    /// The wave that is under way: the first with somebody in it of whom something is still to come. Whoever was not told
    /// because they are away, and whoever has left, hold nobody up. Where too many are to be looked at for one step, the
    /// next one goes on.
    fn reached(&mut self, look: &impl Fn(&ThingName) -> Device, looks: &mut usize) -> usize {
        for place in 0..self.roll.len() {
            let Some((thing, turn)) = self.roll.at(place) else { continue };
            let holds_up = match turn {
                Turn::Told { acknowledged, .. } if acknowledged || self.given.contains(&place) => true,
                Turn::Told { .. } | Turn::Waiting | Turn::Left { .. } if !self.absent.contains(&place) => {
                    *looks += 1;
                    let is_away = look(thing).is_away;
                    if is_away && !self.sightings.has(place) && !matches!(turn, Turn::Told { .. }) {
                        self.absent.insert(place);
                    }
                    !is_away || *looks >= PART
                }
                _ => false,
            };
            if holds_up {
                return self.roll.wave_of(place);
            }
        }
        self.roll.waves().len().saturating_sub(1)
    }
}
