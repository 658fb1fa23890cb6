//! The way back of a campaign, in virtual time.

use super::*;

const BEFORE: u64 = START - 1000;

fn rolled_back() -> Mode {
    Mode::RolledBack { why: "the new application fails".into() }
}

impl World {
    /// Sixty devices, a canary of three that were told; and those.
    fn with_a_canary() -> (Self, [ThingName; 3]) {
        let mut world = Self::of(plan(), 60);
        world.pass(10);
        assert_eq!(world.campaign.counts().told, 3);
        let told = [0, 1, 2].map(|place| world.thing(place));
        world.never = told.iter().cloned().collect();
        for thing in &told {
            world.uses(thing, "old", BEFORE);
        }
        (world, told)
    }

    fn uses(&mut self, thing: &ThingName, what: &str, registered: u64) {
        self.using.insert(thing.clone(), held(what, registered, self.now));
    }

    /// Whom a second of the way back sends back, and whose certificate it keeps.
    fn second_back(&mut self) -> (Vec<ThingName>, Vec<ThingName>) {
        let step = self.second();
        assert!(step.tell.is_empty(), "nobody is told to rotate any more");
        (step.send_back, step.keep)
    }

    /// The same of so many seconds.
    fn pass_back(&mut self, seconds: u64) -> (Vec<ThingName>, Vec<ThingName>) {
        let (mut sent, mut kept) = (Vec::new(), Vec::new());
        for _ in 0..seconds {
            let (more, keep) = self.second_back();
            sent.extend(more);
            kept.extend(keep);
        }
        (sent, kept)
    }

    fn how(&self, thing: &ThingName) -> Option<Way> {
        match self.campaign.turn(thing) {
            Turn::Returned { how, .. } => Some(how),
            _ => None,
        }
    }
}

#[test]
fn who_soaks_is_sent_back_once_and_watched_until_it_is_back() {
    let (mut world, told) = World::with_a_canary();
    for thing in &told {
        world.uses(thing, "new", START + 5);
    }
    assert!(world.campaign.set_mode(rolled_back()));
    let (sent, kept) = world.pass_back(30);
    assert_eq!((sent.iter().collect::<BTreeSet<_>>(), sent.len()), (told.iter().collect(), 3));
    assert!(kept.is_empty() && !world.campaign.is_over());
    // Nobody tells the next process with what they are connected.
    world.restart();
    world.using.clear();
    assert_eq!(world.pass_back(30), (vec![], vec![]), "a restart sends nobody back twice");
    for thing in &told {
        world.uses(thing, "old", BEFORE);
    }
    world.pass_back(1);
    assert!(told.iter().all(|thing| world.how(thing) == Some(Way::Back)));
    world.pass_back(1);
    assert!(world.campaign.is_over());
    assert_eq!(world.campaign.counts(), Counts { waiting: 57, returned: 3, ..Counts::default() });
}

#[test]
fn who_does_not_return_is_told_three_times_and_then_stays() {
    let (mut world, [first, ..]) = World::with_a_canary();
    world.uses(&first, "new", START + 5);
    assert!(world.campaign.set_mode(rolled_back()));
    let (sent, _) = world.pass_back(3 * 600 + 60);
    assert_eq!(sent, vec![first.clone(); 3]);
    assert_eq!(world.how(&first), Some(Way::Stays));
    // The others were told to rotate, and nothing came of it.
    assert_eq!((world.campaign.counts().failed, world.campaign.is_over()), (2, true));
}

#[test]
fn what_an_attested_device_has_superseded_is_kept_and_asked_for_again_after_a_kill() {
    let (mut world, [first, second, ..]) = World::with_a_canary();
    for thing in [&first, &second] {
        world.attested.insert(thing.clone(), held("new", world.now, world.now));
    }
    assert!(world.campaign.set_mode(rolled_back()));
    let (sent, kept) = world.pass_back(30);
    assert_eq!((sent.len(), kept.iter().collect::<BTreeSet<_>>()), (0, [&first, &second].into()));
    let at = Timestamp::from_secs(world.now);
    let news = world.campaign.returned(&first, at, Way::Reactivated);
    assert_eq!(news, Some(Turn::Returned { at, how: Way::Reactivated }));
    assert_eq!(world.campaign.returned(&first, at, Way::Kept), None, "once");
    world.restart();
    let (_, kept) = world.pass_back(30);
    assert_eq!(kept, std::slice::from_ref(&second), "what became of it, nobody knows");
    assert!(world.campaign.returned(&second, at, Way::Past).is_some());
    world.pass_back(600);
    assert!(world.campaign.is_over());
    let expected = Counts { waiting: 57, failed: 1, returned: 2, ..Counts::default() };
    assert_eq!(world.campaign.counts(), expected);
}

#[test]
fn who_has_registered_nothing_new_has_not_rotated_once_it_has_had_its_time() {
    let (mut world, [first, second, third]) = World::with_a_canary();
    world.using.clear();
    assert!(world.campaign.set_mode(rolled_back()));
    let all: BTreeSet<_> = [&first, &second, &third].into();
    let (sent, _) = world.pass_back(30);
    assert_eq!(sent.iter().collect::<BTreeSet<_>>(), all, "of nobody it is known what they use");
    let at = Timestamp::from_secs(world.now);
    assert_eq!(world.campaign.has_nothing_new(&first, at), None, "it may be about to");
    let (sent, _) = world.pass_back(620);
    assert_eq!(sent.iter().collect::<BTreeSet<_>>(), all);
    assert!(world.campaign.has_nothing_new(&first, at).is_some());
    assert_eq!(world.how(&first), Some(Way::Back));
}

#[test]
fn who_asked_for_retirement_before_the_command_came_is_treated_as_one_who_had() {
    let (mut world, [first, ..]) = World::with_a_canary();
    world.uses(&first, "new", START + 5);
    assert!(world.campaign.set_mode(rolled_back()));
    assert_eq!(world.pass_back(5).0, std::slice::from_ref(&first));
    world.attested.insert(first.clone(), held("new", world.now, world.now));
    assert_eq!(world.pass_back(5).1, [first]);
}

#[test]
fn who_is_away_is_sent_back_when_it_returns_and_holds_the_rollback_open() {
    let (mut world, [first, ..]) = World::with_a_canary();
    world.away.insert(first.clone());
    world.using.remove(&first);
    assert!(world.campaign.set_mode(rolled_back()));
    assert_eq!(world.pass_back(3600), (vec![], vec![]));
    assert!(!world.campaign.is_over());
    world.away.clear();
    world.uses(&first, "new", START + 5);
    assert_eq!(world.pass_back(5).0, [first]);
}

#[test]
fn one_that_has_ended_can_be_rolled_back_at_its_rate_and_that_is_for_good() {
    let mut world = World::of(Plan { rate: 60, ..plan() }, 200);
    world.until(Campaign::is_over);
    assert_eq!(*world.campaign.mode(), Mode::Done);
    assert!(world.campaign.set_mode(rolled_back()));
    assert!(!world.campaign.is_over());
    let (_, kept) = world.pass_back(60);
    assert!((58..=63).contains(&kept.len()), "{}", kept.len());
    for mode in [Mode::Running, Mode::Done, Mode::Aborted { why: "x".into() }, rolled_back()] {
        assert!(!world.campaign.set_mode(mode));
    }
}

#[test]
fn a_way_back_takes_no_more_than_the_pace_of_all_campaigns_leaves_it() {
    let (mut world, told) = World::with_a_canary();
    for thing in &told {
        world.uses(thing, "new", START + 5);
    }
    assert!(world.campaign.set_mode(rolled_back()));
    let waited: usize = (0..5).map(|_| world.second_within(0).devices()).sum();
    assert_eq!((waited, world.campaign.is_over()), (0, false));
    let sent = [1, 1, 1].map(|room| world.second_within(room).send_back.len());
    assert_eq!(sent, [1, 1, 1], "nobody was passed over");
}
