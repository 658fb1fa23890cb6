//! `device verify`: whether a device's files are whole and agree with each other, by reading alone.

use std::sync::Arc;

use anyhow::{Result, ensure};
use fleetkey_agent::keys::P256Keys;
use fleetkey_agent::store::check;

use crate::args::DeviceArgs;
use crate::datadir::DataDir;
use crate::output;

/// Prints every finding; fails if one is a fault.
pub(super) fn run(args: &DeviceArgs, as_json: bool) -> Result<()> {
    let state_dir = DataDir::open(&args.data.data_dir)?.device(&args.serial);
    let checked = check(&state_dir, Arc::new(P256Keys), args.serial.clone());
    if as_json {
        output::json(&checked.json());
    } else {
        output::line(&checked.to_string());
    }
    ensure!(checked.is_sound(), "{} is not sound", state_dir.display());
    Ok(())
}
