//! What a claim may do: it is shared by every device that was never provisioned, and so must be worth little.
//!
//! Its client ids are confined to a prefix. AWS's own example allows `Connect` on `*`, with which a leaked claim
//! throws any device off line. It reaches the recovery template too, which the operator keeps closed: opening it must
//! not need a change of policy in the middle of an incident.

use serde_json::Value;

use super::statement::{allow, client, deny, policy as policy_of};
use super::{Fleet, provisioning};

pub(super) fn policy(fleet: &Fleet) -> Value {
    let scope = &fleet.scope;
    let templates = [&fleet.names.claim_template, &fleet.names.recovery_template];
    let prefix = fleet.names.claim_clients.as_str();
    policy_of(&[
        allow(&["iot:Connect"], &[client(scope, &format!("{prefix}*"))]),
        // A thing may be called `claim`: its extra client ids begin like a claim's.
        deny(&["iot:Connect"], &["verify", "agent"].map(|role| client(scope, &format!("{prefix}{role}")))),
        allow(&["iot:Publish"], &provisioning::requests(fleet, &templates)),
        allow(&["iot:Receive"], &provisioning::answers(fleet, &templates)),
        allow(&["iot:Subscribe"], &provisioning::answer_filters(fleet, &templates)),
    ])
}
