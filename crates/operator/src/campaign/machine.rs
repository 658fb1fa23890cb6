//! A campaign's state, and what follows from it and the time: who has arrived ([`settle`]), how the campaign stands, whom
//! to tell ([`tell`]). Its way back is [`back`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
pub use back::Way;
pub use baseline::Baseline;
use roll::{Roll, Round};
pub use sightings::Seen;
use sightings::{Place, Sightings};

mod back;
mod baseline;
mod roll;
mod settle;
mod sightings;
mod tell;

/// Of the commands that were not sent, those of so long ago are not made up for: a morning does not begin with a flood.
pub(super) const SLACK: Duration = Duration::from_secs(2);
/// How long a campaign that has ended follows devices that soak: until most have asked for retirement, whose soak is a
/// day as it comes.
const FOLLOWED: Duration = Duration::from_secs(2 * 86_400);

/// How far one device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Turn {
    /// It was not told yet.
    Waiting,
    /// It was told.
    Told {
        /// When last.
        at: Timestamp,
        /// How often.
        tries: u8,
        /// The broker has the last command. Until that is kept, whoever carries the campaign on gives it again.
        #[serde(default)]
        acknowledged: bool,
    },
    /// It is on a certificate that came since the campaign was made, by the broker's events, and stays there. It has not
    /// asked for the retirement of the one before, so it can still go back.
    Soaking {
        /// When that was found.
        at: Timestamp,
        /// Which certificate.
        certificate: CertificateId,
        /// When it connected with that, by the broker's clock.
        since: Timestamp,
    },
    /// The broker has attested it with another certificate since the campaign was made: it asked for the retirement of
    /// the one before.
    Rotated {
        /// When it was seen.
        at: Timestamp,
        /// Which certificate.
        certificate: CertificateId,
    },
    /// It was told as often as it may, and nothing came of it.
    Failed {
        /// When that was found.
        at: Timestamp,
    },
    /// It was told, went away, and has been away for as long as all its tries would have taken. On coming back it is told
    /// again, as often as is left.
    Left {
        /// When that was found.
        at: Timestamp,
        /// How often it was told.
        tries: u8,
    },
    /// The campaign was rolled back: it was told to return to the certificate before.
    Returning {
        /// When last.
        at: Timestamp,
        /// How often.
        tries: u8,
        /// When it connected with the new one, by the broker's clock, as far as was seen.
        since: Timestamp,
    },
    /// The same, and it cannot return by itself any more: what it superseded is about to be kept.
    Keeping {
        /// Since when.
        at: Timestamp,
    },
    /// All that the rollback can do for it is done.
    Returned {
        /// When that was found.
        at: Timestamp,
        /// What it came to.
        how: Way,
    },
}

/// How a campaign stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Mode {
    /// Devices are told.
    Running,
    /// Nobody is told until somebody resumes it.
    Paused {
        /// Why, in words.
        why: String,
    },
    /// Nobody is told any more.
    Aborted {
        /// Why, in words.
        why: String,
    },
    /// Every device is on a new certificate or has failed.
    Done,
    /// Nobody is told any more to rotate, and what can be undone is.
    #[serde(rename = "rolled-back")]
    RolledBack {
        /// Why, in words.
        why: String,
    },
}

/// What is known of a device from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Device {
    /// The certificate that the broker has attested last, and when first.
    pub attested: Option<Held>,
    /// It is known not to be connected.
    pub is_away: bool,
    /// Whether it is, is being asked: until that is known it is neither told nor passed over, and has not failed.
    pub is_asked: bool,
    /// The certificate that it is connected with, as events have told.
    pub using: Option<Held>,
}

/// A certificate that a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which one.
    pub certificate: CertificateId,
    /// When it was registered, by the account's clock; of one that no list has told of yet, when it was first seen.
    pub registered: Timestamp,
    /// Since when it is so, by the broker's clock.
    pub since: Timestamp,
}

/// What follows. All of it must be durable before anybody is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Devices that are seen on a new certificate since now, or (`None`) on an older one again.
    pub seen: Vec<(ThingName, Option<Seen>)>,
    /// Devices that are at another place than before.
    pub turns: Vec<(ThingName, Turn)>,
    /// The campaign stands otherwise than before.
    pub mode: Option<Mode>,
    /// Whom to tell to rotate.
    pub tell: Vec<ThingName>,
    /// Whom to tell to return from what they have registered since, if they have.
    pub send_back: Vec<ThingName>,
    /// Whose superseded certificate to keep.
    pub keep: Vec<ThingName>,
}

impl Step {
    /// How many devices it sends something to, or changes something for.
    pub fn devices(&self) -> usize {
        self.tell.len() + self.send_back.len() + self.keep.len()
    }
}

/// How many devices are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Not told yet.
    pub waiting: usize,
    /// Told.
    pub told: usize,
    /// On a new certificate, the one before not yet asked to be retired.
    pub soaking: usize,
    /// On a new certificate, and has asked for the retirement of the one before.
    pub rotated: usize,
    /// Given up.
    pub failed: usize,
    /// Told, and gone since.
    pub left: usize,
    /// Under way back.
    pub returning: usize,
    /// Those for whom a rollback has done what it can.
    pub returned: usize,
}

impl Counts {
    /// The counter for devices that are there.
    const fn of(&mut self, turn: Turn) -> &mut usize {
        match turn {
            Turn::Waiting => &mut self.waiting,
            Turn::Told { .. } => &mut self.told,
            Turn::Soaking { .. } => &mut self.soaking,
            Turn::Rotated { .. } => &mut self.rotated,
            Turn::Failed { .. } => &mut self.failed,
            Turn::Left { .. } => &mut self.left,
            Turn::Returning { .. } | Turn::Keeping { .. } => &mut self.returning,
            Turn::Returned { .. } => &mut self.returned,
        }
    }

    /// How many there are.
    const fn all(&self) -> usize {
        let Self { waiting, told, soaking, rotated, failed, left, returning, returned } = *self;
        waiting + told + soaking + rotated + failed + left + returning + returned
    }
}

impl core::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            waiting: self.waiting + other.waiting,
            told: self.told + other.told,
            soaking: self.soaking + other.soaking,
            rotated: self.rotated + other.rotated,
            failed: self.failed + other.failed,
            left: self.left + other.left,
            returning: self.returning + other.returning,
            returned: self.returned + other.returned,
        }
    }
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    plan: Plan,
    /// Until that is known nothing is done.
    baseline: Option<Arc<Baseline>>,
    roll: Roll,
    mode: Mode,
    /// When the next device may be told.
    next: Timestamp,
    /// The places of those whose command was given by this process: it is on its way, or has come to nothing. Whoever else
    /// was told and not acknowledged may have been told by a process that was killed before it could.
    given: BTreeSet<usize>,
    sightings: Sightings,
    /// Those of whom nothing is to come until they are back, as far as was looked.
    absent: BTreeSet<usize>,
    /// The look at those who hold nobody up.
    resting: Round,
    /// Somebody soaks, and is still followed, as far as was looked.
    follows: bool,
    /// The look at everybody on the way back.
    returning: Round,
    /// Somebody's way back is not at its end, as far as this round has looked.
    unfinished: bool,
    /// The same, as far as the last one did.
    pending: bool,
}

impl Campaign {
    /// One that has not told anybody.
    pub fn new(plan: Plan, things: impl IntoIterator<Item = ThingName>) -> Self {
        Self {
            roll: Roll::new(&plan, things),
            plan,
            baseline: None,
            mode: Mode::Running,
            next: Timestamp::default(),
            given: BTreeSet::new(),
            sightings: Sightings::default(),
            absent: BTreeSet::new(),
            resting: Round::default(),
            follows: true,
            returning: Round::default(),
            unfinished: false,
            pending: true,
        }
    }

    /// What it is to do.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What its devices had when it was made, if that is known.
    pub const fn baseline(&self) -> Option<&Arc<Baseline>> {
        self.baseline.as_ref()
    }

    /// What its devices had when it was made.
    pub fn set_baseline(&mut self, baseline: Baseline) {
        self.baseline = Some(Arc::new(baseline));
    }

    /// How it stands.
    pub const fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Whether nothing more comes of it: it has ended, and nobody who was told is still at it, or soaks and is followed.
    pub fn is_over(&self) -> bool {
        match self.mode {
            Mode::Running | Mode::Paused { .. } => false,
            Mode::Aborted { .. } | Mode::Done => !self.follows && self.counts().told == 0,
            Mode::RolledBack { .. } => !self.pending,
        }
    }

    /// How far each device is, by name.
    pub fn turns(&self) -> impl Iterator<Item = (&ThingName, &Turn)> {
        self.roll.turns()
    }

    /// Those who have failed, by name, so many at most.
    pub fn failed(&self, most: usize) -> Vec<ThingName> {
        // Most often nobody has.
        let most = most.min(self.counts().failed);
        let failed = self.turns().filter(|(_, turn)| matches!(turn, Turn::Failed { .. }));
        failed.take(most).map(|(thing, _)| thing.clone()).collect()
    }

    /// How many devices are where.
    pub fn counts(&self) -> Counts {
        self.roll.counts()
    }

    /// The same for each wave, in their order.
    pub fn waves(&self) -> Vec<Counts> {
        self.roll.waves().to_vec()
    }

    /// The last wave of which somebody was told, from 1 (0 when nobody was), and how many there are.
    pub fn wave(&self) -> (usize, usize) {
        let waves = self.roll.waves();
        let last = waves.iter().rposition(|wave| wave.waiting < wave.all());
        (last.map_or(0, |wave| wave + 1), waves.len())
    }

    /// Takes in what was kept: a device's place.
    pub fn restore_turn(&mut self, thing: &ThingName, turn: Turn) {
        if let Some(place) = self.roll.place(thing) {
            self.move_to(place, turn);
        }
    }

    /// Takes in what was kept: what a device was seen on.
    pub fn restore_seen(&mut self, thing: &ThingName, seen: Option<Seen>) {
        if let Some(place) = self.roll.place(thing) {
            self.sightings.put(place, seen);
        }
    }

    /// The broker has the command for a device. What is to be kept of it, if that is news.
    pub fn acknowledge(&mut self, thing: &ThingName) -> Option<Turn> {
        let place = self.roll.place(thing)?;
        let (_, Turn::Told { at, tries, acknowledged: false }) = self.roll.at(place)? else { return None };
        let turn = Turn::Told { at, tries, acknowledged: true };
        self.move_to(place, turn);
        Some(turn)
    }

    /// A device is elsewhere, if it is where that can follow.
    fn turn_if(&mut self, thing: &ThingName, new: Turn, follows: impl Fn(Turn) -> bool) -> Option<Turn> {
        let place = self.roll.place(thing)?;
        self.roll.at(place).filter(|(_, turn)| follows(*turn))?;
        self.move_to(place, new);
        Some(new)
    }

    /// A device is elsewhere, which is to be kept.
    fn put(&mut self, place: usize, turn: Turn, step: &mut Step) {
        if let Some((thing, _)) = self.roll.at(place) {
            step.turns.push((thing.clone(), turn));
        }
        self.move_to(place, turn);
    }

    /// Where a device is that was on a new certificate at `since`, if it was.
    fn place_of(&self, device: Device, since: Timestamp) -> Place {
        self.baseline.as_ref().map_or(Place::Unknown, |baseline| Place::of(device, baseline, since))
    }

    fn move_to(&mut self, place: usize, turn: Turn) {
        self.roll.put(place, turn);
        match turn {
            Turn::Left { .. } => drop(self.absent.insert(place)),
            _ => drop(self.absent.remove(&place)),
        }
        // What is seen of those who have not arrived may come to something yet.
        let is_open =
            matches!(turn, Turn::Waiting | Turn::Told { .. } | Turn::Failed { .. } | Turn::Left { .. });
        if !is_open {
            self.sightings.put(place, None);
        }
    }

    /// Sets how it stands: what was kept, or what somebody has ordered. What is over stays over, but for its rollback.
    pub fn set_mode(&mut self, mode: Mode) -> bool {
        let stays = match self.mode {
            Mode::Running | Mode::Paused { .. } => false,
            Mode::Aborted { .. } | Mode::Done => !matches!(mode, Mode::RolledBack { .. }),
            Mode::RolledBack { .. } => true,
        };
        if stays || self.mode == mode {
            return false;
        }
        self.mode = mode;
        true
    }

    /// Looks at everybody who was told, judges, and says whom to tell now. Nothing until its [`Self::baseline`] is known.
    pub fn step(&mut self, now: Timestamp, look: impl Fn(&ThingName) -> Device) -> Step {
        self.step_within(now, usize::MAX, look)
    }

    /// The same, where at most so many may be told or taken back now, whatever its own rate allows: a [`Pace`](super::Pace) that others
    /// share.
    pub fn step_within(&mut self, now: Timestamp, room: usize, look: impl Fn(&ThingName) -> Device) -> Step {
        let mut step = Step::default();
        if self.baseline.is_none() {
            return step;
        }
        // Also while it is paused or over: a device that was told goes on by itself.
        self.settle(now, &look, &mut step);
        if self.mode == Mode::Running {
            step.mode = self.judge(&step.turns);
        }
        if self.mode == Mode::Running && self.plan.window.is_none_or(|window| window.is_open(now)) {
            self.tell(now, room, &look, &mut step);
        }
        if matches!(self.mode, Mode::RolledBack { .. }) {
            self.take_back(now, room, &look, &mut step);
        }
        step
    }

    /// Whether it is at its end, one way or the other, or somebody has to look first; `turns` are this step's.
    fn judge(&mut self, turns: &[(ThingName, Turn)]) -> Option<Mode> {
        let counts = self.counts();
        let failed = |found: Counts| found.failed;
        let gone = |found: Counts| found.failed + found.left;
        // Asked only when one has left in this step: whoever resumes the campaign has seen those before.
        let news = turns.iter().any(|(_, turn)| matches!(turn, Turn::Left { .. }));
        let excess = (counts.failed > 0).then(|| self.excess(failed, "did not rotate")).flatten();
        let mode = if let Some(why) = excess {
            Mode::Aborted { why }
        } else if counts.waiting + counts.told + counts.left == 0 {
            Mode::Done
        } else {
            let why =
                news.then(|| self.excess(gone, "did not rotate, or were told and have gone")).flatten()?;
            Mode::Paused { why: format!("{why}; resume it if that is as it should be") }
        };
        self.mode = mode.clone();
        Some(mode)
    }

    /// The first wave of which too many count, in words. The threshold itself is too many, as in AWS IoT Jobs.
    fn excess(&self, counted: impl Fn(Counts) -> usize, did: &str) -> Option<String> {
        let waves = self.roll.waves();
        (1..).zip(waves).find_map(|(number, wave)| {
            let (found, size, threshold) = (counted(*wave), wave.all(), self.plan.threshold);
            (found > 0 && found * 100 >= size * usize::from(threshold)).then(|| {
                let waves = waves.len();
                format!(
                    "{found} of the {size} devices of wave {number} of {waves} {did}: {threshold} % or more"
                )
            })
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
