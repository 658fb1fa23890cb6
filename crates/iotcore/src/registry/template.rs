//! Provisioning templates as the registry keeps them: up to five versions of a body, whether it is enabled, and its
//! hook.
//!
//! Source: API Reference, CreateProvisioningTemplate and its neighbours. Parsing and resolving a body is `fleetkey_model::template`; what a hook decides is [`crate::hook`].

use std::sync::Arc;

use fleetkey_model::name::TemplateName;
use fleetkey_model::template::Template;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::quota::MAX_TEMPLATES;
use super::versions::{VersionRef, Versions};
use super::{Change, Draft, Plan, Registry, RegistryError, Tags};

mod version;

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
    /// The default version's body as it was written.
    pub body: String,
    /// The same, parsed.
    pub template: Arc<Template>,
    /// The other versions, and the number of the default one.
    pub versions: Versions,
    /// For people.
    pub description: Option<String>,
    /// The role that AWS would provision as: AWS IoT must be able to assume it when a template gets it over REST, and
    /// when a device is registered. What it may do is not enforced.
    pub role_arn: Option<String>,
    /// RegisterThing is refused while this is false.
    pub enabled: bool,
    /// The hook, if it has one.
    pub hook: Option<BuiltinHook>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub last_modified: Timestamp,
    /// What the operator notes of it.
    pub tags: Tags,
}

/// What CreateProvisioningTemplate makes, besides the name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTemplate {
    /// The body, JSON.
    pub body: String,
    /// Whether RegisterThing may use it.
    pub enabled: bool,
    /// The hook, if it has one.
    pub hook: Option<BuiltinHook>,
    /// For people.
    pub description: Option<String>,
    /// The role that AWS would provision as.
    pub role_arn: Option<String>,
    /// What the operator notes of it.
    pub tags: Tags,
}

/// A template as it is stored. What came later than the first format has a default.
#[derive(Clone, Serialize, Deserialize)]
struct TemplateRow {
    name: TemplateName,
    body: String,
    enabled: bool,
    hook: Option<BuiltinHook>,
    created_at: Timestamp,
    last_modified: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    versions: Option<Versions>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
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
            versions: row.versions.unwrap_or_else(|| Versions::first(row.created_at)),
            description: row.description,
            role_arn: row.role_arn,
            tags: row.tags,
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
            versions: Some(record.versions),
            description: record.description,
            role_arn: record.role_arn,
            tags: record.tags,
        }
    }
}

impl TemplateRecord {
    /// All versions in the order of their numbers.
    pub fn all_versions(&self) -> Vec<VersionRef<'_>> {
        self.versions.all(&self.body)
    }

    /// The version with this number.
    ///
    /// # Errors
    /// When there is none.
    pub fn version(&self, id: u32) -> Result<VersionRef<'_>, RegistryError> {
        self.versions.get(&self.body, id).ok_or_else(|| self.no_version(id))
    }

    /// Makes a version the default; the body follows.
    ///
    /// # Errors
    /// When there is no such version.
    pub fn set_default_version(&mut self, id: u32) -> Result<(), RegistryError> {
        let missing = self.no_version(id);
        self.versions.set_default(id, &mut self.body).map_err(|_| missing)
    }

    fn no_version(&self, version: u32) -> RegistryError {
        RegistryError::NoSuchTemplateVersion { template: self.name.clone(), version }
    }
}

impl Registry {
    /// CreateProvisioningTemplate with nothing but a body and a hook.
    ///
    /// # Errors
    /// As [`Registry::plan_create_described_template`].
    pub fn plan_create_template(
        &self,
        name: &TemplateName,
        body: &str,
        enabled: bool,
        hook: Option<BuiltinHook>,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let new = NewTemplate { body: body.to_owned(), enabled, hook, ..NewTemplate::default() };
        self.plan_create_described_template(name, new, now)
    }

    /// CreateProvisioningTemplate: version 1, which is the default.
    ///
    /// # Errors
    /// When the name is taken, the body does not parse, or there are [`MAX_TEMPLATES`] already.
    pub fn plan_create_described_template(
        &self,
        name: &TemplateName,
        new: NewTemplate,
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
            template: parse(&new.body)?,
            body: new.body,
            versions: Versions::first(now),
            description: new.description,
            role_arn: new.role_arn,
            enabled: new.enabled,
            hook: new.hook,
            created_at: now,
            last_modified: now,
            tags: new.tags,
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
        self.plan_edit_template(name, now, |template| {
            edit(template);
            Ok(())
        })
    }

    /// The same with an edit that may refuse, for example [`TemplateRecord::set_default_version`].
    ///
    /// # Errors
    /// As [`Registry::plan_update_template`], and what `edit` says.
    pub fn plan_edit_template<T>(
        &self,
        name: &TemplateName,
        now: Timestamp,
        edit: impl FnOnce(&mut TemplateRecord) -> Result<T, RegistryError>,
    ) -> Result<Plan<T>, RegistryError> {
        let before = self.require_template(name)?;
        let mut after = before.clone();
        let output = edit(&mut after)?;
        after.name = name.clone();
        after.template = parse(&after.body)?;
        let mut draft = Draft::new(self);
        if after != *before {
            after.last_modified = now;
            draft.write(Change::PutTemplate(after.into()));
        }
        Ok(draft.plan(output))
    }

    /// DeleteProvisioningTemplate.
    ///
    /// # Errors
    /// When the template does not exist or has versions besides the default.
    pub fn plan_delete_template(&self, name: &TemplateName) -> Result<Plan<()>, RegistryError> {
        if !self.require_template(name)?.versions.others.is_empty() {
            return Err(RegistryError::TemplateHasVersions(name.clone()));
        }
        let mut draft = Draft::new(self);
        draft.write(Change::DeleteTemplate(name.clone()));
        Ok(draft.plan(()))
    }
}

fn parse(body: &str) -> Result<Arc<Template>, RegistryError> {
    Template::parse(body).map(Arc::new).map_err(|error| RegistryError::BadTemplate(error.to_string()))
}
