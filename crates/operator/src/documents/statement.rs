//! Statements of a policy, and the two variables and conditions that they share.

use fleetkey_model::arn::Scope;
use serde::Serialize;
use serde_json::{Value, json};

/// The thing of the connecting certificate (Developer Guide, thing-policy-variables).
pub(super) const THING: &str = "${iot:Connection.Thing.ThingName}";

/// A list of one without its brackets: every character counts.
fn one_or_list<T: Serialize>(items: &[T]) -> Value {
    match items {
        [one] => json!(one),
        list => json!(list),
    }
}

/// A whole policy.
pub(super) fn policy(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Allows `actions` on `resources`.
pub(super) fn allow(actions: &[&str], resources: &[String]) -> Value {
    json!({ "Effect": "Allow", "Action": one_or_list(actions), "Resource": one_or_list(resources) })
}

/// Denies `actions` on `resources`.
pub(super) fn deny(actions: &[&str], resources: &[String]) -> Value {
    json!({ "Effect": "Deny", "Action": one_or_list(actions), "Resource": one_or_list(resources) })
}

/// Allows connecting as `clients` to a certificate that is attached to the thing it speaks for.
pub(super) fn allow_attached(clients: &[String]) -> Value {
    json!({
        "Effect": "Allow",
        "Action": "iot:Connect",
        "Resource": clients,
        "Condition": { "Bool": { "iot:Connection.Thing.IsAttached": "true" } },
    })
}

/// The ARN of a client id that may hold variables and wildcards.
pub(super) fn client(scope: &Scope, pattern: &str) -> String {
    scope.arn(&format!("client/{pattern}"))
}

/// A control topic of a thing that may be a variable or a wildcard.
pub(super) fn control(thing: &str, leaf: &str) -> String {
    format!("fleetkey/things/{thing}/{leaf}")
}
