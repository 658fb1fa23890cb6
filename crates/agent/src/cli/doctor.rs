//! `fleetkey-agent doctor`: why this device cannot connect. The account is not asked: a device holds no credentials.

use std::process::ExitCode;

use fleetkey_agent::AgentConfig;
use fleetkey_agent::clock::{Clock, SystemClock};
use fleetkey_agent::doctor::{Account, Examination, Target};

pub(super) fn run(config: &AgentConfig, take_over: bool, as_json: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let target = Target { take_over, ..Target::of(config) };
    let examination = Examination::begin(target, SystemClock.now());
    let account = Account::silent("a device has no credentials to ask the account with");
    let report = runtime.block_on(examination.run(&account));
    super::ask::print(if as_json { report.json().to_string() } else { report.to_string() });
    Ok(ExitCode::from(report.exit_code()))
}
