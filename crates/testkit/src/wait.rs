//! Waiting on a condition, with a bound that is reached only when something is wrong.

use std::time::Duration;

/// Long enough for a busy machine with two cores.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Gives what the future gives, or fails the test naming what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
