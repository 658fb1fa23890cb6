//! The devices of a campaign: in which order they are told, where each is, and how many are where.
//!
//! It is counted as they move, so that a look at a campaign of a hundred thousand costs no more than what moves in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::{Counts, Plan, Turn};

/// How many devices that hold nobody up are looked at in one step, at most: a few milliseconds' work.
pub(super) const PART: usize = 5000;

/// The devices, by their places in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roll {
    things: Vec<ThingName>,
    places: BTreeMap<ThingName, usize>,
    turns: Vec<Turn>,
    /// Where each wave ends.
    ends: Vec<usize>,
    /// Of each wave.
    counts: Vec<Counts>,
    /// Those who were told and are at it.
    told: BTreeSet<usize>,
    /// When the last one began to soak.
    soaked: Timestamp,
}

impl Roll {
    /// Nobody of these was told.
    pub(super) fn new(plan: &Plan, things: impl IntoIterator<Item = ThingName>) -> Self {
        let things: BTreeSet<_> = things.into_iter().collect();
        let mut things: Vec<_> = things.into_iter().collect();
        things.sort_by_cached_key(|thing| plan.place(thing.as_str()));
        let places = things.iter().cloned().zip(0..).collect();
        let (turns, ends) = (vec![Turn::Waiting; things.len()], plan.waves(things.len()));
        let begins = std::iter::once(0).chain(ends.iter().copied());
        let counts =
            ends.iter().zip(begins).map(|(end, begin)| Counts { waiting: end - begin, ..Counts::default() });
        let counts = counts.collect();
        let (told, soaked) = (BTreeSet::new(), Timestamp::default());
        Self { things, places, turns, ends, counts, told, soaked }
    }

    pub(super) const fn len(&self) -> usize {
        self.things.len()
    }

    pub(super) fn place(&self, thing: &ThingName) -> Option<usize> {
        self.places.get(thing).copied()
    }

    /// Who is at a place, and how far.
    pub(super) fn at(&self, place: usize) -> Option<(&ThingName, Turn)> {
        Some((self.things.get(place)?, *self.turns.get(place)?))
    }

    /// Everybody, by name.
    pub(super) fn turns(&self) -> impl Iterator<Item = (&ThingName, &Turn)> {
        self.places.iter().filter_map(|(thing, place)| Some((thing, self.turns.get(*place)?)))
    }

    /// A device is elsewhere from now on.
    pub(super) fn put(&mut self, place: usize, turn: Turn) {
        let wave = self.wave_of(place);
        let Some(known) = self.turns.get_mut(place) else { return };
        let before = std::mem::replace(known, turn);
        if let Some(counts) = self.counts.get_mut(wave) {
            *counts.of(before) -= 1;
            *counts.of(turn) += 1;
        }
        match turn {
            Turn::Told { .. } => drop(self.told.insert(place)),
            _ => drop(self.told.remove(&place)),
        }
        if let Turn::Soaking { at, .. } = turn {
            self.soaked = self.soaked.max(at);
        }
    }

    /// The places of those who were told and are at it.
    pub(super) fn told(&self) -> Vec<usize> {
        self.told.iter().copied().collect()
    }

    /// When the last one began to soak.
    pub(super) const fn soaked(&self) -> Timestamp {
        self.soaked
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.iter().fold(Counts::default(), |sum, wave| sum + *wave)
    }

    /// The same for each wave, in their order.
    pub(super) fn waves(&self) -> &[Counts] {
        &self.counts
    }

    /// In which wave a place is, from 0.
    pub(super) fn wave_of(&self, place: usize) -> usize {
        self.ends.partition_point(|end| *end <= place)
    }

    /// Where a wave ends; the last one's end for what comes after it.
    pub(super) fn end_of(&self, wave: usize) -> usize {
        self.ends.get(wave).copied().unwrap_or(self.things.len())
    }
}

/// Goes through all places, a part in each step, and rests before it begins anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Round {
    begun: Timestamp,
    next: usize,
    /// It has come to the end once.
    through: bool,
}

impl Round {
    /// The places of this step, of so many, where a round begins `every` so often.
    pub(super) fn part(&mut self, now: Timestamp, places: usize, every: Duration) -> Range<usize> {
        if self.next >= places && self.through {
            // A clock that was put back does not let it rest for longer.
            if now >= self.begun && now.since(self.begun) < every {
                return places..places;
            }
            self.next = 0;
        }
        if self.next == 0 {
            self.begun = now;
        }
        let from = self.next;
        self.next = from.saturating_add(PART).min(places);
        self.through |= self.next >= places;
        from..self.next
    }

    /// Whether everybody was looked at once.
    pub(super) const fn has_been(&self) -> bool {
        self.through
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::machine::tests::plan;

    #[test]
    fn what_is_counted_as_devices_move_is_what_there_is() {
        let things = (0..60).map(|n| ThingName::new(format!("press-{n}")).unwrap());
        let mut roll = Roll::new(&plan(), things);
        let told = |tries| Turn::Told { at: Timestamp::from_secs(5), tries, acknowledged: false };
        for (place, turn) in [(0, told(1)), (4, told(1)), (4, told(2)), (59, told(1)), (59, Turn::Waiting)] {
            roll.put(place, turn);
        }
        roll.put(0, Turn::Failed { at: Timestamp::from_secs(7) });
        assert_eq!(roll.told(), [4]);
        assert_eq!(roll.counts(), Counts { waiting: 58, told: 1, failed: 1, ..Counts::default() });
        assert_eq!(roll.waves()[0], Counts { waiting: 2, failed: 1, ..Counts::default() });
        assert_eq!([0, 2, 3, 14, 15, 59].map(|place| roll.wave_of(place)), [0, 0, 1, 1, 2, 2]);
        assert_eq!([0, 1, 2].map(|wave| roll.end_of(wave)), [3, 15, 60]);
    }

    #[test]
    fn a_round_takes_a_part_in_each_step_and_rests() {
        let (mut round, every) = (Round::default(), Duration::from_secs(30));
        let mut part = |second| round.part(Timestamp::from_secs(second), PART + 3, every);
        assert_eq!([part(100), part(101), part(102)], [0..PART, PART..PART + 3, PART + 3..PART + 3]);
        assert_eq!([part(129), part(130)], [PART + 3..PART + 3, 0..PART]);
        assert_eq!([part(131), part(10)], [PART..PART + 3, 0..PART]);
        assert!(round.has_been() && !Round::default().has_been());
    }
}
