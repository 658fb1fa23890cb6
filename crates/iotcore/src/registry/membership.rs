//! Which things are in which groups: AddThingToThingGroup, RemoveThingFromThingGroup, UpdateThingGroupsForThing.
//!
//! A membership lives in the thing's record; who is in a group is derived from there.

use std::collections::BTreeSet;

use fleetkey_model::name::{GroupName, ThingName};

use super::{Draft, Plan, Registry, RegistryError};

static NOBODY: BTreeSet<ThingName> = BTreeSet::new();

impl Registry {
    /// The things directly in a group.
    pub fn members_of(&self, group: &GroupName) -> &BTreeSet<ThingName> {
        self.members.get(group).unwrap_or(&NOBODY)
    }

    /// ListThingsInThingGroup: the things in a group, with `recursive` those of the groups below it too.
    ///
    /// # Errors
    /// When the group does not exist.
    pub fn things_in_group(
        &self,
        name: &GroupName,
        recursive: bool,
    ) -> Result<BTreeSet<&ThingName>, RegistryError> {
        self.require_group(name)?;
        let mut things: BTreeSet<&ThingName> = self.members_of(name).iter().collect();
        if recursive {
            let below = self.members.iter().filter(|(group, _)| self.is_below(group, name));
            things.extend(below.flat_map(|(_, things)| things));
        }
        Ok(things)
    }

    /// Whether a group is in another, at any depth.
    pub fn is_below(&self, group: &GroupName, ancestor: &GroupName) -> bool {
        self.lineage(group).skip(1).any(|one| one.name == *ancestor)
    }

    /// AddThingToThingGroup; adding twice changes nothing.
    ///
    /// # Errors
    /// When one of them does not exist, the thing is in ten groups, or in one of the same hierarchy.
    pub fn plan_add_to_group(&self, name: &ThingName, group: &GroupName) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        draft.group(group)?;
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
        self.plan_change_groups(name, &BTreeSet::new(), &BTreeSet::from([group.clone()]))
    }

    /// UpdateThingGroupsForThing: leaves some groups and joins others, all or nothing.
    ///
    /// # Errors
    /// When thing or a group do not exist, a group is in both lists, or as [`Registry::plan_add_to_group`].
    pub fn plan_change_groups(
        &self,
        name: &ThingName,
        join: &BTreeSet<GroupName>,
        leave: &BTreeSet<GroupName>,
    ) -> Result<Plan<()>, RegistryError> {
        let mut draft = Draft::new(self);
        if let Some(group) = join.intersection(leave).next() {
            return Err(RegistryError::JoinsAndLeaves(group.clone()));
        }
        for group in join.iter().chain(leave) {
            draft.group(group)?;
        }
        let mut thing = draft.thing(name)?.clone();
        thing.groups.retain(|group| !leave.contains(group));
        thing.groups.extend(join.iter().cloned());
        draft.save_thing(thing)?;
        Ok(draft.plan(()))
    }
}
