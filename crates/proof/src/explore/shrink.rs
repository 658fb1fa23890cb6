//! The smallest schedule that still breaks the same: faults and settings are left out as long as it does.

use crate::schedule::Schedule;

/// Leaves out what `breaks` does not need.
pub fn shrink(schedule: &Schedule, breaks: impl Fn(&Schedule) -> bool) -> Schedule {
    let mut smallest = schedule.clone();
    loop {
        match simpler(&smallest).into_iter().find(&breaks) {
            Some(found) => smallest = found,
            None => return smallest,
        }
    }
}

/// The same with one thing less.
fn simpler(schedule: &Schedule) -> Vec<Schedule> {
    let mut found = Vec::new();
    for index in 0..schedule.faults.len() {
        let mut fewer = schedule.clone();
        fewer.faults.remove(index);
        found.push(fewer);
    }
    let settings: [fn(&mut Schedule) -> &mut bool; 4] = [
        |schedule| &mut schedule.fresh,
        |schedule| &mut schedule.takeover,
        |schedule| &mut schedule.forget,
        |schedule| &mut schedule.sealed,
    ];
    for setting in settings {
        let mut plainer = schedule.clone();
        if core::mem::replace(setting(&mut plainer), false) {
            found.push(plainer);
        }
    }
    if schedule.seed != 0 {
        found.push(Schedule { seed: 0, ..schedule.clone() });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Fault;

    #[test]
    fn only_what_is_needed_stays() {
        let schedule: Schedule = "seed=9 fresh forget 1:drop 5:mute 9:lost 12:rotate".parse().unwrap();
        let needs = |schedule: &Schedule| {
            schedule.forget && schedule.faults.iter().any(|planned| planned.fault == Fault::Mute)
        };
        assert_eq!(shrink(&schedule, needs).to_string(), "seed=0 forget 5:mute");
    }
}
