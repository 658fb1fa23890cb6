//! Closes recovery windows when their time is over, and ends what a command that was killed has begun: the windows are
//! on disk, so a restart forgets none.

use std::path::Path;
use std::time::Duration;

use fleetkey_operator::recovery::Windows;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::now;
use super::board::Office;

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait after the account has refused.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// The task.
pub(super) struct WindowKeeper {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl WindowKeeper {
    /// Begins.
    pub(super) fn start(office: Office) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(office, stop.clone()));
        Self { stop, task }
    }

    /// Ends it; what it has begun the next start goes on with.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let _ended = self.task.await;
    }
}

async fn run(office: Office, stop: CancellationToken) {
    let mut pause = LOOK_EVERY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match keep(&office, &stop).await {
            Ok(()) => LOOK_EVERY,
            Err(error) => {
                tracing::error!(
                    error,
                    "the recovery windows cannot be kept; fleetkey recovery close --print-iam prints what that needs"
                );
                AFTER_REFUSAL
            }
        };
    }
}

async fn keep(office: &Office, stop: &CancellationToken) -> Result<(), String> {
    let directory = office.directory.clone();
    let due = tokio::task::spawn_blocking(move || is_due(&directory)).await;
    if !due.unwrap_or(Ok(false))? {
        return Ok(());
    }
    // In the line of those who wait for the directory: whoever takes it again and again would never be found away.
    for changed in office.keep_windows(stop).await.map_err(|refused| refused.to_string())? {
        tracing::info!(changed, "the recovery windows are kept");
    }
    Ok(())
}

/// Whether there is something to do.
fn is_due(directory: &Path) -> Result<bool, String> {
    let windows = Windows::read(directory).map_err(|error| error.to_string())?;
    Ok(windows.is_due(now()))
}
