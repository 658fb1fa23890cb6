//! `device stage`, `switch`, `retire` and `rollback`: one step of a rotation, through the device's agent or by running
//! it until the step is done.

use anyhow::Result;
use fleetkey_agent::offline::perform;
use fleetkey_lifecycle::event::Offline;

use super::Device;
use crate::args::StepArgs;
use crate::output;

pub(super) async fn run(step: Offline, args: &StepArgs) -> Result<()> {
    let device = Device::open(&args.device)?;
    let done = perform(device.config, step, args.timeout).await?;
    output::line(&format!("{}: {done}", args.device.serial));
    Ok(())
}
