//! Thing groups: a name, a parent, and policies that reach every thing in the group or below it.
//!
//! Source: Developer Guide, thing-groups. Not here: dynamic groups, group attributes.

use std::collections::BTreeSet;

use fleetkey_model::name::{GroupName, PolicyName};
use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::quota::MAX_DEPTH;
use super::{Change, Draft, Plan, Registry, RegistryError};

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
}

impl Registry {
    /// CreateThingGroup. As AWS does, an identical group that exists is an answer, not an error.
    ///
    /// # Errors
    /// When the parent does not exist, groups would nest too deep, or the name has another parent.
    pub fn plan_create_group(
        &self,
        name: &GroupName,
        parent: Option<GroupName>,
        now: Timestamp,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        if let Some(existing) = self.group(name) {
            if existing.parent != parent {
                return Err(RegistryError::GroupExists(name.clone()));
            }
            return Ok(draft.plan(()));
        }
        if let Some(parent) = &parent {
            draft.group(parent)?;
            if self.lineage(parent).count() >= MAX_DEPTH {
                return Err(RegistryError::TooDeep(name.clone()));
            }
        }
        let group = GroupRecord { name: name.clone(), parent, policies: BTreeSet::new(), created_at: now };
        draft.write(Change::PutGroup(group.into()));
        Ok(draft.plan(()))
    }

    /// DeleteThingGroup: its things leave it, its policies are detached.
    ///
    /// # Errors
    /// When the group does not exist or has child groups.
    pub fn plan_delete_group(&self, name: &GroupName) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.group(name)?;
        if self.groups().any(|group| group.parent.as_ref() == Some(name)) {
            return Err(RegistryError::GroupHasChildren(name.clone()));
        }
        for thing in self.things().filter(|thing| thing.groups.contains(name)) {
            let mut thing = thing.clone();
            thing.groups.remove(name);
            draft.save_thing(thing)?;
        }
        draft.write(Change::DeleteGroup(name.clone()));
        Ok(draft.plan(()))
    }
}
