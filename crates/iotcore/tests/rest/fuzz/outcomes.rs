//! What became of each operation while it was fuzzed, as `/_fleetkey/coverage` tells it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::support::page::{self, Operation};
use crate::support::{Request, World};

/// What every operation may answer to a body, form or query string that cannot be read.
const ANY: [&str; 2] = ["SerializationException", "MalformedInput"];

/// Calls by operation, over several worlds.
#[derive(Debug, Default)]
pub(super) struct Outcomes(BTreeMap<Operation, Outcome>);

/// How the calls of an operation ended.
#[derive(Debug, Default)]
struct Outcome {
    called: u64,
    refused: BTreeMap<String, u64>,
}

impl Outcomes {
    /// Those of a world since its start.
    pub(super) async fn of(world: &World) -> Self {
        let coverage = Request::new("GET", "/_fleetkey/coverage").host(world.port());
        let report = world.send(coverage).await.ok().json();
        let mut outcomes = BTreeMap::new();
        for (service, report) in object(&report["services"]) {
            for (name, called) in object(&report["implemented"]) {
                let refused = report["refused"].get(name).map(object).into_iter().flatten();
                let refused = refused.map(|(code, count)| (code.clone(), count.as_u64().unwrap())).collect();
                let outcome = Outcome { called: called.as_u64().unwrap(), refused };
                outcomes.insert((service.clone(), name.clone()), outcome);
            }
        }
        Self(outcomes)
    }

    pub(super) fn add(&mut self, other: Self) {
        for (operation, outcome) in other.0 {
            let sum = self.0.entry(operation).or_default();
            sum.called += outcome.called;
            for (code, count) in outcome.refused {
                *sum.refused.entry(code).or_default() += count;
            }
        }
    }

    /// Operations that never did what they are for.
    pub(super) fn never_succeeded(&self) -> Vec<&Operation> {
        let failed = |outcome: &Outcome| outcome.called == outcome.refused.values().sum::<u64>();
        self.0.iter().filter(|(_, outcome)| failed(outcome)).map(|(operation, _)| operation).collect()
    }

    /// Refusals that the page does not know of, as `service operation exception`.
    pub(super) fn undocumented(&self) -> Vec<String> {
        let page = page::operations();
        let unknown = |operation: &Operation, code: &String| {
            !ANY.contains(&code.as_str()) && !page.get(operation).is_some_and(|codes| codes.contains(code))
        };
        let refusals = self.0.iter().flat_map(|(operation, outcome)| {
            outcome
                .refused
                .keys()
                .filter(move |code| unknown(operation, code))
                .map(move |code| (operation, code))
        });
        refusals.map(|((service, name), code)| format!("{service} {name} {code}")).collect()
    }

    /// A line an operation: how often it succeeded, how often it refused with which exception.
    pub(super) fn table(&self) -> String {
        let line = |((service, name), outcome): (&Operation, &Outcome)| {
            let refused: u64 = outcome.refused.values().sum();
            let refusals: Vec<String> =
                outcome.refused.iter().map(|(code, count)| format!("{code} {count}")).collect();
            format!("{service:8} {name:36} {:6} {}", outcome.called - refused, refusals.join(", "))
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}
