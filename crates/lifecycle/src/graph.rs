//! The graph of the machine's states: every change of [`StateName`] that can be seen from outside, and its cause.
//!
//! The machine is not driven by this table: it says what the machine does, the tests hold both to each other (no
//! change is seen that is not here, none is here that is never seen), and `docs/rotation.md` is drawn from it.
//! A restart is no edge: it shows the state that the disk's record stands for.

use alloc::format;
use alloc::string::String;

use crate::status::StateName;
use crate::status::StateName::{
    CertStored, Deferred, Idle, KeyReady, Ladder, MakingKey, Preflight, Registering, Requested, Retired,
    Retiring, Soak, Staged, Verifying,
};

/// One end of an edge: a state, or several that share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// This state.
    One(StateName),
    /// Any state in which no rotation is under way.
    AtRest,
    /// Any state but [`StateName::Ladder`] that has, or is getting, an identity.
    Served,
}

/// A change of state and what causes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The state before.
    pub from: End,
    /// The state after.
    pub to: End,
    /// The cause, for people.
    pub cause: &'static str,
}

const fn edge(from: End, to: End, cause: &'static str) -> Edge {
    Edge { from, to, cause }
}

const fn step(from: StateName, to: StateName, cause: &'static str) -> Edge {
    edge(End::One(from), End::One(to), cause)
}

/// All edges.
pub const EDGES: &[Edge] = &[
    edge(End::AtRest, End::One(Preflight), "due by age, expiry, command or compromise, or no identity yet"),
    edge(End::One(Preflight), End::AtRest, "the disk does not take a rotation"),
    step(Idle, Deferred, "due, and something stands in the way"),
    step(Deferred, Idle, "no longer due"),
    step(Preflight, MakingKey, "begun, the record is durable"),
    step(MakingKey, KeyReady, "key and CSR durable"),
    edge(End::One(MakingKey), End::AtRest, "abandoned, the disk not giving a key again and again"),
    step(KeyReady, Requested, "about to ask"),
    step(Requested, CertStored, "certificate and token durable"),
    step(Requested, Verifying, "the certificate that a new one was to replace is accepted after all"),
    edge(End::One(Requested), End::AtRest, "abandoned, being rejected for good, or on an operator's order"),
    step(CertStored, Registering, "about to ask"),
    step(Registering, Verifying, "registered"),
    step(Registering, Requested, "token spent and the certificate not accepted, so the same key again"),
    edge(End::One(Registering), End::AtRest, "abandoned, being rejected for good, or on an operator's order"),
    step(Registering, Soak, "an unanswered registration is found out by a probe and committed"),
    step(Registering, Idle, "the same for a first identity"),
    step(Verifying, Soak, "TLS, CONNACK, SUBACK and echo passed, committed"),
    step(Verifying, Idle, "the same for a first identity"),
    edge(
        End::One(Verifying),
        End::AtRest,
        "rolled back, being refused while the old identity passes, not read any more, or on an operator's order",
    ),
    step(Verifying, Staged, "passed, or not to be tried before the window, and held for a switch"),
    step(Registering, Staged, "an unanswered registration is found out by a probe, and held for a switch"),
    step(Staged, Verifying, "the switch is ordered, or the key in use is known to others"),
    edge(End::One(MakingKey), End::AtRest, "given up on an operator's order"),
    edge(End::One(KeyReady), End::AtRest, "the same"),
    edge(End::One(CertStored), End::AtRest, "the same"),
    edge(End::One(Staged), End::AtRest, "the same"),
    step(Soak, Idle, "back to the identity before, on an operator's order"),
    step(Soak, Retiring, "soak over, with traffic"),
    step(Retiring, Retired, "the controller has retired what is older"),
    step(Retired, Idle, "the old key is given to destruction"),
    edge(
        End::Served,
        End::One(Ladder),
        "the broker refuses the committed identity, or the disk does not give it",
    ),
    edge(End::One(Ladder), End::Served, "accepted again, or fallen back to one that is"),
    step(Ladder, Soak, "the candidate is accepted and committed"),
    step(Ladder, Preflight, "nothing is accepted, so recovery by claim, at most once a day"),
];

impl End {
    /// Whether `state` is this end, or one of those it stands for.
    pub fn covers(self, state: StateName) -> bool {
        use StateName::Unprovisioned;
        match self {
            Self::One(one) => one == state,
            Self::AtRest => matches!(state, Unprovisioned | Idle | Deferred | Soak | Retiring | Retired),
            Self::Served => !matches!(state, Unprovisioned | Ladder),
        }
    }
}

/// The edges that a change from one state to another may be.
pub fn edges(from: StateName, to: StateName) -> impl Iterator<Item = &'static Edge> {
    EDGES.iter().filter(move |edge| edge.from.covers(from) && edge.to.covers(to))
}

/// The graph as a Mermaid state diagram.
pub fn mermaid() -> String {
    let mut text = String::from("stateDiagram-v2\n");
    text.push_str("    state \"an identity serves, or is on its way\" as Served {\n");
    text.push_str("        state \"at rest\" as AtRest {\n            Unprovisioned\n");
    draw(&mut text, Room::AtRest, "            ");
    text.push_str("        }\n");
    draw(&mut text, Room::Served, "        ");
    text.push_str("    }\n");
    draw(&mut text, Room::Outside, "    ");
    text
}

/// Where in the drawing an edge belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    AtRest,
    Served,
    Outside,
}

fn room(edge: &Edge) -> Room {
    let at_rest = |end| matches!(end, End::One(state) if End::AtRest.covers(state));
    if [edge.from, edge.to].contains(&End::One(Ladder)) {
        Room::Outside
    } else if at_rest(edge.from) && at_rest(edge.to) {
        Room::AtRest
    } else {
        Room::Served
    }
}

fn draw(text: &mut String, wanted: Room, indent: &str) {
    for edge in EDGES.iter().filter(|edge| room(edge) == wanted) {
        text.push_str(&format!("{indent}{} --> {} : {}\n", name(edge.from), name(edge.to), edge.cause));
    }
}

fn name(end: End) -> String {
    match end {
        End::One(state) => format!("{state:?}"),
        End::AtRest => String::from("AtRest"),
        End::Served => String::from("Served"),
    }
}
