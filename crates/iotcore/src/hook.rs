//! Pre-provisioning hooks: who may provision what.
//!
//! All are asked on every RegisterThing. A template's [`BuiltinHook`] is pure and decided on the very registry
//! that the plan is made on, so nothing can change between the decision and the deed; where it names a function,
//! the function ([`FunctionHooks`]) is asked before that, as AWS asks its Lambda. A [`PreProvisioningHook`] of
//! whoever embeds the server is asked first of all. Both may override parameters, and have five seconds.
//! Source: Developer Guide, pre-provisioning-hook.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use serde::{Deserialize, Serialize};

pub use crate::registry::{BuiltinHook, SerialPattern};

pub(crate) use builtin::{allows, matches};

mod builtin;

/// How long a hook may take before the request fails.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// What a hook is told, as AWS spells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookEvent {
    /// The certificate of the asking connection: a claim's, or a device's own when it rotates.
    pub claim_certificate_id: CertificateId,
    /// The certificate to be registered.
    pub certificate_id: CertificateId,
    /// The same, PEM.
    pub certificate_pem: String,
    /// The template.
    pub template_arn: String,
    /// The client id of the asking connection.
    pub client_id: ClientId,
    /// What the device sent, without defaults.
    pub parameters: BTreeMap<String, String>,
}

/// What a hook decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookDecision {
    /// Whether the device may go on; absent means no.
    #[serde(default)]
    pub allow_provisioning: bool,
    /// Parameters that take precedence over what the device sent.
    #[serde(default)]
    pub parameter_overrides: BTreeMap<String, String>,
}

/// A hook that failed; the device is told no more than that access is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pre-provisioning hook failed: {0}")]
pub struct HookFailure(pub String);

/// The answer of a hook, some time.
pub type HookFuture = Pin<Box<dyn Future<Output = Result<HookDecision, HookFailure>> + Send>>;

/// A hook outside the registry.
pub trait PreProvisioningHook: Send + Sync {
    /// Decides on one RegisterThing. Dropped after [`TIMEOUT`]; that, too, denies access.
    fn call(&self, event: HookEvent) -> HookFuture;
}

/// The functions that templates name as their hook.
pub trait FunctionHooks: Send + Sync {
    /// Asks the function with this ARN; fails when there is none, when `event`'s template may not invoke it, or when it
    /// takes longer than [`TIMEOUT`] from when it begins to run. Dropped some time after that; that, too, denies
    /// access.
    fn call(&self, arn: &str, event: HookEvent) -> HookFuture;
}
