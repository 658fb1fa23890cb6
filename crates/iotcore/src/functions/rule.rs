//! A function as the action of a topic rule, and roles as the rules ask for them.

use bytes::Bytes;

use super::Functions;
use crate::iam::Iam;
use crate::seams::{FunctionInvoker, InvokeFailure, InvokeFuture, Roles, RuleCall};

/// The principal that invokes for rules.
const SERVICE: &str = "iot.amazonaws.com";

impl FunctionInvoker for Functions {
    fn invoke(&self, call: RuleCall) -> InvokeFuture {
        let this = self.clone();
        Box::pin(async move { this.act(call).await.map_err(InvokeFailure) })
    }
}

impl Roles for Iam {
    fn role_can_be_assumed_by(&self, role_arn: &str, service: &str) -> bool {
        Self::role_can_be_assumed_by(self, role_arn, service)
    }
}

impl Functions {
    async fn act(&self, call: RuleCall) -> Result<Bytes, String> {
        let RuleCall { function_arn, rule_arn, payload } = call;
        let ready = self.ready(&function_arn).await.map_err(|error| error.to_string())?;
        let account = &self.0.scope.account;
        if !ready.function.permissions.iter().any(|entry| entry.allows(SERVICE, &rule_arn, account)) {
            return Err(format!(
                "{SERVICE} may not invoke {function_arn} for {rule_arn}: AddPermission is missing"
            ));
        }
        let limit = ready.limit();
        let ended = self.run(ready, payload, limit).await.map_err(|error| error.to_string())?;
        match ended.error {
            None => Ok(ended.payload),
            Some(_) => Err(super::hook::told(&ended.payload)),
        }
    }
}
