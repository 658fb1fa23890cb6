//! `device rotate`: through the running agent, or by running one until the rotation is committed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use fleetkey_agent::clock::SystemClock;
use fleetkey_agent::status::client::{self, AskError};
use fleetkey_agent::{Agent, AgentEvent};
use tokio::sync::broadcast::error::RecvError;

use super::Device;
use crate::args::DeviceArgs;
use crate::output;

pub(super) async fn run(args: &DeviceArgs, timeout: Duration) -> Result<()> {
    let device = Device::open(args)?;
    let state_dir = device.config.state_dir.clone();
    let asked = tokio::task::spawn_blocking(move || client::rotate(&state_dir, false)).await?;
    match asked {
        Ok(_) => {
            output::line(&format!(
                "the agent of {} rotates; `fleetkey device status` tells how it goes",
                args.serial
            ));
            Ok(())
        }
        Err(AskError::NotRunning(_)) => rotate_here(device, args, timeout).await,
        Err(error) => Err(error.into()),
    }
}

/// Nobody else serves the device: its agent runs here until the rotation is committed and the session moved.
async fn rotate_here(device: Device, args: &DeviceArgs, timeout: Duration) -> Result<()> {
    let agent = Agent::start(device.config, Arc::new(SystemClock)).await?;
    let mut events = agent.events();
    let rotation = async {
        agent.connected().await.context("the agent ended")?;
        agent.rotate().await;
        loop {
            match events.recv().await {
                Ok(AgentEvent::Committed { certificate, .. }) => return Ok(certificate),
                Ok(AgentEvent::RolledBack { why, .. }) => {
                    bail!("rolled back, the old certificate serves on: {why}")
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => bail!("the agent ended"),
            }
        }
    };
    let outcome = tokio::time::timeout(timeout, rotation).await;
    let status = agent.status();
    if matches!(outcome, Ok(Ok(_))) {
        agent.until(|status| status.exported).await;
    }
    agent.stop().await;
    let certificate = outcome.map_err(|_| {
        let blocked = status.blocked.as_deref().unwrap_or("the local IoT Core does not answer");
        anyhow!("no rotation after {}: {blocked}", humantime::format_duration(timeout))
    })??;
    output::line(&format!("{} has certificate {certificate}", args.serial));
    Ok(())
}
