//! Provisioning templates of an account.

use std::collections::BTreeMap;

use fleetkey_model::name::{TemplateName, ThingName};
use fleetkey_model::provisioning::SERIAL_PARAMETER;
use fleetkey_model::secret::OwnershipToken;

use super::{Account, AccountError};
use crate::hook::allows;
use crate::provisioning::{Caller, Register};
use crate::registry::{BuiltinHook, TemplateRecord};

impl Account {
    /// CreateProvisioningTemplate.
    ///
    /// # Errors
    /// When the name is taken or the body does not parse.
    pub async fn create_template(
        &self,
        name: &TemplateName,
        body: &str,
        enabled: bool,
        hook: Option<BuiltinHook>,
    ) -> Result<(), AccountError> {
        let now = self.clock.now();
        self.commit(|registry| registry.plan_create_template(name, body, enabled, hook, now)).await
    }

    /// UpdateProvisioningTemplate: opens or closes the template.
    ///
    /// # Errors
    /// When the template does not exist.
    pub async fn set_template_enabled(&self, name: &TemplateName, enabled: bool) -> Result<(), AccountError> {
        self.update_template(name, |template| template.enabled = enabled).await
    }

    /// UpdateProvisioningTemplate: sets or removes the hook.
    ///
    /// # Errors
    /// When the template does not exist.
    pub async fn set_template_hook(
        &self,
        name: &TemplateName,
        hook: Option<BuiltinHook>,
    ) -> Result<(), AccountError> {
        self.update_template(name, |template| template.hook = hook).await
    }

    /// Another body for the default version, with the hook and whether the template is enabled: all that a template
    /// does. AWS has no such call; there it takes CreateProvisioningTemplateVersion, UpdateProvisioningTemplate and
    /// the deletion of the version before.
    ///
    /// # Errors
    /// When the template does not exist or the body does not parse; then nothing is changed.
    pub async fn replace_template(
        &self,
        name: &TemplateName,
        body: &str,
        enabled: bool,
        hook: Option<BuiltinHook>,
    ) -> Result<(), AccountError> {
        let edit = |template: &mut TemplateRecord| {
            body.clone_into(&mut template.body);
            template.enabled = enabled;
            template.hook = hook;
        };
        self.update_template(name, edit).await
    }

    /// DescribeProvisioningTemplate.
    ///
    /// # Errors
    /// When the template does not exist.
    pub fn describe_template(&self, name: &TemplateName) -> Result<TemplateRecord, AccountError> {
        Ok(self.store.read().require_template(name)?.clone())
    }

    /// What a template's own hook says to `caller` asking for the thing of this serial; nothing is registered. `None` where
    /// there is no such template, nobody decides, or a function does, which is asked elsewhere.
    pub fn hook_decision(&self, template: &TemplateName, caller: &Caller, serial: &str) -> Option<bool> {
        let registry = self.store.read();
        let hook = registry.template(template)?.hook.as_ref()?;
        if matches!(hook, BuiltinHook::Function { .. }) {
            return None;
        }
        let thing = ThingName::new(serial).ok()?;
        let request = Register {
            template: template.clone(),
            token: OwnershipToken::new("nobody's"),
            parameters: BTreeMap::from([(SERIAL_PARAMETER.to_owned(), serial.to_owned())]),
            allowed_by: None,
        };
        Some(allows(hook, &registry, caller, &thing, &request))
    }

    /// DeleteProvisioningTemplate.
    ///
    /// # Errors
    /// When the template does not exist.
    pub async fn delete_template(&self, name: &TemplateName) -> Result<(), AccountError> {
        self.commit(|registry| registry.plan_delete_template(name)).await
    }

    async fn update_template(
        &self,
        name: &TemplateName,
        edit: impl FnOnce(&mut TemplateRecord),
    ) -> Result<(), AccountError> {
        let now = self.clock.now();
        self.commit(|registry| registry.plan_update_template(name, now, edit)).await
    }
}
