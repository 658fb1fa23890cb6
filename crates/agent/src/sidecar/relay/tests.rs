//! The relay in a world of its own: what happens in which order is chosen at random, what must hold is not.

use std::time::Duration;

use fleetkey_lifecycle::SlotId;
use fleetkey_mqtt::{QoS, Version};
use proptest::prelude::*;

use super::model::{Kind, World};

const UP: [&str; 2] = ["up/a", "up/b"];
const DOWN: [&str; 3] = ["down/a", "down/b", "down/c"];
const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// What may go wrong in a run.
#[derive(Debug, Clone, Copy)]
struct Luck {
    faults: bool,
    deaths: bool,
}

/// One step, chosen by a number.
fn step(world: &mut World, choice: u16, luck: Luck) {
    let (what, which) = (choice % 32, usize::from(choice / 32));
    match what {
        0..=4 => _ = world.broker_hears(which),
        5..=9 => _ = world.relay_hears(which),
        10..=12 => _ = world.client_is_heard(),
        13..=15 => _ = world.client_hears(),
        16 | 17 => world.publish(UP[which % 2], QUALITIES[which / 2 % 3]),
        18 => world.subscribe(&[DOWN[which % 3]]),
        19 => world.unsubscribe(DOWN[which % 3]),
        20 | 21 => world.command(DOWN[which % 3], QUALITIES[which / 3 % 2]),
        22 => _ = world.acknowledge(),
        23 | 24 => _ = world.dialed(!luck.faults || which % 8 != 0),
        25 => world.tell(super::Input::Identity(SlotId(1 + which as u64 % 4))),
        26 => world.pass(Duration::from_millis(which as u64 % 40)),
        27 => {
            world.arrive();
            world.pass_to_deadline();
        }
        28 => world.connect(),
        29 if luck.deaths && which % 4 == 0 => world.die(),
        30 if luck.deaths && which % 4 == 0 => world.disconnect(),
        31 if luck.faults && which % 3 == 0 => world.cut(which / 3),
        31 if luck.faults && which % 3 == 1 => match which / 3 % 4 {
            0 => world.broker.refused.clear(),
            slot => world.refuse(SlotId(1 + slot as u64)),
        },
        _ => _ = world.client_is_heard(),
    }
}

fn run(mut world: World, choices: &[u16], luck: Luck) -> World {
    world.connect();
    if !luck.faults {
        world.come_to_rest();
        world.subscribe(&DOWN);
    }
    for choice in choices {
        step(&mut world, *choice, luck);
    }
    world.broker.refused.clear();
    world.come_to_rest();
    // What a purge or a rotation may still do has been done.
    world.pass(Duration::from_secs(2));
    world.come_to_rest();
    world.judge();
    world
}

prop_compose! {
    fn kind()(five in any::<bool>(), clean in any::<bool>(), will in any::<bool>()) -> Kind {
        Kind { version: if five { Version::V5 } else { Version::V311 }, clean, will }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn rotations_alone_are_not_noticed(
        kind in kind(), survives in any::<bool>(), closes in any::<bool>(), lowest_id in any::<bool>(), renumbers in any::<bool>(),
        choices in proptest::collection::vec(any::<u16>(), 0..400),
    ) {
        let mut world = World::new(kind, survives);
        (world.broker.closes, world.broker.lowest_id) = (closes, lowest_id);
        world.broker.renumbers = renumbers;
        let world = run(world, &choices, Luck { faults: false, deaths: false });
        prop_assert_eq!(world.broker.takeovers, 0);
        prop_assert_eq!(world.broker.wills, 0);
    }

    #[test]
    fn a_client_that_dies_and_comes_back_has_its_will_and_its_messages(
        kind in kind(), survives in any::<bool>(), lowest_id in any::<bool>(), renumbers in any::<bool>(),
        choices in proptest::collection::vec(any::<u16>(), 0..400),
    ) {
        let mut world = World::new(kind, survives);
        (world.broker.lowest_id, world.broker.renumbers) = (lowest_id, renumbers);
        let world = run(world, &choices, Luck { faults: false, deaths: true });
        if kind.will {
            prop_assert!(world.broker.wills >= world.missed, "{} of {}", world.broker.wills, world.missed);
        }
    }

    #[test]
    fn whatever_breaks_nothing_is_lost_nothing_is_confirmed_early_and_order_is_kept(
        kind in kind(), survives in any::<bool>(), closes in any::<bool>(), lowest_id in any::<bool>(), renumbers in any::<bool>(),
        choices in proptest::collection::vec(any::<u16>(), 0..500),
    ) {
        let mut world = World::new(kind, survives);
        (world.broker.closes, world.broker.lowest_id) = (closes, lowest_id);
        world.broker.renumbers = renumbers;
        run(world, &choices, Luck { faults: true, deaths: true });
    }
}
