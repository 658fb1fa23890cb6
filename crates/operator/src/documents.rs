//! The policies and provisioning templates of a fleet, as JSON.
//!
//! Pure functions of account, topic root and names. Every policy is parsed by the evaluator before it is given out,
//! so that what AWS would refuse (2048 characters, for one) fails here and says what to shorten.

use fleetkey_model::arn::Scope;
use fleetkey_model::topic::{FleetTopic, TopicRoot};
use fleetkey_policy::{ParseError, PolicyDocument};
use serde_json::Value;

pub use names::Names;

mod claim;
mod device;
mod iam;
mod names;
mod operators;
mod provisioning;
mod statement;
mod template;

/// The name of the thing attribute that holds the id of a thing's newest certificate. Under `AttributePayload: FAIL`
/// it is what makes the claim template refuse a thing that exists.
pub const CERTIFICATE_ATTRIBUTE: &str = "certificateId";
/// The name of the thing attribute that marks a certificate which came of a recovery.
pub const RECOVERED_ATTRIBUTE: &str = "recoveredCertificateId";

/// A fleet's documents: where it lives, under which topics, and what its resources are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The account and region.
    pub scope: Scope,
    /// The first levels of the business topics.
    pub root: TopicRoot,
    /// The names of the resources.
    pub names: Names,
}

/// A policy that AWS would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {policy} policy would be refused ({reason}); a shorter topic root or shorter template names help"
)]
pub struct DocumentError {
    /// Which policy: `device`, `claim`, `observer` or `controller`.
    pub policy: &'static str,
    /// What is wrong with it.
    pub reason: ParseError,
}

impl Fleet {
    /// What a device may do: its own business topics, its own control topics, and its own rotation.
    ///
    /// # Errors
    /// When root and names make the document longer than AWS takes.
    pub fn device_policy(&self) -> Result<String, DocumentError> {
        checked("device", &device::policy(self))
    }

    /// What a claim may do: provision by the claim template, under client ids that no device can have.
    ///
    /// # Errors
    /// As [`Self::device_policy`].
    pub fn claim_policy(&self) -> Result<String, DocumentError> {
        checked("claim", &claim::policy(self))
    }

    /// What an observer of the whole fleet may do: receive telemetry.
    ///
    /// # Errors
    /// As [`Self::device_policy`].
    pub fn observer_policy(&self) -> Result<String, DocumentError> {
        checked("observer", &operators::observer(self))
    }

    /// What the controller may do: hear attested requests and presence, publish answers and commands.
    ///
    /// # Errors
    /// As [`Self::device_policy`].
    pub fn controller_policy(&self) -> Result<String, DocumentError> {
        checked("controller", &operators::controller(self))
    }

    /// First provisioning by claim: makes a thing, and refuses one that exists.
    pub fn claim_template(&self) -> String {
        template::claim(&self.names).to_string()
    }

    /// Rotation by a device's own certificate: adds a certificate to a thing and changes nothing else of it.
    pub fn rotation_template(&self) -> String {
        template::rotation(&self.names).to_string()
    }

    /// Recovery by claim of a thing that exists; to be kept disabled until an operator opens it for named serials.
    pub fn recovery_template(&self) -> String {
        template::recovery(&self.names).to_string()
    }

    /// As [`Self::claim_template`], and every new thing gets a type.
    pub fn typed_claim_template(&self, thing_type: &str) -> String {
        template::typed(template::claim(&self.names), thing_type).to_string()
    }

    /// Where the attesting rule republishes to, with the rule's own substitution for the thing.
    pub const ATTESTED_BY_RULE: &'static str = "fleetkey/attested/${topic(3)}/requests";

    /// Who may assume the role that provisions: AWS IoT, for this fleet's three templates.
    pub fn provisioning_trust(&self) -> String {
        let names = &self.names;
        let templates = [&names.claim_template, &names.rotation_template, &names.recovery_template];
        iam::trust_iot(&self.scope, &templates.map(|name| self.scope.template(name))).to_string()
    }

    /// What the role that provisions may do.
    pub fn provisioning_permissions(&self, thing_type: &str) -> String {
        iam::provisioning(self, thing_type).to_string()
    }

    /// Who may assume the hook's role.
    pub fn hook_trust(&self) -> String {
        iam::trust_lambda().to_string()
    }

    /// What the hook's role may do.
    pub fn hook_permissions(&self, log_group: &str) -> String {
        iam::hook(&self.scope, log_group).to_string()
    }

    /// Who may assume the attesting rule's role: AWS IoT, for this rule.
    pub fn rule_trust(&self, rule: &str) -> String {
        iam::trust_iot(&self.scope, &[self.scope.arn(&format!("rule/{rule}"))]).to_string()
    }

    /// What the attesting rule's role may do.
    pub fn rule_permissions(&self) -> String {
        iam::rule(&self.scope, &FleetTopic::ALL_ATTESTED.replace('+', "*")).to_string()
    }
}

fn checked(policy: &'static str, document: &Value) -> Result<String, DocumentError> {
    let text = document.to_string();
    match PolicyDocument::parse(&text) {
        Ok(_) => Ok(text),
        Err(reason) => Err(DocumentError { policy, reason }),
    }
}
