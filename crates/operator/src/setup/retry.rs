//! Repeating a call that was throttled or not answered, with growing pauses.

use std::future::Future;
use std::time::Duration;

use super::SetupError;
use crate::control_plane::ApiError;

/// How patiently to repeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    attempts: u32,
    first_pause: Duration,
}

impl Default for Retry {
    /// Eight attempts over half a minute: AWS's control plane takes ten calls a second.
    fn default() -> Self {
        Self { attempts: 8, first_pause: Duration::from_millis(250) }
    }
}

impl Retry {
    /// Calls until the account answers with something other than "later".
    pub(super) async fn call<T, F>(self, call: impl Fn() -> F + Send) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>> + Send,
        T: Send,
    {
        let mut pause = self.first_pause;
        let mut left = self.attempts;
        loop {
            left = left.saturating_sub(1);
            match call().await {
                Err(error) if error.retryable() && left > 0 => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            pause = pause.saturating_mul(2);
        }
    }
}

/// A failed call as setup's error, with the resource it was about.
pub(super) fn failed(what: &str) -> impl FnOnce(ApiError) -> SetupError {
    let what = what.to_owned();
    move |error| SetupError::Call { what, error }
}
