//! Properties of the ledger over random histories of requests, connections, restarts and time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::topic::RecordChange;
use fleetkey_operator::controller::{Change, Event};
use proptest::prelude::*;
use world::{World, generation, thing};

/// Registered before anything happens.
const GENERATIONS: u8 = 5;
/// Those, and what is registered in the course of it.
const MOST: u8 = 9;
const LIVE: &str = "pump-1";
const AGENT: &str = "pump-1~agent";
const CLIENTS: [&str; 5] = [LIVE, AGENT, "pump-1~verify", "pump-2", "~controller"];

const CHANGES: [RecordChange; 3] = [RecordChange::Created, RecordChange::Updated, RecordChange::Deleted];

#[derive(Debug, Clone)]
enum Step {
    Request(u8, &'static str),
    Connect(u8, &'static str),
    Disconnect,
    Pass(u64),
    /// The next generation is registered.
    Register,
    /// The registry tells of the thing, or somebody does in its name.
    News(RecordChange),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = prop::sample::select(&CLIENTS[..]);
    let client_too = prop::sample::select(&CLIENTS[..]);
    prop_oneof![
        3 => (1..=MOST, client).prop_map(|(n, client)| Step::Request(n, client)),
        3 => (1..=MOST, client_too).prop_map(|(n, client)| Step::Connect(n, client)),
        1 => Just(Step::Disconnect),
        4 => (1u64..40).prop_map(Step::Pass),
        1 => Just(Step::Register),
        2 => prop::sample::select(&CHANGES[..]).prop_map(Step::News),
        1 => Just(Step::Restart),
    ]
}

/// What a fair observer knows: who asked as the thing itself, and who is connected as it.
#[derive(Default)]
struct Truth {
    /// The newest generation that asked as the thing while ACTIVE; 0 before the first.
    newest_asked: u8,
    /// The latest connection of each client id: generation and session.
    connected: BTreeMap<&'static str, (u8, u64)>,
    /// Generations that were ever in use as the thing or its agent.
    used: BTreeSet<u8>,
    /// When what was registered meanwhile was.
    registered: BTreeMap<u8, u64>,
}

impl Truth {
    fn run(&mut self, world: &mut World, step: &Step) {
        match *step {
            Step::Request(n, client) => {
                let active = world.status(n) == Some(CertificateStatus::Active);
                // The broker lets nobody publish who is not ACTIVE.
                if !active {
                    return;
                }
                if client == LIVE {
                    self.newest_asked = self.newest_asked.max(n);
                    self.connect(world, n, client);
                }
                world.request(n, client);
            }
            Step::Connect(n, client) => self.connect(world, n, client),
            Step::Disconnect => {
                if let Some((client, (n, session))) = self.connected.pop_first() {
                    world.disconnect(n, client, session);
                }
            }
            Step::Pass(seconds) => world.pass(seconds),
            Step::Register => {
                let next = GENERATIONS + 1 + u8::try_from(self.registered.len()).unwrap();
                if next <= MOST {
                    world.now += 1;
                    world.register(next);
                    self.registered.insert(next, world.now);
                }
            }
            Step::News(change) => world.event(Event::Registry { thing: thing(), change }),
            Step::Restart => {
                // Who was connected is durable only once the thing has a record.
                if world.disk.is_empty() {
                    self.connected.clear();
                }
                world.restart();
            }
        }
    }

    fn connect(&mut self, world: &mut World, n: u8, client: &'static str) {
        if world.status(n) == Some(CertificateStatus::Active) {
            world.now += 1;
            let session = world.connect(n, client);
            self.connected.insert(client, (n, session));
            if [LIVE, AGENT].contains(&client) {
                self.used.insert(n);
            }
        }
    }

    /// Registered under the eyes of the controller, never used, and given its time.
    fn is_leftover(&self, n: u8, at: u64) -> bool {
        let had_its_time = |registered: &u64| at >= registered + world::config().leftover_after.as_secs();
        !self.used.contains(&n) && self.registered.get(&n).is_some_and(had_its_time)
    }

    fn in_use(&self, n: u8) -> bool {
        let as_thing = [LIVE, AGENT].iter().filter_map(|client| self.connected.get(client));
        as_thing.into_iter().any(|(found, _)| *found == n)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_what_is_older_than_an_attested_certificate_or_left_over_and_out_of_use_is_retired(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::with(&[1, 2, 3, 4, 5]);
        let mut truth = Truth::default();
        for step in &steps {
            let before = world.changes.len();
            truth.run(&mut world, step);
            for (at, id, change) in world.changes.split_off(before) {
                let n = (1..=MOST).find(|n| generation(*n) == id).unwrap();
                let may_go = n < truth.newest_asked || truth.is_leftover(n, at);
                prop_assert!(may_go, "{change:?} of {n}, asked {}", truth.newest_asked);
                if change == Change::Deactivate {
                    prop_assert!(!truth.in_use(n), "{n} is in use");
                }
            }
            prop_assert!(world.status(truth.newest_asked).is_none_or(|s| s == CertificateStatus::Active));
        }
    }

    #[test]
    fn without_a_request_as_the_thing_itself_nothing_ever_happens(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::with(&[1, 2, 3, 4, 5]);
        let mut truth = Truth::default();
        for step in steps.iter().filter(|step| !matches!(step, Step::Request(_, LIVE))) {
            truth.run(&mut world, step);
        }
        prop_assert!(world.changes.is_empty() && world.answers.is_empty() && world.disk.is_empty());
    }

    /// However a device's rotations end, by commit or given up before or after the candidate was tried in the live
    /// session, nothing freezes; and when it has been left in peace for a while, nothing is left but what is in use or
    /// was tried there after the last commit.
    #[test]
    fn rotations_that_are_given_up_leave_nothing_unused_and_freeze_nothing(
        rotations in prop::collection::vec((0u64..150, 0u8..4, any::<bool>()), 1..8),
    ) {
        let mut world = World::with(&[1]);
        world.commit(1);
        let (mut current, mut tried) = (1, BTreeSet::new());
        for (n, (pause, end, restart)) in (2..).zip(rotations) {
            world.pass(1);
            world.register(n);
            if end > 0 {
                world.connect(n, "pump-1~verify");
            }
            if end == 2 {
                world.connect(n, LIVE);
                world.now += 1;
                world.connect(current, LIVE);
                tried.insert(generation(n));
            }
            if end == 3 {
                world.commit(n);
                current = n;
                tried.clear();
            }
            world.pass(pause);
            if restart {
                world.restart();
                world.connect(current, LIVE);
            }
        }
        world.pass(1000);
        prop_assert_eq!(world.frozen(), None);
        tried.insert(generation(current));
        let left: BTreeSet<_> = world.certificates.keys().copied().collect();
        prop_assert_eq!(left, tried);
    }

    /// An honest device: every rotation commits and asks; whatever the pauses and restarts, nothing freezes and every
    /// older generation goes.
    #[test]
    fn an_honest_device_is_never_frozen(
        pauses in prop::collection::vec((0u64..100, any::<bool>()), 4),
    ) {
        let mut world = World::with(&[1]);
        world.commit(1);
        for (n, (pause, restart)) in (2..=GENERATIONS).zip(pauses) {
            world.register(n);
            world.connect(n, "pump-1~verify");
            world.pass(pause);
            if restart {
                world.restart();
            }
            world.commit(n);
        }
        world.pass(1000);
        prop_assert_eq!(world.frozen(), None);
        prop_assert_eq!(world.certificates.keys().copied().collect::<Vec<_>>(), [generation(GENERATIONS)]);
    }
}
