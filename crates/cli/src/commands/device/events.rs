//! `device events`: what has happened to a device's identity, or what happens from now on.

use anyhow::{Context, Result};
use fleetkey_agent::status::client;
use fleetkey_agent::store::{RealFs, read_entries};

use crate::args::DeviceArgs;
use crate::datadir::DataDir;
use crate::output;

/// Prints the audit log as it stands, or follows the running agent until it ends.
pub(super) fn run(args: &DeviceArgs, follow: bool) -> Result<()> {
    let state_dir = DataDir::open(&args.data.data_dir)?.device(&args.serial);
    if !follow {
        read_entries(&RealFs, &state_dir)?.lines.iter().for_each(|line| output::line(line));
        return Ok(());
    }
    let events = client::events(&state_dir).with_context(|| format!("{} cannot be followed", args.serial))?;
    for event in events {
        output::line(&event?);
    }
    Ok(())
}
