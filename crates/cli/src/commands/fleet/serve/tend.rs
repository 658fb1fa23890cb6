//! Keeps the inventory: walks the account again and again within its budget, and keeps what is known on disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_aws::Aws;
use fleetkey_operator::controller::Reception;
use fleetkey_operator::inventory::{Course, Crawl, Ledgered, Snapshot, Watch, crawl};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::now;
use super::super::rates::Rates;
use super::board::{Hindrances, Noted};

/// How often what is known is kept.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// How long to wait after the account has refused a list.
const AFTER_REFUSAL: Duration = Duration::from_secs(300);

/// The two tasks.
pub(super) struct Tended {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Tended {
    /// Begins; a walk that an earlier process has not ended goes on, and what the account refuses is noted.
    pub(super) fn start(
        asked: (Arc<Aws>, Arc<Hindrances>),
        watch: Watch,
        (snapshot, directory): (Snapshot, PathBuf),
        reception: Reception,
        (every, share): (Duration, f64),
    ) -> Self {
        let (stop, walked) = (CancellationToken::new(), Arc::new(Notify::new()));
        let walking = walk(asked, watch.clone(), (walked.clone(), directory), every, share);
        let walking = stop.clone().run_until_cancelled_owned(walking);
        let tasks = vec![
            tokio::spawn(async { _ = walking.await }),
            tokio::spawn(keep((watch, snapshot, reception), walked, stop.clone())),
        ];
        Self { stop, tasks }
    }

    /// Ends both, and keeps what is known.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            let _ended = task.await;
        }
    }
}

async fn walk(
    (aws, hindrances): (Arc<Aws>, Arc<Hindrances>),
    mut watch: Watch,
    (walked, directory): (Arc<Notify>, PathBuf),
    every: Duration,
    share: f64,
) {
    let noted = Noted { census: &*aws, hindrances: &hindrances };
    let (mut rates, course) = (Rates::of(share), Course { deep: true, anew: every });
    loop {
        // One that is done was walked by an earlier process: nothing is asked now.
        if !watch.look(|_, crawl| crawl.is_done()) {
            rates.learn(&aws, &directory).await;
        }
        let pause = match crawl(&noted, &mut watch, &mut rates.budget, &now, course, |_| {}).await {
            Ok(()) => {
                hindrances.walked();
                every
            }
            Err(error) => {
                tracing::error!(%error, "the inventory cannot be taken");
                AFTER_REFUSAL
            }
        };
        walked.notify_one();
        tokio::time::sleep(pause).await;
        watch.with(|_, crawl| {
            if crawl.is_done() {
                *crawl = Crawl::default();
            }
        });
    }
}

/// The only one who writes: after each walk, every so often, and at the end.
async fn keep(
    (watch, snapshot, reception): (Watch, Snapshot, Reception),
    walked: Arc<Notify>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(KEEP_EVERY) => {}
            () = walked.notified() => {}
            () = stop.cancelled() => {}
        }
        // What the broker could not keep for a controller that was away is an event of its own.
        if reception.hears() {
            watch.listening(now());
        }
        write(watch.clone(), snapshot.clone()).await;
    }
}

/// Off the runtime's threads: it waits for the disk.
async fn write(watch: Watch, snapshot: Snapshot) {
    let written = tokio::task::spawn_blocking(move || snapshot.write(&watch)).await;
    if let Ok(Err(error)) = written {
        tracing::error!(%error, "the inventory cannot be kept; it is in memory");
    }
}
