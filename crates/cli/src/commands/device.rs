//! `fleetkey device …`: one device of the fleet in a data directory.

mod connect;
mod events;
mod import;
mod messages;
mod provision;
mod rotate;
mod status;
mod step;
mod verify;

use anyhow::Result;
use fleetkey_agent::AgentConfig;
use fleetkey_lifecycle::event::Offline;

use crate::args::{DeviceArgs, DeviceCommand};
use crate::datadir::DataDir;
use crate::fleet_file::FleetFile;

/// Runs a device command to its end.
pub(super) async fn run(command: DeviceCommand) -> Result<()> {
    match command {
        DeviceCommand::Provision { service_key, timeout, device } => {
            provision::run(&device, service_key, timeout).await
        }
        DeviceCommand::Connect { rotate_every, sidecar, device } => {
            connect::run(&device, rotate_every, sidecar).await
        }
        DeviceCommand::Import { files, device } => import::run(&device, &files),
        DeviceCommand::Publish { topic, payload, device } => {
            messages::publish(&device, &topic, payload).await
        }
        DeviceCommand::Subscribe { filter, count, device } => {
            messages::subscribe(&device, &filter, count).await
        }
        DeviceCommand::Rotate { timeout, device } => rotate::run(&device, timeout).await,
        DeviceCommand::Stage(args) => step::run(Offline::Stage, &args).await,
        DeviceCommand::Switch(args) => step::run(Offline::Switch, &args).await,
        DeviceCommand::Retire(args) => step::run(Offline::Retire, &args).await,
        DeviceCommand::Rollback(args) => step::run(Offline::Rollback, &args).await,
        DeviceCommand::Status { json, device } => status::run(&device, json),
        DeviceCommand::Verify { json, device } => verify::run(&device, json),
        DeviceCommand::Events { follow, device } => events::run(&device, follow),
    }
}

/// A device and the fleet that it belongs to.
pub(super) struct Device {
    data: DataDir,
    fleet: FleetFile,
    pub(super) config: AgentConfig,
}

impl Device {
    pub(super) fn open(args: &DeviceArgs) -> Result<Self> {
        let data = DataDir::existing(&args.data.data_dir)?;
        let fleet = FleetFile::read(&data)?;
        let config = fleet.agent(&data, &args.serial)?;
        Ok(Self { data, fleet, config })
    }
}
