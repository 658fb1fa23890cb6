//! One pace for all campaigns of a controller: each keeps to its own rate, and together they leave devices that come by
//! themselves half of what the account registers.

use std::time::Duration;

use fleetkey_model::time::Timestamp;

use super::machine::SLACK;
use super::plan::{FASTEST, MOST_A_MINUTE};

/// Which part of what the account takes campaigns may use.
const SHARE: f64 = 0.5;
/// The least, commands a second: one a minute.
const LEAST: f64 = 1.0 / 60.0;

/// How many devices may be told, whichever campaign it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    a_second: f64,
    /// When the next device may be told.
    next: Timestamp,
}

impl Default for Pace {
    /// By AWS's defaults: [`FASTEST`].
    fn default() -> Self {
        Self { a_second: f64::from(FASTEST) / 60.0, next: Timestamp::default() }
    }
}

impl Pace {
    /// From now on by what the account takes: so many provisionings a second. What is no number changes nothing.
    pub fn learn(&mut self, provisionings: f64) {
        if provisionings.is_finite() {
            self.a_second = (provisionings * SHARE).clamp(LEAST, f64::from(MOST_A_MINUTE) / 60.0);
        }
    }

    /// How many may be told in a minute.
    pub fn a_minute(&self) -> u32 {
        (self.a_second * 60.0).round() as u32
    }

    /// How many may be told now.
    pub fn room(&self, now: Timestamp) -> usize {
        let from = self.from(now);
        if from > now {
            return 0;
        }
        let mut room = 0;
        // One by one: there are seconds' worth of them.
        while from + self.pause(room) <= now {
            room += 1;
        }
        room
    }

    /// So many were told.
    pub fn took(&mut self, now: Timestamp, devices: usize) {
        if devices > 0 {
            self.next = self.from(now) + self.pause(devices);
        }
    }

    /// What was not used is not made up for, but for the last moments.
    fn from(&self, now: Timestamp) -> Timestamp {
        self.next.max(now - SLACK)
    }

    /// How long it takes to tell so many.
    fn pause(&self, devices: usize) -> Duration {
        let devices = u32::try_from(devices).unwrap_or(u32::MAX);
        Duration::try_from_secs_f64(f64::from(devices) / self.a_second).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are told in a minute by somebody who tells all that may be.
    fn in_a_minute(pace: &mut Pace, from: u64) -> usize {
        let told = (from..from + 60).map(|second| {
            let (now, room) = (Timestamp::from_secs(second), pace.room(Timestamp::from_secs(second)));
            pace.took(now, room);
            room
        });
        told.sum()
    }

    #[test]
    fn it_is_half_of_what_the_account_takes_and_nothing_is_saved_up() {
        let mut pace = Pace::default();
        let slack = usize::try_from(SLACK.as_secs()).unwrap();
        assert!((300..=300 + slack * 5 + 1).contains(&in_a_minute(&mut pace, 1000)));
        assert!((299..=301).contains(&in_a_minute(&mut pace, 1060)), "while it goes on");
        assert!(pace.room(Timestamp::from_secs(90_000)) <= slack * 5 + 1, "after a day of nothing");
        pace.learn(40.0);
        in_a_minute(&mut pace, 100_000);
        assert!((1199..=1201).contains(&in_a_minute(&mut pace, 100_060)));
        pace.learn(2.0);
        in_a_minute(&mut pace, 200_000);
        assert!((59..=61).contains(&in_a_minute(&mut pace, 200_060)));
        pace.learn(f64::NAN);
        assert!((59..=61).contains(&in_a_minute(&mut pace, 200_120)));
        pace.learn(0.0);
        in_a_minute(&mut pace, 300_000);
        assert_eq!(in_a_minute(&mut pace, 300_060), 1, "something must come of it");
    }
}
