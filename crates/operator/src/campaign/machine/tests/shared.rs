//! Several campaigns at once, by one pace.

use super::*;
use crate::campaign::{FASTEST, Pace};

#[test]
fn two_campaigns_together_are_no_faster_than_one_may_be_and_neither_waits_for_the_other() {
    let fast = |name: &str| Plan { name: name.into(), rate: FASTEST, canary: 100, at_once: 9999, ..plan() };
    let mut worlds = ["one", "two"].map(|name| World::of(fast(name), 2000));
    let mut pace = Pace::default();
    for second in 0..120 {
        // Whose turn it is first changes.
        worlds.rotate_left(1);
        for world in &mut worlds {
            let now = Timestamp::from_secs(world.now + 1);
            let before = world.told.len();
            world.second_within(pace.room(now));
            pace.took(now, world.told.len() - before);
        }
        let told: usize = worlds.iter().map(|world| world.told.len()).sum();
        assert!(told <= 5 * (second + 1) + 15, "{told} after {second} s");
    }
    let told = worlds.map(|world| world.told.len());
    assert!(told.iter().sum::<usize>() >= 595 && told.iter().all(|told| *told >= 250), "{told:?}");
}
