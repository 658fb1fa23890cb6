//! `fleetkey-agent stage`, `switch`, `retire` and `rollback`: one step of a rotation, through the agent that runs or by
//! running one until it is done.

use std::time::Duration;

use clap::Args;
use fleetkey_agent::AgentConfig;
use fleetkey_agent::offline::{Done, perform};
use fleetkey_lifecycle::event::Offline;
use serde_json::{Value, json};

/// How long to wait.
#[derive(Debug, Args)]
pub(super) struct StepArgs {
    #[command(flatten)]
    pub(super) config: super::ConfigArgs,
    /// How long to wait for the end of the step; the order stands whatever comes.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
}

pub(super) fn run(config: AgentConfig, step: Offline, timeout: Duration) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(perform(config, step, timeout))?;
    super::ask::print(shown(done));
    Ok(())
}

fn shown(done: Done) -> Value {
    match done {
        Done::Staged { certificate, verified } => {
            json!({"done": "staged", "certificate": certificate, "verified": verified.map(|at| at.to_string())})
        }
        Done::Switched(certificate) => json!({"done": "switched", "certificate": certificate}),
        Done::Retired => json!({"done": "retired"}),
        Done::RolledBack(certificate) => json!({"done": "rolled_back", "certificate": certificate}),
    }
}
