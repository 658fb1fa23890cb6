//! Proving an identity by using it: TLS, CONNACK, SUBACK, and a QoS 1 echo.
//!
//! [`verify`] does it beside the live session, which is never disturbed, with the client id `<thing>~verify`;
//! [`verify_live`] on the live session that stands. By takeover it is `crate::live::proof`, which judges as this does.
//! What a failure means is the rotation machine's business; here it is only told how far the identity came, and
//! whether somebody said no.

use std::time::Duration;

use bytes::Bytes;
use fleetkey_lifecycle::event::Tier;
use fleetkey_model::name::ClientId;

use fleetkey_mqtt::ReasonCode;

use crate::carrier::{Answers, Broken, Requests};
use crate::connect::{Connector, is_passing};
use crate::live::LiveHandle;
use crate::tls::{ClientIdentity, Failure};

/// Takes `identity` through all tiers, connected as `client`, then closes the connection.
pub(crate) async fn verify(
    connector: &Connector,
    identity: &ClientIdentity,
    client: &ClientId,
    topic: &str,
    limit: Duration,
) -> Result<(), Failure> {
    let (client, mut messages) = connector.client(identity, client).await?;
    let verdict = listen_and_echo(&client, &mut messages, topic, limit).await;
    client.disconnect().await;
    verdict
}

/// The last two tiers for the identity that the live session runs on, without reconnecting. Nothing of it stays: the
/// subscription is ended again.
pub(crate) async fn verify_live(live: &LiveHandle, topic: &str, limit: Duration) -> Result<(), Failure> {
    let mut messages = live.listen(vec![topic.to_owned()]).await;
    let verdict = listen_and_echo(&live.afresh(), &mut messages, topic, limit).await;
    live.unsubscribe(vec![topic.to_owned()]).await;
    verdict
}

/// The last two tiers, on a connection that stands.
async fn listen_and_echo(
    requests: &impl Requests,
    answers: &mut impl Answers,
    topic: &str,
    limit: Duration,
) -> Result<(), Failure> {
    let listening = tokio::time::timeout(limit, listen(requests, topic)).await;
    listening.unwrap_or_else(|_| Err(no_suback(limit)))?;
    let nonce = nonce()?;
    let mut acknowledged = false;
    let echo = echo(requests, answers, topic, &nonce, &mut acknowledged);
    let echoed = tokio::time::timeout(limit, echo).await;
    echoed.unwrap_or_else(|_| Err(no_echo(acknowledged, limit)))
}

async fn listen(requests: &impl Requests, topic: &str) -> Result<(), Failure> {
    let granted = requests.subscribe(&[topic.to_owned()]).await;
    judge_suback(topic, &granted.map_err(|error| closed(Tier::Suback, &error))?)
}

async fn echo(
    requests: &impl Requests,
    answers: &mut impl Answers,
    topic: &str,
    nonce: &Bytes,
    acknowledged: &mut bool,
) -> Result<(), Failure> {
    let published = requests.publish(topic, nonce.clone());
    tokio::pin!(published);
    loop {
        tokio::select! {
            biased;
            result = &mut published, if !*acknowledged => {
                result.map_err(|error| closed(Tier::Echo, &error))?;
                *acknowledged = true;
            }
            message = answers.next() => match message {
                Some(message) if message.payload == *nonce => return Ok(()),
                Some(_) => {}
                None => return Err(closed(Tier::Echo, &Broken::Closed("before the echo".into()))),
            }
        }
    }
}

/// What a SUBACK says of an identity.
pub(crate) fn judge_suback(topic: &str, reasons: &[ReasonCode]) -> Result<(), Failure> {
    match reasons.iter().find(|reason| reason.is_error()) {
        Some(reason) => Err(said_no(Tier::Suback, *reason, format!("{topic}: {reason}"))),
        None => Ok(()),
    }
}

/// The broker answered no. A throttle is no refusal.
pub(crate) fn said_no(tier: Tier, reason: ReasonCode, why: String) -> Failure {
    if is_passing(reason) { Failure::unreachable(tier, why) } else { Failure::refused(tier, why) }
}

pub(crate) fn no_suback(limit: Duration) -> Failure {
    Failure::unreachable(Tier::Suback, format!("no answer within {limit:?}"))
}

/// No echo in time. A broker that took the message and does not deliver it is there and does not serve us: where a
/// policy lacks `iot:Receive` it says nothing else (Developer Guide, iot-policy-actions). One that did not even
/// acknowledge was not reached.
pub(crate) fn no_echo(acknowledged: bool, limit: Duration) -> Failure {
    match acknowledged {
        true => Failure::refused(Tier::Echo, format!("taken, but not delivered within {limit:?}")),
        false => Failure::unreachable(Tier::Echo, format!("no answer within {limit:?}")),
    }
}

/// A broker that closes instead of answering has said no: MQTT 3.1.1 gives it no other word. If the network did
/// it, the control verification of the identity in use will show the same.
fn closed(tier: Tier, error: &Broken) -> Failure {
    match error {
        Broken::Refused(reason) => said_no(tier, *reason, error.to_string()),
        Broken::Closed(_) => Failure::refused(tier, error.to_string()),
        Broken::Unsent(_) => Failure::unreachable(tier, error.to_string()),
    }
}

/// Sixteen random bytes in hex: an old echo, retained or delayed, is not taken for this one.
pub(crate) fn nonce() -> Result<Bytes, Failure> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::unreachable(Tier::Echo, format!("no randomness: {error}")))?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Bytes::from(hex))
}

#[cfg(test)]
mod tests;
