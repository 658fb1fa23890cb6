//! A campaign's state, and what follows from it and the time. Its way back is [`back`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
pub use back::Way;
use sightings::{Place, Sightings};

mod back;
mod sightings;

/// Of the commands that were not sent, those of so long ago are not made up for: a morning does not begin with a flood.
const SLACK: Duration = Duration::from_secs(2);
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
    /// It is on a certificate that was registered since the campaign was made, by the broker's events, and stays there. It
    /// has not asked for the retirement of the one before, so it can still go back.
    Soaking {
        /// When that was found.
        at: Timestamp,
        /// Which certificate.
        certificate: CertificateId,
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
    pub attested: Option<(CertificateId, Timestamp)>,
    /// It is known not to be connected.
    pub is_away: bool,
    /// The certificate that it is connected with, as events have told, and when that was registered.
    pub using: Option<(CertificateId, Timestamp)>,
}

/// What follows. All of it must be durable before anybody is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
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

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    plan: Plan,
    /// In the order in which they are told.
    order: Vec<ThingName>,
    /// Where each wave ends in that order.
    waves: Vec<usize>,
    turns: BTreeMap<ThingName, Turn>,
    mode: Mode,
    /// When the next device may be told.
    next: Timestamp,
    /// Those whose command was given by this process: it is on its way, or has come to nothing. Whoever else was told
    /// and not acknowledged may have been told by a process that was killed before it could.
    given: BTreeSet<ThingName>,
    /// Somebody's way back is not at its end, as far as was looked.
    pending: bool,
    sightings: Sightings,
    /// Somebody soaks, and is still followed, as far as was looked.
    follows: bool,
}

impl Campaign {
    /// One that has not told anybody.
    pub fn new(plan: Plan, things: impl IntoIterator<Item = ThingName>) -> Self {
        let turns: BTreeMap<_, _> = things.into_iter().map(|thing| (thing, Turn::Waiting)).collect();
        let mut order: Vec<_> = turns.keys().cloned().collect();
        order.sort_by_cached_key(|thing| plan.place(thing.as_str()));
        let waves = plan.waves(order.len());
        let (given, sightings) = (BTreeSet::new(), Sightings::default());
        let (mode, next) = (Mode::Running, Timestamp::default());
        Self { plan, order, waves, turns, mode, next, given, pending: true, sightings, follows: true }
    }

    /// What it is to do.
    pub const fn plan(&self) -> &Plan {
        &self.plan
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

    /// How far each device is.
    pub const fn turns(&self) -> &BTreeMap<ThingName, Turn> {
        &self.turns
    }

    /// How many devices are where.
    pub fn counts(&self) -> Counts {
        count(self.turns.values())
    }

    /// The same for each wave, in their order.
    pub fn waves(&self) -> Vec<Counts> {
        let of = |wave| count(self.members(wave).iter().filter_map(|thing| self.turns.get(thing)));
        (0..self.waves.len()).map(of).collect()
    }

    /// The last wave of which somebody was told, from 1 (0 when nobody was), and how many there are.
    pub fn wave(&self) -> (usize, usize) {
        let was_told = |thing: &ThingName| !matches!(self.turns.get(thing), Some(Turn::Waiting) | None);
        let last = self.order.iter().rposition(was_told);
        let wave = last.and_then(|at| self.waves.iter().position(|end| at < *end));
        (wave.map_or(0, |wave| wave + 1), self.waves.len())
    }

    /// Takes in what was kept: a device's place.
    pub fn restore_turn(&mut self, thing: &ThingName, turn: Turn) {
        if let Some(known) = self.turns.get_mut(thing) {
            *known = turn;
        }
    }

    /// The broker has the command for a device. What is to be kept of it, if that is news.
    pub fn acknowledge(&mut self, thing: &ThingName) -> Option<Turn> {
        let turn = self.turns.get_mut(thing)?;
        let Turn::Told { acknowledged, .. } = turn else { return None };
        (!std::mem::replace(acknowledged, true)).then_some(*turn)
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

    /// Looks at everybody who was told, judges, and says whom to tell now.
    pub fn step(&mut self, now: Timestamp, look: impl Fn(&ThingName) -> Device) -> Step {
        let mut step = Step::default();
        // Also while it is paused or over: a device that was told goes on by itself.
        self.settle(now, &look, &mut step);
        if self.mode == Mode::Running {
            step.mode = self.judge(&step.turns);
        }
        if self.mode == Mode::Running && self.plan.window.is_none_or(|window| window.is_open(now)) {
            self.tell(now, &look, &mut step);
        }
        if matches!(self.mode, Mode::RolledBack { .. }) {
            self.take_back(now, &look, &mut step);
        }
        step
    }

    /// Those who were told, or given up, and are on a new certificate; those whose time is over; and those who went back.
    fn settle(&mut self, now: Timestamp, look: &impl Fn(&ThingName) -> Device, step: &mut Step) {
        let Self { plan, turns, given, mode, sightings, follows, .. } = self;
        let goes_on = matches!(mode, Mode::Running | Mode::Paused { .. });
        let is_taken_back = matches!(mode, Mode::RolledBack { .. });
        let plan = &*plan;
        *follows = false;
        for (thing, turn) in turns {
            if matches!(
                turn,
                Turn::Waiting | Turn::Rotated { .. } | Turn::Keeping { .. } | Turn::Returned { .. }
            ) {
                continue;
            }
            let device = look(thing);
            let arrived = |sightings: &mut Sightings| {
                let seen = sightings.look(plan, thing, device, now);
                rotated(plan, device).or_else(|| seen.filter(|_| !is_taken_back))
            };
            let new = match *turn {
                Turn::Told { at, tries, acknowledged } => {
                    // One whose command was swallowed is told again before it can fail, as long as anybody is told.
                    let was_tried = acknowledged || given.contains(thing) || !goes_on;
                    let is_last = tries >= plan.tries || !goes_on;
                    let is_arriving = |sightings: &Sightings| sightings.has(thing) && !is_taken_back;
                    let over = now.since(at) >= plan.patience && is_last;
                    let left = device.is_away && now.since(at) >= plan.time_to_leave();
                    arrived(sightings).or_else(|| match (was_tried, over) {
                        _ if is_arriving(sightings) => None,
                        (true, true) if goes_on || !device.is_away => Some(Turn::Failed { at: now }),
                        (true, _) => left.then_some(Turn::Left { at: now, tries }),
                        // It was never told.
                        (false, _) if tries <= 1 => left.then_some(Turn::Waiting),
                        (false, _) => left.then_some(Turn::Left { at: now, tries: tries.saturating_sub(1) }),
                    })
                }
                Turn::Soaking { at, .. } => {
                    *follows |= now.since(at) < FOLLOWED;
                    // It went back, by itself or by somebody's order.
                    let is_back = goes_on && Place::of(device, plan.created_at) == Place::Old;
                    rotated(plan, device).or_else(|| is_back.then_some(Turn::Failed { at: now }))
                }
                Turn::Failed { .. } | Turn::Left { .. } => arrived(sightings),
                _ => rotated(plan, device),
            };
            if let Some(new) = new {
                *turn = new;
                *follows |= matches!(new, Turn::Soaking { .. });
                step.turns.push((thing.clone(), new));
            }
        }
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

    /// The first wave of which too many count, in words.
    fn excess(&self, counted: impl Fn(Counts) -> usize, did: &str) -> Option<String> {
        let waves = self.waves.len();
        (0..waves).find_map(|wave| {
            let members = self.members(wave);
            let found = counted(count(members.iter().filter_map(|thing| self.turns.get(thing))));
            let (size, threshold) = (members.len(), self.plan.threshold);
            (found * 100 > size * usize::from(threshold)).then(|| {
                let number = wave + 1;
                format!(
                    "{found} of the {size} devices of wave {number} of {waves} {did}: more than {threshold} %"
                )
            })
        })
    }

    fn tell(&mut self, now: Timestamp, look: &impl Fn(&ThingName) -> Device, step: &mut Step) {
        let mut under_way = self.counts().told;
        let at_once = usize::try_from(self.plan.at_once).unwrap_or(usize::MAX);
        let end = self.waves.get(self.reached(look)).copied().unwrap_or(self.order.len());
        let pause = self.pause();
        let Self { plan, order, turns, next, given, sightings, .. } = self;
        *next = (*next).max(now - SLACK);
        for thing in order.iter().take(end) {
            if *next > now {
                return;
            }
            let Some(turn) = turns.get_mut(thing) else { continue };
            let tries = match *turn {
                Turn::Waiting if under_way < at_once => 1,
                Turn::Left { tries, .. } if under_way < at_once => tries + 1,
                // The same command under the same id: a device that has it already does nothing.
                Turn::Told { tries, acknowledged: false, .. } if !given.contains(thing) => tries,
                Turn::Told { at, tries, .. } if now.since(at) >= plan.patience && tries < plan.tries => {
                    tries + 1
                }
                _ => continue,
            };
            let device = look(thing);
            // One that rotates by itself meanwhile is on its way, and need not be told.
            let arrived = sightings.look(plan, thing, device, now);
            let new = match rotated(plan, device).or(arrived) {
                Some(arrived) => arrived,
                None if device.is_away || sightings.has(thing) => continue,
                None => {
                    *next = *next + pause;
                    under_way += usize::from(matches!(turn, Turn::Waiting | Turn::Left { .. }));
                    step.tell.push(thing.clone());
                    given.insert(thing.clone());
                    Turn::Told { at: now, tries, acknowledged: false }
                }
            };
            *turn = new;
            step.turns.push((thing.clone(), new));
        }
    }

    /// Between one command and the next.
    fn pause(&self) -> Duration {
        Duration::from_millis(60_000 / u64::from(self.plan.rate.max(1)))
    }

    /// The wave that is under way: the first with somebody in it of whom something is still to come. Whoever was not told
    /// because they are away, and whoever has left, hold nobody up.
    fn reached(&self, look: &impl Fn(&ThingName) -> Device) -> usize {
        let is_open = |thing: &ThingName| match self.turns.get(thing) {
            Some(Turn::Told { acknowledged, .. }) if *acknowledged || self.given.contains(thing) => true,
            Some(Turn::Told { .. } | Turn::Waiting | Turn::Left { .. }) => !look(thing).is_away,
            _ => false,
        };
        let open = self.order.iter().position(is_open).unwrap_or(self.order.len());
        let reached = self.waves.iter().position(|end| open < *end);
        reached.unwrap_or_else(|| self.waves.len().saturating_sub(1))
    }

    fn members(&self, wave: usize) -> &[ThingName] {
        let end = self.waves.get(wave).copied().unwrap_or_default();
        let begin =
            wave.checked_sub(1).and_then(|before| self.waves.get(before)).copied().unwrap_or_default();
        self.order.get(begin..end).unwrap_or_default()
    }
}

fn count<'a>(turns: impl Iterator<Item = &'a Turn>) -> Counts {
    turns.fold(Counts::default(), |mut counts, turn| {
        let counter = match turn {
            Turn::Waiting => &mut counts.waiting,
            Turn::Told { .. } => &mut counts.told,
            Turn::Soaking { .. } => &mut counts.soaking,
            Turn::Rotated { .. } => &mut counts.rotated,
            Turn::Failed { .. } => &mut counts.failed,
            Turn::Left { .. } => &mut counts.left,
            Turn::Returning { .. } | Turn::Keeping { .. } => &mut counts.returning,
            Turn::Returned { .. } => &mut counts.returned,
        };
        *counter += 1;
        counts
    })
}

/// Whether a device was attested with a certificate that it did not have when the campaign was made.
fn rotated(plan: &Plan, device: Device) -> Option<Turn> {
    let (certificate, at) = device.attested.filter(|(_, at)| *at >= plan.created_at)?;
    Some(Turn::Rotated { at, certificate })
}

#[cfg(test)]
pub(super) mod tests;
