//! What the controller subscribes to: alone, or so that several connections share it.
//!
//! AWS discards what exceeds 100 messages a second on one connection (AWS IoT Core quotas, "Publish requests per second
//! per connection"). Of a shared subscription each message goes to one of its members, in MQTT 3.1.1 as in 5, and waits
//! while any of them has a persistent session (Developer Guide, mqtt, shared subscriptions).

use fleetkey_model::topic::{FleetTopic, RegistryTopic, ReservedTopic};

/// The name of the share.
const SHARE: &str = "fleetkey-controller";

/// The filters of what is heard.
pub(crate) const HEARD: [&str; 3] =
    [FleetTopic::ALL_ATTESTED, ReservedTopic::ALL_CONNECTED, ReservedTopic::ALL_DISCONNECTED];

/// The filter of what is heard besides, where account and policy allow it: that a thing was made, changed or removed.
/// AWS publishes it once UpdateEventConfigurations has enabled THING (Developer Guide, registry-events), and nothing of the
/// kind about certificates: each of ours changes its thing, whose attribute names it.
pub(crate) const NEWS: &str = RegistryTopic::ALL_THINGS;

/// Filter or topic as members of the share name it: to subscribe (the specification, MQTT 5 §4.8.2), and in policies,
/// where AWS's own device SDK samples have both `topicfilter/$share/…` and `topic/$share/…`. The guide does not say.
pub(crate) fn shared(filter: &str) -> String {
    format!("$share/{SHARE}/{filter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_filter_names_the_share_before_the_topics() {
        assert_eq!(shared(HEARD[0]), "$share/fleetkey-controller/fleetkey/attested/+/requests");
    }
}
