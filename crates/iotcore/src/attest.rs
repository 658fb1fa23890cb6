//! The broker's word on who sent a request: the built-in equivalent of the topic rule
//! [`ATTESTING_RULE_SQL`](fleetkey_model::retirement::ATTESTING_RULE_SQL).
//!
//! What arrives on `fleetkey/things/THING/requests` goes out again on `fleetkey/attested/THING/requests` with the
//! publishing connection's certificate and client id. Those two come from the connection alone: a payload that
//! claims others is read without them. Not here: who may publish or receive either topic, which policies decide.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::retirement::{Attested, DeviceRequest};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::FleetTopic;

/// The attested topic and payload of a message; `None` when the rule does not select it, or its payload is no
/// request.
pub(crate) fn attest(
    topic: &str,
    payload: &[u8],
    principal: &CertificateId,
    client: &ClientId,
    at: Timestamp,
) -> Option<(String, Vec<u8>)> {
    let Some(FleetTopic::Requests(thing)) = FleetTopic::parse(topic) else {
        return None;
    };
    let request: DeviceRequest = match serde_json::from_slice(payload) {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(%client, topic, %error, "request not attested: its payload cannot be read");
            return None;
        }
    };
    let attested =
        Attested { request, principal: *principal, clientid: client.clone(), thing: thing.clone(), at };
    let payload = serde_json::to_vec(&attested).ok()?;
    Some((FleetTopic::Attested(thing).to_string(), payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attested(topic: &str, payload: &str) -> Option<(String, Attested)> {
        let client = ClientId::new("real").unwrap();
        let principal = CertificateId::of_der(b"real");
        let (topic, payload) = attest(topic, payload.as_bytes(), &principal, &client, Timestamp::default())?;
        Some((topic, serde_json::from_slice(&payload).unwrap()))
    }

    #[test]
    fn the_connection_speaks_for_itself_whatever_the_payload_claims() {
        let forged = format!(
            r#"{{"op":"retire","id":"r","principal":"{}","clientid":"other","thing":"other"}}"#,
            CertificateId::of_der(b"forged")
        );
        let (topic, attested) = attested("fleetkey/things/t/requests", &forged).unwrap();
        assert_eq!(topic, "fleetkey/attested/t/requests");
        assert_eq!(attested.principal, CertificateId::of_der(b"real"));
        assert_eq!(attested.clientid.as_str(), "real");
        assert_eq!(attested.thing.as_str(), "t");
    }

    #[test]
    fn what_is_no_request_is_not_attested() {
        assert!(attested("fleetkey/things/t/requests", "{}").is_none());
        assert!(attested("fleetkey/things/t/requests", "").is_none());
        let request = r#"{"op":"retire","id":"r"}"#;
        for other in ["fleetkey/things/t/answers", "fleetkey/attested/t/requests", "a/b"] {
            assert!(attested(other, request).is_none(), "{other}");
        }
    }
}
