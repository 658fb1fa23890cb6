//! All of a kind: one fault at every step, a crash at every step, a second crash at every step of the recovery.
//!
//! The calm run from "rotation due" to "retired" is recorded first: it says which places there are. A state that a
//! crash leaves and that was seen before (same disk, same registry, same moment of the machine) has the same
//! future, so that second crashes are enumerated from the distinct states only.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{Found, run};
use crate::cloud::ControllerFault;
use crate::director::Place;
use crate::disk::{Crash, Errno};
use crate::schedule::{ClockTo, Fault, Said, Schedule, Whose};
use crate::watch::{Observed, Violation};
use crate::world::prepared;

/// What a crash may keep, in the enumeration.
const CRASHES: [Crash; 4] = [Crash::LoseAll, Crash::KeepAll, Crash::NamesOnly, Crash::Zeroed];

/// How much of it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// One of so many: 1 is all.
    pub one_of: u64,
}

/// What was run, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// By part of the enumeration: schedules run, and distinct states that crashes left.
    pub parts: BTreeMap<&'static str, (u64, usize)>,
    /// Schedules that break something, one of a kind.
    pub found: Vec<Found>,
    /// Changes of the machine's state that were seen.
    pub observed: Observed,
}

impl Report {
    /// How many schedules were run.
    pub fn schedules(&self) -> u64 {
        self.parts.values().map(|(schedules, _)| schedules).sum()
    }

    /// How many distinct states crashes left.
    pub fn states(&self) -> usize {
        self.parts.values().map(|(_, states)| states).sum()
    }
}

impl core::fmt::Display for Report {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (part, (schedules, states)) in &self.parts {
            writeln!(f, "{part:<44} {schedules:>9} schedules {states:>7} distinct states")?;
        }
        write!(f, "{:<44} {:>9} schedules {:>7} distinct states", "in all", self.schedules(), self.states())
    }
}

/// A run under way.
struct Enumeration {
    share: Share,
    counter: u64,
    report: Report,
}

/// Runs them all, or a share of them.
///
/// # Errors
/// When no run can even begin.
pub fn exhaustive(share: Share) -> Result<Report> {
    let mut all = Enumeration { share, counter: 0, report: Report::default() };
    for base in bases() {
        let places = places(&base)?;
        all.faults(&base, &places)?;
        let recoveries = all.crashes(&base, &places)?;
        all.second_crashes(&recoveries)?;
        all.faults_and_crashes(&base, &places)?;
    }
    Ok(all.report)
}

/// The settings under which everything is enumerated.
fn bases() -> Vec<Schedule> {
    let calm = Schedule::calm();
    vec![
        calm.clone(),
        Schedule { takeover: true, forget: true, ..calm.clone() },
        Schedule { fresh: true, ..calm },
    ]
}

/// The places of the calm run, up to the end of the rotation.
fn places(base: &Schedule) -> Result<Vec<Place>> {
    let mut world = prepared(base)?;
    world.env.director.record();
    world.run_faulty();
    Ok(world.env.director.places())
}

/// Every fault that can strike at `place`, crashes apart.
fn faults_at(place: Place) -> Vec<Fault> {
    match place {
        Place::Disk(op) if op.changes() => [Errno::NoSpace, Errno::ReadOnly, Errno::Io]
            .iter()
            .flat_map(|errno| [1, 40].map(|calls| Fault::Disk(*errno, calls)))
            .collect(),
        Place::Disk(_) => vec![Fault::Disk(Errno::Io, 1)],
        Place::Ask => {
            let mut faults = vec![
                Fault::Lost,
                Fault::Mute,
                Fault::Late(3),
                Fault::Late(20),
                Fault::Stale,
                Fault::Twice(4),
            ];
            let said = [
                Said::Throttled,
                Said::Denied,
                Said::Bad,
                Said::Token,
                Said::NotFound,
                Said::Conflict,
                Said::Server,
            ];
            faults.extend(said.map(Fault::Reject));
            faults.extend([Fault::RejectDone(Said::Server), Fault::RejectDone(Said::Conflict)]);
            faults
        }
        Place::Connect => vec![Fault::Refuse, Fault::NoRoute, Fault::Mute],
        Place::Tier => vec![Fault::Refuse, Fault::NoRoute],
        Place::Tell => vec![Fault::Hush, Fault::Echo, Fault::Swap],
        Place::Control => [
            ControllerFault::Dies,
            ControllerFault::Fails,
            ControllerFault::Throttled,
            ControllerFault::Unheard,
        ]
        .map(Fault::Controller)
        .to_vec(),
        Place::Between => {
            let mut faults = vec![
                Fault::Off(4000),
                Fault::Down(30),
                Fault::Down(4000),
                Fault::Drop,
                Fault::Taken,
                Fault::Clock(ClockTo::Past),
                Fault::Clock(ClockTo::Future),
                Fault::Delay(600),
                Fault::Rotate,
                Fault::Compromise,
            ];
            for whose in [Whose::Current, Whose::Candidate, Whose::Previous] {
                faults.extend([Fault::Deactivate(whose), Fault::Revoke(whose)]);
            }
            faults
        }
    }
}

/// Whoever revokes the only identity that a device ever had must provision it anew.
pub(super) fn is_hopeless(base: &Schedule, fault: Fault) -> bool {
    base.fresh && fault == Fault::Revoke(Whose::Candidate)
}

/// Whether a power cut here differs from one at the step before: reading changes nothing.
fn can_crash(place: Place) -> bool {
    match place {
        Place::Disk(op) => op.changes(),
        Place::Between | Place::Ask | Place::Connect | Place::Tier => true,
        Place::Tell | Place::Control => false,
    }
}

/// The steps of `places` at which a crash is worth its while.
fn crash_steps(places: &[Place], from: u64) -> impl Iterator<Item = u64> {
    let steps = (0u64..).zip(places.iter().copied());
    steps
        .filter(move |(at, place)| *at >= from && can_crash(*place))
        .map(|(at, _)| at)
        .collect::<Vec<_>>()
        .into_iter()
}

impl Enumeration {
    /// One fault at every step.
    fn faults(&mut self, base: &Schedule, places: &[Place]) -> Result<()> {
        for (at, place) in (0u64..).zip(places) {
            for fault in faults_at(*place).into_iter().filter(|fault| !is_hopeless(base, *fault)) {
                self.run_share(
                    "one fault at every step",
                    self.share.one_of / 200,
                    &base.clone().with(at, fault),
                )?;
            }
        }
        Ok(())
    }

    /// One crash at every step; the schedules that led to distinct states.
    fn crashes(&mut self, base: &Schedule, places: &[Place]) -> Result<Vec<Schedule>> {
        let (mut seen, mut distinct) = (BTreeSet::new(), Vec::new());
        for at in crash_steps(places, 0) {
            for crash in CRASHES {
                let schedule = base.clone().with(at, Fault::Cut(crash));
                if seen.insert(self.run("a crash at every step", &schedule)?) {
                    distinct.push(schedule);
                }
            }
        }
        self.count_states("a crash at every step", seen.len());
        Ok(distinct)
    }

    /// After each of these, a second crash at every step of the recovery.
    fn second_crashes(&mut self, firsts: &[Schedule]) -> Result<()> {
        let part = "a second crash at every step of the recovery";
        let mut states = 0;
        for first in firsts {
            let Some(cut) = first.faults.last().map(|planned| planned.at) else { continue };
            let places = places(first)?;
            for at in crash_steps(&places, cut + 1) {
                for crash in [Crash::LoseAll, Crash::KeepAll] {
                    self.run_share(part, self.share.one_of, &first.clone().with(at, Fault::Cut(crash)))?;
                }
            }
            states += 1;
        }
        self.count_states(part, states);
        Ok(())
    }

    /// One fault at every step, and a crash at every later step.
    fn faults_and_crashes(&mut self, base: &Schedule, places: &[Place]) -> Result<()> {
        let part = "one fault × a crash at every later step";
        for (at, place) in (0u64..).zip(places) {
            for fault in faults_at(*place).into_iter().filter(|fault| !is_hopeless(base, *fault)) {
                for later in crash_steps(places, at + 1) {
                    for crash in [Crash::LoseAll, Crash::KeepAll] {
                        let schedule = base.clone().with(at, fault).with(later, Fault::Cut(crash));
                        self.run_share(part, self.share.one_of, &schedule)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Runs it if it belongs to the share.
    fn run_share(&mut self, part: &'static str, one_of: u64, schedule: &Schedule) -> Result<()> {
        self.counter += 1;
        // A prime stride: the share is spread over faults, steps and crashes alike.
        if self.counter.wrapping_mul(7919).is_multiple_of(one_of.max(1)) {
            self.run(part, schedule)?;
        }
        Ok(())
    }

    /// Runs one; the state that the crash left.
    fn run(&mut self, part: &'static str, schedule: &Schedule) -> Result<u64> {
        let mut world = prepared(schedule)?;
        let outcome = world.run();
        self.report.observed.extend(world.env.watch.observed.iter().copied());
        self.report.parts.entry(part).or_default().0 += 1;
        if let Some(violation) = &outcome.violation {
            self.report_found(schedule, violation)?;
        }
        Ok(world.env.watch.crash_state)
    }

    fn report_found(&mut self, schedule: &Schedule, violation: &Violation) -> Result<()> {
        if !self.report.found.iter().any(|found| found.breaks(violation)) {
            self.report.found.push(Found { schedule: schedule.clone(), outcome: run(schedule)? });
        }
        Ok(())
    }

    fn count_states(&mut self, part: &'static str, states: usize) {
        self.report.parts.entry(part).or_default().1 += states;
    }
}
