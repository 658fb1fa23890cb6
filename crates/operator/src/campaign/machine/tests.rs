//! Campaigns in virtual time, a second at a time.

use super::*;
use std::cell::Cell;
use std::collections::BTreeMap;

mod back;
mod large;
mod shared;
mod soak;

const START: u64 = 1_000_000;

/// A plan of the usual kind: five percent, then four times as many; a command a second.
pub(in crate::campaign) fn plan() -> Plan {
    Plan {
        name: "autumn".into(),
        why: "yearly".into(),
        created_at: Timestamp::from_secs(START),
        canary: 5,
        growth: 4,
        rate: 60,
        at_once: 50,
        window: None,
        patience: Duration::from_secs(600),
        tries: 2,
        threshold: 5,
    }
}

fn held(what: &str, registered: u64, since: u64) -> Held {
    let certificate = CertificateId::of_der(what.as_bytes());
    Held { certificate, registered: Timestamp::from_secs(registered), since: Timestamp::from_secs(since) }
}

/// Devices in virtual time: each rotates a minute after it is told, but for those that never do.
struct World {
    campaign: Campaign,
    now: u64,
    never: BTreeSet<ThingName>,
    away: BTreeSet<ThingName>,
    /// Nobody knows yet whether they are.
    asked: BTreeSet<ThingName>,
    told: Vec<(u64, ThingName)>,
    attested: BTreeMap<ThingName, Held>,
    /// Nobody asks for retirement: whoever rotates is seen on the new certificate, and soaks.
    soaking: bool,
    /// Who is connected with what, where that matters.
    using: BTreeMap<ThingName, Held>,
    /// What was kept of who is seen on what.
    seen: Vec<(ThingName, Option<Seen>)>,
    /// How many devices were looked at in the last step.
    looks: usize,
}

impl Campaign {
    fn turn(&self, thing: &ThingName) -> Turn {
        self.roll.at(self.roll.place(thing).unwrap()).unwrap().1
    }
}

impl World {
    fn of(plan: Plan, devices: usize) -> Self {
        let things = (0..devices).map(|n| ThingName::new(format!("press-{n}")).unwrap());
        let baseline = Baseline::new(plan.created_at, []);
        let mut campaign = Campaign::new(plan, things);
        campaign.set_baseline(baseline);
        Self {
            campaign,
            now: START,
            never: BTreeSet::new(),
            away: BTreeSet::new(),
            asked: BTreeSet::new(),
            told: Vec::new(),
            attested: BTreeMap::new(),
            soaking: false,
            using: BTreeMap::new(),
            seen: Vec::new(),
            looks: 0,
        }
    }

    fn thing(&self, place: usize) -> ThingName {
        self.campaign.roll.at(place).unwrap().0.clone()
    }

    fn second(&mut self) -> Step {
        self.second_within(usize::MAX)
    }

    fn second_within(&mut self, room: usize) -> Step {
        self.now += 1;
        let now = Timestamp::from_secs(self.now);
        for (at, thing) in &self.told {
            if at + 60 == self.now && !self.never.contains(thing) {
                let new = held(thing.as_str(), self.now, self.now);
                let known = if self.soaking { &mut self.using } else { &mut self.attested };
                known.insert(thing.clone(), new);
            }
        }
        let looks = Cell::new(0);
        let look = |thing: &ThingName| {
            looks.set(looks.get() + 1);
            Device {
                attested: self.attested.get(thing).copied(),
                is_away: self.away.contains(thing),
                is_asked: self.asked.contains(thing),
                using: self.using.get(thing).copied(),
            }
        };
        // The broker has had a second for the commands of the last step.
        for (_, thing) in self.told.iter().filter(|(at, _)| at + 1 == self.now) {
            let _news = self.campaign.acknowledge(thing);
        }
        let step = self.campaign.step_within(now, room, look);
        self.looks = looks.get();
        self.seen.extend(step.seen.iter().cloned());
        self.told.extend(step.tell.iter().map(|thing| (self.now, thing.clone())));
        let under_way = self.campaign.counts().told;
        assert!(under_way <= usize::try_from(self.campaign.plan.at_once).unwrap(), "{under_way} at once");
        step
    }

    /// Lets seconds pass until something is so.
    #[track_caller]
    fn until(&mut self, what: impl Fn(&Campaign) -> bool) {
        for _ in 0..100_000 {
            if what(&self.campaign) {
                return;
            }
            self.second();
        }
        panic!("never: {:?} {:?}", self.campaign.counts(), self.campaign.mode());
    }

    fn acknowledge_all(&mut self) {
        for (_, thing) in &self.told {
            let _news = self.campaign.acknowledge(thing);
        }
    }

    /// Another process takes it from the disk.
    fn restart(&mut self) {
        let known = self.campaign.turns().map(|(thing, _)| thing.clone());
        let mut restored = Campaign::new(self.campaign.plan.clone(), known);
        restored.baseline = self.campaign.baseline.clone();
        for (thing, seen) in &self.seen {
            restored.restore_seen(thing, *seen);
        }
        for (thing, turn) in self.campaign.turns() {
            restored.restore_turn(thing, *turn);
        }
        restored.set_mode(self.campaign.mode().clone());
        self.campaign = restored;
    }

    fn pass(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| drop(self.second()));
    }
}

#[test]
fn every_device_is_told_once_wave_after_wave_at_the_rate() {
    let mut world = World::of(plan(), 500);
    world.until(Campaign::is_over);
    assert_eq!(*world.campaign.mode(), Mode::Done);
    assert_eq!(world.campaign.counts(), Counts { rotated: 500, ..Counts::default() });
    let told: Vec<_> = world.told.iter().map(|(_, thing)| thing.clone()).collect();
    assert_eq!(told.len(), 500);
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 500);
    // Nobody of a wave before the last of the one before has rotated.
    for end in [25, 125] {
        let (last, first) = (world.told[end - 1].0, world.told[end].0);
        assert!(first >= last + 60, "{last} {first}");
    }
    let minute: Vec<_> = world.told.iter().filter(|(at, _)| (START..START + 60).contains(at)).collect();
    assert_eq!(minute.len(), 25, "the canary is done within its minute");
    for from in START..world.now {
        let within = world.told.iter().filter(|(at, _)| (from..from + 60).contains(at)).count();
        assert!(within <= 60 + 2, "{within} within a minute of {from}");
    }
}

#[test]
fn the_threshold_itself_is_too_many() {
    // Of twenty, one is five percent.
    let mut world = World::of(Plan { canary: 100, ..plan() }, 20);
    world.never = [world.thing(3)].into();
    world.until(Campaign::is_over);
    let Mode::Aborted { why } = world.campaign.mode().clone() else { panic!("{:?}", world.campaign.mode()) };
    assert!(why.contains("1 of the 20 devices of wave 1 of 1 did not rotate: 5 % or more"), "{why}");
}

#[test]
fn it_ends_when_the_threshold_of_a_wave_have_failed_and_tells_nobody_after() {
    let mut world = World::of(plan(), 500);
    // Two of twenty-five: eight percent.
    world.never = [3, 17].map(|place| world.thing(place)).into();
    world.until(Campaign::is_over);
    let Mode::Aborted { why } = world.campaign.mode().clone() else { panic!("{:?}", world.campaign.mode()) };
    assert!(why.contains("2 of the 25 devices of wave 1 of 3"), "{why}");
    let told = world.told.len();
    assert_eq!(told, 25 + 2, "each failed one was told a second time");
    world.pass(3600);
    assert_eq!((world.told.len(), world.campaign.set_mode(Mode::Running)), (told, false));
}

#[test]
fn failures_below_the_threshold_are_told_again_and_then_passed_over() {
    let mut world = World::of(plan(), 500);
    let stubborn = world.thing(3);
    world.never = BTreeSet::from([stubborn.clone()]);
    world.until(Campaign::is_over);
    assert_eq!(*world.campaign.mode(), Mode::Done);
    assert_eq!(world.campaign.counts(), Counts { rotated: 499, failed: 1, ..Counts::default() });
    assert_eq!(world.told.iter().filter(|(_, thing)| *thing == stubborn).count(), 2);
    // It rotates after all.
    world.attested.insert(stubborn, held("late", world.now, world.now));
    world.pass(30);
    assert_eq!(world.campaign.counts().failed, 0);
}

#[test]
fn who_is_away_holds_nobody_up_and_is_told_on_coming_back() {
    let mut world = World::of(plan(), 100);
    let (one, other) = (world.thing(0), world.thing(50));
    world.away = BTreeSet::from([one, other]);
    world.until(|campaign| campaign.counts().rotated == 98);
    world.pass(3600);
    assert_eq!((world.campaign.mode(), world.told.len()), (&Mode::Running, 98));
    world.away = BTreeSet::new();
    world.until(Campaign::is_over);
    assert_eq!((world.campaign.counts().rotated, world.told.len()), (100, 100));
}

#[test]
fn of_whom_is_being_asked_is_neither_told_nor_passed_over() {
    let mut world = World::of(plan(), 100);
    let one = world.thing(0);
    world.asked = BTreeSet::from([one.clone()]);
    let canary = world.campaign.plan.waves(100)[0];
    world.pass(3600);
    assert_eq!(world.told.len(), canary - 1, "the others of its wave");
    world.asked = BTreeSet::new();
    world.away = BTreeSet::from([one]);
    world.until(|campaign| campaign.counts().rotated == 99);
    world.away = BTreeSet::new();
    world.until(Campaign::is_over);
    assert_eq!((world.campaign.counts().rotated, world.told.len()), (100, 100));
}

#[test]
fn of_whom_is_being_asked_has_not_failed() {
    let mut world = World::of(plan(), 500);
    let gone = leaves(&mut world, 3);
    world.away.remove(&gone);
    world.asked.insert(gone.clone());
    world.pass(4 * 3600);
    assert!(matches!(world.campaign.turn(&gone), Turn::Told { .. }));
    world.asked.remove(&gone);
    world.until(|campaign| campaign.counts().failed == 1);
}

/// Until it is told, then never again.
fn leaves(world: &mut World, place: usize) -> ThingName {
    let thing = world.thing(place);
    world.until(|campaign| matches!(campaign.turn(&thing), Turn::Told { .. }));
    world.second();
    world.away.insert(thing.clone());
    world.never.insert(thing.clone());
    thing
}

#[test]
fn who_was_told_and_leaves_for_good_has_not_failed_and_holds_its_wave_no_longer_than_its_tries_take() {
    let mut world = World::of(plan(), 500);
    let gone = leaves(&mut world, 3);
    let begun = world.now;
    world.until(|campaign| campaign.counts().rotated == 499);
    assert_eq!(world.campaign.counts(), Counts { rotated: 499, left: 1, ..Counts::default() });
    let next_wave = world.told[25].0;
    assert!((begun + 1200 - 10..begun + 1200 + 10).contains(&next_wave), "{begun} {next_wave}");
    world.pass(3600);
    assert_eq!((world.campaign.mode(), world.told.len()), (&Mode::Running, 500), "it is waited for");

    // Another process goes on; the device comes back.
    world.restart();
    (world.away, world.never) = (BTreeSet::new(), BTreeSet::new());
    world.until(Campaign::is_over);
    assert_eq!((world.campaign.mode(), world.campaign.counts().rotated), (&Mode::Done, 500));
    assert_eq!(world.told.iter().filter(|(_, thing)| *thing == gone).count(), 2);
}

#[test]
fn who_comes_back_and_does_not_rotate_either_has_failed() {
    let mut world = World::of(plan(), 500);
    let gone = leaves(&mut world, 3);
    world.until(|campaign| campaign.counts().left == 1);
    world.away = BTreeSet::new();
    world.until(Campaign::is_over);
    assert_eq!(world.campaign.counts(), Counts { rotated: 499, failed: 1, ..Counts::default() });
    assert_eq!(world.told.iter().filter(|(_, thing)| *thing == gone).count(), 2, "as often as it may be");
}

#[test]
fn when_too_many_were_told_and_are_gone_somebody_has_to_look_before_the_next_wave() {
    let mut world = World::of(plan(), 500);
    for place in [3, 17] {
        leaves(&mut world, place);
    }
    world.until(|campaign| *campaign.mode() != Mode::Running);
    let Mode::Paused { why } = world.campaign.mode().clone() else { panic!("{:?}", world.campaign.mode()) };
    assert!(why.contains("2 of the 25 devices of wave 1 of 3") && why.contains("have gone"), "{why}");
    world.pass(3600);
    assert_eq!(world.told.len(), 25);
    // Whoever resumes it has looked: those two stop it no more.
    assert!(world.campaign.set_mode(Mode::Running));
    world.until(|campaign| campaign.counts().rotated == 498);
    assert_eq!(*world.campaign.mode(), Mode::Running);
}

#[test]
fn a_command_that_was_swallowed_before_its_device_left_costs_it_no_try() {
    let mut world = World::of(Plan { tries: 1, ..plan() }, 60);
    world.second();
    let gone = world.told.pop().unwrap().1;
    world.away.insert(gone);
    world.restart();
    world.until(|campaign| campaign.counts().rotated == 59 && campaign.counts().waiting == 1);
    assert_eq!(*world.campaign.mode(), Mode::Running, "it was not told, so nobody has to look");
    world.away = BTreeSet::new();
    world.until(Campaign::is_over);
    assert_eq!(world.campaign.counts(), Counts { rotated: 60, ..Counts::default() });
}

#[test]
fn who_has_rotated_meanwhile_is_not_told() {
    let mut world = World::of(plan(), 3);
    for place in [0, 2] {
        world.attested.insert(world.thing(place), held("own", START + 5, START + 5));
    }
    world.attested.insert(world.thing(1), held("old", START - 1000, START - 1));
    world.until(Campaign::is_over);
    let told: Vec<_> = world.told.iter().map(|(_, thing)| thing.clone()).collect();
    assert_eq!(told, [world.thing(1)]);
}

#[test]
fn nobody_is_told_outside_the_hours_or_while_it_is_paused() {
    let window: crate::campaign::Window = "02:00-03:00".parse().unwrap();
    let mut world = World::of(Plan { window: Some(window), rate: 1, at_once: 1, ..plan() }, 200);
    let day = 86_400;
    for _ in 0..2 {
        world.now = (world.now / day + 1) * day + 7200 - 300;
        world.pass(3600 + 600);
    }
    assert!(world.told.len() > 60 && world.told.iter().all(|(at, _)| (7200..10_800).contains(&(at % day))));
    let told = world.told.len();
    world.now = (world.now / day + 1) * day + 7200;
    assert!(world.campaign.set_mode(Mode::Paused { why: "rain".into() }));
    world.pass(600);
    assert_eq!(world.told.len(), told);
    assert!(world.campaign.set_mode(Mode::Running));
    world.pass(600);
    assert!(world.told.len() > told);
}

#[test]
fn one_that_is_restored_goes_on_where_it_was() {
    let mut world = World::of(plan(), 60);
    world.pass(2);
    world.acknowledge_all();
    world.restart();
    world.until(Campaign::is_over);
    assert_eq!((world.campaign.counts().rotated, world.told.len()), (60, 60));
}

#[test]
fn a_command_that_a_kill_has_swallowed_is_given_again_at_once_and_once() {
    let mut world = World::of(Plan { tries: 1, ..plan() }, 60);
    world.second();
    let swallowed = world.told.pop().unwrap().1;
    assert!(matches!(world.campaign.turn(&swallowed), Turn::Told { acknowledged: false, .. }));
    world.restart();
    // However long nobody carried the campaign on: it was not told, so it has not failed.
    world.now += 24 * 3600;
    let step = world.second();
    assert!(step.tell.contains(&swallowed) && step.turns.iter().all(|(_, turn)| !is_failed(turn)));
    world.until(Campaign::is_over);
    assert_eq!(world.campaign.counts(), Counts { rotated: 60, ..Counts::default() });
    assert_eq!(world.told.iter().filter(|(_, thing)| *thing == swallowed).count(), 1);
}

#[test]
fn a_command_that_is_on_its_way_is_given_again_only_when_its_time_is_over() {
    let mut world = World::of(plan(), 60);
    world.never = BTreeSet::from([world.thing(0)]);
    world.second();
    let first = world.thing(0);
    let look = |_: &ThingName| Device::default();
    for second in 2..600 {
        let step = world.campaign.step(Timestamp::from_secs(START + second), look);
        assert!(!step.tell.contains(&first), "{second}");
    }
    let step = world.campaign.step(Timestamp::from_secs(START + 601), look);
    assert!(step.tell.contains(&first));
}

#[test]
fn a_swallowed_command_holds_up_no_end_when_the_campaign_tells_nobody_any_more() {
    let mut world = World::of(plan(), 60);
    world.second();
    world.told.clear();
    world.restart();
    assert!(world.campaign.set_mode(Mode::Aborted { why: "rain".into() }));
    world.until(Campaign::is_over);
    assert!(world.told.is_empty() && world.campaign.counts().failed > 0);
}

#[test]
fn an_acknowledgement_is_news_once_and_only_of_who_was_told() {
    let mut world = World::of(plan(), 60);
    let (first, last) = (world.thing(0), world.thing(59));
    world.second();
    let turn = Turn::Told { at: Timestamp::from_secs(START + 1), tries: 1, acknowledged: true };
    assert_eq!(world.campaign.acknowledge(&first), Some(turn));
    assert_eq!((world.campaign.acknowledge(&first), world.campaign.acknowledge(&last)), (None, None));
}

const fn is_failed(turn: &Turn) -> bool {
    matches!(turn, Turn::Failed { .. })
}
