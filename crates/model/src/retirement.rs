//! What device, broker and controller say to each other about commands and old certificates.
//!
//! The device asks ([`DeviceRequest`]), a topic rule adds the broker's word on who asked ([`Attested`]), the
//! controller answers ([`ControllerAnswer`]). No request names a certificate: which ones are old follows from
//! the principal that the broker saw, never from the payload.

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::certificate::CertificateId;
use crate::name::{ClientId, ThingName};
use crate::time::Timestamp;

/// The SQL of the topic rule that attests requests. Fields are named one by one so that a payload cannot
/// smuggle in a `principal` of its own.
pub const ATTESTING_RULE_SQL: &str = "SELECT op, id, audit, principal() AS principal, clientid() AS clientid, \
     topic(3) AS thing, timestamp() AS at FROM 'fleetkey/things/+/requests'";

/// What a device asks of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestOp {
    /// "My session runs on a new certificate and is committed: retire what is older."
    Retire,
    /// "I hold a certificate ready that is not in use yet: it is no leftover." There is no answer.
    Stage,
}

/// A request as the device publishes it on [`crate::topic::FleetTopic::Requests`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// What is asked.
    pub op: RequestOp,
    /// One id a rotation; the answer repeats it.
    pub id: String,
    /// The head of the device's audit chain, 64 hexadecimal digits; informative: what is no text is passed over, and
    /// never costs a device its request.
    #[serde(default, deserialize_with = "text_or_none", skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
}

/// Reads a text, and anything else as `None`.
fn text_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Found {
        Text(String),
        Else(IgnoredAny),
    }
    Ok(match Found::deserialize(from)? {
        Found::Text(text) => Some(text),
        Found::Else(_) => None,
    })
}

/// A request as the rule republishes it on [`crate::topic::FleetTopic::Attested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// The device's request.
    #[serde(flatten)]
    pub request: DeviceRequest,
    /// `principal()`: the certificate of the publishing connection.
    pub principal: CertificateId,
    /// `clientid()`: the client id of the publishing connection.
    pub clientid: ClientId,
    /// `topic(3)`: whose request topic it was.
    pub thing: ThingName,
    /// `timestamp()`: when the broker saw it.
    pub at: Timestamp,
}

/// How far a retirement has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetireStatus {
    /// Taken on; older certificates are still within soak or grace. Ask again later.
    Pending,
    /// No older certificate of the thing can connect any more.
    Retired,
    /// Held until an operator decides; the device keeps what it has.
    Frozen,
}

/// The controller's answer on [`crate::topic::FleetTopic::Answers`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerAnswer {
    /// What was asked.
    pub op: RequestOp,
    /// The id of the request.
    pub id: String,
    /// How far it has come.
    pub status: RetireStatus,
    /// The certificate that the broker saw ask: the one that is kept. Where another program has the thing's session that
    /// may be the certificate before, and then nothing of the newer one was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<CertificateId>,
    /// The certificates that can no longer connect.
    #[serde(default)]
    pub retired: Vec<CertificateId>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A command on [`crate::topic::FleetTopic::Commands`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum DeviceCommand {
    /// Rotate now.
    Rotate {
        /// For the journal of whoever asked.
        #[serde(default)]
        id: String,
    },
}

/// The way back from a rotation, on [`crate::topic::FleetTopic::Commands`] like a [`DeviceCommand`]. It says from where, so
/// that one that comes late, or twice, undoes nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum WayBack {
    /// Return to the identity before, while this one soaks.
    Rollback {
        /// The certificate in use.
        from: CertificateId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_attested_request_reads_the_rules_fields_beside_the_devices() {
        let id = CertificateId::of_der(b"x");
        let text = alloc::format!(
            r#"{{"op":"retire","id":"r1","principal":"{id}","clientid":"a","thing":"a","at":1}}"#
        );
        let attested: Attested = serde_json::from_str(&text).unwrap();
        assert_eq!(attested.principal, id);
        assert_eq!(attested.request.id, "r1".to_string());
        assert_eq!(attested.at, Timestamp::from_millis(1));
    }

    #[test]
    fn a_request_whose_audit_is_no_text_is_still_a_request() {
        let id = CertificateId::of_der(b"x");
        for audit in ["7", "null", "true", r#"{"a":[1]}"#, "[]", "1e400"] {
            let text = alloc::format!(
                r#"{{"op":"retire","id":"r","audit":{audit},"principal":"{id}","clientid":"a","thing":"a","at":1}}"#
            );
            let attested: Result<Attested, _> = serde_json::from_str(&text);
            // A number beyond all numbers is no JSON that can be read, whatever field it stands in.
            assert_eq!(
                attested.ok().map(|attested| attested.request.audit),
                (audit != "1e400").then_some(None)
            );
        }
        let request: DeviceRequest =
            serde_json::from_str(r#"{"op":"retire","id":"r","audit":"ab"}"#).unwrap();
        assert_eq!(request.audit.as_deref(), Some("ab"));
    }

    #[test]
    fn a_command_is_tagged_by_op() {
        let command: DeviceCommand = serde_json::from_str(r#"{"op":"rotate"}"#).unwrap();
        assert_eq!(command, DeviceCommand::Rotate { id: String::new() });
        let from = CertificateId::of_der(b"x");
        let text = alloc::format!(r#"{{"op":"rollback","from":"{from}"}}"#);
        assert_eq!(serde_json::from_str::<WayBack>(&text).unwrap(), WayBack::Rollback { from });
        assert!(serde_json::from_str::<WayBack>(r#"{"op":"rollback"}"#).is_err(), "from where is part of it");
        assert!(
            serde_json::from_str::<DeviceCommand>(&text).is_err(),
            "an agent that knows no way back passes it over"
        );
    }
}
