//! `device connect`: the device's agent in the foreground.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use fleetkey_agent::Agent;
use fleetkey_agent::clock::SystemClock;
use fleetkey_agent::sidecar::{Listen, SidecarSettings};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::Device;
use crate::args::DeviceArgs;
use crate::interrupt::Interrupt;
use crate::output;

/// Runs until interrupted; one JSON line an event.
pub(super) async fn run(
    args: &DeviceArgs,
    rotate_every: Duration,
    sidecar: Option<SocketAddr>,
) -> Result<()> {
    let mut interrupt = Interrupt::new()?;
    let mut device = Device::open(args)?;
    device.config.rotation.schedule.age = rotate_every;
    device.config.rotation.schedule.jitter = rotate_every / 10;
    if let Some(address) = sidecar {
        let settings = SidecarSettings::new(vec![Listen::Tcp(address)]);
        settings.check().map_err(anyhow::Error::msg)?;
        device.config.sidecar = Some(settings);
    }
    let agent = Agent::start(device.config, Arc::new(SystemClock)).await?;
    let mut events = agent.events();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => output::json(&json!(event)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
            () = interrupt.asked() => break,
        }
    }
    agent.stop().await;
    Ok(())
}
