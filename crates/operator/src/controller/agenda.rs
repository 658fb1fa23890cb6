//! What is to be looked at when: one moment a thing, the earliest first.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(Timestamp, ThingName)>,
    by_thing: BTreeMap<ThingName, Timestamp>,
}

impl Agenda {
    /// Plans a thing for a moment, in the place of what was planned for it; `None` plans nothing.
    pub(super) fn plan(&mut self, thing: &ThingName, at: Option<Timestamp>) {
        if let Some(planned) = self.by_thing.remove(thing) {
            self.by_time.remove(&(planned, thing.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, thing.clone()));
            self.by_thing.insert(thing.clone(), at);
        }
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
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the first thing off the agenda if it is due.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<ThingName> {
        self.first().filter(|at| *at <= now)?;
        let (_, thing) = self.by_time.pop_first()?;
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
