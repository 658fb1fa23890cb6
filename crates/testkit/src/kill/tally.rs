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
    /// Those of them that every rotation should pass: no chance of the network has a part in them.
    pub missed: Vec<Point>,
    /// How many points were to be struck.
    pub wanted: usize,
}

/// Of a hundred points that were to be struck, so many must have been: what TCP makes of an exchange differs.
const FLOOR: usize = 90;

#[derive(Debug, Clone, Default)]
struct Row {
    state: String,
    points: BTreeSet<Point>,
    lost: BTreeSet<Point>,
    /// Those after which the rotation was given up.
    gave_up: BTreeSet<Point>,
    /// Those after which the sweep had to clear the registry.
    swept: BTreeSet<Point>,
    /// Those of faults after which the process was killed and started again.
    restarted: BTreeSet<Point>,
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
        if how.swept {
            row.swept.insert(point.clone());
        }
        if how.restarted {
            row.restarted.insert(point.clone());
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

    /// After how many faults the process was killed and started again.
    pub fn restarts(&self) -> usize {
        self.rows.iter().map(|row| row.restarted.len()).sum()
    }

    /// What is missing for this to prove anything; empty when nothing is.
    pub fn shortcomings(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.failures.iter().map(|(point, _)| format!("not recovered from {point}")).collect();
        found.extend(self.untouched().iter().map(|state| format!("nothing was struck in {state}")));
        found.extend(self.missed.iter().map(|point| format!("never met again: {point}")));
        let struck = self.wanted.saturating_sub(self.unmet.len());
        if struck * 100 < self.wanted * FLOOR {
            found.push(format!("only {struck} of {} points could be struck", self.wanted));
        }
        found
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
            "{:<14} {:>7} {:>10} {:>9} {:>7} {:>10}",
            "state", "points", "recovered", "given up", "swept", "restarted"
        )?;
        for Row { state, points, lost, gave_up, swept, restarted } in &self.rows {
            let (all, recovered) = (points.len(), points.len() - lost.len());
            writeln!(
                f,
                "{state:<14} {all:>7} {recovered:>10} {:>9} {:>7} {:>10}",
                gave_up.len(),
                swept.len(),
                restarted.len()
            )?;
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
        tally.recovered(point("idle", 1), CameBack { swept: true, ..CameBack::default() });
        tally.lost(point("soak", 1), "stuck".into());
        let told = tally.to_string();
        assert_eq!(told.lines().last(), Some("2 points in 2 states, 1 recovered"));
        assert!(told.contains("not recovered from soak: fsync state.json #1\nstuck"), "{told}");
    }

    #[test]
    fn points_that_were_never_struck_are_a_shortcoming_unless_they_are_few_and_of_the_network() {
        let mut tally = Tally { wanted: 20, ..Tally::default() };
        tally.recovered(point("idle", 1), CameBack::default());
        assert_eq!(tally.shortcomings(), Vec::<String>::new());
        tally.unmet = (0..2).map(|at| point("idle", at)).collect();
        assert_eq!(tally.shortcomings(), Vec::<String>::new());
        tally.missed = vec![point("idle", 0)];
        assert_eq!(tally.shortcomings(), ["never met again: idle: fsync state.json #0"]);
        tally.unmet.push(point("idle", 3));
        assert!(tally.shortcomings().contains(&"only 17 of 20 points could be struck".to_owned()));
    }

    #[test]
    fn a_state_that_was_passed_and_not_struck_in_is_told() {
        let mut tally = Tally::default();
        tally.know("idle");
        assert_eq!(tally.untouched(), ["idle"]);
    }
}
