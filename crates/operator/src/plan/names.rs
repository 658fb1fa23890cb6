//! What a fleet's resources outside its documents are called: roles, function, log group, rule, thing type.

use fleetkey_model::arn::Scope;

use crate::documents::Names;

/// The names, derived from the fleet's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudNames {
    /// The fleet, as in the tag: the prefix without its last `-` or `_`, or `default`.
    pub fleet: String,
    /// The type of every device.
    pub thing_type: String,
    /// The role that provisions. Roles are global, so each names its region.
    pub provisioning_role: String,
    /// The hook's role.
    pub hook_role: String,
    /// The attesting rule's role.
    pub rule_role: String,
    /// The hook.
    pub hook: String,
    /// The hook's log group, which Lambda would otherwise make itself, without an end to what it keeps.
    pub log_group: String,
    /// The rule that attests requests. A rule's name has no `-`.
    pub rule: String,
}

impl CloudNames {
    /// The names behind `prefix`, which [`Names::new`] has found to be one.
    pub fn new(prefix: &str, region: &str) -> Self {
        let hook = format!("{prefix}fleetkey-hook");
        Self {
            fleet: fleet(prefix),
            thing_type: format!("{prefix}fleet-device"),
            provisioning_role: format!("{prefix}fleetkey-provisioning-{region}"),
            hook_role: format!("{prefix}fleetkey-hook-{region}"),
            rule_role: format!("{prefix}fleetkey-rule-{region}"),
            log_group: format!("/aws/lambda/{hook}"),
            rule: format!("{prefix}fleetkey_attest").replace('-', "_"),
            hook,
        }
    }

    /// The ARN of a role.
    pub fn role_arn(scope: &Scope, role: &str) -> String {
        format!("arn:{}:iam::{}:role/{role}", scope.partition, scope.account)
    }

    /// The ARN of a function.
    pub fn function_arn(scope: &Scope, function: &str) -> String {
        format!("arn:{}:lambda:{}:{}:function:{function}", scope.partition, scope.region, scope.account)
    }
}

/// The names of the templates from that of the first (`IOT_TEMPLATE_NAME`).
///
/// # Errors
/// When the name is none, or too long for `-rotate` and `-recover` behind it: 36 bytes in all.
pub fn with_template(names: &mut Names, template: &str) -> Result<(), fleetkey_model::name::NameError> {
    use fleetkey_model::name::TemplateName;
    names.claim_template = TemplateName::new(template)?;
    names.rotation_template = TemplateName::new(format!("{template}-rotate"))?;
    names.recovery_template = TemplateName::new(format!("{template}-recover"))?;
    Ok(())
}

fn fleet(prefix: &str) -> String {
    match prefix.trim_end_matches(['-', '_']) {
        "" => "default".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_what_each_service_allows() {
        let names = CloudNames::new("acme-eu-", "ap-southeast-2");
        assert_eq!(names.fleet, "acme-eu");
        assert_eq!(names.rule, "acme_eu_fleetkey_attest");
        assert!(names.provisioning_role.len() <= 64);
        assert_eq!(CloudNames::new("", "r").fleet, "default");
    }

    #[test]
    fn a_template_name_that_leaves_no_room_is_refused() {
        let mut names = Names::new("").unwrap();
        assert!(with_template(&mut names, &"t".repeat(29)).is_err());
        with_template(&mut names, "Mine").unwrap();
        assert_eq!(names.recovery_template.as_str(), "Mine-recover");
    }
}
