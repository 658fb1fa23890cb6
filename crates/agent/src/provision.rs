//! The Fleet Provisioning MQTT API from the device's side (Developer Guide, fleet-provision-api).
//!
//! Subscribe to both answers and wait for SUBACK, publish at QoS 1, wait for the answer. There is no
//! correlation token, so an acceptance counts by its content: a certificate for another key, or the word that another
//! thing was registered, is late, a duplicate or somebody else's, and is passed over. A rejection has nothing in it
//! that says what it rejects: it counts for the request that waits, and the rotation machine gives nothing up on the
//! word of one while an earlier request may have been carried out. No answer in time is no refusal.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::name::{SerialNumber, TemplateName, ThingName};
use fleetkey_model::provisioning::{
    CertificateIssued, CreateFromCsrRequest, RegisterThingRequest, Rejection, SERIAL_PARAMETER,
    ThingRegistered,
};
use fleetkey_model::secret::OwnershipToken;
use fleetkey_model::topic::{Format, Leg, ReservedTopic};
use serde::de::DeserializeOwned;

use crate::carrier::{Answers, Requests};

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// The cloud answered no.
    Rejected(Rejection),
    /// No answer: the reason, for people.
    NoAnswer(String),
}

/// One operation: where to ask, where the answers come.
struct Operation {
    request: String,
    accepted: String,
    rejected: String,
}

impl Operation {
    fn new(topic: impl Fn(Leg) -> ReservedTopic) -> Self {
        Self {
            request: topic(Leg::Request).to_string(),
            accepted: topic(Leg::Accepted).to_string(),
            rejected: topic(Leg::Rejected).to_string(),
        }
    }

    fn answers(&self) -> Vec<String> {
        vec![self.accepted.clone(), self.rejected.clone()]
    }
}

fn create_from_csr() -> Operation {
    Operation::new(|leg| ReservedTopic::CreateFromCsr(Format::Json, leg))
}

fn create_keys() -> Operation {
    Operation::new(|leg| ReservedTopic::CreateKeys(Format::Json, leg))
}

fn register_thing_by(template: &TemplateName) -> Operation {
    Operation::new(|leg| ReservedTopic::RegisterThing(template.clone(), Format::Json, leg))
}

/// The topics on which answers can come, for a connection that has to be told what to listen to.
pub(crate) fn certificate_answers() -> Vec<String> {
    [create_from_csr().answers(), create_keys().answers()].concat()
}

/// The same for RegisterThing.
pub(crate) fn registration_answers(template: &TemplateName) -> Vec<String> {
    register_thing_by(template).answers()
}

/// CreateCertificateFromCsr: a certificate for the key with this SubjectPublicKeyInfo (DER).
pub(crate) async fn certificate_for_csr(
    requests: &impl Requests,
    answers: &mut impl Answers,
    csr: String,
    public_key: &[u8],
    limit: Duration,
) -> Result<CertificateIssued, Unserved> {
    let request = CreateFromCsrRequest { certificate_signing_request: csr };
    let is_ours = |issued: &CertificateIssued| {
        CertificateFacts::from_pem(&issued.certificate_pem).is_ok_and(|facts| facts.public_key == public_key)
    };
    let payload = encode(&request)?;
    ask(requests, answers, &create_from_csr(), payload, is_ours, limit).await
}

/// CreateKeysAndCertificate: a certificate and the key that AWS made for it.
pub(crate) async fn certificate_and_key(
    requests: &impl Requests,
    answers: &mut impl Answers,
    limit: Duration,
) -> Result<CertificateIssued, Unserved> {
    let has_key = |issued: &CertificateIssued| issued.private_key.is_some();
    // AWS documents an empty payload; its SDKs send an empty object.
    let payload = Bytes::from_static(b"{}");
    ask(requests, answers, &create_keys(), payload, has_key, limit).await
}

/// RegisterThing: attaches the token's certificate to the thing that the serial names. Returns the thing's name if the
/// answer has it; an answer that names another thing is none.
pub(crate) async fn register_thing(
    requests: &impl Requests,
    answers: &mut impl Answers,
    template: &TemplateName,
    token: OwnershipToken,
    serial: &SerialNumber,
    limit: Duration,
) -> Result<Option<ThingName>, Unserved> {
    let request = RegisterThingRequest {
        certificate_ownership_token: token,
        parameters: BTreeMap::from([(SERIAL_PARAMETER.to_owned(), serial.to_string())]),
    };
    let operation = register_thing_by(template);
    let payload = encode(&request)?;
    let (ours, mut other) = (serial.thing(), None);
    let is_ours = |answer: &ThingRegistered| {
        other = answer.thing_name.clone().filter(|thing| *thing != ours);
        other.is_none()
    };
    let answered = ask(requests, answers, &operation, payload, is_ours, limit).await;
    answered.map(|answer| answer.thing_name).map_err(|unserved| match (unserved, other) {
        (Unserved::NoAnswer(why), Some(other)) => {
            let hint = format!(
                "an answer named the thing {other}, not {ours}: is that what the template makes of it?"
            );
            Unserved::NoAnswer(format!("{why}; {hint}"))
        }
        (unserved, _) => unserved,
    })
}

fn encode(request: &impl serde::Serialize) -> Result<Bytes, Unserved> {
    serde_json::to_vec(request)
        .map(Bytes::from)
        .map_err(|error| Unserved::NoAnswer(format!("the request cannot be encoded: {error}")))
}

async fn ask<T: DeserializeOwned>(
    requests: &impl Requests,
    answers: &mut impl Answers,
    operation: &Operation,
    payload: Bytes,
    is_ours: impl FnMut(&T) -> bool,
    limit: Duration,
) -> Result<T, Unserved> {
    let exchange = exchange(requests, answers, operation, payload, is_ours);
    tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
        Err(Unserved::NoAnswer(format!("no answer to {} within {limit:?}", operation.request)))
    })
}

async fn exchange<T: DeserializeOwned>(
    requests: &impl Requests,
    answers: &mut impl Answers,
    operation: &Operation,
    payload: Bytes,
    mut is_ours: impl FnMut(&T) -> bool,
) -> Result<T, Unserved> {
    let lost = |error: crate::carrier::Broken| Unserved::NoAnswer(error.to_string());
    let granted = requests.subscribe(&operation.answers()).await.map_err(lost)?;
    if let Some(reason) = granted.iter().find(|reason| reason.is_error()) {
        let why = format!("not allowed to subscribe to {}: {reason}", operation.accepted);
        return Err(Unserved::NoAnswer(why));
    }
    let published = requests.publish(&operation.request, payload);
    tokio::pin!(published);
    let mut acknowledged = false;
    loop {
        // The answer may overtake the PUBACK, or come though the PUBACK was lost.
        tokio::select! {
            biased;
            result = &mut published, if !acknowledged => {
                result.map_err(lost)?;
                acknowledged = true;
            }
            message = answers.next() => {
                let Some(message) = message else {
                    return Err(Unserved::NoAnswer("the connection was lost".into()));
                };
                if let Some(answer) = read(operation, &message.topic, &message.payload, &mut is_ours) {
                    return answer;
                }
            }
        }
    }
}

/// Reads a message; `None` when it answers something else.
fn read<T: DeserializeOwned>(
    operation: &Operation,
    topic: &str,
    payload: &[u8],
    is_ours: &mut impl FnMut(&T) -> bool,
) -> Option<Result<T, Unserved>> {
    if topic == operation.rejected {
        let rejection = serde_json::from_slice(payload).unwrap_or_else(|error| Rejection {
            status_code: 500,
            error_code: "UnreadableRejection".into(),
            error_message: error.to_string(),
        });
        return Some(Err(Unserved::Rejected(rejection)));
    }
    if topic != operation.accepted {
        return None;
    }
    match serde_json::from_slice::<T>(payload) {
        Ok(answer) if is_ours(&answer) => Some(Ok(answer)),
        Ok(_) => {
            tracing::debug!(topic, "passed over an answer that is not ours");
            None
        }
        Err(error) => {
            tracing::warn!(topic, %error, "passed over an answer that does not read");
            None
        }
    }
}

#[cfg(test)]
mod tests;
