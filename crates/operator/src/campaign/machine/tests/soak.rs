//! Devices that keep to their new certificate for long before they ask for anything, and those that do not keep to it.

use super::*;

const DAY: u64 = 86_400;

impl World {
    /// Sixty devices that soak for longer than anybody waits.
    fn soaking() -> Self {
        Self { soaking: true, ..Self::of(plan(), 60) }
    }

    fn is_on(&mut self, thing: &ThingName, what: &str, registered: u64) {
        self.using.insert(thing.clone(), held(what, registered, self.now));
    }
}

#[test]
fn a_campaign_is_done_when_all_are_on_their_new_certificates_however_long_they_soak() {
    let mut world = World { soaking: true, ..World::of(plan(), 500) };
    world.until(|campaign| *campaign.mode() != Mode::Running);
    assert_eq!(*world.campaign.mode(), Mode::Done);
    assert_eq!(world.campaign.counts(), Counts { soaking: 500, ..Counts::default() });
    assert_eq!(world.told.len(), 500, "everybody was told once");
    // The next wave waits until the one before has settled.
    assert!(world.told[25].0 >= world.told[24].0 + 60 + 60);
}

#[test]
fn who_asks_for_retirement_after_the_end_is_followed_for_two_days_and_no_longer() {
    let mut world = World::soaking();
    world.until(|campaign| *campaign.mode() == Mode::Done);
    let ended = world.now;
    let (first, second) = (world.thing(0), world.thing(1));
    world.now = ended + DAY;
    world.attested.insert(first, held("new", world.now, world.now));
    world.second();
    assert_eq!(world.campaign.counts(), Counts { rotated: 1, soaking: 59, ..Counts::default() });
    assert!(!world.campaign.is_over());
    // Nor does another process look for longer.
    world.restart();
    world.now = ended + 2 * DAY;
    world.second();
    assert!(world.campaign.is_over());
    // Once more, whenever it is opened again.
    world.restart();
    world.attested.insert(second, held("new", world.now, world.now));
    world.second();
    assert_eq!(world.campaign.counts().rotated, 2);
}

#[test]
fn a_verification_by_takeover_that_fails_is_no_rotation() {
    let mut world = World::soaking();
    let first = world.thing(0);
    world.never = BTreeSet::from([first.clone()]);
    for told in 1..=2 {
        world.until(|campaign| matches!(campaign.turn(&first), Turn::Told { tries, .. } if tries == told));
        world.is_on(&first, "candidate", world.now + 1);
        world.pass(50);
        assert!(matches!(world.campaign.turn(&first), Turn::Told { .. }), "that may be a proof");
        world.is_on(&first, "old", START - DAY);
        world.second();
    }
    world.until(|campaign| *campaign.mode() != Mode::Running);
    assert!(is_failed(&world.campaign.turn(&first)), "{:?}", world.campaign.turn(&first));
}

#[test]
fn who_has_arrived_just_before_its_time_is_over_neither_fails_nor_is_told_again() {
    let mut world = World::soaking();
    let first = world.thing(0);
    world.never = BTreeSet::from([first.clone()]);
    world.pass(5);
    // Told in the first second, with ten minutes' time.
    world.now = START + 1 + 600 - 2;
    world.is_on(&first, "new", world.now);
    world.pass(70);
    assert!(matches!(world.campaign.turn(&first), Turn::Soaking { .. }));
    assert_eq!(world.told.iter().filter(|(_, thing)| *thing == first).count(), 1);
}

#[test]
fn who_comes_with_its_new_certificate_and_sleeps_again_has_arrived() {
    let mut world = World::soaking();
    let first = world.thing(0);
    world.never = BTreeSet::from([first.clone()]);
    world.pass(5);
    world.is_on(&first, "new", world.now);
    world.pass(5);
    world.using.remove(&first);
    world.away.insert(first.clone());
    world.pass(60);
    assert!(matches!(world.campaign.turn(&first), Turn::Soaking { .. }));
}

#[test]
fn who_goes_back_from_its_soak_while_the_campaign_runs_has_failed() {
    let mut world = World::soaking();
    world.until(|campaign| campaign.counts().soaking > 0);
    let first = world.told[0].1.clone();
    world.never.insert(first.clone());
    world.is_on(&first, "old", START - DAY);
    world.until(|campaign| *campaign.mode() != Mode::Running);
    assert!(is_failed(&world.campaign.turn(&first)));
    let Mode::Aborted { why } = world.campaign.mode() else { panic!("{:?}", world.campaign.mode()) };
    assert!(why.contains("1 of the 3 devices of wave 1"), "{why}");
}

#[test]
fn who_soaks_is_sent_back_by_a_rollback_and_is_back_once_seen_so() {
    let mut world = World::soaking();
    world.until(|campaign| *campaign.mode() == Mode::Done);
    assert!(world.campaign.set_mode(Mode::RolledBack { why: "rain".into() }));
    let mut sent = BTreeSet::new();
    for _ in 0..70 {
        sent.extend(world.second().send_back);
    }
    assert_eq!(sent.len(), 60);
    for place in 0..60 {
        let thing = world.thing(place);
        world.is_on(&thing, "old", START - DAY);
    }
    world.pass(2);
    assert_eq!(world.campaign.counts(), Counts { returned: 60, ..Counts::default() });
    assert!(world.campaign.is_over());
}

#[test]
fn one_that_was_aborted_looks_at_those_it_told_for_as_long_as_they_may_take_and_no_longer() {
    let mut world = World::of(plan(), 60);
    world.pass(10);
    let told: BTreeSet<_> = world.told.iter().map(|(_, thing)| thing.clone()).collect();
    let gone = told.first().unwrap().clone();
    world.never = told;
    world.away.insert(gone.clone());
    assert!(world.campaign.set_mode(Mode::Aborted { why: "rain".into() }));
    // Each was told once, of twice.
    world.pass(600);
    assert_eq!((world.campaign.counts().failed, world.campaign.is_over()), (2, false));
    world.pass(600);
    assert!(world.campaign.is_over() && matches!(world.campaign.turn(&gone), Turn::Left { .. }));
    assert_eq!(world.told.len(), 3);
}

#[test]
fn what_was_seen_outlives_the_process_that_saw_it() {
    let mut world = World::soaking();
    world.pass(5);
    let told: Vec<_> = world.told.iter().map(|(_, thing)| thing.clone()).collect();
    world.never = told.iter().cloned().collect();
    for thing in &told {
        world.is_on(thing, "new", world.now);
    }
    world.pass(10);
    // Killed; whoever soaks stays connected, and nobody tells of that again.
    world.restart();
    world.using.clear();
    world.pass(60);
    let arrived = |thing: &ThingName| matches!(world.campaign.turn(thing), Turn::Soaking { .. });
    assert!(told.len() == 3 && told.iter().all(arrived), "{:?}", world.campaign.counts());
    assert!(told.iter().all(|thing| world.told.iter().filter(|(_, told)| told == thing).count() == 1));
}

#[test]
fn that_a_device_went_back_outlives_the_process_too() {
    let mut world = World::soaking();
    world.pass(5);
    let first = world.told[0].1.clone();
    world.never.insert(first.clone());
    world.is_on(&first, "candidate", world.now);
    world.pass(5);
    world.is_on(&first, "old", START - DAY);
    world.pass(1);
    world.restart();
    world.using.clear();
    world.pass(100);
    assert!(matches!(world.campaign.turn(&first), Turn::Told { .. }), "{:?}", world.campaign.turn(&first));
}

#[test]
fn what_a_killed_process_had_kept_of_connections_is_no_news_of_who_has_arrived() {
    let mut world = World::soaking();
    world.pass(5);
    let (first, second) = (world.told[0].1.clone(), world.told[1].1.clone());
    world.never.extend([first.clone(), second.clone()]);
    // From before they were told.
    let stale = held("old", START - DAY, START - 5);
    world.is_on(&first, "new", world.now);
    world.pass(70);
    world.is_on(&second, "new", world.now);
    world.pass(5);
    world.restart();
    world.using.extend([(first.clone(), stale), (second.clone(), stale)]);
    world.pass(70);
    for thing in [&first, &second] {
        assert!(
            matches!(world.campaign.turn(thing), Turn::Soaking { .. }),
            "{:?}",
            world.campaign.turn(thing)
        );
    }
    // Nor is it back by that.
    assert!(world.campaign.set_mode(Mode::RolledBack { why: "rain".into() }));
    world.pass(30);
    for thing in [&first, &second] {
        assert!(matches!(world.campaign.turn(thing), Turn::Returning { .. } | Turn::Soaking { .. }));
        world.is_on(thing, "old", START - DAY);
    }
    world.pass(30);
    assert!(matches!(world.campaign.turn(&first), Turn::Returned { how: Way::Back, .. }));
}

#[test]
fn a_new_certificate_is_told_from_an_old_one_though_the_account_counts_otherwise() {
    for skew in [-240, 240] {
        let at = |second: u64| second.saturating_add_signed(skew);
        let mut world = World::soaking();
        let (first, second) = (world.thing(0), world.thing(1));
        world.never = [first.clone(), second.clone()].into();
        // Minutes before the campaign began they had rotated, and one of them soaks that and asks only now.
        let before = held("before", at(START - 120), at(START - 120));
        world.using.extend([(first.clone(), before), (second.clone(), before)]);
        let had = [(before.certificate, Some(before.registered))];
        world.campaign.set_baseline(Baseline::new(Timestamp::from_secs(START), had));
        world.pass(5);
        world.attested.insert(second.clone(), Held { since: Timestamp::from_secs(at(world.now)), ..before });
        world.pass(120);
        for thing in [&first, &second] {
            assert!(matches!(world.campaign.turn(thing), Turn::Told { .. }), "{skew}");
        }
        world.using.insert(first.clone(), held("new", at(world.now), at(world.now)));
        world.attested.insert(second.clone(), held("newer", at(world.now), at(world.now)));
        world.pass(70);
        assert!(matches!(world.campaign.turn(&first), Turn::Soaking { .. }), "{skew}");
        assert!(matches!(world.campaign.turn(&second), Turn::Rotated { .. }), "{skew}");
    }
}

#[test]
fn nothing_is_done_before_it_is_known_what_devices_had() {
    let mut world = World::soaking();
    world.campaign.baseline = None;
    world.pass(600);
    assert!(world.told.is_empty() && world.campaign.counts().waiting == 60);
}
