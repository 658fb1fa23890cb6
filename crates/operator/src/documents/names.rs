//! What a fleet's resources are called.

use fleetkey_model::name::{ClientId, GroupName, NameError, PolicyName, TemplateName};

/// The names of a fleet's resources and of its operators' connections.
///
/// No client id here can be a device's: a thing name is not empty and has no `~`, so `~observer` and `~controller`
/// are neither a thing's nor `<thing>~role`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// What devices may do.
    pub device_policy: PolicyName,
    /// What claims may do.
    pub claim_policy: PolicyName,
    /// What observers may do.
    pub observer_policy: PolicyName,
    /// What the controller may do.
    pub controller_policy: PolicyName,
    /// First provisioning.
    pub claim_template: TemplateName,
    /// Rotation.
    pub rotation_template: TemplateName,
    /// Recovery, normally disabled.
    pub recovery_template: TemplateName,
    /// The group that every device is in.
    pub group: GroupName,
    /// What the client id of every claim begins with.
    pub claim_clients: ClientId,
    /// What the client id of every observer begins with.
    pub observer_client: ClientId,
    /// The client id of the controller; its further connections have `-2`, `-3` … behind it. Always the same, so that a
    /// second controller takes the first one's place.
    pub controller_client: ClientId,
}

impl Names {
    /// The demo's names (`DevicePolicy`, `CertRotationTemplate`, `fleet-devices` …), each after `prefix`, which may
    /// be empty. Client ids take no prefix.
    ///
    /// # Errors
    /// When the prefix has a character that a name may not have, or is longer than 8: a template name has 36.
    pub fn new(prefix: &str) -> Result<Self, NameError> {
        let policy = |name: &str| PolicyName::new(format!("{prefix}{name}"));
        let template = |name: &str| TemplateName::new(format!("{prefix}{name}"));
        Ok(Self {
            device_policy: policy("DevicePolicy")?,
            claim_policy: policy("ClaimPolicy")?,
            observer_policy: policy("ObserverPolicy")?,
            controller_policy: policy("ControllerPolicy")?,
            claim_template: template("CertRotationTemplate")?,
            rotation_template: template("CertRotationTemplate-rotate")?,
            recovery_template: template("CertRotationTemplate-recover")?,
            group: GroupName::new(format!("{prefix}fleet-devices"))?,
            claim_clients: ClientId::new("claim~")?,
            observer_client: ClientId::new("~observer")?,
            controller_client: ClientId::new("~controller")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_goes_before_every_resource() {
        let names = Names::new("acme-").unwrap();
        assert_eq!(names.device_policy.as_str(), "acme-DevicePolicy");
        assert_eq!(names.recovery_template.as_str(), "acme-CertRotationTemplate-recover");
        assert_eq!(names.controller_client.as_str(), "~controller");
    }

    #[test]
    fn a_prefix_that_makes_no_name_is_refused() {
        assert!(Names::new("a b").is_err() && Names::new("0123456789").is_err());
    }
}
