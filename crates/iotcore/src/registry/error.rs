//! Why the registry refuses an operation, with AWS's exception name and HTTP status.
//!
//! Source: API Reference, common errors; statuses as botocore models them (`CertificateStateException` is 406,
//! `LimitExceededException` 410).

use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::{GroupName, PolicyName, RuleName, TemplateName, ThingName};

use super::ThingTypeName;

/// Why the registry refuses an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No certificate has this id.
    #[error("Certificate {0} does not exist")]
    NoSuchCertificate(CertificateId),
    /// No thing has this name.
    #[error("Thing {0} does not exist")]
    NoSuchThing(ThingName),
    /// No thing type has this name.
    #[error("Thing type {0} does not exist")]
    NoSuchThingType(ThingTypeName),
    /// No thing group has this name.
    #[error("Thing group {0} does not exist")]
    NoSuchGroup(GroupName),
    /// The group that a new one is to be in does not exist. CreateThingGroup has no ResourceNotFoundException (API
    /// Reference).
    #[error("Parent thing group {0} does not exist")]
    NoSuchParent(GroupName),
    /// No policy has this name.
    #[error("Policy {0} does not exist")]
    NoSuchPolicy(PolicyName),
    /// No provisioning template has this name.
    #[error("Template with name {0} does not exist.")]
    NoSuchTemplate(TemplateName),
    /// The policy has no version of this number.
    #[error("Policy {policy} has no version {version}")]
    NoSuchPolicyVersion {
        /// The policy.
        policy: PolicyName,
        /// What was asked for.
        version: u32,
    },
    /// The template has no version of this number.
    #[error("Template {template} has no version {version}")]
    NoSuchTemplateVersion {
        /// The template.
        template: TemplateName,
        /// What was asked for.
        version: u32,
    },
    /// The certificate is registered already.
    #[error("The certificate is already registered: {0}")]
    CertificateExists(CertificateId),
    /// Another thing, or the same with other properties, has the name.
    #[error("Thing {name} already exists in account with different properties")]
    ThingExists {
        /// The thing.
        name: ThingName,
        /// Its `thingId`.
        id: String,
    },
    /// A thing type has the name and other properties.
    #[error("Thing type {name} already exists in account with different properties")]
    ThingTypeExists {
        /// The type.
        name: ThingTypeName,
        /// Its `thingTypeId`.
        id: String,
    },
    /// A thing group has the name and other properties.
    #[error("Thing group {name} already exists in account with different properties")]
    GroupExists {
        /// The group.
        name: GroupName,
        /// Its `thingGroupId`.
        id: String,
    },
    /// A policy has the name.
    #[error("Policy {0} already exists")]
    PolicyExists(PolicyName),
    /// A template has the name.
    #[error("Provisioning template {0} already exists")]
    TemplateExists(TemplateName),
    /// An ownership token with the same value is in use: the randomness given was not random.
    #[error("The ownership token is in use")]
    TokenExists,
    /// The certificate's status forbids the change.
    #[error("Certificate {id} is {from} and cannot become {to}")]
    StatusForbidden {
        /// The certificate.
        id: CertificateId,
        /// What it is.
        from: CertificateStatus,
        /// What it was to be.
        to: CertificateStatus,
    },
    /// The status can never be asked for.
    #[error("The status {0} cannot be set; use ACTIVE, INACTIVE or REVOKED")]
    StatusReserved(CertificateStatus),
    /// An ACTIVE certificate cannot be deleted.
    #[error("Certificate must be deactivated (not ACTIVE) before deletion. (certificate {0})")]
    StillActive(CertificateId),
    /// Things are attached to the certificate.
    #[error("Things must be detached before deletion (certificate {0})")]
    ThingsAttached(CertificateId),
    /// Policies are attached to the certificate.
    #[error("Certificate policies must be detached before deletion (certificate {0})")]
    PoliciesAttached(CertificateId),
    /// The policy is attached to certificates or groups.
    #[error("The policy cannot be deleted as the policy is attached to one or more principals (name={0})")]
    PolicyAttached(PolicyName),
    /// The policy has versions besides the default.
    #[error("Cannot delete the policy because it has one or more policy versions attached to it (name={0})")]
    PolicyHasVersions(PolicyName),
    /// The version is in effect.
    #[error("Cannot delete the default version of policy {0}")]
    DefaultPolicyVersion(PolicyName),
    /// The template has versions besides the default.
    #[error("Cannot delete template {0}: delete its non-default versions first")]
    TemplateHasVersions(TemplateName),
    /// The version is in effect.
    #[error("Cannot delete the default version of template {0}")]
    DefaultTemplateVersion(TemplateName),
    /// Five versions exist already.
    #[error("The {what} already has the maximum number of versions ({max})")]
    TooManyVersions {
        /// The policy or template, for people.
        what: String,
        /// The quota.
        max: usize,
    },
    /// The record has another version than the request expects.
    #[error("The expected version {expected} of {what} is not its version {found}")]
    VersionConflict {
        /// The thing or group, for people.
        what: String,
        /// What the request expects.
        expected: u64,
        /// What is.
        found: u64,
    },
    /// The type takes no more things.
    #[error("Thing type {0} is deprecated: things cannot be associated with it any more")]
    TypeDeprecated(ThingTypeName),
    /// Only a deprecated type can be deleted.
    #[error("Cannot delete thing type {0}: it must be deprecated first")]
    TypeNotDeprecated(ThingTypeName),
    /// A type can be deleted five minutes after its deprecation.
    #[error("Cannot delete thing type : {0}. Please wait for 5 minutes after deprecation and then retry")]
    TypeTooFresh(ThingTypeName),
    /// Things are of the type.
    #[error("Cannot delete thing type {0}: there are still things associated with it")]
    TypeInUse(ThingTypeName),
    /// The thing is in another group of the same hierarchy.
    #[error("Thing {thing} cannot be in both {group} and {other}: they are in the same hierarchy")]
    SameHierarchy {
        /// The thing.
        thing: ThingName,
        /// One group.
        group: GroupName,
        /// The other.
        other: GroupName,
    },
    /// A thing cannot join and leave a group at once.
    #[error("Thing group {0} is both to be added and to be removed")]
    JoinsAndLeaves(GroupName),
    /// The ARN names no certificate or thing group of this account.
    #[error("Invalid principal or target: {0:?} is no certificate or thing group of this account and region")]
    BadTarget(String),
    /// The ARN names nothing that carries tags.
    #[error("Invalid resource ARN: {0:?} is no resource of this account and region that carries tags")]
    NotTaggable(String),
    /// A tag breaks a rule.
    #[error("Invalid tag: {0}")]
    BadTag(String),
    /// Certificates are attached to the thing.
    #[error("Cannot delete. Thing {0} is still attached to one or more principals")]
    PrincipalsAttached(ThingName),
    /// The group has children.
    #[error("Cannot delete thing group : {0} when there are still child groups attached to it.")]
    GroupHasChildren(GroupName),
    /// Exclusive attachment and another attachment exclude each other.
    #[error("Certificate {id} is attached to thing {thing}; detach it before attaching it {how}")]
    AttachedElsewhere {
        /// The certificate.
        id: CertificateId,
        /// The thing that has it.
        thing: ThingName,
        /// What was asked: `exclusively`, `to another thing` or `non-exclusively`.
        how: &'static str,
    },
    /// A certificate may carry ten policies.
    #[error("At most {max} policies may be attached to {target}")]
    TooManyPolicies {
        /// The certificate or group, for people.
        target: String,
        /// The quota.
        max: usize,
    },
    /// A thing may be in ten groups.
    #[error("Thing {thing} would be in {count} groups, at most {max} are allowed")]
    TooManyGroups {
        /// The thing.
        thing: ThingName,
        /// How many it would be in.
        count: usize,
        /// The quota.
        max: usize,
    },
    /// Groups may nest seven deep.
    #[error("Thing group {0} would be nested deeper than {max} levels", max = super::quota::MAX_DEPTH)]
    TooDeep(GroupName),
    /// More attributes than a thing may have.
    #[error("{what} would have {count} attributes, at most {max} are allowed {why}")]
    TooManyAttributes {
        /// The thing or group, for people.
        what: String,
        /// How many it would have.
        count: usize,
        /// The quota.
        max: usize,
        /// `without a thing type`, `with a thing type` or `in a thing group`.
        why: &'static str,
    },
    /// An attribute's name or value has characters that AWS does not allow, or is too long.
    #[error("Attribute {0:?} is not allowed: a name has 1-128 and a value up to 800 of a-zA-Z0-9_.,@/:#=[]-")]
    BadAttribute(String),
    /// All attributes together are too long.
    #[error("The attributes together have more than {0} characters")]
    AttributesTooLong(usize),
    /// More groups under one than there may be.
    #[error("Thing group {parent} already has {max} child groups")]
    TooManyChildren {
        /// The group above.
        parent: GroupName,
        /// The quota.
        max: usize,
    },
    /// More searchable attributes than a thing type may have.
    #[error("A thing type has at most {0} searchable attributes")]
    TooManySearchable(usize),
    /// A propagating attribute of a thing type breaks its pattern.
    #[error("mqtt5Configuration: {member} must have 1-128 letters, digits or {marks}")]
    BadPropagation {
        /// The member of PropagatingAttribute.
        member: &'static str,
        /// What it may have besides letters and digits.
        marks: &'static str,
    },
    /// More tags than a resource may have.
    #[error("A resource has at most {0} tags")]
    TooManyTags(usize),
    /// The document is no policy.
    #[error("The policy document is malformed: {0}")]
    MalformedPolicy(String),
    /// The template body is none.
    #[error("Invalid template body: {0}")]
    BadTemplate(String),
    /// The PEM is no certificate.
    #[error("Invalid certificate: {0}")]
    BadCertificate(String),
    /// More templates than an account may have.
    #[error("At most {0} provisioning templates are allowed")]
    TooManyTemplates(usize),
    /// A topic rule has the name.
    #[error("Rule already exists {0}")]
    RuleExists(RuleName),
    /// No topic rule has this name. AWS does not say whether it exists.
    #[error("Access to topic rule '{0}' was denied")]
    NoSuchRule(RuleName),
    /// The same, asked for its tags: those operations have no UnauthorizedException (API Reference, TagResource).
    #[error("Rule {0} does not exist")]
    NoTaggedRule(RuleName),
    /// A topic rule's SQL, or an expression in one of its templates, is not acceptable.
    #[error("{0}")]
    BadSql(String),
    /// A topic rule is not acceptable otherwise.
    #[error("{0}")]
    BadRule(String),
    /// More topic rules than an account may have.
    #[error("At most {0} topic rules are allowed")]
    TooManyRules(usize),
}

impl RegistryError {
    /// The name of AWS's exception, for example `ResourceNotFoundException`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchCertificate(_)
            | Self::NoSuchThing(_)
            | Self::NoSuchThingType(_)
            | Self::NoSuchGroup(_)
            | Self::NoSuchPolicy(_)
            | Self::NoSuchTemplate(_)
            | Self::NoTaggedRule(_)
            | Self::NoSuchPolicyVersion { .. }
            | Self::NoSuchTemplateVersion { .. } => "ResourceNotFoundException",
            Self::CertificateExists(_)
            | Self::ThingExists { .. }
            | Self::ThingTypeExists { .. }
            | Self::GroupExists { .. }
            | Self::PolicyExists(_)
            | Self::TemplateExists(_)
            | Self::RuleExists(_)
            | Self::TokenExists => "ResourceAlreadyExistsException",
            Self::StatusForbidden { .. } | Self::StillActive(_) => "CertificateStateException",
            Self::ThingsAttached(_)
            | Self::PoliciesAttached(_)
            | Self::PolicyAttached(_)
            | Self::PolicyHasVersions(_)
            | Self::TemplateHasVersions(_)
            | Self::DefaultTemplateVersion(_) => "DeleteConflictException",
            Self::TooManyVersions { .. } => "VersionsLimitExceededException",
            Self::VersionConflict { .. } => "VersionConflictException",
            Self::TooManyPolicies { .. } | Self::TooManyTags(_) | Self::TooManyTemplates(_) => {
                "LimitExceededException"
            }
            Self::MalformedPolicy(_) => "MalformedPolicyException",
            Self::BadCertificate(_) => "CertificateValidationException",
            Self::StatusReserved(_)
            | Self::DefaultPolicyVersion(_)
            | Self::TypeDeprecated(_)
            | Self::TypeNotDeprecated(_)
            | Self::TypeTooFresh(_)
            | Self::TypeInUse(_)
            | Self::SameHierarchy { .. }
            | Self::JoinsAndLeaves(_)
            | Self::BadTarget(_)
            | Self::NotTaggable(_)
            | Self::BadTag(_)
            | Self::PrincipalsAttached(_)
            | Self::GroupHasChildren(_)
            | Self::AttachedElsewhere { .. }
            | Self::TooManyAttributes { .. }
            | Self::AttributesTooLong(_)
            | Self::TooManySearchable(_)
            | Self::BadPropagation { .. }
            | Self::BadAttribute(_)
            | Self::BadTemplate(_)
            | Self::BadRule(_)
            // The operations that can break these have no LimitExceededException in AWS's model.
            | Self::NoSuchParent(_)
            | Self::TooManyGroups { .. }
            | Self::TooDeep(_)
            | Self::TooManyChildren { .. }
            | Self::TooManyRules(_) => "InvalidRequestException",
            Self::NoSuchRule(_) => "UnauthorizedException",
            Self::BadSql(_) => "SqlParseException",
        }
    }

    /// The HTTP status that AWS answers with.
    pub fn status(&self) -> u16 {
        match self.code() {
            "ResourceNotFoundException" => 404,
            "ResourceAlreadyExistsException"
            | "DeleteConflictException"
            | "VersionConflictException"
            | "VersionsLimitExceededException" => 409,
            "CertificateStateException" => 406,
            "LimitExceededException" => 410,
            "UnauthorizedException" => 401,
            _ => 400,
        }
    }

    /// The `resourceId` and `resourceArn` that a ResourceAlreadyExistsException carries.
    pub fn existing(&self, scope: &Scope) -> Option<(String, String)> {
        match self {
            Self::CertificateExists(id) => Some((id.to_string(), scope.certificate(id))),
            Self::ThingExists { name, id } => Some((id.clone(), scope.thing(name))),
            Self::ThingTypeExists { name, id } => Some((id.clone(), scope.arn(&format!("thingtype/{name}")))),
            Self::GroupExists { name, id } => Some((id.clone(), scope.group(name))),
            Self::PolicyExists(name) => Some((name.to_string(), scope.policy(name))),
            Self::TemplateExists(name) => Some((name.to_string(), scope.template(name))),
            _ => None,
        }
    }
}
