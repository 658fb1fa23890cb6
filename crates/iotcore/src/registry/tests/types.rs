//! Thing types, and things that have one.

use super::*;

fn kind(name: &str) -> ThingTypeName {
    group(name)
}

fn described(text: &str) -> ThingTypeProperties {
    ThingTypeProperties { description: Some(text.to_owned()), ..ThingTypeProperties::default() }
}

fn with_type(mut registry: Registry) -> Registry {
    let plan = registry.plan_create_thing_type(&kind("pump"), described("a pump"), Tags::default(), NOW);
    registry.run(plan).unwrap();
    registry
}

#[test]
fn the_same_type_again_is_an_answer_and_another_of_its_name_is_not() {
    let registry = with_type(Registry::new());
    let again = registry.plan_create_thing_type(&kind("pump"), described("a pump"), Tags::default(), NOW);
    assert!(again.unwrap().changes.is_empty());
    let other = registry.plan_create_thing_type(&kind("pump"), described("another"), Tags::default(), NOW);
    assert_eq!(codes(other), ("ResourceAlreadyExistsException", 409));
    let searchable_attributes = ["a", "b", "c", "d"].map(str::to_owned).into();
    let many = ThingTypeProperties { searchable_attributes, ..ThingTypeProperties::default() };
    let refused = registry.plan_create_thing_type(&kind("valve"), many, Tags::default(), NOW);
    assert_eq!(codes(refused), ("InvalidRequestException", 400));
}

#[test]
fn an_update_leaves_what_it_does_not_name() {
    let mut registry = with_type(Registry::new());
    let searchable_attributes = ["site".to_owned()].into();
    let update = ThingTypeProperties { searchable_attributes, ..ThingTypeProperties::default() };
    let plan = registry.plan_update_thing_type(&kind("pump"), update.clone());
    registry.run(plan).unwrap();
    let found = &registry.thing_type(&kind("pump")).unwrap().properties;
    assert_eq!(found.description.as_deref(), Some("a pump"));
    assert_eq!(found.searchable_attributes, update.searchable_attributes);
}

#[test]
fn a_type_is_deleted_five_minutes_after_its_deprecation_when_nothing_is_of_it() {
    let mut registry = with_type(Registry::new());
    let plan = registry.plan_create_thing(&thing("a"), Some(kind("pump")), BTreeMap::new(), NOW);
    registry.run(plan).unwrap();
    let delete =
        |registry: &Registry, at| codes(registry.plan_delete_thing_type(&kind("pump"), TYPE_REST, at));
    let invalid = ("InvalidRequestException", 400);
    let ready = NOW + TYPE_REST;
    assert_eq!(delete(&registry, ready), invalid);
    let plan = registry.plan_deprecate_thing_type(&kind("pump"), false, NOW);
    registry.run(plan).unwrap();
    assert_eq!(delete(&registry, ready - Duration::from_millis(1)), invalid);
    assert_eq!(delete(&registry, ready), invalid);
    let remove = ThingUpdate { type_name: TypeUpdate::Remove, ..ThingUpdate::default() };
    let plan = registry.plan_update_thing(&thing("a"), &remove);
    registry.run(plan).unwrap();
    let plan = registry.plan_delete_thing_type(&kind("pump"), TYPE_REST, ready);
    registry.run(plan).unwrap();
    assert_eq!(delete(&registry, ready), ("ResourceNotFoundException", 404));
}

#[test]
fn a_deprecated_type_keeps_its_things_and_gets_no_more_until_it_is_undone() {
    let mut registry = with_type(Registry::new());
    let plan = registry.plan_create_thing(&thing("a"), Some(kind("pump")), BTreeMap::new(), NOW);
    registry.run(plan).unwrap();
    let plan = registry.plan_deprecate_thing_type(&kind("pump"), false, NOW);
    registry.run(plan).unwrap();
    let create = |registry: &Registry| {
        registry.plan_create_thing(&thing("b"), Some(kind("pump")), BTreeMap::new(), NOW)
    };
    assert_eq!(codes(create(&registry)), ("InvalidRequestException", 400));
    let attributes = [("site".to_owned(), "x".to_owned())].into();
    let attributes = Some(AttributeUpdate { attributes, merge: true });
    let update = ThingUpdate { attributes, ..ThingUpdate::default() };
    let plan = registry.plan_update_thing(&thing("a"), &update);
    registry.run(plan).unwrap();
    let plan = registry.plan_deprecate_thing_type(&kind("pump"), true, NOW);
    registry.run(plan).unwrap();
    assert_eq!(create(&registry).unwrap().changes.len(), 1);
}

#[test]
fn a_thing_that_loses_its_type_must_fit_without_one() {
    let mut registry = with_type(Registry::new());
    let four = (0..4).map(|n| (format!("a{n}"), "v".to_owned())).collect();
    let plan = registry.plan_create_thing(&thing("a"), Some(kind("pump")), four, NOW);
    registry.run(plan).unwrap();
    let remove = ThingUpdate { type_name: TypeUpdate::Remove, ..ThingUpdate::default() };
    let refused = registry.plan_update_thing(&thing("a"), &remove);
    assert_eq!(codes(refused), ("InvalidRequestException", 400));
}

#[test]
fn a_thing_is_changed_and_deleted_only_at_the_version_that_is_expected() {
    let mut registry = with_type(Registry::new()).with_thing("a");
    let at = |expected| ThingUpdate {
        type_name: TypeUpdate::Set(kind("pump")),
        expected_version: Some(expected),
        ..ThingUpdate::default()
    };
    let conflict = ("VersionConflictException", 409);
    assert_eq!(codes(registry.plan_update_thing(&thing("a"), &at(2))), conflict);
    let plan = registry.plan_update_thing(&thing("a"), &at(1));
    registry.run(plan).unwrap();
    assert_eq!(codes(registry.plan_delete_thing(&thing("a"), Some(1))), conflict);
    let plan = registry.plan_delete_thing(&thing("a"), Some(2));
    registry.run(plan).unwrap();
    assert!(registry.plan_delete_thing(&thing("a"), Some(9)).unwrap().changes.is_empty());
}
