//! Lifecycle events as AWS IoT publishes them: presence and subscriptions, on `$aws/events/…`; those of the registry
//! are in [`registry`].
//!
//! Source: Developer Guide, life-cycle-events. `principalIdentifier` is the certificate id: the broker's word on
//! which certificate a client really uses. Not here: when they are published (`broker`).

use std::net::IpAddr;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::{PresenceKind, ReservedTopic, SubscriptionKind};
use serde::Serialize;

use crate::broker::DisconnectReason;

pub(crate) use registry::registry_event;

mod registry;

/// Whose event it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) client: &'a ClientId,
    /// Only when the certificate belongs to it exclusively.
    pub(crate) thing: Option<&'a ThingName>,
    pub(crate) certificate: &'a CertificateId,
    pub(crate) session: &'a str,
    pub(crate) at: Timestamp,
}

/// One event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'a> {
    Connected { ip: IpAddr, version: u64 },
    Disconnected { reason: DisconnectReason, version: u64 },
    ConnectFailed { ip: IpAddr },
    Subscribed { topics: &'a [String] },
    Unsubscribed { topics: &'a [String] },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    client_id: &'a ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    thing_name: Option<&'a ThingName>,
    timestamp: Timestamp,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_failure_reason: Option<&'static str>,
    session_identifier: &'a str,
    principal_identifier: &'a CertificateId,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_initiated_disconnect: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<&'a [String]>,
}

impl Event<'_> {
    /// The topic and the payload. `None` for a client id with a wildcard: AWS publishes no events for it, since
    /// no such topic exists.
    pub(crate) fn render(&self, subject: Subject<'_>) -> Option<(String, Vec<u8>)> {
        if subject.client.as_str().contains(['+', '#']) {
            return None;
        }
        let payload = serde_json::to_vec(&self.body(subject)).ok()?;
        Some((self.topic(subject.client.clone()).to_string(), payload))
    }

    fn topic(&self, client: ClientId) -> ReservedTopic {
        match self {
            Self::Connected { .. } => ReservedTopic::Presence(PresenceKind::Connected, client),
            Self::Disconnected { .. } => ReservedTopic::Presence(PresenceKind::Disconnected, client),
            Self::ConnectFailed { .. } => ReservedTopic::Presence(PresenceKind::ConnectFailed, client),
            Self::Subscribed { .. } => ReservedTopic::Subscription(SubscriptionKind::Subscribed, client),
            Self::Unsubscribed { .. } => ReservedTopic::Subscription(SubscriptionKind::Unsubscribed, client),
        }
    }

    fn body<'a>(&'a self, subject: Subject<'a>) -> Body<'a> {
        let body = Body {
            client_id: subject.client,
            thing_name: None,
            timestamp: subject.at,
            event_type: "",
            connect_failure_reason: None,
            session_identifier: subject.session,
            principal_identifier: subject.certificate,
            ip_address: None,
            client_initiated_disconnect: None,
            disconnect_reason: None,
            version_number: None,
            topics: None,
        };
        match *self {
            Self::Connected { ip, version } => Body {
                thing_name: subject.thing,
                event_type: "connected",
                ip_address: Some(ip),
                version_number: Some(version),
                ..body
            },
            Self::Disconnected { reason, version } => Body {
                thing_name: subject.thing,
                event_type: "disconnected",
                client_initiated_disconnect: Some(reason == DisconnectReason::ClientInitiatedDisconnect),
                disconnect_reason: Some(reason.as_str()),
                version_number: Some(version),
                ..body
            },
            Self::ConnectFailed { ip } => Body {
                event_type: "connect_failed",
                connect_failure_reason: Some("AUTHORIZATION_FAILED"),
                ip_address: Some(ip),
                ..body
            },
            Self::Subscribed { topics } => Body { event_type: "subscribed", topics: Some(topics), ..body },
            Self::Unsubscribed { topics } => {
                Body { event_type: "unsubscribed", topics: Some(topics), ..body }
            }
        }
    }
}

/// A random UUID (RFC 9562, version 4), as `sessionIdentifier` has it.
pub(crate) fn session_identifier() -> String {
    let mut bytes = [0u8; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        // The identifier names a connection and protects nothing: a dull one is better than no connection.
        tracing::error!(%error, "no randomness for a session identifier");
    }
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
    let version = g & 0x0F | 0x40;
    let variant = i & 0x3F | 0x80;
    format!(
        "{a:02x}{b:02x}{c:02x}{d:02x}-{e:02x}{f:02x}-{version:02x}{h:02x}-{variant:02x}{j:02x}-\
         {k:02x}{l:02x}{m:02x}{n:02x}{o:02x}{p:02x}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rendered(client: &str, event: Event<'_>) -> Option<(String, Value)> {
        let client = ClientId::new(client).unwrap();
        let thing = ThingName::new("t").unwrap();
        let certificate = CertificateId::of_der(b"x");
        let subject = Subject {
            client: &client,
            thing: Some(&thing),
            certificate: &certificate,
            session: "s",
            at: Timestamp::from_millis(7),
        };
        let (topic, payload) = event.render(subject)?;
        Some((topic, serde_json::from_slice(&payload).unwrap()))
    }

    #[test]
    fn a_disconnect_is_spelled_as_aws_spells_it() {
        let event = Event::Disconnected { reason: DisconnectReason::DuplicateClientId, version: 3 };
        let (topic, body) = rendered("a", event).unwrap();
        assert_eq!(topic, "$aws/events/presence/disconnected/a");
        assert_eq!(
            body,
            json!({"clientId":"a","thingName":"t","timestamp":7,"eventType":"disconnected","sessionIdentifier":"s",
                "principalIdentifier":CertificateId::of_der(b"x").to_string(),"clientInitiatedDisconnect":false,
                "disconnectReason":"DUPLICATE_CLIENTID","versionNumber":3})
        );
    }

    #[test]
    fn a_client_id_with_a_wildcard_has_no_events() {
        let event = Event::ConnectFailed { ip: IpAddr::from([127, 0, 0, 1]) };
        assert!(rendered("a/+", event).is_none());
        let (topic, body) = rendered("a", event).unwrap();
        assert_eq!(topic, "$aws/events/presence/connect_failed/a");
        assert_eq!(body["connectFailureReason"], "AUTHORIZATION_FAILED");
        assert_eq!(body["ipAddress"], "127.0.0.1");
        assert!(body.get("versionNumber").is_none());
    }

    #[test]
    fn a_session_identifier_is_a_random_uuid() {
        let id = session_identifier();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert_ne!(id, session_identifier());
    }
}
