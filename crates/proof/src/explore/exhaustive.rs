//! All of a kind: one fault at every step, a crash at every step, and a second one at every step of what follows.
//!
//! A run is recorded first: it says which places there are, and which ways to crash at each leave different disks. What
//! comes after a fault is another run, with places of its own, so that crashes fall into the recovery too. A state that
//! a crash leaves and that was seen before (same disk, same registry) has the same future, so second crashes are
//! enumerated from the distinct states only.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use fleetkey_lifecycle::event::Offline;

use super::{Found, run};
use crate::cloud::ControllerFault;
use crate::director::{Place, Stop};
use crate::disk::{Crash, Errno};
use crate::rng::Rng;
use crate::schedule::{ClockTo, Fault, Said, Schedule, Theft, Whose, Wiped};
use crate::watch::{Observed, Violation};
use crate::world::{Tally, prepared};

/// Of a fault's many crashes a share takes one in so many, so that it has to look only at few faults' places.
const WITHIN: u64 = 32;
/// After one in so many pairs of fault and crash there is a second crash.
const TRIPLES: u64 = 8;

/// So many steps after a switch the device is in its soak: proof, commit and export are over.
const COMMITTED: u64 = 60;

/// How much of it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// One of so many: 1 is all.
    pub one_of: u64,
}

/// What was run, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// By part of the enumeration: schedules run.
    pub parts: BTreeMap<&'static str, u64>,
    /// Distinct states, of disk and registry, that crashes have left.
    pub states: BTreeSet<u64>,
    /// How the runs ended.
    pub tally: Tally,
    /// Schedules that break something, one of a kind.
    pub found: Vec<Found>,
    /// Changes of the machine's state that were seen.
    pub observed: Observed,
}

impl Report {
    /// How many schedules were run.
    pub fn schedules(&self) -> u64 {
        self.parts.values().sum()
    }
}

impl core::fmt::Display for Report {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (part, schedules) in &self.parts {
            writeln!(f, "{part:<50} {schedules:>9} schedules")?;
        }
        writeln!(f, "{:<50} {:>9} schedules", "in all", self.schedules())?;
        writeln!(f, "{:<50} {:>9} distinct states", "left by their crashes", self.states.len())?;
        write!(f, "{}", self.tally)
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
    for base in bases()? {
        let stops = stops(&base)?;
        all.faults(&base, &stops)?;
        let recoveries = all.crashes(&base, &stops)?;
        all.second_crashes(&recoveries)?;
        all.faults_and_crashes(&base, &stops)?;
    }
    Ok(all.report)
}

/// The settings under which everything is enumerated.
fn bases() -> Result<Vec<Schedule>> {
    let calm = Schedule::calm();
    Ok(vec![
        calm.clone(),
        Schedule { takeover: true, forget: true, ..calm.clone() },
        Schedule { fresh: true, ..calm.clone() },
        in_steps(calm.clone(), Offline::Retire)?,
        in_steps(Schedule { takeover: true, ..calm }, Offline::Rollback)?,
    ])
}

/// A rotation in an operator's steps: staged, switched to once that has come to rest, and this in the soak.
fn in_steps(schedule: Schedule, last: Offline) -> Result<Schedule> {
    let staged = schedule.with(0, Fault::Step(Offline::Stage));
    let rest = u64::try_from(stops(&staged)?.len())?;
    Ok(staged.with(rest, Fault::Step(Offline::Switch)).with(rest + COMMITTED, Fault::Step(last)))
}

/// The places of a run, up to the end of the rotation.
fn stops(base: &Schedule) -> Result<Vec<Stop>> {
    let mut world = prepared(base)?;
    if let Some(node) = world.nodes.first() {
        world.env.director.record(&node.home.disk);
    }
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
                Fault::Beside,
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
                Fault::Closed(4000),
                Fault::Drop,
                Fault::Taken,
                Fault::Clock(ClockTo::Past),
                Fault::Clock(ClockTo::Future),
                Fault::Delay(600),
                Fault::Rotate,
                Fault::Compromise,
                Fault::Step(Offline::Stage),
                Fault::Step(Offline::Rollback),
                Fault::Clone,
                Fault::ClaimOff,
                Fault::Wipe(Wiped::Record),
            ];
            let thefts = [Theft::Connect, Theft::Rotate, Theft::Keep, Theft::Retire];
            faults.extend(thefts.map(Fault::Thief));
            for whose in [Whose::Current, Whose::Candidate, Whose::Previous] {
                let wipe = Fault::Wipe(Wiped::Slot(whose));
                faults.extend([Fault::Deactivate(whose), Fault::Revoke(whose), wipe]);
            }
            faults
        }
    }
}

/// Whoever revokes the only identity that a device ever had, and gives it no recovery, must provision it anew.
pub(super) fn is_hopeless(base: &Schedule, fault: Fault) -> bool {
    base.fresh && base.sealed && fault == Fault::Revoke(Whose::Candidate)
}

/// Whether a power cut here differs from one at the step before: reading changes nothing.
fn can_crash(place: Place) -> bool {
    match place {
        Place::Disk(op) => op.changes(),
        Place::Between | Place::Ask | Place::Connect | Place::Tier => true,
        Place::Tell | Place::Control => false,
    }
}

/// Every crash from step `from` on that is worth its while: at each step those that leave different disks.
fn crashes(stops: &[Stop], from: u64) -> Vec<(u64, Crash)> {
    let steps = (0u64..).zip(stops).filter(|(at, stop)| *at >= from && can_crash(stop.place));
    steps.flat_map(|(at, stop)| stop.crashes.iter().map(move |crash| (at, *crash))).collect()
}

/// The faults that can strike at these steps.
fn faults<'a>(base: &'a Schedule, stops: &'a [Stop]) -> impl Iterator<Item = (u64, Fault)> + 'a {
    let at_step = |(at, stop): (u64, &Stop)| faults_at(stop.place).into_iter().map(move |fault| (at, fault));
    (0u64..).zip(stops).flat_map(at_step).filter(|(_, fault)| !is_hopeless(base, *fault))
}

impl Enumeration {
    /// One fault at every step; and a thief who does all that thieves do.
    fn faults(&mut self, base: &Schedule, stops: &[Stop]) -> Result<()> {
        for (at, fault) in faults(base, stops) {
            let mut schedule = base.clone().with(at, fault);
            if fault == Fault::Thief(Theft::Retire) {
                schedule = base.clone().with(at, Fault::Thief(Theft::Rotate)).with(at + 1, fault);
            }
            if self.is_drawn(self.share.one_of / 2000) {
                self.run("one fault at every step", &schedule)?;
            }
        }
        Ok(())
    }

    /// One crash at every step; the schedules that led to distinct states.
    fn crashes(&mut self, base: &Schedule, stops: &[Stop]) -> Result<Vec<Schedule>> {
        let (mut seen, mut distinct) = (BTreeSet::new(), Vec::new());
        for (at, crash) in crashes(stops, 0) {
            let schedule = base.clone().with(at, Fault::Cut(crash));
            if seen.insert(self.run("a crash at every step", &schedule)?) {
                distinct.push(schedule);
            }
        }
        Ok(distinct)
    }

    /// After each of these, a second crash at every step of the recovery.
    fn second_crashes(&mut self, firsts: &[Schedule]) -> Result<()> {
        for first in firsts {
            self.crashes_after("a second crash at every step of the recovery", first)?;
        }
        Ok(())
    }

    /// One fault at every step, and a crash at every later step of what it leads to; of some a second crash.
    fn faults_and_crashes(&mut self, base: &Schedule, stops: &[Stop]) -> Result<()> {
        for (at, fault) in faults(base, stops) {
            let first = base.clone().with(at, fault);
            for pair in self.crashes_after("one fault × a crash at every later step", &first)? {
                if self.is_drawn(TRIPLES) {
                    self.one_crash_after("one fault × a crash × a second crash (sample)", &pair)?;
                }
            }
        }
        Ok(())
    }

    /// A crash at every step after the last fault of a schedule, or the share's part of them.
    fn crashes_after(&mut self, part: &'static str, first: &Schedule) -> Result<Vec<Schedule>> {
        let one_of = self.share.one_of.max(1);
        let within = WITHIN.min(one_of);
        let mut ran = Vec::new();
        if !self.is_drawn(one_of / within) {
            return Ok(ran);
        }
        let from = first.faults.last().map_or(0, |planned| planned.at + 1);
        for (at, crash) in crashes(&stops(first)?, from) {
            if self.is_drawn(within) {
                let schedule = first.clone().with(at, Fault::Cut(crash));
                self.run(part, &schedule)?;
                ran.push(schedule);
            }
        }
        Ok(ran)
    }

    /// A crash at one of the steps after the last fault.
    fn one_crash_after(&mut self, part: &'static str, first: &Schedule) -> Result<()> {
        let from = first.faults.last().map_or(0, |planned| planned.at + 1);
        let all = crashes(&stops(first)?, from);
        let drawn = self.draw().pick(&all);
        if let Some((at, crash)) = drawn {
            self.run(part, &first.clone().with(at, Fault::Cut(crash)))?;
        }
        Ok(())
    }

    /// Whether the next one belongs to a share of one in so many.
    fn is_drawn(&mut self, one_of: u64) -> bool {
        self.draw().below(one_of.max(1)) == 0
    }

    /// Numbered draws: neither faults nor steps nor kinds of crash come at a fixed stride.
    fn draw(&mut self) -> Rng {
        self.counter += 1;
        Rng::new(self.counter)
    }

    /// Runs one; the state that the last crash left.
    fn run(&mut self, part: &'static str, schedule: &Schedule) -> Result<u64> {
        let mut world = prepared(schedule)?;
        let outcome = world.run();
        let state = world.env.watch.crash_state;
        let report = &mut self.report;
        report.observed.extend(world.env.watch.observed.iter().copied());
        *report.parts.entry(part).or_default() += 1;
        report.tally.count(&outcome);
        if state != 0 {
            report.states.insert(state);
        }
        if let Some(violation) = &outcome.violation {
            self.report_found(schedule, violation)?;
        }
        Ok(state)
    }

    fn report_found(&mut self, schedule: &Schedule, violation: &Violation) -> Result<()> {
        if !self.report.found.iter().any(|found| found.breaks(violation)) {
            self.report.found.push(Found { schedule: schedule.clone(), outcome: run(schedule)? });
        }
        Ok(())
    }
}
