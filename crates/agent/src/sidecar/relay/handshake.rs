//! CONNECT and CONNACK on their way through: what the client asks for and what it is told is not what the broker is
//! asked for and tells.
//!
//! Up there the session always outlives the connection, or no connection could take it over. Down here the client sees
//! the session that it asked for. Topic aliases belong to one connection and are offered to neither side, so that none
//! is used.

use fleetkey_mqtt::{ConnAck, Connect, Packet, Properties, Property, QoS, ReasonCode, Text, Version};

use super::Settings;
use super::memory::{FOR_EVER, Wanted};

/// What the broker takes, as its CONNACK says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    /// Unanswered messages at once.
    pub(super) receive_max: usize,
    /// Bytes of the largest packet.
    pub(super) max_packet: usize,
    /// Overrides our keep-alive, in seconds.
    pub(super) keep_alive: Option<u16>,
    quality_one: bool,
    retain: bool,
    wildcards: bool,
    shared: bool,
    identifiers: bool,
}

impl Wanted {
    /// What a client's CONNECT asks for.
    pub(super) fn of(connect: &Connect) -> Self {
        let expiry = match connect.version {
            Version::V5 => connect.properties.session_expiry().unwrap_or_default(),
            Version::V311 if connect.clean_start => 0,
            Version::V311 => FOR_EVER,
        };
        Self { version: connect.version, clean_start: connect.clean_start, expiry }
    }
}

/// The CONNECT for the broker: the client's will and wishes, our client id, a session that stays.
pub(super) fn upstream_connect(client: &Connect, clean_start: bool, settings: &Settings) -> Connect {
    let mut will = client.will.clone();
    if let Some(will) = &mut will {
        will.qos = will.qos.min(QoS::AtLeastOnce);
    }
    Connect {
        clean_start,
        keep_alive: settings.keep_alive,
        will,
        properties: upstream_properties(client, settings),
        ..Connect::new(client.version, settings.client_id.clone())
    }
}

/// A CONNECT that only empties the session.
pub(super) fn purging_connect(settings: &Settings) -> Connect {
    Connect { keep_alive: settings.keep_alive, ..Connect::new(Version::V311, settings.client_id.clone()) }
}

/// The CONNACK for the client, whose session is there or not; its name is another than its client id if it has none.
pub(super) fn client_connack(
    upstream: &ConnAck,
    session_present: bool,
    (client, name): (&Connect, &Text),
    settings: &Settings,
) -> ConnAck {
    let mut properties = Properties::new();
    if client.version == Version::V5 {
        let passed = upstream.properties.iter().filter(|one| passes_down(one)).cloned();
        properties = passed.collect();
        let receive_max = upstream.properties.receive_maximum().unwrap_or(u16::MAX);
        properties.push(Property::ReceiveMaximum(receive_max.min(settings.window).max(1)));
        let asked = Wanted::of(client).expiry;
        if let Some(seconds) = upstream.properties.session_expiry().filter(|seconds| *seconds < asked) {
            properties.push(Property::SessionExpiryInterval(seconds));
        }
        if client.client_id.bytes().is_empty() {
            properties.push(Property::AssignedClientIdentifier(name.clone()));
        }
    }
    let session_present = session_present && !client.clean_start;
    ConnAck { session_present, reason: ReasonCode::SUCCESS, properties }
}

impl Offer {
    pub(super) fn of(ack: &ConnAck) -> Self {
        let properties = &ack.properties;
        let has = |wanted: fn(&Property) -> bool| !properties.iter().any(wanted);
        let size = properties.maximum_packet_size().and_then(|bytes| usize::try_from(bytes).ok());
        Self {
            receive_max: properties.receive_maximum().unwrap_or(u16::MAX).into(),
            max_packet: size.unwrap_or(usize::MAX),
            keep_alive: properties.server_keep_alive(),
            quality_one: properties.maximum_qos() != Some(0),
            retain: properties.retain_available() != Some(0),
            wildcards: has(|one| matches!(one, Property::WildcardSubscriptionAvailable(0))),
            shared: has(|one| matches!(one, Property::SharedSubscriptionAvailable(0))),
            identifiers: has(|one| matches!(one, Property::SubscriptionIdentifierAvailable(0))),
        }
    }

    /// What the client was told that it may and now may not, for people.
    pub(super) fn narrower_than(&self, told: &Self) -> Vec<&'static str> {
        let table = [
            (self.receive_max < told.receive_max, "receive maximum"),
            (self.max_packet < told.max_packet, "maximum packet size"),
            (told.quality_one && !self.quality_one, "maximum QoS"),
            (told.retain && !self.retain, "retain"),
            (told.wildcards && !self.wildcards, "wildcard subscriptions"),
            (told.shared && !self.shared, "shared subscriptions"),
            (told.identifiers && !self.identifiers, "subscription identifiers"),
        ];
        table.iter().filter(|(narrower, _)| *narrower).map(|(_, what)| *what).collect()
    }

    /// Why the broker would close the connection over this packet, if it would.
    pub(super) fn refuses(&self, packet: &Packet, size: usize) -> Option<ReasonCode> {
        if size > self.max_packet {
            return Some(ReasonCode::PACKET_TOO_LARGE);
        }
        match packet {
            Packet::Publish(publish) if publish.retain && !self.retain => {
                Some(ReasonCode::RETAIN_NOT_SUPPORTED)
            }
            Packet::Publish(publish) if publish.qos > QoS::AtMostOnce && !self.quality_one => {
                Some(ReasonCode::QOS_NOT_SUPPORTED)
            }
            Packet::Subscribe(subscribe) => {
                let filters = || subscribe.filters.iter().map(|one| &one.filter);
                let wild = |filter: &Text| filter.bytes().iter().any(|byte| matches!(byte, b'+' | b'#'));
                if !self.identifiers && subscribe.properties.subscription_identifier().is_some() {
                    Some(ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)
                } else if !self.wildcards && filters().any(wild) {
                    Some(ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED)
                } else if !self.shared && filters().any(|filter| filter.bytes().starts_with(b"$share/")) {
                    Some(ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}

/// What of the client's CONNECT the broker sees besides the session's life, packet size and extended authentication.
fn upstream_properties(client: &Connect, settings: &Settings) -> Properties {
    if client.version == Version::V311 {
        return Properties::new();
    }
    let passes = |one: &&Property| {
        !matches!(
            one,
            Property::SessionExpiryInterval(_)
                | Property::TopicAliasMaximum(_)
                | Property::MaximumPacketSize(_)
                | Property::AuthenticationMethod(_)
                | Property::AuthenticationData(_)
        )
    };
    let mut properties: Properties = client.properties.iter().filter(passes).cloned().collect();
    let expiry = Wanted::of(client).expiry.max(settings.expiry_floor);
    properties.push(Property::SessionExpiryInterval(expiry));
    let own = u32::try_from(settings.max_packet).unwrap_or(u32::MAX);
    let size = client.properties.maximum_packet_size().map_or(own, |clients| clients.min(own));
    properties.push(Property::MaximumPacketSize(size.max(1)));
    properties
}

/// What of the broker's CONNACK is about the session and not about the connection. QoS 2 is offered here: `MaximumQoS`
/// of 1 stays up there.
fn passes_down(property: &Property) -> bool {
    !matches!(
        property,
        Property::SessionExpiryInterval(_)
            | Property::ServerKeepAlive(_)
            | Property::TopicAliasMaximum(_)
            | Property::ReceiveMaximum(_)
            | Property::AssignedClientIdentifier(_)
            | Property::AuthenticationMethod(_)
            | Property::AuthenticationData(_)
            | Property::ServerReference(_)
            | Property::MaximumQoS(1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sidecar::relay::testing::settings;

    fn connect(properties: Properties) -> Connect {
        Connect { clean_start: false, properties, ..Connect::new(Version::V5, "plc") }
    }

    #[test]
    fn the_broker_is_asked_for_a_session_that_stays_and_for_no_alias() {
        let client = connect(
            Properties::new()
                .with(Property::SessionExpiryInterval(5))
                .with(Property::TopicAliasMaximum(9))
                .with(Property::ReceiveMaximum(7)),
        );
        let mut client = Connect { username: Some("plc".into()), password: Some("secret".into()), ..client };
        client.will = Some(fleetkey_mqtt::Will {
            topic: "w".into(),
            payload: "dead".into(),
            qos: QoS::ExactlyOnce,
            retain: false,
            properties: Properties::new(),
        });
        let asked = upstream_connect(&client, false, &settings());
        assert_eq!(asked.client_id, "thing");
        assert_eq!((asked.username.clone(), asked.password.clone()), (None, None), "they are for us alone");
        assert_eq!(asked.properties.session_expiry(), Some(300));
        assert_eq!(asked.properties.topic_alias_maximum(), None);
        assert_eq!(asked.properties.receive_maximum(), Some(7));
        assert_eq!(asked.will.unwrap().qos, QoS::AtLeastOnce);
    }

    #[test]
    fn the_client_is_told_of_its_session_and_not_of_ours() {
        let properties = Properties::new()
            .with(Property::SessionExpiryInterval(300))
            .with(Property::MaximumQoS(1))
            .with(Property::TopicAliasMaximum(8))
            .with(Property::ServerKeepAlive(30))
            .with(Property::RetainAvailable(1));
        let ack = ConnAck { session_present: true, reason: ReasonCode::SUCCESS, properties };
        let told = client_connack(&ack, true, (&connect(Properties::new()), &"plc".into()), &settings());
        assert!(told.session_present);
        assert_eq!(told.properties.session_expiry(), None, "it asked for none");
        assert_eq!(told.properties.maximum_qos(), None);
        assert_eq!(told.properties.topic_alias_maximum(), None);
        assert_eq!(told.properties.server_keep_alive(), None);
        assert_eq!(told.properties.retain_available(), Some(1));
        let clean = Connect { clean_start: true, ..Connect::new(Version::V5, "") };
        let told = client_connack(&ack, true, (&clean, &"auto-1".into()), &settings());
        assert!(!told.session_present);
        assert_eq!(told.properties.assigned_client_id(), Some("auto-1".into()));
    }

    #[test]
    fn an_offer_that_shrinks_is_noticed_and_held_to() {
        let ack = |properties| ConnAck { session_present: true, reason: ReasonCode::SUCCESS, properties };
        let first = Offer::of(&ack(Properties::new()));
        let second = Offer::of(&ack(Properties::new()
            .with(Property::RetainAvailable(0))
            .with(Property::MaximumPacketSize(10))
            .with(Property::WildcardSubscriptionAvailable(0))));
        assert_eq!(second.narrower_than(&first), ["maximum packet size", "retain", "wildcard subscriptions"]);
        assert_eq!(first.narrower_than(&second), Vec::<&str>::new());
        let retained = fleetkey_mqtt::Publish { retain: true, ..fleetkey_mqtt::Publish::new("t", "x") };
        let retained = Packet::Publish(retained);
        assert_eq!(second.refuses(&retained, 5), Some(ReasonCode::RETAIN_NOT_SUPPORTED));
        assert_eq!(second.refuses(&retained, 11), Some(ReasonCode::PACKET_TOO_LARGE));
        assert_eq!(first.refuses(&retained, 11), None);
    }
}
