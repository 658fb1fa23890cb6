//! What an order to rotate would come to, device by device, before anything is sent.

use std::collections::BTreeSet;

use fleetkey_model::name::ThingName;

use super::Fleet;

/// What an order to rotate would come to for one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It is told, and rotates.
    Rotates,
    /// It is not connected: it is told when it comes back, if the broker keeps its session.
    Away,
    /// It is at a rotation, or its last one is not retired yet: it takes no order to begin another.
    UnderWay,
    /// The retirement of its certificates is held until somebody has looked at it.
    Frozen,
    /// Nothing that is said here reaches it.
    Unreachable,
    /// There is no such device.
    Unknown,
}

/// The devices of an order, each once, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sorted {
    /// Those that are told: [`Outlook::Rotates`] and [`Outlook::Away`].
    pub told: Vec<ThingName>,
    /// How many of them are away.
    pub away: usize,
    /// [`Outlook::UnderWay`].
    pub under_way: Vec<ThingName>,
    /// [`Outlook::Frozen`].
    pub frozen: Vec<ThingName>,
    /// [`Outlook::Unreachable`].
    pub unreachable: Vec<ThingName>,
    /// [`Outlook::Unknown`], and what is no name of a thing.
    pub unknown: Vec<String>,
}

impl Sorted {
    /// Looks at each of these once.
    pub fn of<'a>(fleet: &dyn Fleet, names: impl Iterator<Item = &'a str>) -> Self {
        let mut sorted = Self::default();
        for name in names.collect::<BTreeSet<_>>() {
            match ThingName::new(name) {
                Ok(thing) => sorted.add(fleet.outlook(&thing), thing),
                Err(_) => sorted.unknown.push(name.to_owned()),
            }
        }
        sorted
    }

    fn add(&mut self, outlook: Outlook, thing: ThingName) {
        self.away += usize::from(outlook == Outlook::Away);
        match outlook {
            Outlook::Rotates | Outlook::Away => self.told.push(thing),
            Outlook::UnderWay => self.under_way.push(thing),
            Outlook::Frozen => self.frozen.push(thing),
            Outlook::Unreachable => self.unreachable.push(thing),
            Outlook::Unknown => self.unknown.push(thing.to_string()),
        }
    }

    /// Whether it names nobody.
    pub const fn is_empty(&self) -> bool {
        self.told.is_empty() && self.left_out() == 0
    }

    /// How many are not told.
    pub const fn left_out(&self) -> usize {
        self.under_way.len() + self.frozen.len() + self.unreachable.len() + self.unknown.len()
    }
}
