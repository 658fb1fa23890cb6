//! Thing types: create, update, deprecate, delete.
//!
//! Source: Developer Guide, thing-types; API Reference, CreateThingType, DeprecateThingType, DeleteThingType. That
//! a deletion refused for its preconditions is an InvalidRequestException follows from the models.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetkey_model::name::GroupName;
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::quota::MAX_SEARCHABLE;
use super::{Change, Draft, Plan, Registry, RegistryError, Tags, unique};

/// A thing type name follows the rule of a group name: 1–128 of `[a-zA-Z0-9:_-]`.
pub type ThingTypeName = GroupName;

/// A thing type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ThingTypeRow")]
pub struct ThingType {
    /// Its name, which is its identity.
    pub name: ThingTypeName,
    /// What it is for and can be searched by.
    pub properties: ThingTypeProperties,
    /// Since when it takes no more things, if it is deprecated.
    pub deprecated_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the operator notes of it.
    pub tags: Tags,
}

/// What a thing type says of itself (API Reference, ThingTypeProperties).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThingTypeProperties {
    /// For people.
    #[serde(rename = "thingTypeDescription", default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Attributes that things of the type can be searched by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub searchable_attributes: BTreeSet<String>,
    /// Kept and told, and of no effect on messages here.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub mqtt5_configuration: Option<Mqtt5Configuration>,
}

/// What messages of the type's things are given as user properties (API Reference, Mqtt5Configuration).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mqtt5Configuration {
    /// One user property each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub propagating_attributes: Vec<PropagatingAttribute>,
}

/// A user property, and where its value is from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PropagatingAttribute {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_property_key: Option<String>,
    /// An attribute of the thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing_attribute: Option<String>,
    /// An attribute of the connection, for example `iot:ClientId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_attribute: Option<String>,
}

/// A configuration as it is stored: whatever was given before it had a type, which nothing depends on.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mqtt5Configuration>, D::Error> {
    let stored = Option::<Value>::deserialize(deserializer)?;
    Ok(stored.and_then(|value| serde_json::from_value(value).ok()))
}

/// A thing type as it is stored; the first format had nothing but a name.
#[derive(Deserialize)]
#[serde(untagged)]
enum ThingTypeRow {
    Name(ThingTypeName),
    #[serde(rename_all = "snake_case")]
    Whole {
        name: ThingTypeName,
        properties: ThingTypeProperties,
        deprecated_at: Option<Timestamp>,
        created_at: Timestamp,
        tags: Tags,
    },
}

impl From<ThingTypeRow> for ThingType {
    fn from(row: ThingTypeRow) -> Self {
        match row {
            ThingTypeRow::Name(name) => Self::new(name, Timestamp::default()),
            ThingTypeRow::Whole { name, properties, deprecated_at, created_at, tags } => {
                Self { name, properties, deprecated_at, created_at, tags }
            }
        }
    }
}

impl ThingType {
    /// A thing type with nothing but a name.
    pub fn new(name: ThingTypeName, now: Timestamp) -> Self {
        let (properties, tags) = (ThingTypeProperties::default(), Tags::default());
        Self { name, properties, deprecated_at: None, created_at: now, tags }
    }

    /// The `thingTypeId`.
    pub fn id(&self) -> String {
        unique::uuid("thing type", self.name.as_str(), self.created_at)
    }
}

impl Registry {
    /// CreateThingType. As AWS does, an identical type that exists is an answer, not an error.
    ///
    /// # Errors
    /// When a type of the name has other properties, or there are too many searchable attributes.
    pub fn plan_create_thing_type(
        &self,
        name: &ThingTypeName,
        properties: ThingTypeProperties,
        tags: Tags,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        check(&properties)?;
        match self.thing_type(name) {
            Some(found) if found.properties == properties => {}
            Some(found) => {
                return Err(RegistryError::ThingTypeExists { name: name.clone(), id: found.id() });
            }
            None => draft.put_thing_type(ThingType { properties, tags, ..ThingType::new(name.clone(), now) }),
        }
        Ok(draft.plan(()))
    }

    /// UpdateThingType: what `properties` has, the type has after; the rest stays.
    ///
    /// # Errors
    /// When the type does not exist, or there are too many searchable attributes.
    pub fn plan_update_thing_type(
        &self,
        name: &ThingTypeName,
        properties: ThingTypeProperties,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        check(&properties)?;
        let mut after = self.require_thing_type(name)?.clone();
        let kept = &mut after.properties;
        kept.description = properties.description.or_else(|| kept.description.take());
        kept.mqtt5_configuration = properties.mqtt5_configuration.or_else(|| kept.mqtt5_configuration.take());
        if !properties.searchable_attributes.is_empty() {
            kept.searchable_attributes = properties.searchable_attributes;
        }
        draft.put_thing_type(after);
        Ok(draft.plan(()))
    }

    /// DeprecateThingType, or with `undo` the opposite. Deprecating again does not start the five minutes anew.
    ///
    /// # Errors
    /// When the type does not exist.
    pub fn plan_deprecate_thing_type(
        &self,
        name: &ThingTypeName,
        undo: bool,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let mut after = self.require_thing_type(name)?.clone();
        after.deprecated_at = if undo { None } else { after.deprecated_at.or(Some(now)) };
        draft.put_thing_type(after);
        Ok(draft.plan(()))
    }

    /// DeleteThingType. AWS demands [`super::quota::TYPE_REST`] between deprecation and deletion; `rest` is what is
    /// demanded here.
    ///
    /// # Errors
    /// When the type does not exist, is not deprecated for as long as `rest`, or has things.
    pub fn plan_delete_thing_type(
        &self,
        name: &ThingTypeName,
        rest: Duration,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let since = self.require_thing_type(name)?.deprecated_at;
        let Some(since) = since else {
            return Err(RegistryError::TypeNotDeprecated(name.clone()));
        };
        if now < since + rest {
            return Err(RegistryError::TypeTooFresh(name.clone()));
        }
        if self.things().any(|thing| thing.type_name.as_ref() == Some(name)) {
            return Err(RegistryError::TypeInUse(name.clone()));
        }
        draft.write(Change::DeleteThingType(name.clone()));
        Ok(draft.plan(()))
    }
}

impl Draft<'_> {
    fn put_thing_type(&mut self, after: ThingType) {
        if self.base.thing_type(&after.name) != Some(&after) {
            self.write(Change::PutThingType(after.into()));
        }
    }
}

fn check(properties: &ThingTypeProperties) -> Result<(), RegistryError> {
    if properties.searchable_attributes.len() > MAX_SEARCHABLE {
        return Err(RegistryError::TooManySearchable(MAX_SEARCHABLE));
    }
    let mut configured =
        properties.mqtt5_configuration.iter().flat_map(|config| &config.propagating_attributes);
    configured.try_for_each(check_propagating)
}

/// The patterns of the API Reference, PropagatingAttribute.
fn check_propagating(attribute: &PropagatingAttribute) -> Result<(), RegistryError> {
    for (member, text, marks) in [
        ("userPropertyKey", &attribute.user_property_key, ":$."),
        ("thingAttribute", &attribute.thing_attribute, "_.,@/:#-"),
        ("connectionAttribute", &attribute.connection_attribute, ":."),
    ] {
        let fits = |text: &String| {
            (1..=128).contains(&text.len())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
        };
        if !text.as_ref().is_none_or(fits) {
            return Err(RegistryError::BadPropagation { member, marks });
        }
    }
    Ok(())
}
