//! How fast the account may be asked: a share of what it says of itself, or of AWS's defaults where it does not.

use fleetkey_aws::Aws;
use fleetkey_operator::inventory::Budget;

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

    /// Asks Service Quotas. Where it does not answer, what was known goes on; that is said once.
    pub(super) async fn learn(&mut self, aws: &Aws) {
        match aws.quotas().await {
            Ok(quotas) => {
                self.said = false;
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
