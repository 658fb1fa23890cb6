//! The operations of STS: who the caller is.
//!
//! Source: botocore 1.44.5, sts/2011-06-15. AssumeRole is not here: the only key is the account owner's.

use serde::Deserialize;
use serde_json::json;

use super::{Context, Refusal, Reply, Route, action};

/// STS's table of operations.
pub(super) fn routes() -> Vec<Route> {
    vec![action("GetCallerIdentity", get_caller_identity)]
}

#[derive(Deserialize)]
struct NoInput {}

async fn get_caller_identity(context: Context, _: NoInput) -> Result<Reply, Refusal> {
    let caller = &context.caller;
    Ok(Reply::json(&json!({"UserId": caller.principal_id, "Account": caller.account, "Arn": caller.arn})))
}
