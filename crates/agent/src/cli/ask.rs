//! `fleetkey-agent status` and `rotate`: one line of JSON on standard output.

use fleetkey_agent::AgentConfig;
use fleetkey_agent::status::client::{self, DeviceState};
use serde_json::{Value, json};

pub(super) fn status(config: &AgentConfig) -> anyhow::Result<()> {
    print(&shown(client::status_of(&config.state_dir)?)?);
    Ok(())
}

pub(super) fn rotate(config: &AgentConfig, compromised: bool) -> anyhow::Result<()> {
    let status = client::rotate(&config.state_dir, compromised)?;
    print(&shown(DeviceState::Running(status))?);
    Ok(())
}

fn shown(state: DeviceState) -> anyhow::Result<Value> {
    Ok(match state {
        DeviceState::Running(status) => {
            json!({ "agent": "running", "status": serde_json::to_value(status)? })
        }
        DeviceState::Stopped { record, certificate } => json!({
            "agent": "stopped",
            "record": serde_json::to_value(record)?,
            "certificate": certificate.map(|certificate| json!({
                "id": certificate.id,
                "not_before": certificate.not_before.to_string(),
                "not_after": certificate.not_after.to_string(),
            })),
        }),
        DeviceState::Empty => json!({ "agent": "stopped", "record": null, "certificate": null }),
    })
}

#[allow(clippy::print_stdout, reason = "the output of the command")]
fn print(value: &Value) {
    println!("{value}");
}
