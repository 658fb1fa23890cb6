//! The subscriptions of the client's session, to be made again where the broker has lost them.

use std::collections::BTreeMap;

use fleetkey_mqtt::{
    PacketId, Properties, Property, ReasonCode, SubAck, Subscribe, SubscribeFilter, Text, UnsubAck,
    Unsubscribe,
};

/// One subscription, as it was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Granted {
    filter: SubscribeFilter,
    identifier: Option<u32>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_filter: BTreeMap<Text, Granted>,
    /// Whether these are all that the session has. One that was there before us may have others.
    complete: bool,
}

impl Subscriptions {
    /// A session that has begun before our eyes: it has none.
    pub(super) fn begin(&mut self) {
        self.by_filter.clear();
        self.complete = true;
    }

    /// A session that was there before us.
    pub(super) fn are_unknown(&mut self) {
        self.complete = false;
    }

    /// Whether these are all.
    pub(super) fn are_known(&self) -> bool {
        self.complete
    }

    pub(super) fn count(&self) -> usize {
        self.by_filter.len()
    }

    /// Notes what the broker has granted.
    pub(super) fn granted(&mut self, asked: &Subscribe, answer: &SubAck) {
        let identifier = asked.properties.subscription_identifier();
        for (filter, reason) in asked.filters.iter().zip(&answer.reasons) {
            if !reason.is_error() {
                let key = filter.filter.detach();
                let filter = SubscribeFilter { filter: key.clone(), ..filter.clone() };
                self.by_filter.insert(key, Granted { filter, identifier });
            }
        }
    }

    /// Notes what has ended. MQTT 3.1.1 gives no reasons: all have.
    pub(super) fn ended(&mut self, asked: &Unsubscribe, answer: &UnsubAck) {
        for (place, filter) in asked.filters.iter().enumerate() {
            if !answer.reasons.get(place).is_some_and(|reason| ReasonCode::is_error(*reason)) {
                self.by_filter.remove(filter);
            }
        }
    }

    /// SUBSCRIBEs that make all of them again, with at most `most` filters each; the identifiers are to be chosen.
    pub(super) fn again(&self, most: usize) -> Vec<Subscribe> {
        let mut by_identifier: BTreeMap<Option<u32>, Vec<SubscribeFilter>> = BTreeMap::new();
        for granted in self.by_filter.values() {
            by_identifier.entry(granted.identifier).or_default().push(known(&granted.filter));
        }
        let chunks = by_identifier.iter().flat_map(|(identifier, filters)| {
            filters.chunks(most.max(1)).map(|filters| subscribe(*identifier, filters))
        });
        chunks.collect()
    }
}

/// The client has this subscription: what it wanted with a new one only is not for it.
fn known(filter: &SubscribeFilter) -> SubscribeFilter {
    let retain_handling = if filter.retain_handling == 0 { 0 } else { 2 };
    SubscribeFilter { retain_handling, ..filter.clone() }
}

fn subscribe(identifier: Option<u32>, filters: &[SubscribeFilter]) -> Subscribe {
    let properties: Properties = identifier.map(Property::SubscriptionIdentifier).into_iter().collect();
    Subscribe { packet_id: PacketId::FIRST, filters: filters.to_vec(), properties }
}

#[cfg(test)]
mod tests {
    use fleetkey_mqtt::QoS;

    use super::*;

    fn asked(filters: &[&str], identifier: Option<u32>) -> Subscribe {
        let filters =
            filters.iter().map(|one| SubscribeFilter::new(*one, QoS::AtLeastOnce)).collect::<Vec<_>>();
        subscribe(identifier, &filters)
    }

    fn answer(reasons: &[u8]) -> SubAck {
        let reasons = reasons.iter().copied().map(ReasonCode).collect();
        SubAck { packet_id: PacketId::FIRST, reasons, properties: Properties::new() }
    }

    #[test]
    fn what_was_granted_and_not_ended_is_made_again_at_most_so_many_at_once() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.begin();
        let names: Vec<String> = (0..9).map(|number| format!("t/{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        subscriptions.granted(&asked(&names, None), &answer(&[1, 1, 1, 1, 1, 1, 1, 1, 0x80]));
        subscriptions.granted(&asked(&["id"], Some(7)), &answer(&[0]));
        let ended = Unsubscribe {
            packet_id: PacketId::FIRST,
            filters: vec!["t/0".into()],
            properties: Properties::new(),
        };
        let all = UnsubAck { packet_id: PacketId::FIRST, reasons: vec![], properties: Properties::new() };
        subscriptions.ended(&ended, &all);
        let again = subscriptions.again(4);
        let sizes: Vec<_> =
            again.iter().map(|one| (one.properties.subscription_identifier(), one.filters.len())).collect();
        assert_eq!(sizes, [(None, 4), (None, 3), (Some(7), 1)]);
    }

    #[test]
    fn retained_messages_that_only_a_new_subscription_brings_do_not_come_again() {
        let mut subscriptions = Subscriptions::default();
        let mut subscribe = asked(&["a", "b"], None);
        subscribe.filters[1].retain_handling = 1;
        subscriptions.granted(&subscribe, &answer(&[1, 1]));
        let again = subscriptions.again(8);
        let handling: Vec<_> = again[0].filters.iter().map(|one| one.retain_handling).collect();
        assert_eq!(handling, [0, 2]);
    }
}
