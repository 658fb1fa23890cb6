//! Second kills: the process that comes back from one kill is killed on its way.

use std::collections::VecDeque;

use super::lane::Ran;
use super::point::Point;
use super::tally::Tally;
use super::work::some_of_each_state;

/// How often a first point that a rotation does not pass is aimed at.
const TRIES: u32 = 8;

/// First points that are still to be begun, and the results.
#[derive(Debug)]
pub(super) struct SecondKills {
    pub(super) tally: Tally,
    left: VecDeque<Pair>,
}

/// A first point and the count of the second.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) first: Point,
    /// The next count to kill after; `None` when a way back has been gone to its end.
    count: Option<u64>,
    step: u64,
    tries: u32,
}

impl SecondKills {
    /// Of each state the first point and every n-th after it; from each, every n-th call of the way back, beginning
    /// at another one each time.
    pub(super) fn after(points: &[Point], nth: usize) -> Self {
        let mut tally = Tally::default();
        points.iter().for_each(|point| tally.know(&point.state));
        let step = nth.max(1) as u64;
        let pair = |(at, first)| Pair { first, count: Some(1 + at as u64 % step), step, tries: TRIES };
        let left: VecDeque<Pair> =
            some_of_each_state(points, nth).into_iter().enumerate().map(pair).collect();
        tally.wanted = left.len();
        Self { tally, left }
    }

    /// The next first point.
    pub(super) fn next(&mut self) -> Option<Pair> {
        self.left.pop_front()
    }

    /// Takes in how it went; `None` means that the first point was not passed.
    pub(super) fn report(&mut self, pair: &mut Pair, ran: Option<Ran>) {
        let Pair { first, count, step, tries } = pair;
        let both = |second: Point| Point {
            state: first.state.clone(),
            target: format!("{} ({}) on the way back from {first}", second.target, second.state),
            ..second
        };
        match ran {
            None => {
                *tries = tries.saturating_sub(1);
                if *tries == 0 {
                    self.tally.unmet.push(first.clone());
                    self.tally.missed.extend(Some(first.clone()).filter(Point::is_on_file));
                    *count = None;
                }
            }
            Some(Ok(hit)) => match hit.struck {
                Some(second) => {
                    self.tally.recovered(both(second), hit.came_back);
                    *count = count.map(|count| count + *step);
                }
                None => *count = None,
            },
            Some(Err(lost)) => {
                let second = lost.struck.unwrap_or_else(|| Point::before_all("coming back".into()));
                self.tally.lost(both(second), lost.why.to_string());
                *count = count.map(|count| count + *step);
            }
        }
    }
}

impl Pair {
    /// After how many calls of the way back to kill next.
    pub(super) fn next(&self) -> Option<u64> {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kill::lane::{CameBack, Hit};

    fn point(state: &str) -> Point {
        Point { state: state.into(), call: "write", target: "state.json".into(), ordinal: 1 }
    }

    fn hit(struck: Option<Point>) -> Ran {
        Ok(Hit { struck, passed: Vec::new(), came_back: CameBack::default() })
    }

    #[test]
    fn from_one_first_point_the_second_moves_on_until_a_way_back_is_gone_to_its_end() {
        let mut work = SecondKills::after(&[point("soak")], 3);
        let mut pair = work.next().unwrap();
        assert_eq!(pair.next(), Some(1));
        work.report(&mut pair, Some(hit(Some(point("soak")))));
        assert_eq!(pair.next(), Some(4));
        work.report(&mut pair, Some(hit(None)));
        assert_eq!((pair.next(), work.tally.points(), work.next().is_none()), (None, 1, true));
    }

    #[test]
    fn a_first_point_that_is_not_passed_is_given_up_and_told() {
        let mut work = SecondKills::after(&[point("idle")], 1);
        let mut pair = work.next().unwrap();
        let tries = std::iter::from_fn(|| {
            pair.next()?;
            work.report(&mut pair, None);
            Some(())
        });
        assert_eq!(tries.count(), TRIES as usize);
        assert_eq!(work.tally.unmet, [point("idle")]);
    }
}
