//! Reading what must exist: the record, or AWS's ResourceNotFoundException.

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{GroupName, PolicyName, TemplateName, ThingName};

use super::{
    CertificateRecord, GroupRecord, PolicyRecord, Registry, RegistryError, TemplateRecord, Thing, ThingType,
    ThingTypeName,
};

impl Registry {
    /// The certificate with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn require_certificate(&self, id: &CertificateId) -> Result<&CertificateRecord, RegistryError> {
        self.certificate(id).ok_or(RegistryError::NoSuchCertificate(*id))
    }

    /// The thing with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn require_thing(&self, name: &ThingName) -> Result<&Thing, RegistryError> {
        self.thing(name).ok_or_else(|| RegistryError::NoSuchThing(name.clone()))
    }

    /// The thing type with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn require_thing_type(&self, name: &ThingTypeName) -> Result<&ThingType, RegistryError> {
        self.thing_type(name).ok_or_else(|| RegistryError::NoSuchThingType(name.clone()))
    }

    /// The thing group with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn require_group(&self, name: &GroupName) -> Result<&GroupRecord, RegistryError> {
        self.group(name).ok_or_else(|| RegistryError::NoSuchGroup(name.clone()))
    }

    /// The policy with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn require_policy(&self, name: &PolicyName) -> Result<&PolicyRecord, RegistryError> {
        self.policy(name).ok_or_else(|| RegistryError::NoSuchPolicy(name.clone()))
    }

    /// The provisioning template with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn require_template(&self, name: &TemplateName) -> Result<&TemplateRecord, RegistryError> {
        self.template(name).ok_or_else(|| RegistryError::NoSuchTemplate(name.clone()))
    }
}
