//! What an ARN names: the principals, groups and tagged resources of this account and region.

use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, PolicyName, RuleName, TemplateName};

use super::{RegistryError, ThingTypeName};

/// What a policy can be attached to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A certificate.
    Certificate(CertificateId),
    /// A thing group.
    Group(GroupName),
}

impl Target {
    /// Reads the ARN of a certificate or a thing group. Cognito identities are not known here.
    ///
    /// # Errors
    /// When it is neither, or of another account or region.
    pub fn parse(scope: &Scope, arn: &str) -> Result<Self, RegistryError> {
        let bad = || RegistryError::BadTarget(arn.chars().take(256).collect());
        match own(scope, arn).and_then(|tail| tail.split_once('/')) {
            Some(("cert", id)) => id.parse().map(Self::Certificate).map_err(|_| bad()),
            Some(("thinggroup", name)) => GroupName::new(name).map(Self::Group).map_err(|_| bad()),
            _ => Err(bad()),
        }
    }

    /// The certificate that a principal's ARN names.
    ///
    /// # Errors
    /// When it is no certificate of this account and region.
    pub fn principal(scope: &Scope, arn: &str) -> Result<CertificateId, RegistryError> {
        match Self::parse(scope, arn)? {
            Self::Certificate(id) => Ok(id),
            Self::Group(_) => Err(RegistryError::BadTarget(arn.chars().take(256).collect())),
        }
    }

    /// The ARN.
    pub fn arn(&self, scope: &Scope) -> String {
        match self {
            Self::Certificate(id) => scope.certificate(id),
            Self::Group(name) => scope.group(name),
        }
    }
}

/// A resource that can carry tags (Developer Guide, tagging-iot).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taggable {
    /// A policy.
    Policy(PolicyName),
    /// A thing type.
    ThingType(ThingTypeName),
    /// A thing group.
    Group(GroupName),
    /// A provisioning template.
    Template(TemplateName),
    /// A topic rule.
    Rule(RuleName),
}

impl Taggable {
    /// Reads an ARN.
    ///
    /// # Errors
    /// When nothing of that kind carries tags, or it is of another account or region.
    pub fn parse(scope: &Scope, arn: &str) -> Result<Self, RegistryError> {
        let bad = || RegistryError::NotTaggable(arn.chars().take(256).collect());
        let (kind, name) = own(scope, arn).and_then(|tail| tail.split_once('/')).ok_or_else(bad)?;
        let parsed = match kind {
            "policy" => PolicyName::new(name).map(Self::Policy),
            "thingtype" => ThingTypeName::new(name).map(Self::ThingType),
            "thinggroup" => GroupName::new(name).map(Self::Group),
            "provisioningtemplate" => TemplateName::new(name).map(Self::Template),
            "rule" => RuleName::new(name).map(Self::Rule),
            _ => return Err(bad()),
        };
        parsed.map_err(|_| bad())
    }
}

/// The tail of an ARN of this account and region.
fn own<'a>(scope: &Scope, arn: &'a str) -> Option<&'a str> {
    arn.strip_prefix(scope.arn("").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::id;

    #[test]
    fn targets_read_back_and_foreign_ones_are_refused() {
        let scope = Scope::local();
        let group = GroupName::new("a:b").unwrap();
        for target in [Target::Certificate(id(1)), Target::Group(group.clone())] {
            assert_eq!(Target::parse(&scope, &target.arn(&scope)), Ok(target));
        }
        assert!(Target::principal(&scope, &scope.group(&group)).is_err());
        let elsewhere = scope.group(&group).replace("us-east-1", "eu-west-1");
        for bad in ["", "us-east-1:cognito", &elsewhere, &scope.arn("cert/00"), &scope.arn("thing/a")] {
            assert!(Target::parse(&scope, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_thing_carries_no_tags_and_a_policy_does() {
        let scope = Scope::local();
        let name = PolicyName::new("p").unwrap();
        assert_eq!(Taggable::parse(&scope, &scope.policy(&name)), Ok(Taggable::Policy(name)));
        for bad in [scope.arn("thing/a"), scope.arn("policy/a b"), "policy/p".to_owned()] {
            assert!(matches!(Taggable::parse(&scope, &bad), Err(RegistryError::NotTaggable(_))), "{bad}");
        }
    }
}
