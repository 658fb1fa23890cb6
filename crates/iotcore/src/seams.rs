//! What the broker asks of services beside it: functions to invoke, roles to assume.
//!
//! The local Lambda and IAM implement these, unless whoever embeds the server brings others.

use std::pin::Pin;

use bytes::Bytes;

/// A function that could not be invoked or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvokeFailure(pub String);

/// The answer of a function, some time.
pub type InvokeFuture = Pin<Box<dyn Future<Output = Result<Bytes, InvokeFailure>> + Send>>;

/// A call that a topic rule makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCall {
    /// The function.
    pub function_arn: String,
    /// The rule: who a permission's `SourceArn` must name.
    pub rule_arn: String,
    /// JSON, or what the rule passes on as it came.
    pub payload: Bytes,
}

/// Runs functions by their ARN.
pub trait FunctionInvoker: Send + Sync {
    /// Invokes a function on behalf of a topic rule. The answer is what the function returned; a function that
    /// raised is a failure. Bounds its own time.
    fn invoke(&self, call: RuleCall) -> InvokeFuture;
}

/// Knows who may assume which role.
pub trait Roles: Send + Sync {
    /// Whether the trust policy of `role_arn` lets `service` (`iot.amazonaws.com`) assume it; no for a role that
    /// does not exist.
    fn role_can_be_assumed_by(&self, role_arn: &str, service: &str) -> bool;
}

/// No roles are kept: every role may be assumed.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyRole;

impl Roles for AnyRole {
    fn role_can_be_assumed_by(&self, _role_arn: &str, _service: &str) -> bool {
        true
    }
}
