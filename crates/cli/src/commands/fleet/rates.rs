//! How fast the account may be asked: a share of what it says of itself, or of AWS's defaults where it does not.

use std::path::Path;

use fleetkey_aws::Aws;
use fleetkey_operator::campaign::KnownPace;
use fleetkey_operator::inventory::Budget;

use super::now;

/// A budget that is learned anew before each walk over the account.
#[derive(Debug)]
pub(super) struct Rates {
    /// What may be asked.
    pub(super) budget: Budget,
    /// It was said that the account does not tell.
    said: bool,
}

impl Rates {
    /// A share of AWS's defaults.
    pub(super) fn of(share: f64) -> Self {
        Self { budget: Budget::of(share), said: false }
    }

    /// Asks Service Quotas. Where it does not answer, what was known goes on; that is said once. What it comes to for campaigns
    /// is noted in the operator's directory.
    pub(super) async fn learn(&mut self, aws: &Aws, directory: &Path) {
        match aws.quotas().await {
            Ok(quotas) => {
                self.said = false;
                note(KnownPace { at: now(), provisionings: quotas.provisionings() }, directory).await;
                self.budget.learn(quotas);
            }
            Err(error) if !std::mem::replace(&mut self.said, true) => {
                tracing::warn!(
                    %error,
                    "Service Quotas does not tell how fast the account may be asked, so AWS's default rates count; \
                     --print-iam has what asking takes"
                );
            }
            Err(_) => {}
        }
    }
}

/// Off the runtime's threads: it waits for the disk. Nothing goes by the note, so without it all goes on.
async fn note(pace: KnownPace, directory: &Path) {
    let directory = directory.to_owned();
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || pace.keep(&directory)).await {
        tracing::warn!(%error, "how fast the account lets campaigns be is not noted");
    }
}
