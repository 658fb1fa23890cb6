//! Versions of a provisioning template: CreateProvisioningTemplateVersion, DeleteProvisioningTemplateVersion.

use fleetkey_model::name::TemplateName;
use fleetkey_model::time::Timestamp;

use super::parse;
use crate::registry::quota::MAX_VERSIONS;
use crate::registry::{Plan, Registry, RegistryError};

impl Registry {
    /// CreateProvisioningTemplateVersion: the number of the new version.
    ///
    /// # Errors
    /// When the template does not exist, the body does not parse, or there are [`MAX_VERSIONS`] already.
    pub fn plan_create_template_version(
        &self,
        name: &TemplateName,
        body: &str,
        set_as_default: bool,
        now: Timestamp,
    ) -> Result<Plan<u32>, RegistryError> {
        self.plan_edit_template(name, now, |template| {
            parse(body)?;
            let id =
                template.versions.add(body.to_owned(), now).map_err(|_| RegistryError::TooManyVersions {
                    what: format!("provisioning template {name}"),
                    max: MAX_VERSIONS,
                })?;
            if set_as_default {
                template.set_default_version(id)?;
            }
            Ok(id)
        })
    }

    /// DeleteProvisioningTemplateVersion.
    ///
    /// # Errors
    /// When template or version do not exist, or the version is the default.
    pub fn plan_delete_template_version(
        &self,
        name: &TemplateName,
        id: u32,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        self.plan_edit_template(name, now, |template| {
            if template.versions.default == id {
                return Err(RegistryError::DefaultTemplateVersion(name.clone()));
            }
            let missing = template.no_version(id);
            template.versions.remove(id).map_err(|_| missing)
        })
    }
}
