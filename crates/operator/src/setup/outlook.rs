//! What set-up would do, for an account that can be looked into without a call.

use std::collections::BTreeSet;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, PolicyName, TemplateName};

use super::{Outcome, Settings, SetupError, Step, credential, resources};
use crate::control_plane::TemplateSpec;

/// An account that can be looked into.
pub trait Present {
    /// Whether there is a group of this name.
    fn group(&self, name: &GroupName) -> bool;

    /// The document of a policy.
    fn policy(&self, name: &PolicyName) -> Option<String>;

    /// A template.
    fn template(&self, name: &TemplateName) -> Option<TemplateSpec>;

    /// The policies of a certificate that is registered.
    fn policies_of(&self, certificate: &CertificateId) -> Option<BTreeSet<PolicyName>>;
}

/// What [`super::setup`] would make, change and keep, in its order. Reads the credentials' files; nothing is done.
///
/// # Errors
/// When a document cannot be made or a credential's files cannot be read.
pub fn foresee(present: &impl Present, settings: &Settings) -> Result<Vec<Step>, SetupError> {
    let (fleet, names) = (&settings.fleet, &settings.fleet.names);
    let group = if present.group(&names.group) { Outcome::Kept } else { Outcome::Created };
    let mut steps = vec![step(format!("thing group {}", names.group), group)];
    for (name, document) in resources::policies(fleet)? {
        let same = present.policy(name).map(|found| resources::same_json(&found, &document));
        steps.push(step(format!("policy {name}"), outcome(same)));
    }
    for wanted in resources::templates(settings) {
        let found = present.template(&wanted.name);
        let same = found.map(|found| resources::same_template(&found, &wanted));
        steps.push(step(format!("provisioning template {}", wanted.name), outcome(same)));
    }
    for (role, policy) in [
        ("claim", &names.claim_policy),
        ("observer", &names.observer_policy),
        ("controller", &names.controller_policy),
    ] {
        let kept = credential::load(&settings.directory.join(role))?;
        let held =
            |id: &CertificateId| present.policies_of(id).is_some_and(|policies| policies.contains(policy));
        let same = kept.map(|credential| held(&credential.id));
        steps.push(step(format!("{role} certificate"), outcome(same)));
    }
    Ok(steps)
}

/// Of what is there, whether it is as wanted.
const fn outcome(same: Option<bool>) -> Outcome {
    match same {
        None => Outcome::Created,
        Some(false) => Outcome::Changed,
        Some(true) => Outcome::Kept,
    }
}

const fn step(resource: String, outcome: Outcome) -> Step {
    Step { resource, outcome }
}
