//! What the operator's own connections may do: the observer hears telemetry, the controller retires certificates.

use fleetkey_model::topic::{FleetTopic, ReservedTopic};
use serde_json::Value;

use super::Fleet;
use super::statement::{allow, client, control, policy};

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

/// Hears attested requests and presence, publishes answers and commands.
pub(super) fn controller(fleet: &Fleet) -> Value {
    let scope = &fleet.scope;
    let heard = [FleetTopic::ALL_ATTESTED, ReservedTopic::ALL_CONNECTED, ReservedTopic::ALL_DISCONNECTED];
    let said = ["answers", "commands"].map(|leaf| scope.topic(&control("*", leaf)));
    policy(&[
        allow(&["iot:Connect"], &[client(scope, fleet.names.controller_client.as_str())]),
        allow(&["iot:Subscribe"], &heard.map(|filter| scope.topic_filter(filter))),
        allow(&["iot:Receive"], &heard.map(|filter| scope.topic(&any_level(filter)))),
        allow(&["iot:Publish"], &said),
    ])
}

/// The topics that a filter delivers, as a policy pattern: there `+` and `#` would be ordinary characters.
fn any_level(filter: &str) -> String {
    filter.replace(['+', '#'], "*")
}
