//! Group, policies and templates: look, then make or change.

use fleetkey_model::name::{GroupName, PolicyName};
use serde_json::Value;

use super::retry::{Retry, failed};
use super::{Outcome, Settings, SetupError, Step};
use crate::control_plane::{ApiError, ControlPlane, Done, TemplateSpec};
use crate::documents::{DocumentError, Fleet};

pub(super) async fn group<C: ControlPlane>(
    control: &C,
    retry: Retry,
    name: &GroupName,
) -> Result<Step, SetupError> {
    let outcome = match retry.call(|| control.describe_thing_group(name)).await {
        Ok(()) => Ok(Outcome::Kept),
        Err(ApiError::NotFound(_)) => created(retry.call(|| control.create_thing_group(name)).await),
        Err(error) => Err(error),
    };
    step(format!("thing group {name}"), outcome)
}

pub(super) async fn policy<C: ControlPlane>(
    control: &C,
    retry: Retry,
    name: &PolicyName,
    document: &str,
) -> Result<Step, SetupError> {
    let outcome = match retry.call(|| control.policy(name)).await {
        Ok(found) if same_json(&found, document) => Ok(Outcome::Kept),
        Ok(_) => retry.call(|| control.replace_policy(name, document)).await.map(|()| Outcome::Changed),
        Err(ApiError::NotFound(_)) => created(retry.call(|| control.create_policy(name, document)).await),
        Err(error) => Err(error),
    };
    step(format!("policy {name}"), outcome)
}

/// The policies, by name.
pub(super) fn policies(fleet: &Fleet) -> Result<[(&PolicyName, String); 4], DocumentError> {
    let names = &fleet.names;
    Ok([
        (&names.device_policy, fleet.device_policy()?),
        (&names.claim_policy, fleet.claim_policy()?),
        (&names.observer_policy, fleet.observer_policy()?),
        (&names.controller_policy, fleet.controller_policy()?),
    ])
}

pub(super) async fn template<C: ControlPlane>(
    control: &C,
    retry: Retry,
    wanted: &TemplateSpec,
) -> Result<Step, SetupError> {
    let outcome = match retry.call(|| control.template(&wanted.name)).await {
        Ok(found) if same_template(&found, wanted) => Ok(Outcome::Kept),
        Ok(_) => retry.call(|| control.replace_template(wanted)).await.map(|()| Outcome::Changed),
        Err(ApiError::NotFound(_)) => created(retry.call(|| control.create_template(wanted)).await),
        Err(error) => Err(error),
    };
    step(format!("provisioning template {}", wanted.name), outcome)
}

/// The three templates; recovery is open to whom its hook names, or closed.
pub(super) fn templates(settings: &Settings) -> [TemplateSpec; 3] {
    let fleet = &settings.fleet;
    let names = &fleet.names;
    let spec = |name: &fleetkey_model::name::TemplateName, body, enabled, hook| TemplateSpec {
        name: name.clone(),
        body,
        enabled,
        hook,
    };
    let recovery = settings.recovery_hook.as_ref();
    let (open, recovers) = (recovery.is_some(), recovery.or(settings.claim_hook.as_ref()).cloned());
    [
        spec(&names.claim_template, fleet.claim_template(), true, settings.claim_hook.clone()),
        spec(&names.rotation_template, fleet.rotation_template(), true, settings.rotation_hook.clone()),
        spec(&names.recovery_template, fleet.recovery_template(), open, recovers),
    ]
}

/// Somebody else may have made it since we looked, for example ourselves before an answer was lost.
fn created(answer: Done) -> Result<Outcome, ApiError> {
    match answer {
        Ok(()) | Err(ApiError::AlreadyExists(_)) => Ok(Outcome::Created),
        Err(error) => Err(error),
    }
}

fn step(resource: String, outcome: Result<Outcome, ApiError>) -> Result<Step, SetupError> {
    match outcome {
        Ok(outcome) => Ok(Step { resource, outcome }),
        Err(error) => Err(failed(&resource)(error)),
    }
}

pub(super) fn same_template(found: &TemplateSpec, wanted: &TemplateSpec) -> bool {
    found.enabled == wanted.enabled && found.hook == wanted.hook && same_json(&found.body, &wanted.body)
}

/// Whether two documents say the same, however they are written.
pub(super) fn same_json(left: &str, right: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    left == right || parse(left).is_some_and(|left| Some(left) == parse(right))
}
