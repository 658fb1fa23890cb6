//! Where the registry tells what has changed in it.
//!
//! Source: Developer Guide, registry-events. An older text of that page (2022) has `…/thing/THING/TYPE` for a thing
//! and its type, without what became of the two; this is the present one.

use core::fmt;

use crate::name::{GroupName, ThingName};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordChange {
    /// It is new.
    Created,
    /// It is another than before.
    Updated,
    /// It is gone.
    Deleted,
}

/// What became of the relation between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationChange {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
}

/// A topic of a registry event. Names of thing types follow the rule of group names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistryTopic<'a> {
    /// `$aws/events/thing/THING/created`, `…/updated`, `…/deleted`.
    Thing(&'a ThingName, RecordChange),
    /// `$aws/events/thingType/TYPE/…`; a deprecation is an update.
    ThingType(&'a GroupName, RecordChange),
    /// `$aws/events/thingGroup/GROUP/…`.
    ThingGroup(&'a GroupName, RecordChange),
    /// `$aws/events/thingTypeAssociation/thing/THING/thingType/TYPE/added`, `…/removed`.
    TypeAssociation(&'a ThingName, &'a GroupName, RelationChange),
    /// `$aws/events/thingGroupMembership/thingGroup/GROUP/thing/THING/…`.
    GroupMembership(&'a GroupName, &'a ThingName, RelationChange),
    /// `$aws/events/thingGroupHierarchy/thingGroup/PARENT/childThingGroup/CHILD/…`.
    GroupHierarchy(&'a GroupName, &'a GroupName, RelationChange),
}

impl RegistryTopic<'_> {
    /// The filter of [`Self::Thing`], whatever the thing and the change.
    pub const ALL_THINGS: &'static str = "$aws/events/thing/+/+";

    /// Reads a topic of [`Self::Thing`]; `None` for any other.
    pub fn thing(topic: &str) -> Option<(ThingName, RecordChange)> {
        let (name, change) = topic.strip_prefix("$aws/events/thing/")?.split_once('/')?;
        let changes = [RecordChange::Created, RecordChange::Updated, RecordChange::Deleted];
        let change = changes.into_iter().find(|known| known.as_str() == change)?;
        Some((ThingName::new(name).ok()?, change))
    }
}

impl RecordChange {
    /// AWS's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for RecordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RelationChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "added",
            Self::Removed => "removed",
        })
    }
}

impl fmt::Display for RegistryTopic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$aws/events/")?;
        match self {
            Self::Thing(name, change) => write!(f, "thing/{name}/{change}"),
            Self::ThingType(name, change) => write!(f, "thingType/{name}/{change}"),
            Self::ThingGroup(name, change) => write!(f, "thingGroup/{name}/{change}"),
            Self::TypeAssociation(thing, kind, change) => {
                write!(f, "thingTypeAssociation/thing/{thing}/thingType/{kind}/{change}")
            }
            Self::GroupMembership(group, thing, change) => {
                write!(f, "thingGroupMembership/thingGroup/{group}/thing/{thing}/{change}")
            }
            Self::GroupHierarchy(parent, child, change) => {
                write!(f, "thingGroupHierarchy/thingGroup/{parent}/childThingGroup/{child}/{change}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn topics_are_written_as_aws_documents_them() {
        let thing = ThingName::new("t").unwrap();
        let (group, child) = (GroupName::new("g").unwrap(), GroupName::new("c").unwrap());
        let (updated, added) = (RecordChange::Updated, RelationChange::Added);
        for (topic, expected) in [
            (RegistryTopic::Thing(&thing, RecordChange::Created), "thing/t/created"),
            (RegistryTopic::Thing(&thing, RecordChange::Deleted), "thing/t/deleted"),
            (RegistryTopic::ThingType(&group, updated), "thingType/g/updated"),
            (RegistryTopic::ThingGroup(&group, updated), "thingGroup/g/updated"),
            (
                RegistryTopic::TypeAssociation(&thing, &group, added),
                "thingTypeAssociation/thing/t/thingType/g/added",
            ),
            (
                RegistryTopic::GroupMembership(&group, &thing, RelationChange::Removed),
                "thingGroupMembership/thingGroup/g/thing/t/removed",
            ),
            (
                RegistryTopic::GroupHierarchy(&group, &child, added),
                "thingGroupHierarchy/thingGroup/g/childThingGroup/c/added",
            ),
        ] {
            assert_eq!(topic.to_string().strip_prefix("$aws/events/"), Some(expected));
        }
    }
    #[test]
    fn topics_of_things_are_read_back_and_no_others() {
        let thing = ThingName::new("press-1").unwrap();
        for change in [RecordChange::Created, RecordChange::Updated, RecordChange::Deleted] {
            let topic = RegistryTopic::Thing(&thing, change).to_string();
            assert_eq!(RegistryTopic::thing(&topic), Some((thing.clone(), change)));
        }
        for other in [
            "thing/press-1",
            "thing/press-1/pump",
            "thing/a/b/created",
            "thing//created",
            "thingType/t/created",
        ] {
            assert_eq!(RegistryTopic::thing(&std::format!("$aws/events/{other}")), None, "{other}");
        }
    }
}
