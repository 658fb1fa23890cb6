//! `device publish` and `subscribe`: one-off connections as `<thing>~agent`, which disturb no live session.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use fleetkey_agent::store::{CERTIFICATE_FILE, EXPORT_LINK, KEY_FILE};
use fleetkey_agent::tls::ClientIdentity;
use fleetkey_model::name::ClientId;
use fleetkey_mqtt::link::{Client, ConnectError, ConnectOptions, Messages};
use fleetkey_mqtt::session::SessionConfig;
use fleetkey_mqtt::{QoS, ReasonCode, Version};
use serde_json::json;

use super::Device;
use crate::args::DeviceArgs;
use crate::interrupt::Interrupt;
use crate::output;
use crate::stage::dialer;

/// AWS takes one CONNECT a second of one client id; two commands in a row need a second attempt.
const CONNECT_PAUSE: Duration = Duration::from_millis(1100);
const CONNECT_ATTEMPTS: usize = 5;

/// Publishes one message at QoS 1 and returns after its PUBACK.
pub(super) async fn publish(args: &DeviceArgs, topic: &str, payload: String) -> Result<()> {
    let (client, _messages) = connect(args).await?;
    let outcome = client.publish(topic, payload.into_bytes(), QoS::AtLeastOnce).await;
    client.disconnect().await;
    outcome.with_context(|| format!("{topic} was not published; may this device's policy publish it?"))
}

/// Prints each message as one JSON line.
pub(super) async fn subscribe(args: &DeviceArgs, filter: &str, count: Option<u64>) -> Result<()> {
    let mut interrupt = Interrupt::new()?;
    let (client, mut messages) = connect(args).await?;
    let granted = client.subscribe(&[(filter, QoS::AtLeastOnce)]).await?;
    if granted.iter().any(|reason| reason.is_error()) {
        bail!("the broker refuses a subscription to {filter}: this device's policy does not allow it");
    }
    output::warn(&format!("subscribed to {filter}"));
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        tokio::select! {
            message = messages.recv() => {
                let message = message.context("the connection is lost")?;
                let payload = String::from_utf8_lossy(&message.payload);
                output::json(&json!({"topic": &*message.topic, "payload": payload}));
                left -= 1;
            }
            () = interrupt.asked() => break,
        }
    }
    client.disconnect().await;
    Ok(())
}

async fn connect(args: &DeviceArgs) -> Result<(Client, Messages)> {
    let device = Device::open(args)?;
    let files = device.data.device(&args.serial).join(EXPORT_LINK);
    let identity = ClientIdentity::from_files(&files.join(CERTIFICATE_FILE), &files.join(KEY_FILE))
        .with_context(|| {
            format!("{0} has no identity; `fleetkey device provision --serial {0}` gets one", args.serial)
        })?;
    let dialer = dialer(&device.fleet);
    for _ in 0..CONNECT_ATTEMPTS {
        let stream = dialer.dial(&identity).await.context("the local IoT Core cannot be reached")?;
        let options = ConnectOptions {
            version: Version::V5,
            ..ConnectOptions::new(ClientId::agent(&args.serial.thing()).as_str())
        };
        match Client::start(stream, options, SessionConfig::default()).await {
            Err(ConnectError::Refused(ReasonCode::QUOTA_EXCEEDED)) => tokio::time::sleep(CONNECT_PAUSE).await,
            outcome => return outcome.context("the broker does not let this device in"),
        }
    }
    bail!("other commands of this device keep connecting; AWS takes one CONNECT a second of one client id")
}
