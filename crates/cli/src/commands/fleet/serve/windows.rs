//! Closes recovery windows when their time is over, and ends what a command that was killed has begun: the windows are
//! on disk, so a restart forgets none.

use std::path::Path;
use std::time::Duration;

use fleetkey_operator::recovery::Windows;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::now;
use super::board::{Kept, Office, is_denied};

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
        pause = keep(&office, &stop).await;
    }
}

/// Looks once; how long to wait after it.
async fn keep(office: &Office, stop: &CancellationToken) -> Duration {
    match kept(office, stop).await {
        Ok(Kept::Changed(all)) => {
            for changed in all {
                tracing::info!(changed, "the recovery windows are kept");
            }
            LOOK_EVERY
        }
        // It has been waited for long enough; nothing is wrong with the account.
        Ok(Kept::Later(why)) => {
            tracing::warn!(why, "the recovery windows are kept later");
            LOOK_EVERY
        }
        Err(error) => {
            tracing::error!(error, "{}", words(&error));
            AFTER_REFUSAL
        }
    }
}

async fn kept(office: &Office, stop: &CancellationToken) -> Result<Kept, String> {
    let directory = office.directory.clone();
    let due = tokio::task::spawn_blocking(move || is_due(&directory)).await;
    if !due.unwrap_or(Ok(false))? {
        return Ok(Kept::Changed(Vec::new()));
    }
    // In the line of those who wait for the directory: whoever takes it again and again would never be found away.
    office.keep_windows(stop).await.map_err(|refused| refused.to_string())
}

/// What is told beside an error: the way to a permission only where one is missing.
fn words(error: &str) -> &'static str {
    match is_denied(error) {
        true => {
            "the recovery windows cannot be kept; fleetkey recovery close --print-iam prints what that needs"
        }
        false => "the recovery windows cannot be kept",
    }
}

/// Whether there is something to do.
fn is_due(directory: &Path) -> Result<bool, String> {
    let windows = Windows::read(directory).map_err(|error| error.to_string())?;
    Ok(windows.is_due(now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_permission_is_told_only_where_one_is_missing() {
        let denied = "User: x is not authorized to perform: iot:UpdateProvisioningTemplate";
        assert!(words(denied).contains("--print-iam"));
        assert!(!words("cannot write recovery.json: No space left on device").contains("--print-iam"));
    }
}
