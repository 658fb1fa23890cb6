//! Thing groups: attributes, versions, membership, hierarchies.

use super::*;

fn names<'a>(things: impl IntoIterator<Item = &'a ThingName>) -> Vec<&'a str> {
    things.into_iter().map(ThingName::as_str).collect()
}

fn groups(names: &[&str]) -> BTreeSet<GroupName> {
    names.iter().map(|name| group(name)).collect()
}

impl Registry {
    fn join(&mut self, thing_name: &str, to: &str) -> Result<(), RegistryError> {
        let plan = self.plan_add_to_group(&thing(thing_name), &group(to));
        self.run(plan)
    }
}

#[test]
fn a_group_has_attributes_and_a_version_that_rises() {
    let mut registry = Registry::new();
    let attributes: BTreeMap<_, _> = [("site".to_owned(), "x".to_owned())].into();
    let new = NewGroup { attributes, description: Some("one".into()), ..NewGroup::default() };
    let plan = registry.plan_create_described_group(&group("g"), new.clone(), NOW);
    registry.run(plan).unwrap();
    assert!(registry.plan_create_described_group(&group("g"), new, NOW).unwrap().changes.is_empty());
    let bare = registry.plan_create_group(&group("g"), None, NOW);
    assert_eq!(codes(bare), ("ResourceAlreadyExistsException", 409));

    let changed: BTreeMap<_, _> =
        [("site".to_owned(), String::new()), ("line".to_owned(), "2".to_owned())].into();
    let update = |expected| GroupUpdate {
        description: None,
        attributes: Some(AttributeUpdate { attributes: changed.clone(), merge: true }),
        expected_version: Some(expected),
    };
    let plan = registry.plan_update_group(&group("g"), update(1));
    assert_eq!(registry.run(plan), Ok(2));
    let found = registry.group(&group("g")).unwrap();
    assert_eq!(found.attributes, [("line".to_owned(), "2".to_owned())].into());
    assert_eq!(found.description.as_deref(), Some("one"));
    let conflict = ("VersionConflictException", 409);
    assert_eq!(codes(registry.plan_update_group(&group("g"), update(1))), conflict);
    assert_eq!(codes(registry.plan_delete_group(&group("g"), Some(1))), conflict);
    assert!(registry.plan_delete_group(&group("none"), Some(1)).unwrap().changes.is_empty());
}

#[test]
fn things_of_the_groups_below_are_listed_on_request() {
    let mut registry = Registry::new()
        .with_group("top", None)
        .with_group("mid", Some("top"))
        .with_group("low", Some("mid"))
        .with_group("other", None);
    for (one, to) in [("a", "top"), ("b", "mid"), ("c", "low"), ("d", "other")] {
        registry = registry.with_thing(one);
        registry.join(one, to).unwrap();
    }
    assert_eq!(names(registry.things_in_group(&group("top"), false).unwrap()), ["a"]);
    assert_eq!(names(registry.things_in_group(&group("top"), true).unwrap()), ["a", "b", "c"]);
    assert_eq!(names(registry.things_in_group(&group("mid"), true).unwrap()), ["b", "c"]);
    assert!(registry.things_in_group(&group("none"), true).is_err());
}

#[test]
fn a_thing_is_in_one_group_of_a_hierarchy_and_moves_within_it() {
    let mut registry = Registry::new()
        .with_group("top", None)
        .with_group("left", Some("top"))
        .with_group("right", Some("top"))
        .with_group("other", None)
        .with_thing("a");
    registry.join("a", "left").unwrap();
    registry.join("a", "other").unwrap();
    for relative in ["top", "right"] {
        assert_eq!(codes(registry.join("a", relative)), ("InvalidRequestException", 400));
    }
    let plan = registry.plan_change_groups(&thing("a"), &groups(&["right"]), &groups(&["left"]));
    registry.run(plan).unwrap();
    assert_eq!(registry.thing(&thing("a")).unwrap().groups, groups(&["other", "right"]));
    let both = registry.plan_change_groups(&thing("a"), &groups(&["left"]), &groups(&["left"]));
    assert_eq!(codes(both), ("InvalidRequestException", 400));
    let missing = registry.plan_change_groups(&thing("a"), &groups(&["none"]), &groups(&[]));
    assert_eq!(codes(missing), ("ResourceNotFoundException", 404));
}

#[test]
fn a_thing_is_in_ten_groups_at_most_and_a_group_has_a_hundred_below_it() {
    let mut registry = Registry::new().with_thing("a").with_group("top", None);
    for n in 0..=MAX_GROUPS {
        registry = registry.with_group(&format!("g{n}"), None);
        let joined = registry.join("a", &format!("g{n}"));
        assert_eq!(joined.is_ok(), n < MAX_GROUPS);
    }
    assert_eq!(codes(registry.join("a", "g10")), ("InvalidRequestException", 400));
    for n in 0..MAX_CHILDREN {
        registry = registry.with_group(&format!("child{n}"), Some("top"));
    }
    let more = registry.plan_create_group(&group("more"), Some(group("top")), NOW);
    assert_eq!(codes(more), ("InvalidRequestException", 400));
}

#[test]
fn a_policy_is_told_of_its_targets_and_a_group_of_its_ancestors_policies() {
    let mut registry = Registry::new()
        .with_certificate(1)
        .with_group("top", None)
        .with_group("low", Some("top"))
        .with_policy("p")
        .with_policy("q");
    for plan in [
        registry.plan_attach_policy(&policy("p"), &id(1)),
        registry.plan_attach_group_policy(&policy("p"), &group("top")),
        registry.plan_attach_group_policy(&policy("q"), &group("low")),
    ] {
        registry.run(plan).unwrap();
    }
    let targets = [Target::Certificate(id(1)), Target::Group(group("top"))];
    assert_eq!(registry.policy_targets(&policy("p")), targets.into());
    let attached = |recursive| registry.attached_policies(&Target::Group(group("low")), recursive).unwrap();
    assert_eq!(attached(false), [&policy("q")].into());
    assert_eq!(attached(true), [&policy("p"), &policy("q")].into());
    assert!(registry.attached_policies(&Target::Certificate(id(9)), false).is_err());
}
