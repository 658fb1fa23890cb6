//! Payloads of Fleet Provisioning: lenient in reading what clients really send, exact in writing.
//!
//! The payload of CreateKeysAndCertificate is not looked at: AWS documents it as empty, its SDKs send `{}`.

use std::collections::BTreeMap;

use bytes::Bytes;
use fleetkey_model::name::TemplateName;
use fleetkey_model::provisioning::{CertificateIssued, CreateFromCsrRequest, Rejection, ThingRegistered};
use fleetkey_model::secret::OwnershipToken;
use fleetkey_model::topic::Format;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Refusal, Register, cbor};

/// What is written back.
pub(super) enum Output {
    Issued(CertificateIssued),
    Registered(ThingRegistered),
    Rejected(Rejection),
}

/// RegisterThing as clients send it: token and parameters may be absent or null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LenientRegister {
    certificate_ownership_token: Option<OwnershipToken>,
    parameters: Option<BTreeMap<String, String>>,
}

/// The PEM of a CreateCertificateFromCsr request.
pub(super) fn read_csr(payload: &[u8], format: Format) -> Result<String, Refusal> {
    let request: CreateFromCsrRequest = read(payload, format)?;
    Ok(request.certificate_signing_request)
}

/// A RegisterThing request; an absent token is an empty one.
pub(super) fn read_register(
    payload: &[u8],
    format: Format,
    template: &TemplateName,
) -> Result<Register, Refusal> {
    let request: LenientRegister = read(payload, format)?;
    let token = request.certificate_ownership_token;
    Ok(Register {
        template: template.clone(),
        token: token.unwrap_or_else(|| OwnershipToken::new("")),
        parameters: request.parameters.unwrap_or_default(),
        allowed_by: None,
    })
}

/// The answer in the format of its topic.
pub(super) fn write(output: &Output, format: Format) -> Bytes {
    let value = match output {
        Output::Issued(issued) => serde_json::to_value(issued),
        Output::Registered(registered) => serde_json::to_value(registered),
        Output::Rejected(rejection) => serde_json::to_value(rejection),
    };
    // These types hold strings and numbers only, which always become JSON.
    let value = value.unwrap_or(Value::Null);
    match format {
        Format::Json => Bytes::from(value.to_string()),
        Format::Cbor => Bytes::from(cbor::encode(&value)),
    }
}

/// The parser's own words name a place, never a value: a payload holds secrets.
fn read<T: DeserializeOwned>(payload: &[u8], format: Format) -> Result<T, Refusal> {
    let invalid = |reason: String| Refusal::InvalidPayload(reason);
    let value = match format {
        Format::Json => serde_json::from_slice(payload).map_err(|error| {
            invalid(format!("no JSON at line {} column {}", error.line(), error.column()))
        })?,
        Format::Cbor => cbor::decode(payload).map_err(|error| invalid(error.to_string()))?,
    };
    let Value::Object(_) = &value else {
        return Err(invalid("the payload is not an object".into()));
    };
    serde_json::from_value(value)
        .map_err(|_| invalid("a field is missing or is not of its documented type".into()))
}
