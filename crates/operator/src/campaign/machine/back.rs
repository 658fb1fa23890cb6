//! A campaign's way back. Nobody is told to rotate any more, and for each device that was told:
//!
//! - one that has not asked for the retirement of the certificate before is told to return to that by itself
//!   ([`fleetkey_model::retirement::WayBack`]), and is watched until it has. With which certificate somebody is connected who
//!   came before the controller nobody tells; so whoever is not known to be on an old one is told, which is harmless;
//! - one that has asked ([`Turn::Rotated`]) does not return: the certificate that it superseded is kept, and made ACTIVE
//!   again if it was INACTIVE. One that is REVOKED is past that.
//!
//! Each step is durable before anything follows from it, and may be taken twice.

use std::time::Duration;

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Campaign, Device, Place, Step, Turn};

/// How often a device is told to return.
const TRIES: u8 = 3;
/// Whoever has registered nothing new at this try, a device's patience after the first, has not rotated.
const SECOND: u8 = 2;

/// What a rollback has come to for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// It uses a certificate from before the campaign: it went back, or had not rotated.
    Back,
    /// It goes on with the new one and does not return: too late, or it cannot.
    Stays,
    /// The certificate before is ACTIVE as it was, and is not retired until the thing is released.
    Kept,
    /// The same, and it was INACTIVE.
    Reactivated,
    /// The certificate before is REVOKED, or gone.
    Past,
}

impl Way {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Back => "back",
            Self::Stays => "stays",
            Self::Kept => "kept",
            Self::Reactivated => "reactivated",
            Self::Past => "past",
        }
    }
}

impl Campaign {
    /// What a device's superseded certificate has come to; what is to be kept of it, if that is news.
    pub fn returned(&mut self, thing: &ThingName, at: Timestamp, how: Way) -> Option<Turn> {
        self.turn_if(thing, Turn::Returned { at, how }, |turn| matches!(turn, Turn::Keeping { .. }))
    }

    /// The account knows no certificate of a device that came since the campaign was made; what is to be kept of that, if
    /// it is news. At first it may be about to register one.
    pub fn has_nothing_new(&mut self, thing: &ThingName, at: Timestamp) -> Option<Turn> {
        let was_asked = |turn| matches!(turn, Turn::Returning { tries, .. } if tries >= SECOND);
        self.turn_if(thing, Turn::Returned { at, how: Way::Back }, was_asked)
    }

    /// Looks at those who were told, a part of them in each step, at the campaign's rate for whoever is to be sent something
    /// or changed, and for at most so many.
    pub(super) fn take_back(
        &mut self,
        now: Timestamp,
        most: usize,
        look: &impl Fn(&ThingName) -> Device,
        step: &mut Step,
    ) {
        self.next = self.next.max(now - super::SLACK);
        let part = self.returning.part(now, self.roll.len(), Duration::ZERO);
        if part.start == 0 {
            self.unfinished = false;
        }
        let is_last = part.end == self.roll.len();
        for place in part {
            self.take_one_back(place, now, most, look, step);
        }
        if is_last {
            self.pending = self.unfinished;
        }
    }

    fn take_one_back(
        &mut self,
        place: usize,
        now: Timestamp,
        most: usize,
        look: &impl Fn(&ThingName) -> Device,
        step: &mut Step,
    ) {
        let Some((thing, known)) = self.roll.at(place) else { return };
        let (thing, device) = match known {
            Turn::Waiting | Turn::Returned { .. } => return,
            Turn::Rotated { .. } | Turn::Keeping { .. } => (thing.clone(), None),
            _ => (thing.clone(), Some(look(thing))),
        };
        // Meanwhile it may have asked for the retirement of what it had before.
        let asked = device.and_then(|device| self.rotated(device));
        let (turn, device) = (asked.unwrap_or(known), device.unwrap_or_default());
        let since = self.since(place, turn);
        let found = self.place_of(device, since);
        let what = next(turn, now, self.plan.patience, self.given.contains(&place), found);
        self.unfinished |= what.is_some();
        let new = match what {
            None | Some(What::Wait) => asked,
            Some(What::End(how)) => Some(Turn::Returned { at: now, how }),
            Some(What::Send(..) | What::Keep) if self.next > now || step.devices() >= most => asked,
            Some(What::Send(tries)) => {
                let on_new = device.using.filter(|_| found == Place::New);
                self.next = self.next + self.pause();
                step.send_back.push(thing);
                Some(Turn::Returning { at: now, tries, since: on_new.map_or(since, |held| held.since) })
            }
            Some(What::Keep) => {
                self.next = self.next + self.pause();
                self.given.insert(place);
                step.keep.push(thing);
                Some(Turn::Keeping { at: now })
            }
        };
        if let Some(new) = new {
            self.put(place, new, step);
        }
    }

    /// When a device connected with its new certificate, by the broker's clock, as far as was seen.
    fn since(&self, place: usize, turn: Turn) -> Timestamp {
        match turn {
            Turn::Soaking { since, .. } | Turn::Returning { since, .. } => since,
            _ => self.sightings.since(place),
        }
    }
}

/// What comes next for a device.
#[derive(Debug, Clone, Copy)]
enum What {
    /// It will tell by itself.
    Wait,
    /// It is told to return, the so-manieth time.
    Send(u8),
    /// What it superseded is kept.
    Keep,
    /// Nothing.
    End(Way),
}

/// `None` when nothing is to come.
fn next(turn: Turn, now: Timestamp, patience: Duration, given: bool, place: Place) -> Option<What> {
    let is_over = |at: Timestamp| now.since(at) >= patience;
    Some(match turn {
        Turn::Waiting | Turn::Returned { .. } => return None,
        Turn::Rotated { .. } => What::Keep,
        // Whoever was to keep it was killed, or the account has refused: once more.
        Turn::Keeping { at } if !given || is_over(at) => What::Keep,
        Turn::Keeping { .. } => What::Wait,
        Turn::Told { .. } | Turn::Soaking { .. } | Turn::Left { .. } | Turn::Failed { .. } => match place {
            Place::New | Place::Unknown => What::Send(1),
            // It may be at it; one that has failed is not.
            Place::Old if matches!(turn, Turn::Failed { .. }) => return None,
            Place::Old if matches!(turn, Turn::Left { .. } | Turn::Soaking { .. }) => What::End(Way::Back),
            Place::Old | Place::Away => What::Wait,
        },
        Turn::Returning { at, tries, .. } => match place {
            Place::Old => What::End(Way::Back),
            Place::New | Place::Unknown if is_over(at) && tries >= TRIES => What::End(Way::Stays),
            Place::New | Place::Unknown if is_over(at) => What::Send(tries.saturating_add(1)),
            Place::New | Place::Unknown | Place::Away => What::Wait,
        },
    })
}
