//! The graph of states and the machine agree, and `docs/rotation.md` shows that graph.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fleetkey_lifecycle::Event;
use fleetkey_lifecycle::event::{Offline, StorageFault};
use fleetkey_lifecycle::graph::{EDGES, Edge, edges, mermaid};
use fleetkey_lifecycle::status::StateName;
use fleetkey_model::retirement::DeviceCommand;

use crate::world::{Fault, World, config};

const HOUR: Duration = Duration::from_secs(3600);
const OPEN: &str =
    "<!-- the diagram: written by `UPDATE_DOCS=1 cargo test -p fleetkey-lifecycle` -->\n```mermaid\n";
const CLOSE: &str = "```\n<!-- end of the diagram -->";

fn command(world: &mut World) {
    world.give(Event::Command(DeviceCommand::Rotate { id: String::new() }));
}

/// A rotation with `fault` on its way, and all that follows.
fn rotated(action: &'static str, faults: &[Fault]) -> World {
    let mut world = World::provisioned();
    for fault in faults {
        world.fault(action, fault.clone());
    }
    command(&mut world);
    world.pass(24 * HOUR);
    world
}

fn refused_and_control_passing(world: &mut World) {
    for _ in 0..400 {
        world.step();
        if world.machine.status().state == StateName::Verifying {
            let candidate = world.machine.status().candidate;
            world.revoked.extend(candidate);
        }
        if let Some(at) = world.machine.next_deadline() {
            world.now = at;
            world.give(Event::Tick);
        }
    }
}

/// Worlds that between them go every way there is.
fn journeys() -> Vec<World> {
    let rejected = Fault::Rejected(400, "InvalidParameters");
    let mut all = vec![
        rotated("Verify", &[]),
        rotated("MakeKey", &vec![Fault::Storage(StorageFault::Io); 9]),
        rotated("RequestCertificate", std::slice::from_ref(&rejected)),
        rotated("RegisterThing", &[rejected]),
        rotated("RegisterThing", &[Fault::AnswerLost]),
        rotated("RegisterThing", &vec![Fault::Rejected(429, "Throttled"); 600]),
        rotated("Preflight", &[Fault::Storage(StorageFault::Full)]),
    ];
    let mut first = World::new();
    first.settle();
    all.push(first);
    let mut probed = World::new();
    probed.fault("RegisterThing", Fault::AnswerLost);
    probed.pass(HOUR);
    all.push(probed);
    let mut rolled_back = World::provisioned();
    command(&mut rolled_back);
    refused_and_control_passing(&mut rolled_back);
    all.push(rolled_back);
    let mut config = config();
    config.has_recovery = true;
    let mut recovered = World::with(config);
    recovered.settle();
    recovered.give(Event::LinkRefused { slot: fleetkey_lifecycle::SlotId(1), why: "a hiccup".into() });
    recovered.settle();
    recovered.revoke(fleetkey_lifecycle::SlotId(1));
    recovered.pass(HOUR);
    all.push(recovered);
    all.extend([doubled(), replaced(), given_back()]);
    all.extend(in_steps());
    all
}

/// Staged, also where an answer is lost; switched and gone back from; and given up at every point on the way.
fn in_steps() -> Vec<World> {
    let mut whole = World::provisioned();
    for order in [Offline::Stage, Offline::Switch, Offline::Rollback] {
        whole.give(Event::Offline(order));
        whole.settle();
    }
    let mut probed = World::provisioned();
    probed.fault("RegisterThing", Fault::AnswerLost);
    probed.give(Event::Offline(Offline::Stage));
    probed.pass(HOUR);
    let given_up = [StateName::MakingKey, StateName::KeyReady, StateName::CertStored, StateName::Staged];
    let given_up = given_up.map(|at| {
        let mut world = World::provisioned();
        world.give(Event::Offline(Offline::Stage));
        while world.machine.status().state != at && world.step() {}
        world.give(Event::Offline(Offline::Rollback));
        world.settle();
        world
    });
    [whole, probed].into_iter().chain(given_up).collect()
}

/// Due while another device is on the identity, and no longer due when the wish was met otherwise.
fn doubled() -> World {
    let mut world = World::provisioned();
    (0..3).for_each(|_| world.give(Event::Displaced));
    world.pass(Duration::from_secs(40 * 24 * 3600));
    (0..3).for_each(|_| world.give(Event::Displaced));
    world.pass(Duration::from_secs(31 * 24 * 3600));
    world.now = world.now + Duration::from_secs(60 * 24 * 3600);
    (0..3).for_each(|_| world.give(Event::Displaced));
    world.give(Event::Tick);
    world.settle();
    assert_eq!(world.machine.status().state, StateName::Deferred);
    // The clock was wrong.
    world.now = world.now - Duration::from_secs(60 * 24 * 3600);
    world.give(Event::Tick);
    world.settle();
    world
}

/// A registered candidate takes over from an identity that was taken away.
fn replaced() -> World {
    let mut world = World::provisioned();
    world.fault("RegisterThing", Fault::AnswerLost);
    command(&mut world);
    while world.count("RegisterThing") == 0 {
        world.step();
    }
    world.revoke(fleetkey_lifecycle::SlotId(1));
    world.pass(HOUR);
    world
}

/// A first certificate that was taken away for days is given back while a new one is asked for in vain.
fn given_back() -> World {
    let mut world = World::new();
    world.revoked.insert(fleetkey_lifecycle::SlotId(1));
    world.fault("RegisterThing", Fault::AnswerLost);
    world.fault("RegisterThing", Fault::Rejected(400, "InvalidCertificateOwnershipToken"));
    world.pass(HOUR);
    for _ in 0..400 {
        world.fault("RequestCertificate", Fault::NoAnswer);
    }
    world.pass(26 * HOUR);
    assert_eq!(world.machine.status().state, StateName::Requested);
    world.revoked.clear();
    world.faults.clear();
    world.pass(HOUR);
    assert_eq!(world.machine.status().current, Some(fleetkey_lifecycle::SlotId(1)));
    assert_eq!(world.count("StoreCertificate"), 1, "{:?}", world.trace);
    world
}

#[test]
fn every_edge_of_the_graph_is_gone_by_some_journey() {
    let walked: BTreeSet<_> = journeys().into_iter().flat_map(|world| world.walked).collect();
    let seen: BTreeSet<&Edge> = walked.iter().flat_map(|&(from, to)| edges(from, to)).collect();
    let unseen: Vec<_> = EDGES.iter().filter(|edge| !seen.contains(edge)).collect();
    assert!(unseen.is_empty(), "never seen: {unseen:#?}");
}

#[test]
fn the_diagram_in_the_documentation_is_the_graph() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rotation.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(OPEN).expect("the mark before the diagram");
    let (shown, after) = rest.split_once(CLOSE).expect("the mark after the diagram");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{OPEN}{}{CLOSE}{after}", mermaid())).unwrap();
    } else {
        assert_eq!(
            shown,
            mermaid(),
            "docs/rotation.md is behind: UPDATE_DOCS=1 cargo test -p fleetkey-lifecycle"
        );
    }
}
