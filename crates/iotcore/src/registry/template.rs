//! Provisioning templates as the registry keeps them: the body, whether it is enabled, and its hook.
//!
//! Parsing and resolving a body is `fleetkey_model::template`; what a hook decides is [`crate::hook`].

use std::sync::Arc;

use fleetkey_model::name::TemplateName;
use fleetkey_model::template::Template;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::quota::MAX_TEMPLATES;
use super::{Change, Draft, Plan, Registry, RegistryError};

/// Which pre-provisioning hook a template calls on every RegisterThing: one that is built in, or a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum BuiltinHook {
    /// The serial must match one of the patterns.
    Serials {
        /// Exact serials, or patterns with `*` and `?`.
        allow: Vec<SerialPattern>,
    },
    /// The caller must hold the thing it asks for: its certificate is attached to that thing, and its client id
    /// is the thing's name or `<thing>~agent`.
    OwnThing,
    /// A Lambda function decides ([`crate::hook::FunctionHooks`]), before the registry is asked.
    Function {
        /// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`.
        arn: String,
    },
}

/// A serial number, or a pattern of serials: `*` is any run of characters, `?` any one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SerialPattern(pub String);

/// A provisioning template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TemplateRow", into = "TemplateRow")]
pub struct TemplateRecord {
    /// Its name, which is its identity.
    pub name: TemplateName,
    /// The body as it was written.
    pub body: String,
    /// The same, parsed.
    pub template: Arc<Template>,
    /// RegisterThing is refused while this is false.
    pub enabled: bool,
    /// The hook, if it has one.
    pub hook: Option<BuiltinHook>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub last_modified: Timestamp,
}

/// A template as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct TemplateRow {
    name: TemplateName,
    body: String,
    enabled: bool,
    hook: Option<BuiltinHook>,
    created_at: Timestamp,
    last_modified: Timestamp,
}

impl TryFrom<TemplateRow> for TemplateRecord {
    type Error = RegistryError;

    fn try_from(row: TemplateRow) -> Result<Self, RegistryError> {
        Ok(Self {
            template: parse(&row.body)?,
            name: row.name,
            body: row.body,
            enabled: row.enabled,
            hook: row.hook,
            created_at: row.created_at,
            last_modified: row.last_modified,
        })
    }
}

impl From<TemplateRecord> for TemplateRow {
    fn from(record: TemplateRecord) -> Self {
        Self {
            name: record.name,
            body: record.body,
            enabled: record.enabled,
            hook: record.hook,
            created_at: record.created_at,
            last_modified: record.last_modified,
        }
    }
}

impl Registry {
    /// CreateProvisioningTemplate.
    ///
    /// # Errors
    /// When the name is taken, the body does not parse, or there are [`MAX_TEMPLATES`] already.
    pub fn plan_create_template(
        &self,
        name: &TemplateName,
        body: &str,
        enabled: bool,
        hook: Option<BuiltinHook>,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        if self.template(name).is_some() {
            return Err(RegistryError::TemplateExists(name.clone()));
        }
        if self.templates.len() >= MAX_TEMPLATES {
            return Err(RegistryError::TooManyTemplates(MAX_TEMPLATES));
        }
        let record = TemplateRecord {
            name: name.clone(),
            body: body.to_owned(),
            template: parse(body)?,
            enabled,
            hook,
            created_at: now,
            last_modified: now,
        };
        let mut draft = Draft::new(self);
        draft.write(Change::PutTemplate(record.into()));
        Ok(draft.plan(()))
    }

    /// UpdateProvisioningTemplate: changes what `edit` changes. The name stays, whatever `edit` does to it.
    ///
    /// # Errors
    /// When the template does not exist, or the body that `edit` leaves does not parse.
    pub fn plan_update_template(
        &self,
        name: &TemplateName,
        now: Timestamp,
        edit: impl FnOnce(&mut TemplateRecord),
    ) -> Result<Plan<()>, RegistryError> {
        let before = self.template(name).ok_or_else(|| RegistryError::NoSuchTemplate(name.clone()))?;
        let mut after = before.clone();
        edit(&mut after);
        after.name = name.clone();
        after.template = parse(&after.body)?;
        let mut draft = Draft::new(self);
        if after != *before {
            after.last_modified = now;
            draft.write(Change::PutTemplate(after.into()));
        }
        Ok(draft.plan(()))
    }

    /// DeleteProvisioningTemplate.
    ///
    /// # Errors
    /// When the template does not exist.
    pub fn plan_delete_template(&self, name: &TemplateName) -> Result<Plan<()>, RegistryError> {
        if self.template(name).is_none() {
            return Err(RegistryError::NoSuchTemplate(name.clone()));
        }
        let mut draft = Draft::new(self);
        draft.write(Change::DeleteTemplate(name.clone()));
        Ok(draft.plan(()))
    }
}

fn parse(body: &str) -> Result<Arc<Template>, RegistryError> {
    Template::parse(body).map(Arc::new).map_err(|error| RegistryError::BadTemplate(error.to_string()))
}
