//! A function as the action of a topic rule, and roles as the rules ask for them.

use std::time::Duration;

use bytes::Bytes;

use super::Functions;
use super::permission::Permission;
use crate::iam::Iam;
use crate::seams::{FunctionInvoker, InvokeFailure, InvokeFuture, Roles};

impl FunctionInvoker for Functions {
    fn invoke(&self, function_arn: String, payload: Bytes) -> InvokeFuture {
        let this = self.clone();
        Box::pin(async move { this.act(&function_arn, payload).await.map_err(InvokeFailure) })
    }
}

impl Roles for Iam {
    fn role_can_be_assumed_by(&self, role_arn: &str, service: &str) -> bool {
        Self::role_can_be_assumed_by(self, role_arn, service)
    }
}

impl Functions {
    async fn act(&self, arn: &str, payload: Bytes) -> Result<Bytes, String> {
        let function = self.function(arn).map_err(|error| error.to_string())?;
        if !function.permissions.iter().any(|permission| for_some_rule(permission, &self.0.scope.account)) {
            return Err(format!("iot.amazonaws.com may not invoke {arn}: AddPermission is missing"));
        }
        let limit = Duration::from_secs(function.timeout.into());
        let ended = self.run(function, payload, limit).await.map_err(|error| error.to_string())?;
        match ended.error {
            None => Ok(ended.payload),
            Some(_) => Err(super::hook::told(&ended.payload)),
        }
    }
}

/// Which rule asks is not told here, so that a statement for one rule counts for all.
fn for_some_rule(permission: &Permission, account: &str) -> bool {
    let resource = permission.source_arn.as_deref().and_then(|arn| arn.splitn(6, ':').nth(5));
    let of_rules = resource.is_none_or(|resource| resource.starts_with("rule/") || resource.starts_with('*'));
    let any = Permission { source_arn: None, ..permission.clone() };
    of_rules && any.allows("iot.amazonaws.com", "", account)
}
