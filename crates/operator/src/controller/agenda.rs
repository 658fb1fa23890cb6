//! What is to be looked at when: one moment a thing, the earliest first.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

/// When a thing is to be looked at: for what is due, and for leftovers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Planned {
    pub(super) look: Option<Timestamp>,
    pub(super) patrol: Option<Timestamp>,
}

/// Things by the moment that they are planned for, which whoever plans them keeps: of a hundred thousand it is not to be
/// kept twice.
#[derive(Debug, Default)]
pub(super) struct Moments(BTreeSet<(Timestamp, ThingName)>);

impl Moments {
    /// Plans a thing for a moment, in the place of the one `before`; `None` plans nothing.
    pub(super) fn shift(&mut self, thing: &ThingName, before: Option<Timestamp>, at: Option<Timestamp>) {
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.0.remove(&(before, thing.clone()));
        }
        self.0.extend(at.map(|at| (at, thing.clone())));
    }

    /// When the first thing is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the first thing out if it is due.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<ThingName> {
        self.first().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, thing)| thing)
    }
}

/// The same for a few things, with the moment of each.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    moments: Moments,
    by_thing: BTreeMap<ThingName, Timestamp>,
}

impl Agenda {
    /// Plans a thing for a moment, in the place of what was planned for it; `None` plans nothing.
    pub(super) fn plan(&mut self, thing: &ThingName, at: Option<Timestamp>) {
        let before = self.by_thing.remove(thing);
        self.moments.shift(thing, before, at);
        self.by_thing.extend(at.map(|at| (thing.clone(), at)));
    }

    /// Whether a thing is planned.
    pub(super) fn has(&self, thing: &ThingName) -> bool {
        self.by_thing.contains_key(thing)
    }

    /// How many are planned.
    pub(super) fn len(&self) -> usize {
        self.by_thing.len()
    }

    /// When the first thing is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.moments.first()
    }

    /// Takes the first thing off the agenda if it is due.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<ThingName> {
        let thing = self.moments.take_due(now)?;
        self.by_thing.remove(&thing);
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_stands_once_on_the_agenda_and_the_earliest_comes_first() {
        let [a, b] = ["a", "b"].map(|name| ThingName::new(name).unwrap());
        let at = Timestamp::from_secs;
        let mut agenda = Agenda::default();
        agenda.plan(&a, Some(at(1)));
        agenda.plan(&b, Some(at(2)));
        agenda.plan(&a, Some(at(3)));
        assert_eq!((agenda.first(), agenda.take_due(at(1))), (Some(at(2)), None));
        assert_eq!(agenda.take_due(at(9)), Some(b));
        agenda.plan(&a, None);
        assert_eq!((agenda.first(), agenda.take_due(at(9))), (None, None));
    }
}
