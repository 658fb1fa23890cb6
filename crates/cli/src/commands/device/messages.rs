//! `device publish` and `subscribe`: one-off connections as `<thing>~agent`, which disturb no live session.

use anyhow::{Context, Result, bail};
use fleetkey_mqtt::QoS;
use fleetkey_mqtt::link::{Client, Messages};
use serde_json::json;

use super::Device;
use crate::args::DeviceArgs;
use crate::interrupt::Interrupt;
use crate::{messages, output};

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
    messages::connect(&device.data, &device.fleet, &args.serial).await
}
