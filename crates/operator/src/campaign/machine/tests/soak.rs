//! Devices that keep to their new certificate for long before they ask for anything, and those that do not keep to it.

use super::*;

const DAY: u64 = 86_400;

fn certificate(text: &str) -> CertificateId {
    CertificateId::of_der(text.as_bytes())
}

impl World {
    /// Sixty devices that soak for longer than anybody waits.
    fn soaking() -> Self {
        Self { soaking: true, ..Self::of(plan(), 60) }
    }

    fn is_on(&mut self, thing: &ThingName, what: &str, registered: u64) {
        self.using.insert(thing.clone(), (certificate(what), Timestamp::from_secs(registered)));
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
    world.attested.insert(first, (certificate("new"), Timestamp::from_secs(world.now)));
    world.second();
    assert_eq!(world.campaign.counts(), Counts { rotated: 1, soaking: 59, ..Counts::default() });
    assert!(!world.campaign.is_over());
    // Nor does another process look for longer.
    world.restart();
    world.now = ended + 2 * DAY;
    world.second();
    assert!(world.campaign.is_over());
    // Once more, whenever it is opened again.
    world.attested.insert(second, (certificate("new"), Timestamp::from_secs(world.now)));
    world.second();
    assert_eq!(world.campaign.counts().rotated, 2);
}

#[test]
fn a_verification_by_takeover_that_fails_is_no_rotation() {
    let mut world = World::soaking();
    let first = world.thing(0);
    world.never = BTreeSet::from([first.clone()]);
    for told in 1..=2 {
        world.until(|campaign| matches!(campaign.turns[&first], Turn::Told { tries, .. } if tries == told));
        world.is_on(&first, "candidate", world.now + 1);
        world.pass(50);
        assert!(matches!(world.campaign.turns[&first], Turn::Told { .. }), "that may be a proof");
        world.is_on(&first, "old", START - DAY);
        world.second();
    }
    world.until(|campaign| *campaign.mode() != Mode::Running);
    assert!(is_failed(&world.campaign.turns[&first]), "{:?}", world.campaign.turns[&first]);
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
    assert!(matches!(world.campaign.turns[&first], Turn::Soaking { .. }));
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
    assert!(matches!(world.campaign.turns[&first], Turn::Soaking { .. }));
}

#[test]
fn who_goes_back_from_its_soak_while_the_campaign_runs_has_failed() {
    let mut world = World::soaking();
    world.until(|campaign| campaign.counts().soaking > 0);
    let first = world.told[0].1.clone();
    world.never.insert(first.clone());
    world.is_on(&first, "old", START - DAY);
    world.until(|campaign| *campaign.mode() != Mode::Running);
    assert!(is_failed(&world.campaign.turns[&first]));
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
    assert!(world.campaign.is_over() && matches!(world.campaign.turns[&gone], Turn::Left { .. }));
    assert_eq!(world.told.len(), 3);
}
