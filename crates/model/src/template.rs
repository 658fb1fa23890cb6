//! Provisioning templates: parse a body once, then resolve it into what RegisterThing does.
//!
//! Fleet provisioning templates only: exactly one thing, exactly one certificate identified by
//! `{"Ref": "AWS::IoT::Certificate::Id"}`, any number of policies. Source: Developer Guide, provision-template.
//! Not here: JITP, bulk registration, billing groups, package versions, and carrying the result out.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::certificate::{CertificateId, CertificateStatus, ThingPrincipalType};
use crate::name::{GroupName, PolicyName, ThingName};

pub use error::{Problem, ResolveError, TemplateError};

use document::DocumentTemplate;
use expression::{Expression, List, Mappings};

mod document;
mod error;
mod expression;
mod parse;
mod resolve;

/// The longest template body in characters (API Reference, CreateProvisioningTemplate).
pub const MAX_BODY: usize = 10_240;
/// The parameter that the service supplies: the id of the certificate being provisioned.
pub const CERTIFICATE_ID_PARAMETER: &str = "AWS::IoT::Certificate::Id";

/// A provisioning template that parses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Declared parameters and their defaults.
    parameters: BTreeMap<String, Option<String>>,
    mappings: Mappings,
    certificate: CertificateTemplate,
    policies: Vec<PolicyTemplate>,
    thing: ThingTemplate,
    device_configuration: BTreeMap<String, Expression>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct CertificateTemplate {
    status: Option<Expression>,
    on_status: Override,
    principal_type: ThingPrincipalType,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PolicyTemplate {
    Named(Expression),
    Document(DocumentTemplate),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ThingTemplate {
    name: Expression,
    type_name: Option<Expression>,
    attributes: BTreeMap<String, Expression>,
    groups: Option<List>,
    overrides: ThingOverrides,
}

/// What to do with a property when the resource exists (Developer Guide, provision-template).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Override {
    /// Leave what is there. AWS documents no default; this is ours.
    #[default]
    DoNothing,
    /// Put the template's value in its place.
    Replace,
    /// Refuse the request with a resource conflict.
    Fail,
    /// Add the template's value to what is there; attributes and groups only.
    Merge,
}

/// The override settings of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThingOverrides {
    /// `AttributePayload`
    pub attributes: Override,
    /// `ThingTypeName`
    pub type_name: Override,
    /// `ThingGroups`
    pub groups: Override,
}

/// A template with every parameter in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedTemplate {
    /// What becomes of the certificate.
    pub certificate: ResolvedCertificate,
    /// The policies to attach, in the order of their logical names.
    pub policies: Vec<ResolvedPolicy>,
    /// The thing to make or change.
    pub thing: ResolvedThing,
    /// What the device is told.
    pub device_configuration: BTreeMap<String, String>,
}

/// What becomes of the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolvedCertificate {
    /// ACTIVE or INACTIVE.
    pub status: CertificateStatus,
    /// What to do when the certificate is no longer PENDING_ACTIVATION.
    pub on_status: Override,
    /// How it is attached to the thing.
    pub principal_type: ThingPrincipalType,
}

/// A policy to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedPolicy {
    /// One that exists.
    Named(PolicyName),
    /// One to make unless it exists. Its name is forty upper-case hex digits of a hash of the document: AWS
    /// does the same with a hash that it does not name; this is the head of SHA-256.
    Document {
        /// Derived from the text.
        name: PolicyName,
        /// The document.
        text: String,
    },
}

/// The thing to make or change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedThing {
    /// Its name.
    pub name: ThingName,
    /// Its type, if the template names one; it must exist.
    pub type_name: Option<GroupName>,
    /// Attributes; empty when the template has none.
    pub attributes: BTreeMap<String, String>,
    /// Groups, each of which must exist; `None` when the template does not speak of groups.
    pub groups: Option<BTreeSet<GroupName>>,
    /// What to do when the thing exists.
    pub overrides: ThingOverrides,
}

impl Template {
    /// Parses a template body.
    ///
    /// # Errors
    /// When the body is too long, no JSON, or not a fleet provisioning template; the error says where and what.
    pub fn parse(body: &str) -> Result<Self, TemplateError> {
        parse::template(body)
    }

    /// The declared parameters that have no default and are not supplied by the service.
    pub fn required_parameters(&self) -> impl Iterator<Item = &str> {
        self.parameters
            .iter()
            .filter(|(name, default)| default.is_none() && !name.starts_with("AWS::"))
            .map(|(name, _)| name.as_str())
    }

    /// Puts `parameters`, defaults and the certificate's id in their places. Parameters that the template does
    /// not declare are ignored.
    ///
    /// # Errors
    /// When a required parameter is missing, or a function or name does not come out; see [`ResolveError`].
    pub fn resolve(
        &self,
        parameters: &BTreeMap<String, String>,
        certificate: &CertificateId,
    ) -> Result<ResolvedTemplate, ResolveError> {
        resolve::template(self, parameters, certificate)
    }
}

#[cfg(test)]
mod tests;
