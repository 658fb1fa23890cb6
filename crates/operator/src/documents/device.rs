//! What a device may do.
//!
//! It may publish requests and subscribe only to commands and answers: what a device may publish it may forge. The
//! same policy serves the live session, `<thing>~verify` and `<thing>~agent`; the thing is always the certificate's.

use serde_json::Value;

use super::statement::{THING, allow, allow_attached, client, control, policy as policy_of};
use super::{Fleet, provisioning};

pub(super) fn policy(fleet: &Fleet) -> Value {
    let scope = &fleet.scope;
    let templates = [&fleet.names.rotation_template];
    let own = format!("{}/{THING}/*", fleet.root.as_str());

    let clients = ["", "~verify", "~agent"].map(|role| client(scope, &format!("{THING}{role}")));
    let mut published = vec![scope.topic(&control(THING, "requests"))];
    published.extend(provisioning::requests(fleet, &templates));
    // Its own requests too, to spare a line: it can subscribe to none of them.
    let mut received = vec![scope.topic(&control(THING, "*"))];
    received.extend(provisioning::answers(fleet, &templates));
    let mut filters = vec![scope.topic_filter(&own)];
    filters.extend(["commands", "answers"].map(|leaf| scope.topic_filter(&control(THING, leaf))));
    filters.extend(provisioning::answer_filters(fleet, &templates));

    policy_of(&[
        allow_attached(&clients),
        allow(&["iot:Publish", "iot:Receive"], &[scope.topic(&own)]),
        allow(&["iot:Publish"], &published),
        allow(&["iot:Receive"], &received),
        allow(&["iot:Subscribe"], &filters),
    ])
}
