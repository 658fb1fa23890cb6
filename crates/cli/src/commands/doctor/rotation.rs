//! A rotation between two examinations: ordered from the agent that runs, and waited for.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use fleetkey_agent::status::Report;
use fleetkey_agent::status::client::{DeviceState, rotate, status_of};

use super::target::Patient;

/// A rotation takes seconds; a broker that throttles makes it minutes.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Orders a rotation, and returns when another certificate is committed, exported and in use.
pub(super) async fn have_one(patient: &Patient) -> Result<()> {
    let directory = patient.state_dir.clone();
    let directory = directory.context("a rotation needs the agent's --state-dir (or --config, --serial)")?;
    let asked = directory.clone();
    let before = tokio::task::spawn_blocking(move || rotate(&asked, false)).await??.status.certificate;
    let done = async {
        loop {
            let looked = directory.clone();
            let state = tokio::task::spawn_blocking(move || status_of(&looked)).await??;
            match state {
                DeviceState::Running(report) if is_done(&report) && report.status.certificate != before => {
                    return Ok(());
                }
                DeviceState::Running(_) => {}
                DeviceState::Stopped { .. } | DeviceState::Empty => bail!("the agent has ended meanwhile"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    match tokio::time::timeout(PATIENCE, done).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("no rotation within {PATIENCE:?}; `device status` tells what it waits for"),
    }
}

fn is_done(report: &Report) -> bool {
    report.status.candidate.is_none() && report.status.exported && report.status.connected
}
