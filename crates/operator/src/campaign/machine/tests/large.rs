//! Campaigns that are so large that nobody can look at everybody every second.

use super::*;
use crate::campaign::machine::roll::PART;

const DEVICES: usize = 3 * PART;

/// One in which everybody is on the same.
fn large(turn: Turn) -> World {
    let mut world = World::of(Plan { rate: 300, ..plan() }, DEVICES);
    for place in 0..DEVICES {
        let thing = world.thing(place);
        world.campaign.restore_turn(&thing, turn);
    }
    world
}

fn soaking() -> Turn {
    let new = held("new", START, START);
    Turn::Soaking { at: Timestamp::from_secs(START), certificate: new.certificate, since: new.since }
}

/// How many devices were looked at in each of so many seconds.
fn looks(world: &mut World, seconds: usize) -> Vec<usize> {
    let second = |_| {
        world.second();
        world.looks
    };
    (0..seconds).map(second).collect()
}

#[test]
fn who_soaks_is_looked_at_twice_a_minute_and_a_part_at_a_time() {
    let mut world = large(soaking());
    let looks = looks(&mut world, 60);
    assert!(looks.iter().all(|looks| *looks <= PART), "{looks:?}");
    assert_eq!(looks.iter().sum::<usize>(), 2 * DEVICES);
    let mut small = World { soaking: true, ..World::of(plan(), 60) };
    small.until(|campaign| *campaign.mode() == Mode::Done);
    assert_eq!(self::looks(&mut small, 60).iter().sum::<usize>(), 2 * 60);
}

#[test]
fn one_that_has_ended_looks_at_everybody_once_more_before_it_is_closed() {
    let mut world = large(soaking());
    assert!(world.campaign.set_mode(Mode::Done));
    world.now += 3 * 86_400;
    let last = world.thing(DEVICES - 1);
    world.attested.insert(last.clone(), held("new", START, START));
    let seconds = (1..10).find(|_| {
        world.second();
        world.campaign.is_over()
    });
    assert_eq!(seconds, Some(3));
    assert!(matches!(world.campaign.turn(&last), Turn::Rotated { .. }));
}

#[test]
fn a_fleet_that_is_away_costs_little_and_whoever_comes_back_is_told() {
    let mut world = large(Turn::Waiting);
    let all: Vec<_> = (0..DEVICES).map(|place| world.thing(place)).collect();
    let back = all[DEVICES / 2].clone();
    world.away = all.into_iter().collect();
    let looks = looks(&mut world, 120);
    assert!(looks.iter().all(|looks| *looks <= 2 * PART), "{looks:?}");
    assert!(looks.iter().sum::<usize>() <= 6 * DEVICES, "{looks:?}");
    assert!(world.told.is_empty());
    world.away.remove(&back);
    self::looks(&mut world, 40);
    assert_eq!(world.told.iter().map(|(_, thing)| thing).collect::<Vec<_>>(), [&back]);
}

#[test]
fn a_way_back_looks_at_a_part_at_a_time_and_comes_to_its_end() {
    let mut world = large(soaking());
    assert!(world.campaign.set_mode(Mode::RolledBack { why: "rain".into() }));
    for place in 0..DEVICES {
        let thing = world.thing(place);
        world.using.insert(thing, held("old", START - 86_400, START + 1));
    }
    let looks = looks(&mut world, 3);
    assert!(looks.iter().all(|looks| *looks <= PART), "{looks:?}");
    assert_eq!(world.campaign.counts().returned, DEVICES);
    world.pass(3);
    assert!(world.campaign.is_over());
}
