//! How a run begins: with a device that was provisioned a month ago, or with one that never was.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;

use super::World;
use crate::cloud::{Cloud, Stage};
use crate::device::{Device, Home, Ship};
use crate::disk::SimDisk;
use crate::env::Env;
use crate::mint::{ISSUED_AT, PoolKeys};
use crate::schedule::Schedule;

/// The serial of the device.
const SERIAL: &str = "proof-1";
/// The device boots so long before its rotation is due.
const EARLY: Duration = Duration::from_secs(20);

/// A moment to begin from.
#[derive(Debug)]
pub struct Start {
    cloud: Cloud,
    disk: SimDisk,
    made: u64,
    now: Timestamp,
}

static STAGE: OnceLock<Result<Arc<Stage>, String>> = OnceLock::new();
static PROVISIONED: OnceLock<Result<Start, String>> = OnceLock::new();

/// The account before any device.
///
/// # Errors
/// When the product's own documents cannot be made.
pub(crate) fn account() -> Result<Arc<Stage>> {
    let stage = STAGE.get_or_init(|| Stage::new().map(Arc::new).map_err(|error| format!("{error:#}")));
    stage.clone().map_err(|error| anyhow!("{error}"))
}

/// A world for the shipping device, set as `schedule` says.
///
/// # Errors
/// When a device cannot even be provisioned without faults.
pub fn prepared(schedule: &Schedule) -> Result<World<Ship>> {
    if schedule.fresh {
        return fresh(schedule.clone(), SerialNumber::new(SERIAL)?, 0);
    }
    provisioned()?.world(schedule)
}

/// A device whose first rotation is about to be due.
///
/// # Errors
/// When a device cannot even be provisioned without faults.
pub fn provisioned() -> Result<&'static Start> {
    let start = PROVISIONED.get_or_init(|| provision().map_err(|error| format!("{error:#}")));
    start.as_ref().map_err(|error| anyhow!("{error}"))
}

impl Start {
    /// A world that begins here.
    ///
    /// # Errors
    /// Never in practice: the serial is well formed.
    pub fn world<D: Device>(&self, schedule: &Schedule) -> Result<World<D>> {
        let home = Home {
            disk: self.disk.clone(),
            keys: Arc::new(PoolKeys::resumed(0, self.made)),
            ..Home::new(0, SerialNumber::new(SERIAL)?, 0)
        };
        Ok(World::new(Env::new(self.cloud.clone(), schedule.clone(), self.now), home))
    }
}

/// A world with one device that was never provisioned; its keys are those from `first_key` on.
///
/// # Errors
/// When the account cannot be made ready.
pub fn unprovisioned(serial: SerialNumber, first_key: u64) -> Result<World<Ship>> {
    fresh(Schedule::calm(), serial, first_key)
}

fn fresh(schedule: Schedule, serial: SerialNumber, first_key: u64) -> Result<World<Ship>> {
    let home = Home::new(0, serial, first_key);
    let cloud = Cloud::new(account()?);
    Ok(World::new(Env::new(cloud, schedule, ISSUED_AT + Duration::from_secs(60)), home))
}

/// Runs the first provisioning without faults, and stops shortly before the first rotation is due.
fn provision() -> Result<Start> {
    let mut world = unprovisioned(SerialNumber::new(SERIAL)?, 0)?;
    anyhow::ensure!(world.settle(), "the first provisioning never ends");
    if let Some(violation) = world.env.watch.violation() {
        anyhow::bail!("the first provisioning breaks {}: {}", violation.invariant, violation.what);
    }
    let node = world.nodes.pop().context("there is no device")?;
    let device = node.device.context("the device does not run")?;
    anyhow::ensure!(device.is_settled(), "the first provisioning ends in {}", device.doing());
    let due = device.deadline(&world.env).context("nothing is due")?;
    let live = node.home.live();
    world.env.cloud.drop_session(world.env.now, &live);
    world.env.cloud.take_ended();
    world.env.controller_round();
    node.home.disk.settle();
    Ok(Start { cloud: world.env.cloud, disk: node.home.disk, made: node.home.keys.made(), now: due - EARLY })
}
