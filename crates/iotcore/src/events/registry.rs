//! Registry events as AWS IoT publishes them: things, their types and groups, and what belongs together.
//!
//! Source: Developer Guide, registry-events. Not here: what happened, and which kinds are wanted
//! ([`crate::registry::Happening`]).

use fleetkey_model::arn::Scope;
use fleetkey_model::name::{GroupName, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::{RecordChange, RegistryTopic, RelationChange};
use serde_json::{Map, Value, json};

use super::session_identifier;
use crate::registry::{GroupRecord, Happening, Named, Thing, ThingType, membership_id};

/// The topic and the payload of a registry event.
pub(crate) fn registry_event(happening: &Happening, scope: &Scope, at: Timestamp) -> (String, Vec<u8>) {
    let mut body = Map::new();
    for part in [common(happening, scope, at), own(happening, scope)] {
        if let Value::Object(members) = part {
            body.extend(members);
        }
    }
    (topic(happening).to_string(), Value::Object(body).to_string().into_bytes())
}

fn topic(happening: &Happening) -> RegistryTopic<'_> {
    match happening {
        Happening::Thing(change, thing) => RegistryTopic::Thing(&thing.name, *change),
        Happening::ThingType(change, kind) => RegistryTopic::ThingType(&kind.name, *change),
        Happening::ThingGroup(change, group, _) => RegistryTopic::ThingGroup(&group.name, *change),
        Happening::TypeAssociation(change, thing, kind) => {
            RegistryTopic::TypeAssociation(&thing.name, kind, *change)
        }
        Happening::GroupMembership(change, group, thing) => {
            RegistryTopic::GroupMembership(&group.name, &thing.name, *change)
        }
        Happening::GroupHierarchy { change, parent, child } => {
            RegistryTopic::GroupHierarchy(&parent.name, &child.name, *change)
        }
    }
}

/// What every event says.
fn common(happening: &Happening, scope: &Scope, at: Timestamp) -> Value {
    let (kind, operation) = match happening {
        Happening::Thing(change, _) => ("THING_EVENT", record(*change)),
        Happening::ThingType(change, _) => ("THING_TYPE_EVENT", record(*change)),
        Happening::ThingGroup(change, ..) => ("THING_GROUP_EVENT", record(*change)),
        Happening::TypeAssociation(change, ..) => ("THING_TYPE_ASSOCIATION_EVENT", relation(*change)),
        Happening::GroupMembership(change, ..) => ("THING_GROUP_MEMBERSHIP_EVENT", relation(*change)),
        Happening::GroupHierarchy { change, .. } => ("THING_GROUP_HIERARCHY_EVENT", relation(*change)),
    };
    json!({"eventType": kind, "eventId": session_identifier(), "timestamp": at, "operation": operation,
        "accountId": scope.account})
}

/// What only this event says.
fn own(happening: &Happening, scope: &Scope) -> Value {
    match happening {
        Happening::Thing(_, thing) => thing_body(thing),
        Happening::ThingType(_, kind) => type_body(kind),
        Happening::ThingGroup(_, group, above) => group_body(group, above, scope),
        Happening::TypeAssociation(_, thing, kind) => {
            json!({"thingId": thing.id, "thingName": thing.name, "thingTypeName": kind})
        }
        Happening::GroupMembership(_, group, thing) => membership_body(group, thing, scope),
        Happening::GroupHierarchy { parent, child, .. } => {
            json!({"thingGroupId": parent.id, "thingGroupName": parent.name,
                "childGroupId": child.id, "childGroupName": child.name})
        }
    }
}

const fn record(change: RecordChange) -> &'static str {
    match change {
        RecordChange::Created => "CREATED",
        RecordChange::Updated => "UPDATED",
        RecordChange::Deleted => "DELETED",
    }
}

const fn relation(change: RelationChange) -> &'static str {
    match change {
        RelationChange::Added => "ADDED",
        RelationChange::Removed => "REMOVED",
    }
}

fn thing_body(thing: &Thing) -> Value {
    json!({"thingId": thing.id(), "thingName": thing.name, "versionNumber": thing.version,
        "thingTypeName": thing.type_name, "attributes": thing.attributes})
}

fn type_body(kind: &ThingType) -> Value {
    let properties = &kind.properties;
    let propagating =
        properties.mqtt5_configuration.as_ref().map(|all| all.propagating_attributes.as_slice());
    json!({"thingTypeId": kind.id(), "thingTypeName": kind.name, "isDeprecated": kind.deprecated_at.is_some(),
        "deprecationDate": kind.deprecated_at, "searchableAttributes": properties.searchable_attributes,
        "propagatingAttributes": propagating.unwrap_or_default(),
        "description": properties.description})
}

fn group_body(group: &GroupRecord, above: &[Named<GroupName>], scope: &Scope) -> Value {
    let entry = |group: &Named<GroupName>| json!({"groupArn": scope.group(&group.name), "groupId": group.id});
    let parents: Vec<Value> = above.iter().map(entry).collect();
    json!({"thingGroupId": group.id(), "thingGroupName": group.name, "versionNumber": group.version,
        "parentGroupName": group.parent, "parentGroupId": above.last().map(|parent| &parent.id),
        "description": group.description, "rootToParentThingGroups": parents,
        "attributes": group.attributes, "dynamicGroupMappingId": null})
}

/// AWS makes a `membershipId` up when a thing joins; here it follows from the two, so that leaving names the same.
fn membership_body(group: &Named<GroupName>, thing: &Named<ThingName>, scope: &Scope) -> Value {
    json!({"groupArn": scope.group(&group.name), "groupId": group.id,
        "thingArn": scope.thing(&thing.name), "thingId": thing.id,
        "membershipId": membership_id(&group.id, &thing.id)})
}
