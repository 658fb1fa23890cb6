//! A rotation storm: many devices due in one window, before a cloud that takes so many requests a second of all.
//!
//! Each device has a world of its own; they share the throttle, and whoever is furthest behind in time goes next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;

use crate::device::{Device, Ship};
use crate::world::{World, unprovisioned};

/// A storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// How many devices.
    pub devices: u64,
    /// The window over which their rotations are spread.
    pub window: Duration,
    /// Requests a second that the cloud takes of all devices together.
    pub rate: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Devices that came to rest with a new identity.
    pub rotated: u64,
    /// Requests to Fleet Provisioning, throttled ones included.
    pub requests: u64,
    /// Those that were throttled.
    pub throttled: u64,
    /// From the first request to the last.
    pub took: Duration,
}

/// Requests of one second: a bucket of thousandths, as AWS's quotas are kept.
#[derive(Debug, Default)]
struct Bucket {
    used: u64,
    at: Timestamp,
    first: Option<Timestamp>,
    requests: u64,
    throttled: u64,
}

/// The quota that all devices share. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Quota {
    rate: u64,
    bucket: Arc<Mutex<Bucket>>,
}

impl Quota {
    fn new(rate: u64) -> Self {
        Self { rate, bucket: Arc::default() }
    }

    /// Counts a request at `now`; whether it is within the rate.
    pub fn admits(&self, now: Timestamp) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = u64::try_from(now.since(bucket.at).as_millis()).unwrap_or(u64::MAX);
        bucket.used = bucket.used.saturating_sub(elapsed.saturating_mul(self.rate));
        bucket.at = bucket.at.max(now);
        bucket.first.get_or_insert(now);
        bucket.requests += 1;
        let admitted = bucket.used + 1000 <= self.rate * 1000;
        match admitted {
            true => bucket.used += 1000,
            false => bucket.throttled += 1,
        }
        admitted
    }
}

impl Storm {
    /// Lets it come and go.
    ///
    /// # Errors
    /// When a device cannot even be provisioned, or something breaks.
    pub fn run(self) -> Result<Figures> {
        let quota = Quota::new(self.rate);
        let mut worlds =
            (1..=self.devices).map(|number| self.provisioned(number)).collect::<Result<Vec<_>>>()?;
        let before: Vec<_> = worlds.iter().map(current).collect();
        let due = worlds.iter().filter_map(deadline).min().context("nothing is due")?;
        for world in &mut worlds {
            world.env.now = due;
            world.env.quota = Some(quota.clone());
        }
        let mut busy: Vec<usize> = (0..worlds.len()).collect();
        while let Some(index) =
            busy.iter().copied().min_by_key(|index| worlds.get(*index).map(|world| world.env.now))
        {
            let Some(world) = worlds.get_mut(index) else { break };
            if !world.advance() {
                busy.retain(|other| *other != index);
            }
            if let Some(violation) = world.env.watch.violation() {
                anyhow::bail!("{}: {}", violation.invariant, violation.what);
            }
        }
        let changed = |(world, before): (&World<Ship>, &_)| settled(world) && current(world) != *before;
        let rotated = worlds.iter().zip(&before).filter(|pair| changed(*pair)).count();
        let bucket = quota.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let took = bucket.first.map_or(Duration::ZERO, |first| bucket.at.since(first));
        Ok(Figures { rotated: rotated as u64, requests: bucket.requests, throttled: bucket.throttled, took })
    }

    /// A device that was provisioned in peace.
    fn provisioned(self, number: u64) -> Result<World<Ship>> {
        let serial = SerialNumber::new(format!("storm-{number}"))?;
        let mut world = unprovisioned(serial, number << 24)?;
        world.env.schedule.seed = number;
        world.env.window = Some(self.window);
        world.run_faulty();
        anyhow::ensure!(settled(&world), "device {number} is not provisioned");
        Ok(world)
    }
}

fn settled(world: &World<Ship>) -> bool {
    world.nodes.first().and_then(|node| node.device.as_ref()).is_some_and(Ship::is_settled)
}

fn current(world: &World<Ship>) -> Option<fleetkey_model::certificate::CertificateId> {
    world.nodes.first()?.device.as_ref()?.certificate(crate::schedule::Whose::Current)
}

fn deadline(world: &World<Ship>) -> Option<Timestamp> {
    world.nodes.first()?.device.as_ref()?.deadline(&world.env)
}
