//! The Fleet Provisioning MQTT API's messages, as serde types.
//!
//! Source: Developer Guide, fleet-provision-api. The topics are [`crate::topic::ReservedTopic`].

use alloc::collections::BTreeMap;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::certificate::CertificateId;
use crate::name::ThingName;
use crate::secret::{OwnershipToken, PrivateKeyPem};

/// Request of CreateCertificateFromCsr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateFromCsrRequest {
    /// PKCS#10 in PEM, at most 4096 characters.
    pub certificate_signing_request: String,
}

/// Answer of CreateKeysAndCertificate and CreateCertificateFromCsr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateIssued {
    /// SHA-256 of the certificate's DER.
    pub certificate_id: CertificateId,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Present only when the service made the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<PrivateKeyPem>,
    /// Proves ownership to RegisterThing for an hour.
    pub certificate_ownership_token: OwnershipToken,
}

/// Request of RegisterThing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterThingRequest {
    /// From [`CertificateIssued`].
    pub certificate_ownership_token: OwnershipToken,
    /// What the template's parameters are to be.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// Answer of RegisterThing. `deviceConfiguration` is present even when empty: clients test for the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThingRegistered {
    /// From the template.
    #[serde(default)]
    pub device_configuration: BTreeMap<String, String>,
    /// The thing that the certificate is attached to now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thing_name: Option<ThingName>,
}

/// The `rejected` answer of all three operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// An HTTP status code; a client branches on its class only.
    pub status_code: u16,
    /// For example `InvalidCertificateOwnershipToken`.
    pub error_code: String,
    /// For people.
    pub error_message: String,
}

/// The parameter that every template of fleetkey takes: the serial, which names the thing.
pub const SERIAL_PARAMETER: &str = "SerialNumber";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_spelled_as_aws_spells_them() {
        let request: RegisterThingRequest =
            serde_json::from_str(r#"{"certificateOwnershipToken":"t","parameters":{"SerialNumber":"A1"}}"#)
                .unwrap();
        assert_eq!(request.parameters.get(SERIAL_PARAMETER).map(String::as_str), Some("A1"));
        let answer = ThingRegistered {
            device_configuration: BTreeMap::new(),
            thing_name: Some(ThingName::new("A1").unwrap()),
        };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(text, r#"{"deviceConfiguration":{},"thingName":"A1"}"#);
    }

    #[test]
    fn parameters_may_be_absent() {
        let request: RegisterThingRequest =
            serde_json::from_str(r#"{"certificateOwnershipToken":"t"}"#).unwrap();
        assert!(request.parameters.is_empty());
    }
}
