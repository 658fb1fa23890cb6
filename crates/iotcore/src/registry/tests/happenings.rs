//! What changes mean in the words of registry events.

use fleetkey_model::topic::{RecordChange, RelationChange};

use super::*;

/// What a plan would tell, as topics without their prefix.
fn told<T>(registry: &Registry, plan: &Result<Plan<T>, RegistryError>) -> Vec<String> {
    let name = |happening: &Happening| match happening {
        Happening::Thing(change, thing) => format!("thing {} {change}", thing.name),
        Happening::ThingType(change, kind) => format!("type {} {change}", kind.name),
        Happening::ThingGroup(change, group, above) => {
            let above: Vec<_> = above.iter().map(|group| group.name.as_str()).collect();
            format!("group {}/{} {change}", above.join("/"), group.name)
        }
        Happening::TypeAssociation(change, thing, kind) => format!("{} of {kind} {change}", thing.name),
        Happening::GroupMembership(change, group, thing) => {
            format!("{} in {} {change}", thing.name, group.name)
        }
        Happening::GroupHierarchy { change, parent, child } => {
            format!("{} under {} {change}", child.name, parent.name)
        }
    };
    let changes = plan.as_ref().map_or(&[][..], |plan| &plan.changes);
    registry.happenings(changes).iter().map(name).collect()
}

fn wanting(kinds: impl IntoIterator<Item = EventType>) -> Registry {
    let mut registry = Registry::new();
    let wanted = kinds.into_iter().map(|kind| (kind, true)).collect();
    let plan = registry.plan_update_events(&wanted, NOW);
    registry.run(Ok(plan)).unwrap();
    registry
}

#[test]
fn nothing_is_told_of_a_kind_that_nobody_wants() {
    let registry = Registry::new();
    let plan = registry.plan_create_thing(&thing("a"), None, BTreeMap::new(), NOW);
    assert!(told(&registry, &plan).is_empty());
    let registry = wanting([EventType::ThingGroup]);
    let plan = registry.plan_create_thing(&thing("a"), None, BTreeMap::new(), NOW);
    assert!(told(&registry, &plan).is_empty());
    let plan = registry.plan_create_group(&group("g"), None, NOW);
    assert_eq!(told(&registry, &plan), ["group /g created"]);
}

#[test]
fn joining_and_leaving_groups_changes_no_thing() {
    let registry = wanting(EventType::ALL).with_group("g", None).with_group("h", None).with_thing("a");
    let mut registry = registry;
    let join = registry.plan_change_groups(&thing("a"), &[group("g")].into(), &Default::default());
    assert_eq!(told(&registry, &join), ["a in g added"]);
    registry.run(join).unwrap();
    assert_eq!(registry.thing(&thing("a")).unwrap().version, 1);
    let swap = registry.plan_change_groups(&thing("a"), &[group("h")].into(), &[group("g")].into());
    assert_eq!(told(&registry, &swap), ["a in g removed", "a in h added"]);
}

#[test]
fn a_group_that_is_deleted_lets_its_things_and_its_parent_go() {
    let mut registry =
        wanting(EventType::ALL).with_group("root", None).with_group("mid", Some("root")).with_thing("a");
    let leaf = registry.plan_create_group(&group("leaf"), Some(group("mid")), NOW);
    assert_eq!(told(&registry, &leaf), ["group root/mid/leaf created", "leaf under mid added"]);
    registry.run(leaf).unwrap();
    let join = registry.plan_add_to_group(&thing("a"), &group("leaf"));
    registry.run(join).unwrap();
    let delete = registry.plan_delete_group(&group("leaf"), None);
    let expected = ["a in leaf removed", "leaf under mid removed", "group root/mid/leaf deleted"];
    assert_eq!(told(&registry, &delete), expected);
}

#[test]
fn what_only_the_operator_notes_of_a_record_is_no_update() {
    let mut registry = wanting(EventType::ALL).with_group("g", None).with_policy("p");
    let plan = registry.plan_attach_group_policy(&policy("p"), &group("g"));
    assert!(!plan.as_ref().unwrap().changes.is_empty());
    assert!(told(&registry, &plan).is_empty());
    let plan = registry.plan_create_thing_type(&group("pump"), Default::default(), Tags::default(), NOW);
    assert_eq!(told(&registry, &plan), ["type pump created"]);
    registry.run(plan).unwrap();
    let plan = registry.plan_deprecate_thing_type(&group("pump"), false, NOW);
    assert_eq!(told(&registry, &plan), ["type pump updated"]);
    let again = registry.plan_deprecate_thing_type(&group("pump"), true, NOW);
    assert!(told(&registry, &again).is_empty(), "it is not deprecated");
    assert_eq!(
        (RecordChange::Updated.to_string(), RelationChange::Added.to_string()),
        ("updated".into(), "added".into())
    );
}
