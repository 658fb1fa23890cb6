//! `device provision`: a first identity by claim certificate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use fleetkey_agent::clock::SystemClock;
use fleetkey_agent::config::KeySource;
use fleetkey_agent::store::EXPORT_LINK;
use fleetkey_agent::{Agent, AgentEvent, AgentHandle};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Device;
use crate::args::DeviceArgs;
use crate::output;

/// Runs the agent until the device has an identity and its files are exported.
pub(super) async fn run(args: &DeviceArgs, service_key: bool, timeout: Duration) -> Result<()> {
    let mut device = Device::open(args)?;
    if service_key {
        device.config.key_source = KeySource::Service;
    }
    let files = device.data.device(&args.serial).join(EXPORT_LINK);
    let agent = Agent::start(device.config, Arc::new(SystemClock)).await?;
    let events = agent.events();
    let outcome = tokio::time::timeout(timeout, provisioned(&agent, events)).await;
    agent.stop().await;
    match outcome {
        Ok(Ok(certificate)) => {
            output::line(&format!("{} has certificate {certificate}\n{}", args.serial, files.display()));
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Err(_) => bail!(
            "{} has no identity after {}; is `fleetkey local --setup` running on this data directory? \
             --log-level info tells what the agent tried",
            args.serial,
            humantime::format_duration(timeout)
        ),
    }
}

/// So long a certificate whose registration was refused is tried before a person is told; a later call goes on.
const DOUBT: Duration = Duration::from_secs(3);

/// Waits for identity and live session: the files are exported by then. A rotation that is given up is the end, and
/// so is a registration that is refused.
async fn provisioned(agent: &AgentHandle, mut events: Receiver<AgentEvent>) -> Result<String> {
    let given_up = async {
        loop {
            match events.recv().await {
                Ok(AgentEvent::RolledBack { why, .. }) => return why,
                Ok(AgentEvent::RegistrationRefused { why, .. }) => {
                    tokio::time::sleep(DOUBT).await;
                    return why;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return "the agent ended".to_owned(),
            }
        }
    };
    tokio::select! {
        status = agent.until(|status| status.exported) => match status.and_then(|status| status.certificate) {
            Some(certificate) => Ok(certificate.to_string()),
            None => bail!("the agent ended before the device had an identity"),
        },
        why = given_up => bail!("refused: {why}"),
    }
}
