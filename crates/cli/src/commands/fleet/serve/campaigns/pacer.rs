//! How fast devices are told, all campaigns together: by what the account says that it provisions, asked every so often.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_aws::Aws;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::campaign::{KnownPace, Pace};
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::inventory::Quotas;
use tokio::task::JoinSet;

/// How often Service Quotas is asked while there are campaigns.
const ASK_EVERY: Duration = Duration::from_secs(3600);

/// The pace, and what it is learned from.
pub(super) struct Pacer {
    pub(super) pace: Pace,
    aws: Arc<Aws>,
    /// The operator's.
    directory: PathBuf,
    asked: Option<Timestamp>,
    asking: JoinSet<Result<Quotas, ApiError>>,
}

impl Pacer {
    /// Until the account has told, by what it has told the walk over it, or by AWS's defaults.
    pub(super) fn new(aws: Arc<Aws>, directory: PathBuf) -> Self {
        Self { pace: Pace::default(), aws, directory, asked: None, asking: JoinSet::new() }
    }

    /// Takes an answer in, and asks if it is time to. Nobody waits for it.
    pub(super) fn keep(&mut self, now: Timestamp) {
        while let Some(Ok(answer)) = self.asking.try_join_next() {
            match answer {
                Ok(quotas) => self.pace.learn(quotas.provisionings()),
                // The walk over the account says so where people look.
                Err(error) => tracing::debug!(%error, "campaigns go by the pace that they had"),
            }
        }
        if self.asked.is_none()
            && let Some(said) = KnownPace::read(&self.directory)
        {
            self.pace.learn(said.provisionings);
        }
        if self.asking.is_empty() && self.asked.is_none_or(|at| now.since(at) >= ASK_EVERY) {
            self.asked = Some(now);
            let aws = self.aws.clone();
            self.asking.spawn(async move { aws.quotas().await });
        }
    }
}
