//! Proving a candidate by using it, beside the live session: TLS, CONNACK, SUBACK, and a QoS 1 echo.
//!
//! The client id is `<thing>~verify`: the live session is never disturbed. What a failure means is the rotation
//! machine's business; here it is only told how far the candidate came, and whether somebody said no.

use std::time::Duration;

use bytes::Bytes;
use fleetkey_lifecycle::event::Tier;
use fleetkey_model::name::ClientId;

use crate::carrier::{Answers, Broken, Requests};
use crate::connect::Connector;
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

/// The last two tiers, on a connection that stands.
async fn listen_and_echo(
    requests: &impl Requests,
    answers: &mut impl Answers,
    topic: &str,
    limit: Duration,
) -> Result<(), Failure> {
    within(limit, Tier::Suback, listen(requests, topic)).await?;
    within(limit, Tier::Echo, echo(requests, answers, topic)).await
}

async fn within(
    limit: Duration,
    tier: Tier,
    step: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let late = || Err(Failure::unreachable(tier, format!("no answer within {limit:?}")));
    tokio::time::timeout(limit, step).await.unwrap_or_else(|_| late())
}

async fn listen(requests: &impl Requests, topic: &str) -> Result<(), Failure> {
    let granted = requests.subscribe(&[topic.to_owned()]).await;
    let granted = granted.map_err(|error| closed(Tier::Suback, &error))?;
    match granted.iter().find(|reason| reason.is_error()) {
        Some(reason) => Err(Failure::refused(Tier::Suback, format!("{topic}: {reason}"))),
        None => Ok(()),
    }
}

async fn echo(requests: &impl Requests, answers: &mut impl Answers, topic: &str) -> Result<(), Failure> {
    let nonce = nonce()?;
    let published = requests.publish(topic, nonce.clone());
    tokio::pin!(published);
    let mut acknowledged = false;
    loop {
        tokio::select! {
            biased;
            result = &mut published, if !acknowledged => {
                result.map_err(|error| closed(Tier::Echo, &error))?;
                acknowledged = true;
            }
            message = answers.next() => match message {
                Some(message) if message.payload == nonce => return Ok(()),
                Some(_) => {}
                None => return Err(closed(Tier::Echo, &Broken::Closed("before the echo".into()))),
            }
        }
    }
}

/// A broker that closes instead of answering has said no: MQTT 3.1.1 gives it no other word. If the network did
/// it, the control verification of the identity in use will show the same.
fn closed(tier: Tier, error: &Broken) -> Failure {
    Failure::refused(tier, error.to_string())
}

/// Sixteen random bytes in hex: an old echo, retained or delayed, is not taken for this one.
fn nonce() -> Result<Bytes, Failure> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::unreachable(Tier::Echo, format!("no randomness: {error}")))?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Bytes::from(hex))
}

#[cfg(test)]
mod tests;
