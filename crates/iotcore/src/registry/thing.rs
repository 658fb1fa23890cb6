//! Things and thing types.
//!
//! Limits: AWS IoT Core endpoints and quotas (3 attributes without a thing type, 50 with one; 10 groups).

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::name::{GroupName, ThingName};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::quota::{MAX_ATTRIBUTES, MAX_ATTRIBUTES_UNTYPED, MAX_GROUPS};
use super::{Change, Draft, Plan, Registry, RegistryError};

/// A thing type name follows the rule of a group name: 1–128 of `[a-zA-Z0-9:_-]`.
pub type ThingTypeName = GroupName;

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
    /// Starts at 1 and rises with each change.
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
            Some(_) => return Err(RegistryError::ThingExists(name.clone())),
            None => draft.save_thing(Thing { type_name, attributes, ..Thing::new(name.clone(), now) })?,
        }
        Ok(draft.plan(()))
    }

    /// UpdateThing: replaces the attributes, or merges them where an empty value removes one.
    ///
    /// # Errors
    /// When the thing does not exist or a limit is exceeded.
    pub fn plan_update_thing(
        &self,
        name: &ThingName,
        attributes: &BTreeMap<String, String>,
        merge: bool,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let mut thing = draft.thing(name)?.clone();
        if !merge {
            thing.attributes.clear();
        }
        merge_attributes(&mut thing.attributes, attributes);
        draft.save_thing(thing)?;
        Ok(draft.plan(()))
    }

    /// DeleteThing.
    ///
    /// # Errors
    /// When the thing does not exist or certificates are attached to it.
    pub fn plan_delete_thing(&self, name: &ThingName) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.thing(name)?;
        if !self.principals_of(name).is_empty() {
            return Err(RegistryError::PrincipalsAttached(name.clone()));
        }
        draft.write(Change::DeleteThing(name.clone()));
        Ok(draft.plan(()))
    }

    /// AddThingToThingGroup; adding twice changes nothing.
    ///
    /// # Errors
    /// When one of them does not exist or the thing is in [`MAX_GROUPS`] groups.
    pub fn plan_add_to_group(&self, name: &ThingName, group: &GroupName) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let mut thing = draft.thing(name)?.clone();
        thing.groups.insert(group.clone());
        draft.save_thing(thing)?;
        Ok(draft.plan(()))
    }

    /// RemoveThingFromThingGroup; removing twice changes nothing.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn plan_remove_from_group(
        &self,
        name: &ThingName,
        group: &GroupName,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.group(group)?;
        let mut thing = draft.thing(name)?.clone();
        thing.groups.remove(group);
        draft.save_thing(thing)?;
        Ok(draft.plan(()))
    }

    /// CreateThingType; making one twice changes nothing.
    pub fn plan_create_thing_type(&self, name: &ThingTypeName) -> Plan<()> {
        let mut draft = Draft::new(self);
        if !self.has_thing_type(name) {
            draft.write(Change::PutThingType(name.clone()));
        }
        draft.plan(())
    }
}

impl Draft<'_> {
    /// Makes or replaces a thing after checking its limits; its version rises only if something changed.
    pub(crate) fn save_thing(&mut self, mut thing: Thing) -> Result<(), RegistryError> {
        self.check_thing(&thing)?;
        if let Some(before) = self.find_thing(&thing.name) {
            if *before == thing {
                return Ok(());
            }
            thing.version = before.version.saturating_add(1);
        }
        self.put_thing(thing);
        Ok(())
    }

    fn check_thing(&self, thing: &Thing) -> Result<(), RegistryError> {
        if let Some(type_name) = &thing.type_name {
            self.require_thing_type(type_name)?;
        }
        check_attributes(thing)?;
        if thing.groups.len() > MAX_GROUPS {
            return Err(RegistryError::TooManyGroups {
                thing: thing.name.clone(),
                count: thing.groups.len(),
                max: MAX_GROUPS,
            });
        }
        thing.groups.iter().try_for_each(|group| self.group(group).map(drop))
    }
}

/// Adds `new` to `attributes`; an empty value removes the attribute (API Reference, AttributePayload).
pub(crate) fn merge_attributes(attributes: &mut BTreeMap<String, String>, new: &BTreeMap<String, String>) {
    for (name, value) in new {
        if value.is_empty() {
            attributes.remove(name);
        } else {
            attributes.insert(name.clone(), value.clone());
        }
    }
}

fn check_attributes(thing: &Thing) -> Result<(), RegistryError> {
    let (max, why) = match thing.type_name {
        None => (MAX_ATTRIBUTES_UNTYPED, "without a thing type"),
        Some(_) => (MAX_ATTRIBUTES, "with a thing type"),
    };
    if thing.attributes.len() > max {
        return Err(RegistryError::TooManyAttributes {
            thing: thing.name.clone(),
            count: thing.attributes.len(),
            max,
            why,
        });
    }
    let bad = |(name, value): &(&String, &String)| {
        name.is_empty() || name.len() > 128 || value.len() > 800 || !is_plain(name) || !is_plain(value)
    };
    match thing.attributes.iter().find(bad) {
        Some((name, _)) => Err(RegistryError::BadAttribute(name.chars().take(128).collect())),
        None => Ok(()),
    }
}

/// The characters of attribute names and values (API Reference, AttributePayload).
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "_.,@/:#=[]-".contains(c))
}
