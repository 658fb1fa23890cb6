//! Schedules at random: each follows from its number alone.

use anyhow::Result;
use fleetkey_lifecycle::event::Offline;

use super::exhaustive::is_hopeless;
use super::{Found, run, shrink};
use crate::cloud::ControllerFault;
use crate::disk::{Crash, Errno};
use crate::rng::Rng;
use crate::schedule::{ClockTo, Fault, Said, Schedule, Theft, Whose, Wiped};
use crate::world::{Outcome, Tally};

/// A rotation has fewer steps than this.
const STEPS: u64 = 240;

/// The schedule of this number.
pub fn draw(number: u64) -> Schedule {
    let mut rng = Rng::new(number);
    let mut schedule = Schedule {
        seed: rng.below(1000),
        fresh: rng.once_in(6),
        takeover: rng.once_in(3),
        forget: rng.once_in(3),
        sealed: rng.once_in(5),
        faults: Vec::new(),
    };
    let story = rng.below(20);
    let count = 1 + rng.below(6);
    for _ in 0..count {
        let (at, fault) = (rng.below(STEPS), fault(&mut rng));
        if !is_hopeless(&schedule, fault) {
            schedule = schedule.with(at, fault);
        }
    }
    match story {
        0 => schedule.with(rng.below(STEPS), Fault::Clone),
        1 => theft(schedule, &mut rng),
        2..=4 => in_steps(schedule, &mut rng),
        _ => schedule,
    }
}

/// A thief connects, rotates and asks for retirement, in this order, at any time.
fn theft(mut schedule: Schedule, rng: &mut Rng) -> Schedule {
    let mut at = rng.below(STEPS);
    for theft in [Theft::Connect, Theft::Rotate, Theft::Connect, Theft::Retire] {
        if !rng.once_in(4) {
            schedule = schedule.with(at, Fault::Thief(theft));
        }
        at += rng.below(30);
    }
    schedule
}

/// An operator takes the rotation step by step, now and then a step too many, too early, or back.
fn in_steps(mut schedule: Schedule, rng: &mut Rng) -> Schedule {
    let mut at = rng.below(STEPS / 8);
    for step in
        [Offline::Stage, Offline::Switch, Offline::Rollback, Offline::Stage, Offline::Switch, Offline::Retire]
    {
        if !rng.once_in(4) {
            schedule = schedule.with(at, Fault::Step(step));
        }
        at += rng.below(STEPS / 2);
    }
    schedule
}

fn fault(rng: &mut Rng) -> Fault {
    let steps = 1 + u32::try_from(rng.below(40)).unwrap_or(0);
    let seconds = rng.pick(&[1, 20, 120, 700, 4000, 90_000]).unwrap_or(1);
    match rng.below(32) {
        0..=7 => Fault::Cut(crash(rng)),
        8 => Fault::Off(seconds),
        9..=11 => {
            let errno = rng.pick(&[Errno::NoSpace, Errno::ReadOnly, Errno::Io]).unwrap_or(Errno::Io);
            let calls = if rng.once_in(2) { 1 } else { steps * 3 };
            Fault::Disk(errno, calls)
        }
        12..=13 => rng.pick(&[Fault::Lost, Fault::Mute]).unwrap_or(Fault::Lost),
        14 => {
            let faults = [Fault::Late(steps), Fault::Twice(steps), Fault::Stale, Fault::Beside];
            rng.pick(&faults).unwrap_or(Fault::Stale)
        }
        15..=16 => Fault::Reject(said(rng)),
        17 => Fault::RejectDone(said(rng)),
        18 => rng.pick(&[Fault::Refuse, Fault::NoRoute]).unwrap_or(Fault::Refuse),
        // Not for a day: then a device without an identity gives up what may be its first.
        19 if rng.once_in(2) => Fault::Closed(seconds.min(10_000)),
        19 => Fault::Down(seconds),
        20 => rng.pick(&[Fault::Drop, Fault::Taken]).unwrap_or(Fault::Drop),
        21 => {
            let to = rng.pick(&[ClockTo::Past, ClockTo::Future, ClockTo::True]);
            Fault::Clock(to.unwrap_or(ClockTo::True))
        }
        22 => Fault::Delay(rng.pick(&[60, 300, 600]).unwrap_or(60)),
        23 => Fault::Deactivate(whose(rng)),
        24 => Fault::Revoke(whose(rng)),
        25 => rng.pick(&[Fault::Rotate, Fault::Compromise]).unwrap_or(Fault::Rotate),
        26..=27 => rng.pick(&[Fault::Hush, Fault::Echo, Fault::Swap]).unwrap_or(Fault::Hush),
        28 => rng.pick(&[Fault::ClaimOff, Fault::Wipe(Wiped::Record)]).unwrap_or(Fault::ClaimOff),
        29 => Fault::Wipe(Wiped::Slot(whose(rng))),
        _ => {
            let faults = [
                ControllerFault::Dies,
                ControllerFault::Fails,
                ControllerFault::Throttled,
                ControllerFault::Unheard,
            ];
            Fault::Controller(rng.pick(&faults).unwrap_or(ControllerFault::Dies))
        }
    }
}

fn crash(rng: &mut Rng) -> Crash {
    let few = u32::try_from(rng.below(8)).unwrap_or(0);
    match rng.below(10) {
        0 => Crash::LoseAll,
        1 => Crash::KeepAll,
        2 => Crash::NamesOnly,
        3 => Crash::Zeroed,
        4 => Crash::Torn,
        5 => Crash::Prefix(few),
        6 => Crash::Without(few),
        7 => Crash::Subset(rng.below(1 << 8)),
        _ => Crash::Random(rng.below(1 << 32)),
    }
}

fn said(rng: &mut Rng) -> Said {
    let words =
        [Said::Throttled, Said::Denied, Said::Bad, Said::Token, Said::NotFound, Said::Conflict, Said::Server];
    rng.pick(&words).unwrap_or(Said::Server)
}

fn whose(rng: &mut Rng) -> Whose {
    rng.pick(&[Whose::Current, Whose::Candidate, Whose::Previous]).unwrap_or(Whose::Current)
}

/// What is told while schedules run.
#[derive(Debug)]
pub enum Told<'a> {
    /// So many have run, and ended so.
    Ran(u64, &'a Tally),
    /// One broke something.
    Broke(&'a Found),
}

/// What came of many schedules.
#[derive(Debug, Default)]
pub struct Ran {
    /// How they ended.
    pub tally: Tally,
    /// Those that break something, shrunk, one of a kind.
    pub found: Vec<Found>,
}

/// Runs `count` schedules from number `first` on, until `enough` kinds of break are found.
///
/// # Errors
/// When no run can even begin.
pub fn random(first: u64, count: u64, enough: usize, mut tell: impl FnMut(Told<'_>)) -> Result<Ran> {
    let mut ran = Ran::default();
    for number in first..first.saturating_add(count) {
        let schedule = draw(number);
        let outcome = run(&schedule)?;
        ran.tally.count(&outcome);
        if let Some(found) = broken(&schedule, &outcome, &ran.found)? {
            tell(Told::Broke(&found));
            ran.found.push(found);
        }
        tell(Told::Ran(number - first + 1, &ran.tally));
        if ran.found.len() >= enough {
            break;
        }
    }
    Ok(ran)
}

/// The smallest schedule that breaks the same, if it breaks something that is not known yet: shrinking takes long.
fn broken(schedule: &Schedule, outcome: &Outcome, known: &[Found]) -> Result<Option<Found>> {
    let Some(violation) = &outcome.violation else { return Ok(None) };
    if known.iter().any(|other| other.breaks(violation)) {
        return Ok(None);
    }
    let same = |smaller: &Schedule| {
        run(smaller)
            .is_ok_and(|outcome| outcome.violation.is_some_and(|seen| seen.invariant == violation.invariant))
    };
    let schedule = shrink(schedule, same);
    Ok(Some(Found { outcome: run(&schedule)?, schedule }))
}
