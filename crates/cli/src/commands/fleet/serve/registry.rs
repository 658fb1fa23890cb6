//! Whether the account publishes what becomes of things: turned on where that was asked for, said where it does not.
//!
//! It is a setting of the whole account, so nobody turns it on by starting a controller alone; and nothing rests on it: what
//! is not told is seen when the account is listed.

use std::sync::Arc;

use fleetkey_aws::Aws;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::controller::Reception;
use fleetkey_operator::plan::Patience;

/// The name of the setting in the journal.
const WHAT: &str = "registry events of things, in the whole account";

/// Looks once, and turns them on if `wanted`.
pub(super) async fn see_to(aws: Arc<Aws>, reception: Reception, wanted: bool) {
    let told = Patience::ASKING.call(|_| {}, || aws.publishes_registry_events()).await;
    match told {
        Ok(true) => tracing::debug!("the account publishes registry events"),
        Ok(false) if wanted => match turn_on(&aws, &reception).await {
            Ok(()) => tracing::info!("the account publishes registry events from now on"),
            Err(error) => tracing::error!(error, "the account's registry events cannot be turned on"),
        },
        Ok(false) => tracing::info!(
            "the account publishes no registry events: what is made or changed by others is seen when the account is listed; \
             --registry-events turns them on, for the whole account"
        ),
        Err(error) => tracing::warn!(
            %error,
            "it is not known whether the account publishes registry events; fleetkey serve --print-iam has what asking takes"
        ),
    }
}

/// Entered before and after, as every change of the account is.
async fn turn_on(aws: &Aws, reception: &Reception) -> Result<(), String> {
    let enter = |action, why: String| reception.enter(action, WHAT.to_owned(), why);
    enter("enable", "asked for by --registry-events".to_owned()).await?;
    let done: Result<(), ApiError> = Patience::ASKING.call(|_| {}, || aws.publish_registry_events()).await;
    match done {
        Ok(()) => enter("enabled", "the account has answered".to_owned()).await,
        Err(error) => Err(error.to_string()),
    }
}
