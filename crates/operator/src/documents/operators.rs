//! What the operator's own connections may do: the observer hears telemetry, the controller retires certificates.

use serde_json::Value;

use super::Fleet;
use super::statement::{allow, client, control, policy};
use crate::controller::hearing::{HEARD, NEWS, shared};

/// Receives the telemetry of every device, and nothing else.
pub(super) fn observer(fleet: &Fleet) -> Value {
    let scope = &fleet.scope;
    let telemetry = fleet.root.all_telemetry();
    policy(&[
        allow(&["iot:Connect"], &[client(scope, &format!("{}*", fleet.names.observer_client))]),
        allow(&["iot:Subscribe"], &[scope.topic_filter(&telemetry)]),
        allow(&["iot:Receive"], &[scope.topic(&any_level(&telemetry))]),
    ])
}

/// Hears attested requests, presence and what becomes of things, on one connection or shared by several; publishes answers
/// and commands.
pub(super) fn controller(fleet: &Fleet) -> Value {
    let scope = &fleet.scope;
    let id = &fleet.names.controller_client;
    let clients = [id.to_string(), format!("{id}-*")].map(|pattern| client(scope, &pattern));
    let heard = || HEARD.iter().chain([&NEWS]);
    let filters = heard().flat_map(|filter| [(*filter).to_owned(), shared(filter)]);
    let filters: Vec<_> = filters.map(|filter| scope.topic_filter(&filter)).collect();
    // What the share delivers is bounded by the filters: one pattern for all of it keeps the document short enough.
    let topics = heard().map(|filter| any_level(filter)).chain([shared("*")]);
    let topics: Vec<_> = topics.map(|topic| scope.topic(&topic)).collect();
    let said = ["answers", "commands"].map(|leaf| scope.topic(&control("*", leaf)));
    policy(&[
        allow(&["iot:Connect"], &clients),
        allow(&["iot:Subscribe"], &filters),
        allow(&["iot:Receive"], &topics),
        allow(&["iot:Publish"], &said),
    ])
}

/// The topics that a filter delivers, as a policy pattern: there `+` and `#` would be ordinary characters.
fn any_level(filter: &str) -> String {
    filter.replace(['+', '#'], "*")
}
