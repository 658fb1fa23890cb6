//! Going through all points, or every n-th of each state, on several devices side by side.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleetkey_iotcore::clock::SystemClock;
use fleetkey_iotcore::config::Config;
use fleetkey_iotcore::limits::Limits;
use fleetkey_operator::controller::{self, Controller};
use tokio::task::JoinSet;

use super::eye::Seen;
use super::point::Point;
use super::site::{Site, births, rotations, second_kills};
use super::tally::Tally;
use super::twice::SecondKills;
use super::work::{Blow, Work, some_of_each_state};
use crate::bench::Bench;
use crate::trace::{Errno, TraceError};

/// How old a certificate is that no rotation finished, before the sweep takes it: longer than a device that was killed
/// in a rotation takes to come back and finish it.
const LEFTOVER: Duration = Duration::from_secs(5);

/// How much to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    All,
    /// Of each state the first point and every n-th after it.
    Every(usize),
}

/// A bench with a controller, and the binary to strike.
pub struct Enumeration {
    controller: Controller,
    lanes: u32,
    site: Arc<Site>,
}

impl Enumeration {
    /// A bench without limits on rates, a controller with spans of milliseconds; so many devices at a time.
    pub async fn start(binary: &Path, lanes: u32) -> Self {
        let unthrottled = |config: &mut Config| config.limits = Limits::unthrottled();
        let bench = Bench::start_with(Arc::new(SystemClock), unthrottled).await;
        let moment = Duration::from_millis(50);
        let patience = controller::Config {
            soak: moment,
            grace: moment,
            delete_after: moment,
            look_again: moment,
            leftover_after: LEFTOVER,
            ..controller::Config::default()
        };
        let controller = bench.controller_with(patience).await;
        Self { controller, lanes, site: Arc::new(Site::new(bench, binary)) }
    }

    /// Ends controller and broker.
    pub async fn stop(self) {
        self.controller.stop().await;
        if let Some(site) = Arc::into_inner(self.site) {
            site.stop().await;
        }
    }

    /// One rotation that nothing happens to.
    ///
    /// # Errors
    /// When ptrace is not permitted.
    pub async fn trace(&self) -> Result<Vec<Seen>, TraceError> {
        let mut lane = self.site.lane().await?;
        let seen =
            lane.undisturbed().await.unwrap_or_else(|error| panic!("an undisturbed rotation: {error}"));
        lane.close().await;
        Ok(seen)
    }

    /// Kills at each point.
    ///
    /// # Errors
    /// When ptrace is not permitted.
    pub async fn kills(&self, extent: Extent) -> Result<Tally, TraceError> {
        let points: Vec<Point> = self.trace().await?.into_iter().map(|seen| seen.point).collect();
        let work = match extent {
            Extent::All => Work::kill_everywhere(&points),
            Extent::Every(nth) => Work::at(Blow::Kill, &points, &some_of_each_state(&points, nth)),
        };
        self.carry_out(work).await
    }

    /// Lets each call fail that can meet a full or failing disk, one a rotation.
    ///
    /// # Errors
    /// When ptrace is not permitted.
    pub async fn faults(&self, errno: Errno, extent: Extent) -> Result<Tally, TraceError> {
        let mut seen = self.trace().await?;
        seen.retain(|seen| seen.call.operation.meets_the_disk() && seen.call.target.path().is_some());
        let places: Vec<Point> = seen.into_iter().map(|seen| seen.place).collect();
        let wanted = match extent {
            Extent::All => places.clone(),
            Extent::Every(nth) => some_of_each_state(&places, nth),
        };
        self.carry_out(Work::at(Blow::Fail(errno), &places, &wanted)).await
    }

    /// Kills the first start of a new device, which provisions it by its claim: a new device for each point.
    ///
    /// # Errors
    /// When ptrace is not permitted.
    pub async fn births(&self, extent: Extent) -> Result<Tally, TraceError> {
        let points = self.site.birth().await?;
        let work = match extent {
            Extent::All => Work::kill_everywhere_from_start(&points),
            Extent::Every(nth) => Work::at(Blow::Kill, &points, &some_of_each_state(&points, nth)),
        };
        let site = Arc::clone(&self.site);
        let work = side_by_side(self.lanes, work, |work| births(Arc::clone(&site), work)).await?;
        Ok(work.finish())
    }

    /// Kills twice: at some points of a rotation, of each state the first and every n-th after it, and from each of
    /// them after every n-th call of the process that comes back. The table is by the state of the first kill.
    ///
    /// # Errors
    /// When ptrace is not permitted.
    pub async fn kills_on_the_way_back(&self, nth: usize) -> Result<Tally, TraceError> {
        let points: Vec<Point> = self.trace().await?.into_iter().map(|seen| seen.point).collect();
        let work = SecondKills::after(&points, nth);
        let site = Arc::clone(&self.site);
        let work = side_by_side(self.lanes, work, |work| second_kills(Arc::clone(&site), work)).await?;
        Ok(work.tally)
    }

    async fn carry_out(&self, work: Work) -> Result<Tally, TraceError> {
        let site = Arc::clone(&self.site);
        let work = side_by_side(self.lanes, work, |work| rotations(Arc::clone(&site), work)).await?;
        Ok(work.finish())
    }
}

/// Lets so many lanes work at the same work until each finds nothing more to begin.
async fn side_by_side<W, F>(lanes: u32, work: W, lane: impl Fn(Arc<Mutex<W>>) -> F) -> Result<W, TraceError>
where
    W: Send + 'static,
    F: Future<Output = Result<(), TraceError>> + Send + 'static,
{
    let work = Arc::new(Mutex::new(work));
    let mut running = JoinSet::new();
    for _ in 0..lanes {
        running.spawn(lane(Arc::clone(&work)));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap()?;
    }
    let work = Arc::into_inner(work).expect("the lanes are done");
    Ok(work.into_inner().unwrap_or_else(PoisonError::into_inner))
}
