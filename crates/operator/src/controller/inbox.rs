//! From a message to an event.

use fleetkey_model::retirement::Attested;
use fleetkey_model::topic::{FleetTopic, RegistryTopic, ReservedTopic};

use super::action::Event;
use super::presence::PresenceEvent;

/// A message that is none of what the controller subscribes to, or malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// A topic that nobody asked for.
    #[error("unexpected topic")]
    Topic,
    /// A body that is not what the topic carries.
    #[error("{0}")]
    Body(String),
}

/// Reads a message; `Ok(None)` for presence of what is no certificate's (Cognito, custom authorizers). Of a registry event
/// the topic is enough: what has become of the thing the account is asked.
pub(super) fn read(topic: &str, payload: &[u8]) -> Result<Option<Event>, Unreadable> {
    if let Some(FleetTopic::Attested(topic)) = FleetTopic::parse(topic) {
        let attested: Attested = serde_json::from_slice(payload).map_err(body)?;
        return Ok(Some(Event::Attested { topic, attested }));
    }
    if let Some((thing, change)) = RegistryTopic::thing(topic) {
        return Ok(Some(Event::Registry { thing, change }));
    }
    let Some(ReservedTopic::Presence(kind, client)) = ReservedTopic::parse(topic) else {
        return Err(Unreadable::Topic);
    };
    let fields: serde_json::Value = serde_json::from_slice(payload).map_err(body)?;
    let event: Result<PresenceEvent, _> = serde_json::from_value(fields);
    Ok(event.ok().map(|event| Event::Presence { kind, client, event }))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn body(error: serde_json::Error) -> Unreadable {
    Unreadable::Body(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetkey_model::certificate::CertificateId;
    use fleetkey_model::topic::RecordChange;

    #[test]
    fn attested_requests_and_presence_are_read() {
        let id = CertificateId::of_der(b"x");
        let body =
            format!(r#"{{"op":"retire","id":"r","principal":"{id}","clientid":"b","thing":"a","at":1}}"#);
        let read_back = read("fleetkey/attested/a/requests", body.as_bytes());
        assert!(matches!(read_back, Ok(Some(Event::Attested { .. }))));
        let body = format!(
            r#"{{"clientId":"a","timestamp":5,"eventType":"connected","principalIdentifier":"{id}","versionNumber":0}}"#
        );
        let read_back = read("$aws/events/presence/connected/a", body.as_bytes());
        assert!(matches!(read_back, Ok(Some(Event::Presence { .. }))));
    }

    #[test]
    fn of_a_registry_event_only_the_topic_is_believed() {
        for body in [&b"{\"thingName\":\"other\"}"[..], b"", b"not JSON"] {
            let event = read("$aws/events/thing/press-1/updated", body).unwrap().unwrap();
            let thing = fleetkey_model::name::ThingName::new("press-1").unwrap();
            assert_eq!(event, Event::Registry { thing, change: RecordChange::Updated });
        }
        assert_eq!(read("$aws/events/thing/press-1/pump", b"{}"), Err(Unreadable::Topic));
    }

    #[test]
    fn what_is_malformed_is_an_error_and_other_principals_are_nothing() {
        assert!(matches!(read("fleetkey/attested/a/requests", b"{}"), Err(Unreadable::Body(_))));
        assert_eq!(read("fleetkey/things/a/requests", b"{}"), Err(Unreadable::Topic));
        assert!(matches!(read("$aws/events/presence/connected/a", b"x"), Err(Unreadable::Body(_))));
        let cognito = br#"{"timestamp":5,"principalIdentifier":"us-east-1:1"}"#;
        assert_eq!(read("$aws/events/presence/connected/a", cognito), Ok(None));
    }
}
