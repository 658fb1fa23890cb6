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

/// Runs functions by their ARN.
pub trait FunctionInvoker: Send + Sync {
    /// Invokes `function_arn` with a JSON payload, or a raw one, on behalf of a topic rule. The answer is what
    /// the function returned; a function that raised is a failure. Bounds its own time.
    fn invoke(&self, function_arn: String, payload: Bytes) -> InvokeFuture;
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
