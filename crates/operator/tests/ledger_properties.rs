//! Properties of the ledger over random histories of requests, connections, restarts and time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared by several tests")]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_operator::controller::Change;
use proptest::prelude::*;
use world::{World, generation};

const GENERATIONS: u8 = 5;
const LIVE: &str = "pump-1";
const CLIENTS: [&str; 5] = [LIVE, "pump-1~agent", "pump-1~verify", "pump-2", "~controller"];

#[derive(Debug, Clone)]
enum Step {
    Request(u8, &'static str),
    Connect(u8, &'static str),
    Disconnect,
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = prop::sample::select(&CLIENTS[..]);
    let client_too = prop::sample::select(&CLIENTS[..]);
    prop_oneof![
        3 => (1..=GENERATIONS, client).prop_map(|(n, client)| Step::Request(n, client)),
        3 => (1..=GENERATIONS, client_too).prop_map(|(n, client)| Step::Connect(n, client)),
        1 => Just(Step::Disconnect),
        4 => (1u64..40).prop_map(Step::Pass),
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
        }
    }

    fn in_use(&self, n: u8) -> bool {
        let as_thing = [LIVE, "pump-1~agent"].iter().filter_map(|client| self.connected.get(client));
        as_thing.into_iter().any(|(found, _)| *found == n)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_what_is_older_than_an_attested_certificate_and_out_of_use_is_retired(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::with(&[1, 2, 3, 4, 5]);
        let mut truth = Truth::default();
        for step in &steps {
            let before = world.changes.len();
            truth.run(&mut world, step);
            for (_, id, change) in world.changes.split_off(before) {
                let n = (1..=GENERATIONS).find(|n| generation(*n) == id).unwrap();
                prop_assert!(n < truth.newest_asked, "{change:?} of {n}, asked {}", truth.newest_asked);
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

    /// An honest device: every rotation commits and asks; whatever the pauses and restarts, nothing freezes and every
    /// older generation goes.
    #[test]
    fn an_honest_device_is_never_frozen(
        pauses in prop::collection::vec((0u64..100, any::<bool>()), 4),
    ) {
        let mut world = World::with(&[1]);
        world.commit(1);
        for (n, (pause, restart)) in (2..=GENERATIONS).zip(pauses) {
            world.issue(n);
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
