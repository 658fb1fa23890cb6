//! What a commit means in the words of registry events: what was made, changed or removed, and what belongs together
//! now or no longer.
//!
//! Pure: a registry and the changes that are about to be applied to it. Source: Developer Guide, registry-events. A
//! relation ends with either of its ends, which AWS says of groups in groups only. Not here: topics and payloads
//! ([`crate::events`]).

use std::sync::Arc;

use fleetkey_model::name::{GroupName, ThingName};
use fleetkey_model::topic::{RecordChange, RelationChange};

use super::{Change, EventType, GroupRecord, Registry, Thing, ThingType, ThingTypeName};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// To a thing. Joining and leaving groups changes no thing.
    Thing(RecordChange, Arc<Thing>),
    /// To a thing type.
    ThingType(RecordChange, Arc<ThingType>),
    /// To a thing group; with the groups it is in, from the root to the parent.
    ThingGroup(RecordChange, Arc<GroupRecord>, Vec<Named<GroupName>>),
    /// A thing has a type, or has not any more.
    TypeAssociation(RelationChange, Named<ThingName>, ThingTypeName),
    /// A thing is in a group, or is not any more.
    GroupMembership(RelationChange, Named<GroupName>, Named<ThingName>),
    /// A group is in another, or is not any more.
    GroupHierarchy {
        /// Which of the two.
        change: RelationChange,
        /// The group that the other is in.
        parent: Named<GroupName>,
        /// The other.
        child: Named<GroupName>,
    },
}

/// A record's name, and the identifier that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<N> {
    /// Its name.
    pub name: N,
    /// `thingId` or `thingGroupId`.
    pub id: String,
}

impl Happening {
    /// The setting that it is published under.
    pub const fn kind(&self) -> EventType {
        match self {
            Self::Thing(..) => EventType::Thing,
            Self::ThingType(..) => EventType::ThingType,
            Self::ThingGroup(..) => EventType::ThingGroup,
            Self::TypeAssociation(..) => EventType::ThingTypeAssociation,
            Self::GroupMembership(..) => EventType::ThingGroupMembership,
            Self::GroupHierarchy { .. } => EventType::ThingGroupHierarchy,
        }
    }
}

impl Registry {
    /// What `changes`, which are about to be applied, will have done, of the kinds that are wanted: what is made
    /// before what is joined to it, what is parted before what is removed.
    pub fn happenings(&self, changes: &[Change]) -> Vec<Happening> {
        if !self.event_settings().wants_any() {
            return Vec::new();
        }
        let mut all: Vec<Happening> = changes.iter().flat_map(|change| self.happenings_of(change)).collect();
        all.retain(|happening| self.event_settings().wants(happening.kind()));
        all
    }

    fn happenings_of(&self, change: &Change) -> Vec<Happening> {
        match change {
            Change::PutThing(after) => self.thing_put(after),
            Change::DeleteThing(name) => {
                self.things.get(name).map(|thing| self.thing_gone(thing)).unwrap_or_default()
            }
            Change::PutThingType(after) => self.thing_type_put(after),
            Change::DeleteThingType(name) => {
                let gone = |kind: &Arc<ThingType>| Happening::ThingType(RecordChange::Deleted, kind.clone());
                self.thing_types.get(name).map(gone).into_iter().collect()
            }
            Change::PutGroup(after) => self.group_put(after),
            Change::DeleteGroup(name) => {
                self.groups.get(name).map(|group| self.group_gone(group)).unwrap_or_default()
            }
            Change::PutCertificate(_)
            | Change::DeleteCertificate(_)
            | Change::PutPolicy(_)
            | Change::DeletePolicy(_)
            | Change::PutTemplate(_)
            | Change::DeleteTemplate(_)
            | Change::PutRule(_)
            | Change::DeleteRule(_)
            | Change::PutEventSettings(_) => Vec::new(),
        }
    }

    fn thing_put(&self, after: &Arc<Thing>) -> Vec<Happening> {
        let before = self.thing(&after.name);
        let mut all = Vec::new();
        match before {
            None => all.push(Happening::Thing(RecordChange::Created, after.clone())),
            Some(before) if before.version != after.version => {
                all.push(Happening::Thing(RecordChange::Updated, after.clone()));
            }
            Some(_) => {}
        }
        let (old, new) = (before.and_then(|before| before.type_name.as_ref()), after.type_name.as_ref());
        if old != new {
            all.extend(old.map(|kind| association(RelationChange::Removed, after, kind)));
            all.extend(new.map(|kind| association(RelationChange::Added, after, kind)));
        }
        let left = before.into_iter().flat_map(|before| before.groups.difference(&after.groups));
        all.extend(left.filter_map(|group| self.membership(RelationChange::Removed, group, after)));
        let joined =
            after.groups.iter().filter(|group| before.is_none_or(|before| !before.groups.contains(*group)));
        all.extend(joined.filter_map(|group| self.membership(RelationChange::Added, group, after)));
        all
    }

    fn thing_gone(&self, thing: &Arc<Thing>) -> Vec<Happening> {
        let mut all: Vec<Happening> =
            thing.type_name.iter().map(|kind| association(RelationChange::Removed, thing, kind)).collect();
        let groups = thing.groups.iter();
        all.extend(groups.filter_map(|group| self.membership(RelationChange::Removed, group, thing)));
        all.push(Happening::Thing(RecordChange::Deleted, thing.clone()));
        all
    }

    fn membership(&self, change: RelationChange, group: &GroupName, thing: &Thing) -> Option<Happening> {
        Some(Happening::GroupMembership(change, named_group(self.group(group)?), named_thing(thing)))
    }

    fn thing_type_put(&self, after: &Arc<ThingType>) -> Vec<Happening> {
        let change = match self.thing_type(&after.name) {
            None => RecordChange::Created,
            Some(before)
                if (&before.properties, before.deprecated_at) != (&after.properties, after.deprecated_at) =>
            {
                RecordChange::Updated
            }
            Some(_) => return Vec::new(),
        };
        vec![Happening::ThingType(change, after.clone())]
    }

    fn group_put(&self, after: &Arc<GroupRecord>) -> Vec<Happening> {
        let above = self.above(after);
        match self.group(&after.name) {
            None => {
                let joined = hierarchy(RelationChange::Added, after, &above);
                let made = Happening::ThingGroup(RecordChange::Created, after.clone(), above);
                std::iter::once(made).chain(joined).collect()
            }
            Some(before) if before.version != after.version => {
                vec![Happening::ThingGroup(RecordChange::Updated, after.clone(), above)]
            }
            Some(_) => Vec::new(),
        }
    }

    fn group_gone(&self, group: &Arc<GroupRecord>) -> Vec<Happening> {
        let above = self.above(group);
        let parted = hierarchy(RelationChange::Removed, group, &above);
        let gone = Happening::ThingGroup(RecordChange::Deleted, group.clone(), above);
        parted.into_iter().chain(std::iter::once(gone)).collect()
    }

    /// The groups that a group is in, from the root to the parent.
    fn above(&self, group: &GroupRecord) -> Vec<Named<GroupName>> {
        let parents = group.parent.iter().flat_map(|parent| self.lineage(parent));
        let mut above: Vec<_> = parents.map(named_group).collect();
        above.reverse();
        above
    }
}

fn association(change: RelationChange, thing: &Thing, kind: &ThingTypeName) -> Happening {
    Happening::TypeAssociation(change, named_thing(thing), kind.clone())
}

fn hierarchy(change: RelationChange, child: &GroupRecord, above: &[Named<GroupName>]) -> Option<Happening> {
    let parent = above.last()?.clone();
    Some(Happening::GroupHierarchy { change, parent, child: named_group(child) })
}

fn named_thing(thing: &Thing) -> Named<ThingName> {
    Named { name: thing.name.clone(), id: thing.id() }
}

fn named_group(group: &GroupRecord) -> Named<GroupName> {
    Named { name: group.name.clone(), id: group.id() }
}
