//! Thing groups: a name, a parent, attributes, and policies that reach every thing in the group or below it.
//!
//! Source: Developer Guide, thing-groups. Who is in a group is [`super::membership`]'s. Not here: dynamic groups.

use std::collections::{BTreeMap, BTreeSet};

use fleetkey_model::name::{GroupName, PolicyName};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::quota::{MAX_CHILDREN, MAX_DEPTH, MAX_GROUP_ATTRIBUTES};
use super::thing::AttributeUpdate;
use super::{Change, Draft, Plan, Registry, RegistryError, Tags, attributes, unique};

/// A thing group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Its name, which is its identity.
    pub name: GroupName,
    /// The group it is in; fixed at creation.
    pub parent: Option<GroupName>,
    /// The policies attached to it; each exists.
    pub policies: BTreeSet<PolicyName>,
    /// When it was made.
    pub created_at: Timestamp,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Starts at 1 and rises with each UpdateThingGroup.
    #[serde(default = "first_version")]
    pub version: u64,
    /// What the operator notes of it.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

const fn first_version() -> u64 {
    1
}

/// What CreateThingGroup makes, besides the name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewGroup {
    /// The group that it is in.
    pub parent: Option<GroupName>,
    /// For people.
    pub description: Option<String>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// What the operator notes of it.
    pub tags: Tags,
}

/// What UpdateThingGroup changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupUpdate {
    /// Another description, if any.
    pub description: Option<String>,
    /// New attributes, if any.
    pub attributes: Option<AttributeUpdate>,
    /// The version that the group must have.
    pub expected_version: Option<u64>,
}

impl GroupRecord {
    /// The `thingGroupId`.
    pub fn id(&self) -> String {
        unique::uuid("thing group", self.name.as_str(), self.created_at)
    }

    fn check_version(&self, expected: Option<u64>) -> Result<(), RegistryError> {
        match expected {
            Some(expected) if expected != self.version => Err(RegistryError::VersionConflict {
                what: format!("thing group {}", self.name),
                expected,
                found: self.version,
            }),
            _ => Ok(()),
        }
    }
}

impl Registry {
    /// CreateThingGroup with nothing but a parent.
    ///
    /// # Errors
    /// As [`Registry::plan_create_described_group`].
    pub fn plan_create_group(
        &self,
        name: &GroupName,
        parent: Option<GroupName>,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        self.plan_create_described_group(name, NewGroup { parent, ..NewGroup::default() }, now)
    }

    /// CreateThingGroup. As AWS does, an identical group that exists is an answer, not an error.
    ///
    /// # Errors
    /// When the parent does not exist, groups would nest too deep or be too many, the attributes break a limit, or
    /// a group of the name has other properties.
    pub fn plan_create_described_group(
        &self,
        name: &GroupName,
        new: NewGroup,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        if let Some(found) = self.group(name) {
            if (&found.parent, &found.description, &found.attributes)
                != (&new.parent, &new.description, &new.attributes)
            {
                return Err(RegistryError::GroupExists { name: name.clone(), id: found.id() });
            }
            return Ok(draft.plan(()));
        }
        self.check_parent(name, new.parent.as_ref())?;
        let NewGroup { parent, description, attributes, tags } = new;
        draft.save_group(GroupRecord {
            name: name.clone(),
            parent,
            policies: BTreeSet::new(),
            created_at: now,
            description,
            attributes,
            version: 1,
            tags,
        })?;
        Ok(draft.plan(()))
    }

    /// UpdateThingGroup: the group's version after.
    ///
    /// # Errors
    /// When the group does not exist, has another version, or the attributes break a limit.
    pub fn plan_update_group(
        &self,
        name: &GroupName,
        update: GroupUpdate,
    ) -> Result<Plan<u64>, RegistryError> {
        let mut draft = Draft::new(self);
        let mut group = draft.group(name)?.clone();
        group.check_version(update.expected_version)?;
        group.description = update.description.or(group.description);
        if let Some(attributes) = &update.attributes {
            attributes.apply(&mut group.attributes);
        }
        group.version = group.version.saturating_add(1);
        let version = group.version;
        draft.save_group(group)?;
        Ok(draft.plan(version))
    }

    /// DeleteThingGroup: its things leave it, its policies are detached. Deleting what does not exist succeeds: no
    /// ResourceNotFoundException is modelled.
    ///
    /// # Errors
    /// When the group has another version or child groups.
    pub fn plan_delete_group(
        &self,
        name: &GroupName,
        expected_version: Option<u64>,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        let Some(group) = self.group(name) else {
            return Ok(draft.plan(()));
        };
        group.check_version(expected_version)?;
        if self.children_of(name).next().is_some() {
            return Err(RegistryError::GroupHasChildren(name.clone()));
        }
        for thing in self.members_of(name).iter().filter_map(|thing| self.thing(thing)) {
            let mut thing = thing.clone();
            thing.groups.remove(name);
            draft.save_thing(thing)?;
        }
        draft.write(Change::DeleteGroup(name.clone()));
        Ok(draft.plan(()))
    }

    /// The groups directly under a group.
    pub fn children_of<'a>(&'a self, name: &'a GroupName) -> impl Iterator<Item = &'a GroupRecord> {
        self.groups().filter(move |group| group.parent.as_ref() == Some(name))
    }

    /// The group and its ancestors, nearest first. Parents are fixed at creation, so there is no cycle.
    pub fn lineage(&self, name: &GroupName) -> impl Iterator<Item = &GroupRecord> {
        std::iter::successors(self.group(name), |group| self.group(group.parent.as_ref()?))
    }

    /// The highest ancestor of a group, itself if it has no parent.
    pub(super) fn root_of(&self, name: &GroupName) -> Option<&GroupName> {
        self.lineage(name).last().map(|group| &group.name)
    }

    fn check_parent(&self, name: &GroupName, parent: Option<&GroupName>) -> Result<(), RegistryError> {
        let Some(parent) = parent else {
            return Ok(());
        };
        if self.group(parent).is_none() {
            return Err(RegistryError::NoSuchParent(parent.clone()));
        }
        if self.lineage(parent).count() >= MAX_DEPTH {
            return Err(RegistryError::TooDeep(name.clone()));
        }
        if self.children_of(parent).count() >= MAX_CHILDREN {
            return Err(RegistryError::TooManyChildren { parent: parent.clone(), max: MAX_CHILDREN });
        }
        Ok(())
    }
}

impl Draft<'_> {
    fn save_group(&mut self, group: GroupRecord) -> Result<(), RegistryError> {
        if group.attributes.len() > MAX_GROUP_ATTRIBUTES {
            return Err(RegistryError::TooManyAttributes {
                what: format!("Thing group {}", group.name),
                count: group.attributes.len(),
                max: MAX_GROUP_ATTRIBUTES,
                why: "in a thing group",
            });
        }
        attributes::check(&group.attributes)?;
        self.write(Change::PutGroup(group.into()));
        Ok(())
    }
}
