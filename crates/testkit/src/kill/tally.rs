//! What was killed where, and what became of it: a table by state, and the sentence below it.

use std::collections::BTreeSet;
use std::fmt;

use super::lane::CameBack;
use super::point::Point;

/// The results by state, in the order in which a rotation passes the states.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    rows: Vec<Row>,
    /// What went wrong: where, and what was seen.
    pub failures: Vec<(Point, String)>,
    /// Points that some run passed and no later run could be made to pass again.
    pub unmet: Vec<Point>,
}

#[derive(Debug, Clone, Default)]
struct Row {
    state: String,
    points: BTreeSet<Point>,
    lost: BTreeSet<Point>,
    /// Those after which the rotation was given up.
    gave_up: BTreeSet<Point>,
    /// Those after which one more rotation was needed to clear the registry.
    again: BTreeSet<Point>,
}

impl Tally {
    /// Names a state, so that the table shows it where it belongs.
    pub fn know(&mut self, state: &str) {
        self.row(state);
    }

    /// Notes a point from which the device came back. A point counts once.
    pub fn recovered(&mut self, point: Point, how: CameBack) {
        let row = self.row(&point.state);
        if how.gave_up {
            row.gave_up.insert(point.clone());
        }
        if how.again {
            row.again.insert(point.clone());
        }
        row.points.insert(point);
    }

    /// Notes a point from which it did not, or not as it should.
    pub fn lost(&mut self, point: Point, why: String) {
        let row = self.row(&point.state);
        row.points.insert(point.clone());
        row.lost.insert(point.clone());
        self.failures.push((point, why));
    }

    /// Whether something was struck at this point already.
    pub fn has(&self, point: &Point) -> bool {
        self.rows.iter().any(|row| row.points.contains(point))
    }

    /// How many points, distinct ones, were struck.
    pub fn points(&self) -> usize {
        self.rows.iter().map(|row| row.points.len()).sum()
    }

    /// From how many of them the device came back.
    pub fn recoveries(&self) -> usize {
        self.rows.iter().map(|row| row.points.len() - row.lost.len()).sum()
    }

    /// After how many the rotation was given up instead of finished.
    pub fn given_up(&self) -> usize {
        self.rows.iter().map(|row| row.gave_up.len()).sum()
    }

    /// States that a rotation passes and in which nothing was struck.
    pub fn untouched(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| row.points.is_empty()).map(|row| row.state.as_str()).collect()
    }

    fn row(&mut self, state: &str) -> &mut Row {
        let at = self.rows.iter().position(|row| row.state == state).unwrap_or_else(|| {
            self.rows.push(Row { state: state.to_owned(), ..Row::default() });
            self.rows.len() - 1
        });
        #[allow(clippy::indexing_slicing, reason = "just found or just pushed")]
        &mut self.rows[at]
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:>7} {:>10} {:>9} {:>14}",
            "state", "points", "recovered", "given up", "one more round"
        )?;
        for Row { state, points, lost, gave_up, again } in &self.rows {
            let (all, recovered) = (points.len(), points.len() - lost.len());
            writeln!(f, "{state:<14} {all:>7} {recovered:>10} {:>9} {:>14}", gave_up.len(), again.len())?;
        }
        for (point, why) in &self.failures {
            writeln!(f, "\nnot recovered from {point}\n{why}")?;
        }
        for point in &self.unmet {
            writeln!(f, "passed once, never met again: {point}")?;
        }
        let states = self.rows.iter().filter(|row| !row.points.is_empty()).count();
        write!(f, "{} points in {states} states, {} recovered", self.points(), self.recoveries())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(state: &str, ordinal: u32) -> Point {
        Point { state: state.into(), call: "fsync", target: "state.json".into(), ordinal }
    }

    #[test]
    fn a_point_counts_once_and_a_loss_shows_in_the_last_line() {
        let mut tally = Tally::default();
        tally.know("idle");
        tally.know("soak");
        tally.recovered(point("idle", 1), CameBack::default());
        tally.recovered(point("idle", 1), CameBack { again: true, ..CameBack::default() });
        tally.lost(point("soak", 1), "stuck".into());
        let told = tally.to_string();
        assert_eq!(told.lines().last(), Some("2 points in 2 states, 1 recovered"));
        assert!(told.contains("not recovered from soak: fsync state.json #1\nstuck"), "{told}");
    }

    #[test]
    fn a_state_that_was_passed_and_not_struck_in_is_told() {
        let mut tally = Tally::default();
        tally.know("idle");
        assert_eq!(tally.untouched(), ["idle"]);
    }
}
