//! What a case has in hand. Most have nothing, of a hundred thousand nearly all: then it takes no room.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::retirement::Attested;

use super::action::{Action, Change};
use super::judgement::Sighting;

/// Evidence that waits for a listing, and steps that are to be taken.
#[derive(Debug, Default)]
pub(super) struct InHand {
    pub(super) requests: Vec<Attested>,
    pub(super) sightings: Vec<Sighting>,
    pub(super) plan: VecDeque<(CertificateId, Change)>,
    pub(super) told: VecDeque<Action>,
}

static NOTHING: InHand =
    InHand { requests: Vec::new(), sightings: Vec::new(), plan: VecDeque::new(), told: VecDeque::new() };

impl InHand {
    fn is_nothing(&self) -> bool {
        self.requests.is_empty() && self.sightings.is_empty() && self.plan.is_empty() && self.told.is_empty()
    }
}

/// It, or nothing. To be changed it is given room, until [`Self::rest`].
#[derive(Debug, Default)]
pub(super) struct Work(Option<Box<InHand>>);

impl Work {
    /// The next thing to tell.
    pub(super) fn next_told(&mut self) -> Option<Action> {
        self.0.as_mut()?.told.pop_front()
    }

    /// What was planned is dropped.
    pub(super) fn drop_plan(&mut self) {
        if let Some(work) = &mut self.0 {
            work.plan.clear();
        }
    }

    /// The requests that wait for a listing, taken out.
    pub(super) fn take_requests(&mut self) -> Vec<Attested> {
        self.0.as_mut().map(|work| core::mem::take(&mut work.requests)).unwrap_or_default()
    }

    /// The same for sightings.
    pub(super) fn take_sightings(&mut self) -> Vec<Sighting> {
        self.0.as_mut().map(|work| core::mem::take(&mut work.sightings)).unwrap_or_default()
    }

    /// Gives the room back where nothing is left.
    pub(super) fn rest(&mut self) {
        self.0.take_if(|work| work.is_nothing());
    }
}

impl Deref for Work {
    type Target = InHand;

    fn deref(&self) -> &InHand {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut InHand {
        self.0.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_nothing_in_hand_takes_no_room_and_what_is_left_stays() {
        let mut work = Work::default();
        let change = (CertificateId::of_der(b"x"), Change::Deactivate);
        work.plan.push_back(change);
        work.rest();
        assert_eq!(work.plan.pop_front(), Some(change));
        assert!(work.0.is_some());
        work.rest();
        assert!(work.0.is_none() && work.is_nothing());
    }
}
