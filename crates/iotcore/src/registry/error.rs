//! Why the registry refuses an operation, with AWS's exception name and HTTP status.
//!
//! Source: API Reference, common errors; statuses as botocore models them (`CertificateStateException` is 406,
//! `LimitExceededException` 410).

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
    /// No policy has this name.
    #[error("Policy {0} does not exist")]
    NoSuchPolicy(PolicyName),
    /// No provisioning template has this name.
    #[error("Template with name {0} does not exist.")]
    NoSuchTemplate(TemplateName),
    /// The certificate is registered already.
    #[error("The certificate is already registered: {0}")]
    CertificateExists(CertificateId),
    /// Another thing, or the same with other properties, has the name.
    #[error("Thing {0} already exists in the account with different properties")]
    ThingExists(ThingName),
    /// A thing group has the name and another parent.
    #[error("Thing group {0} already exists in the account with different properties")]
    GroupExists(GroupName),
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
    /// Certificates are attached to the thing.
    #[error("Cannot delete. Thing {0} is still attached to one or more principals")]
    PrincipalsAttached(ThingName),
    /// The group has children.
    #[error("Cannot delete. Thing group {0} still has child groups")]
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
    #[error("Thing {thing} would have {count} attributes, at most {max} are allowed {why}")]
    TooManyAttributes {
        /// The thing.
        thing: ThingName,
        /// How many it would have.
        count: usize,
        /// The quota.
        max: usize,
        /// `without a thing type` or `with a thing type`.
        why: &'static str,
    },
    /// An attribute's name or value has characters that AWS does not allow, or is too long.
    #[error("Attribute {0:?} is not allowed: a name has 1-128 and a value up to 800 of a-zA-Z0-9_.,@/:#=[]-")]
    BadAttribute(String),
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
            | Self::NoSuchTemplate(_) => "ResourceNotFoundException",
            Self::CertificateExists(_)
            | Self::ThingExists(_)
            | Self::GroupExists(_)
            | Self::PolicyExists(_)
            | Self::TemplateExists(_)
            | Self::RuleExists(_)
            | Self::TokenExists => "ResourceAlreadyExistsException",
            Self::StatusForbidden { .. } | Self::StillActive(_) => "CertificateStateException",
            Self::ThingsAttached(_) | Self::PoliciesAttached(_) | Self::PolicyAttached(_) => {
                "DeleteConflictException"
            }
            Self::StatusReserved(_)
            | Self::PrincipalsAttached(_)
            | Self::GroupHasChildren(_)
            | Self::AttachedElsewhere { .. }
            | Self::TooManyAttributes { .. }
            | Self::BadAttribute(_)
            | Self::BadTemplate(_)
            | Self::BadRule(_) => "InvalidRequestException",
            Self::TooManyPolicies { .. }
            | Self::TooManyGroups { .. }
            | Self::TooDeep(_)
            | Self::TooManyTemplates(_)
            | Self::TooManyRules(_) => "LimitExceededException",
            Self::NoSuchRule(_) => "UnauthorizedException",
            Self::BadSql(_) => "SqlParseException",
            Self::MalformedPolicy(_) => "MalformedPolicyException",
            Self::BadCertificate(_) => "CertificateValidationException",
        }
    }

    /// The HTTP status that AWS answers with.
    pub fn status(&self) -> u16 {
        match self.code() {
            "ResourceNotFoundException" => 404,
            "ResourceAlreadyExistsException" | "DeleteConflictException" => 409,
            "CertificateStateException" => 406,
            "LimitExceededException" => 410,
            "UnauthorizedException" => 401,
            _ => 400,
        }
    }
}
