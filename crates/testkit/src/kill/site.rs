//! Where devices are made, and one lane's share of each kind of work.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::eye::Aim;
use super::lane::{Lane, Ran};
use super::point::Point;
use super::twice::SecondKills;
use super::work::Work;
use crate::bench::Bench;
use crate::trace::TraceError;

/// A bench, the binary, and a number for each device.
pub(super) struct Site {
    bench: Arc<Bench>,
    binary: PathBuf,
    devices: AtomicU32,
}

impl Site {
    pub(super) fn new(bench: Bench, binary: &Path) -> Self {
        Self { bench: Arc::new(bench), binary: binary.to_owned(), devices: AtomicU32::new(0) }
    }

    /// A provisioned device at rest.
    pub(super) async fn lane(&self) -> Result<Lane, TraceError> {
        Lane::open(Arc::clone(&self.bench), &self.binary, &self.serial()).await
    }

    /// What the first start of a device passes that nothing happens to.
    pub(super) async fn birth(&self) -> Result<Vec<Point>, TraceError> {
        let (lane, ran) = self.born(Aim::Nothing).await?;
        lane.close().await;
        Ok(ran.unwrap_or_else(|lost| panic!("an undisturbed first start: {}", lost.why)).passed)
    }

    pub(super) async fn stop(self) {
        if let Some(bench) = Arc::into_inner(self.bench) {
            bench.core.shutdown().await;
        }
    }

    async fn born(&self, aim: Aim) -> Result<(Lane, Ran), TraceError> {
        Lane::born(Arc::clone(&self.bench), &self.binary, &self.serial(), aim).await
    }

    fn serial(&self) -> String {
        format!("killed-{}", self.devices.fetch_add(1, Ordering::Relaxed))
    }
}

/// Rotations of one device. One that did not come back is left as it is, and another takes its place.
pub(super) async fn rotations(site: Arc<Site>, work: Arc<Mutex<Work>>) -> Result<(), TraceError> {
    let mut lane = site.lane().await?;
    loop {
        let next = locked(&work).next();
        let Some(aim) = next else { break };
        let ran = lane.run(aim.clone()).await;
        if ran.is_err() {
            lane = site.lane().await?;
        }
        locked(&work).report(&aim, ran);
    }
    lane.close().await;
    Ok(())
}

/// First starts, each of a new device.
pub(super) async fn births(site: Arc<Site>, work: Arc<Mutex<Work>>) -> Result<(), TraceError> {
    loop {
        let next = locked(&work).next();
        let Some(aim) = next else { return Ok(()) };
        let (lane, ran) = site.born(aim.clone()).await?;
        if ran.is_ok() {
            lane.close().await;
        }
        locked(&work).report(&aim, ran);
    }
}

/// Kills of one device that is coming back from a kill.
pub(super) async fn second_kills(site: Arc<Site>, work: Arc<Mutex<SecondKills>>) -> Result<(), TraceError> {
    let mut lane = site.lane().await?;
    loop {
        let next = locked(&work).next();
        let Some(mut pair) = next else { break };
        while let Some(count) = pair.next() {
            let ran = lane.run_twice(&pair.first, count).await;
            if ran.as_ref().is_some_and(Result::is_err) {
                lane = site.lane().await?;
            }
            locked(&work).report(&mut pair, ran);
        }
    }
    lane.close().await;
    Ok(())
}

fn locked<T>(work: &Mutex<T>) -> MutexGuard<'_, T> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}
