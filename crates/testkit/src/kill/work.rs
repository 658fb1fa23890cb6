//! What is still to be struck, handed out to the lanes one by one, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use super::eye::Aim;
use super::lane::Ran;
use super::point::Point;
use super::tally::Tally;
use crate::trace::Errno;

/// How often a point that a run did not pass is aimed at.
const TRIES: u32 = 8;

/// What is done at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blow {
    Kill,
    Fail(Errno),
}

/// The work and its results.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) tally: Tally,
    blow: Blow,
    /// The number of points to kill after next; `None` once a run has come to its end unkilled.
    count: Option<u64>,
    /// Whether points that a run passes become wanted.
    grows: bool,
    /// In the order in which they are passed.
    wanted: Vec<Point>,
    tries: BTreeMap<Point, u32>,
    under_way: BTreeSet<Point>,
}

impl Work {
    /// Kill after the first point, the second, and so on until a run ends unkilled; then at every point that some run
    /// passed and at which none was killed.
    pub(super) fn kill_everywhere(passed: &[Point]) -> Self {
        Self { count: Some(0), grows: true, ..Self::at(Blow::Kill, passed, passed) }
    }

    /// The same for what begins with the process, where nothing comes before the first point.
    pub(super) fn kill_everywhere_from_start(passed: &[Point]) -> Self {
        Self { count: Some(1), ..Self::kill_everywhere(passed) }
    }

    /// Strike at these of the points that a rotation passes.
    pub(super) fn at(blow: Blow, passed: &[Point], wanted: &[Point]) -> Self {
        let mut tally = Tally::default();
        passed.iter().for_each(|point| tally.know(&point.state));
        let (tries, under_way) = Default::default();
        Self { tally, blow, count: None, grows: false, wanted: wanted.to_vec(), tries, under_way }
    }

    /// What to do next; `None` when nothing is left to begin.
    pub(super) fn next(&mut self) -> Option<Aim> {
        if let Some(count) = self.count {
            self.count = Some(count + 1);
            return Some(Aim::Count(count));
        }
        let is_left = |point: &&Point| {
            let tried = self.tries.get(point).copied().unwrap_or(0);
            tried < TRIES && !self.tally.has(point) && !self.under_way.contains(point)
        };
        let point = self.wanted.iter().find(is_left).cloned()?;
        *self.tries.entry(point.clone()).or_default() += 1;
        self.under_way.insert(point.clone());
        Some(match self.blow {
            Blow::Kill => Aim::At(point),
            Blow::Fail(errno) => Aim::Fail(point, errno),
        })
    }

    /// Takes in how it went.
    pub(super) fn report(&mut self, aim: &Aim, came: Ran) {
        if let Aim::At(point) | Aim::Fail(point, _) = aim {
            self.under_way.remove(point);
        }
        match came {
            Ok(hit) => {
                if hit.struck.is_none() && matches!(aim, Aim::Count(_)) {
                    self.count = None;
                }
                if self.grows {
                    self.want(hit.passed);
                }
                if let Some(point) = hit.struck {
                    self.tally.recovered(point, hit.came_back);
                }
            }
            Err(lost) => {
                let nowhere = || Point::before_all(format!("{aim:?}"));
                self.tally.lost(lost.struck.unwrap_or_else(nowhere), lost.why.to_string());
            }
        }
    }

    /// The results, once nothing is left.
    pub(super) fn finish(mut self) -> Tally {
        let unmet = self.wanted.iter().filter(|point| !self.tally.has(point)).cloned();
        self.tally.unmet = unmet.collect();
        let unexcused = |point: &&Point| matches!(self.blow, Blow::Fail(_)) || point.is_on_file();
        self.tally.missed = self.tally.unmet.iter().filter(unexcused).cloned().collect();
        self.tally.wanted = self.wanted.len();
        self.tally
    }

    fn want(&mut self, passed: Vec<Point>) {
        for point in passed {
            if !self.wanted.contains(&point) {
                self.wanted.push(point);
            }
        }
    }
}

/// Of each state the first point and every n-th after it.
pub(super) fn some_of_each_state(points: &[Point], nth: usize) -> Vec<Point> {
    let mut counts = BTreeMap::<&str, usize>::new();
    let chosen = points.iter().filter(|point| {
        let count = counts.entry(&point.state).or_default();
        *count += 1;
        (*count - 1).is_multiple_of(nth.max(1))
    });
    chosen.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kill::lane::{CameBack, Hit};

    fn point(state: &str, ordinal: u32) -> Point {
        Point { state: state.into(), call: "write", target: "state.json".into(), ordinal }
    }

    fn hit(struck: Option<Point>, passed: &[Point]) -> Hit {
        Hit { struck, passed: passed.to_vec(), came_back: CameBack::default() }
    }

    #[test]
    fn the_count_rises_until_a_run_ends_unkilled_and_what_was_missed_comes_after() {
        let points = [point("idle", 1), point("idle", 2), point("soak", 1)];
        let mut work = Work::kill_everywhere(&points);
        assert_eq!(work.next(), Some(Aim::Count(0)));
        work.report(&Aim::Count(0), Ok(hit(Some(points[0].clone()), &points[..1])));
        assert_eq!(work.next(), Some(Aim::Count(1)));
        work.report(&Aim::Count(1), Ok(hit(None, &points)));
        let aims = [work.next(), work.next(), work.next()];
        let missed = |point: &Point| Some(Aim::At(point.clone()));
        assert_eq!(aims, [missed(&points[1]), missed(&points[2]), None]);
        for aim in aims.into_iter().flatten() {
            let Aim::At(point) = &aim else { panic!("{aim:?}") };
            work.report(&aim, Ok(hit(Some(point.clone()), &[])));
        }
        let tally = work.finish();
        assert_eq!((tally.points(), tally.recoveries(), tally.unmet.len()), (3, 3, 0));
    }

    #[test]
    fn a_point_that_no_run_passes_again_is_given_up_and_told() {
        let points = [point("idle", 1)];
        let mut work = Work::at(Blow::Kill, &points, &points);
        let mut tries = 0;
        while let Some(aim) = work.next() {
            tries += 1;
            work.report(&aim, Ok(hit(None, &points)));
        }
        assert_eq!((tries, work.finish().unmet), (TRIES, points.to_vec()));
    }

    #[test]
    fn a_slice_has_something_of_every_state() {
        let points: Vec<Point> = [("idle", 5), ("soak", 1)]
            .iter()
            .flat_map(|&(state, n)| (1..=n).map(move |at| point(state, at)))
            .collect();
        let chosen = some_of_each_state(&points, 3);
        assert_eq!(chosen, [point("idle", 1), point("idle", 4), point("soak", 1)]);
    }
}
