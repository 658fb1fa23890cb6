//! `fleetkey-agent status`, `rotate`, `verify` and `events`: lines on standard output, JSON but for `verify`.

use std::sync::Arc;

use fleetkey_agent::AgentConfig;
use fleetkey_agent::keys::P256Keys;
use fleetkey_agent::status::client::{self, DeviceState};
use fleetkey_agent::store::{RealFs, check, read_entries};

pub(super) fn status(config: &AgentConfig) -> anyhow::Result<()> {
    print(client::status_of(&config.state_dir)?.json());
    Ok(())
}

pub(super) fn rotate(config: &AgentConfig, compromised: bool) -> anyhow::Result<()> {
    let report = client::rotate(&config.state_dir, compromised)?;
    print(DeviceState::Running(report).json());
    Ok(())
}

pub(super) fn verify(config: AgentConfig, as_json: bool) -> anyhow::Result<()> {
    let checked = check(&config.state_dir, Arc::new(P256Keys), config.serial);
    print(if as_json { checked.json().to_string() } else { checked.to_string() });
    anyhow::ensure!(checked.is_sound(), "{} is not sound", config.state_dir.display());
    Ok(())
}

pub(super) fn events(config: &AgentConfig, follow: bool) -> anyhow::Result<()> {
    if !follow {
        read_entries(&RealFs, &config.state_dir)?.lines.into_iter().for_each(print);
        return Ok(());
    }
    for line in client::events(&config.state_dir)? {
        print(line?);
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the output of the command")]
pub(super) fn print(line: impl core::fmt::Display) {
    println!("{line}");
}
