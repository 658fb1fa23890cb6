//! `fleetkey-agent run`: one agent until SIGINT or SIGTERM.

use std::sync::Arc;

use fleetkey_agent::{Agent, AgentConfig, SystemClock};
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn run(config: AgentConfig) -> anyhow::Result<()> {
    // One thread is enough for one device; the disk has its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: AgentConfig) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let agent = Agent::start(config, Arc::new(SystemClock)).await?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    agent.stop().await;
    Ok(())
}
