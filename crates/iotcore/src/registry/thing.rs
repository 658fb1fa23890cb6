//! Things: create, update, delete, under AWS's limits.
//!
//! Limits: AWS IoT Core endpoints and quotas (3 attributes without a thing type, 50 with one; 10 groups). Types are
//! [`super::thing_type`]'s, groups [`super::group`]'s.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::name::{GroupName, ThingName};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::attributes::{self, merge_attributes};
use super::quota::{MAX_ATTRIBUTES, MAX_ATTRIBUTES_UNTYPED, MAX_GROUPS};
use super::{Change, Draft, Plan, Registry, RegistryError, ThingTypeName, unique};

/// A thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// Its name, which is its identity.
    pub name: ThingName,
    /// Its type, if it has one.
    pub type_name: Option<ThingTypeName>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The groups it is in; each exists.
    pub groups: BTreeSet<GroupName>,
    /// Starts at 1 and rises with each change of type or attributes. Joining and leaving groups is no change of the
    /// thing: AWS tells of it by other events (Developer Guide, registry-events).
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Thing {
    /// A thing with nothing but a name.
    pub fn new(name: ThingName, now: Timestamp) -> Self {
        Self {
            name,
            type_name: None,
            attributes: BTreeMap::new(),
            groups: BTreeSet::new(),
            version: 1,
            created_at: now,
        }
    }

    /// The `thingId`.
    pub fn id(&self) -> String {
        unique::uuid("thing", self.name.as_str(), self.created_at)
    }
}

/// What UpdateThing changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThingUpdate {
    /// What becomes of the type.
    pub type_name: TypeUpdate,
    /// New attributes, if any.
    pub attributes: Option<AttributeUpdate>,
    /// The version that the thing must have.
    pub expected_version: Option<u64>,
}

/// What becomes of a thing's type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TypeUpdate {
    /// It stays.
    #[default]
    Keep,
    /// It becomes this one.
    Set(ThingTypeName),
    /// The thing has none any more.
    Remove,
}

/// Attributes that replace those there are, or are merged into them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeUpdate {
    /// Names and values; with `merge`, an empty value removes an attribute.
    pub attributes: BTreeMap<String, String>,
    /// Whether attributes that are not named stay.
    pub merge: bool,
}

impl AttributeUpdate {
    /// Changes `attributes` accordingly.
    pub(super) fn apply(&self, attributes: &mut BTreeMap<String, String>) {
        if !self.merge {
            attributes.clear();
        }
        merge_attributes(attributes, &self.attributes);
    }
}

impl Registry {
    /// CreateThing. As AWS does, an identical thing that exists is an answer, not an error.
    ///
    /// # Errors
    /// When a thing of the name has other properties, the type does not exist, or a limit is exceeded.
    pub fn plan_create_thing(
        &self,
        name: &ThingName,
        type_name: Option<ThingTypeName>,
        attributes: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        match draft.find_thing(name) {
            Some(thing) if thing.type_name == type_name && thing.attributes == attributes => {}
            Some(thing) => return Err(RegistryError::ThingExists { name: name.clone(), id: thing.id() }),
            None => draft.save_thing(Thing { type_name, attributes, ..Thing::new(name.clone(), now) })?,
        }
        Ok(draft.plan(()))
    }

    /// UpdateThing.
    ///
    /// # Errors
    /// When thing or type do not exist, the thing has another version, or a limit is exceeded.
    pub fn plan_update_thing(
        &self,
        name: &ThingName,
        update: &ThingUpdate,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let mut thing = draft.thing(name)?.clone();
        check_version(name, thing.version, update.expected_version)?;
        match &update.type_name {
            TypeUpdate::Keep => {}
            TypeUpdate::Set(type_name) => thing.type_name = Some(type_name.clone()),
            TypeUpdate::Remove => thing.type_name = None,
        }
        if let Some(attributes) = &update.attributes {
            attributes.apply(&mut thing.attributes);
        }
        draft.save_thing(thing)?;
        Ok(draft.plan(()))
    }

    /// DeleteThing. As AWS documents, deleting what does not exist succeeds.
    ///
    /// # Errors
    /// When the thing has another version or certificates are attached to it.
    pub fn plan_delete_thing(
        &self,
        name: &ThingName,
        expected_version: Option<u64>,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        if let Some(thing) = draft.find_thing(name) {
            check_version(name, thing.version, expected_version)?;
            if !self.principals_of(name).is_empty() {
                return Err(RegistryError::PrincipalsAttached(name.clone()));
            }
            draft.write(Change::DeleteThing(name.clone()));
        }
        Ok(draft.plan(()))
    }
}

impl Draft<'_> {
    /// Makes or replaces a thing after checking its limits; its version rises only if type or attributes changed.
    pub(crate) fn save_thing(&mut self, mut thing: Thing) -> Result<(), RegistryError> {
        let before = self.find_thing(&thing.name);
        if before == Some(&thing) {
            return Ok(());
        }
        self.check_thing(&thing, before)?;
        if let Some(before) = before {
            let same = (&thing.type_name, &thing.attributes) == (&before.type_name, &before.attributes);
            thing.version = before.version.saturating_add(u64::from(!same));
        }
        self.put_thing(thing);
        Ok(())
    }

    fn check_thing(&self, thing: &Thing, before: Option<&Thing>) -> Result<(), RegistryError> {
        if let Some(type_name) = &thing.type_name {
            let fresh = before.and_then(|before| before.type_name.as_ref()) != Some(type_name);
            self.check_type(type_name, fresh)?;
        }
        check_attributes(thing)?;
        if thing.groups.len() > MAX_GROUPS {
            return Err(RegistryError::TooManyGroups {
                thing: thing.name.clone(),
                count: thing.groups.len(),
                max: MAX_GROUPS,
            });
        }
        self.check_groups(thing, before)
    }

    /// A deprecated type keeps its things and gets no more.
    fn check_type(&self, name: &ThingTypeName, fresh: bool) -> Result<(), RegistryError> {
        let kind = self.base.require_thing_type(name)?;
        if fresh && kind.deprecated_at.is_some() {
            return Err(RegistryError::TypeDeprecated(name.clone()));
        }
        Ok(())
    }

    /// Every group exists, and a new one is of another hierarchy than the others (Developer Guide, thing-groups:
    /// "you cannot add a thing to more than one group in the same hierarchy").
    fn check_groups(&self, thing: &Thing, before: Option<&Thing>) -> Result<(), RegistryError> {
        let is_new = |group: &GroupName| before.is_none_or(|before| !before.groups.contains(group));
        for group in &thing.groups {
            self.group(group)?;
            let root = self.base.root_of(group);
            let relative = thing.groups.iter().find(|other| {
                *other != group && (is_new(group) || is_new(other)) && self.base.root_of(other) == root
            });
            if let Some(other) = relative {
                return Err(RegistryError::SameHierarchy {
                    thing: thing.name.clone(),
                    group: group.clone(),
                    other: other.clone(),
                });
            }
        }
        Ok(())
    }
}

fn check_version(name: &ThingName, found: u64, expected: Option<u64>) -> Result<(), RegistryError> {
    match expected {
        Some(expected) if expected != found => {
            Err(RegistryError::VersionConflict { what: format!("thing {name}"), expected, found })
        }
        _ => Ok(()),
    }
}

fn check_attributes(thing: &Thing) -> Result<(), RegistryError> {
    let (max, why) = match thing.type_name {
        None => (MAX_ATTRIBUTES_UNTYPED, "without a thing type"),
        Some(_) => (MAX_ATTRIBUTES, "with a thing type"),
    };
    if thing.attributes.len() > max {
        return Err(RegistryError::TooManyAttributes {
            what: format!("Thing {}", thing.name),
            count: thing.attributes.len(),
            max,
            why,
        });
    }
    attributes::check(&thing.attributes)
}
