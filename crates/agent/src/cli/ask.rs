//! `fleetkey-agent status` and `rotate`: one line of JSON on standard output.

use fleetkey_agent::AgentConfig;
use fleetkey_agent::status::client::{self, DeviceState};
use serde_json::Value;

pub(super) fn status(config: &AgentConfig) -> anyhow::Result<()> {
    print(&client::status_of(&config.state_dir)?.json());
    Ok(())
}

pub(super) fn rotate(config: &AgentConfig, compromised: bool) -> anyhow::Result<()> {
    let report = client::rotate(&config.state_dir, compromised)?;
    print(&DeviceState::Running(report).json());
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the output of the command")]
fn print(value: &Value) {
    println!("{value}");
}
