//! Versions of policies and of provisioning templates.

use super::*;

const OTHER: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iot:Publish","Resource":"*"}}"#;

fn template() -> TemplateName {
    TemplateName::new("claim").unwrap()
}

fn numbers(versions: &[VersionRef<'_>]) -> Vec<(u32, bool)> {
    versions.iter().map(|version| (version.id, version.is_default)).collect()
}

#[test]
fn a_policy_has_five_versions_and_the_default_is_the_one_in_effect() {
    let mut registry = Registry::new().with_policy("p").with_certificate(1);
    let plan = registry.plan_attach_policy(&policy("p"), &id(1));
    registry.run(plan).unwrap();
    let later = NOW + Duration::from_secs(5);
    for n in 2..=5 {
        let plan = registry.plan_create_policy_version(&policy("p"), OTHER, n == 3, later);
        assert_eq!(registry.run(plan), Ok(n));
    }
    let sixth = registry.plan_create_policy_version(&policy("p"), OTHER, false, later);
    assert_eq!(codes(sixth), ("VersionsLimitExceededException", 409));
    let record = registry.policy(&policy("p")).unwrap();
    let all = [(1, false), (2, false), (3, true), (4, false), (5, false)];
    assert_eq!((numbers(&record.all_versions()), record.text.as_str()), (all.to_vec(), OTHER));
    assert_eq!((record.created_at, record.last_modified), (NOW, later));
    assert_eq!(*registry.policies_for(&id(1), None)[0].1, PolicyDocument::parse(OTHER).unwrap());

    let plan = registry.plan_set_default_policy_version(&policy("p"), 1, later);
    registry.run(plan).unwrap();
    assert_eq!(*registry.policies_for(&id(1), None)[0].1, PolicyDocument::parse(POLICY).unwrap());
}

#[test]
fn a_default_version_is_not_deleted_and_a_policy_only_when_it_is_the_last() {
    let mut registry = Registry::new().with_policy("p");
    let plan = registry.plan_create_policy_version(&policy("p"), OTHER, false, NOW);
    registry.run(plan).unwrap();
    let delete = |registry: &Registry, id| registry.plan_delete_policy_version(&policy("p"), id, NOW);
    assert_eq!(codes(delete(&registry, 1)), ("InvalidRequestException", 400));
    assert_eq!(codes(delete(&registry, 9)), ("ResourceNotFoundException", 404));
    assert_eq!(codes(registry.plan_delete_policy(&policy("p"))), ("DeleteConflictException", 409));
    let missing = registry.plan_set_default_policy_version(&policy("p"), 9, NOW);
    assert_eq!(codes(missing), ("ResourceNotFoundException", 404));
    let plan = delete(&registry, 2);
    registry.run(plan).unwrap();
    let plan = registry.plan_delete_policy(&policy("p"));
    registry.run(plan).unwrap();
    assert!(registry.policy(&policy("p")).is_none());
}

#[test]
fn a_version_that_does_not_parse_is_refused_default_or_not() {
    let registry = Registry::new().with_policy("p");
    for default in [true, false] {
        let refused = registry.plan_create_policy_version(&policy("p"), "{}", default, NOW);
        assert_eq!(codes(refused), ("MalformedPolicyException", 400));
    }
}

#[test]
fn a_template_provisions_by_its_default_version() {
    let mut registry = Registry::new();
    let plan = registry.plan_create_template(&template(), CLAIM_TEMPLATE, true, None, NOW);
    registry.run(plan).unwrap();
    let body = CLAIM_TEMPLATE.replace("fleet", "other");
    let plan = registry.plan_create_template_version(&template(), &body, false, NOW);
    assert_eq!(registry.run(plan), Ok(2));
    assert_eq!(registry.template(&template()).unwrap().body, CLAIM_TEMPLATE);
    let plan = registry.plan_edit_template(&template(), NOW, |one| one.set_default_version(2));
    registry.run(plan).unwrap();
    let record = registry.template(&template()).unwrap();
    assert_eq!((record.body.as_str(), record.versions.default), (body.as_str(), 2));
    assert_eq!(record.version(1).unwrap().text, CLAIM_TEMPLATE);
    assert_eq!(codes(record.version(3)), ("ResourceNotFoundException", 404));
    let missing = registry.plan_edit_template(&template(), NOW, |one| one.set_default_version(7));
    assert_eq!(codes(missing), ("ResourceNotFoundException", 404));
}

#[test]
fn a_template_keeps_its_default_version_and_goes_when_it_is_the_last() {
    let mut registry = Registry::new();
    let plan = registry.plan_create_template(&template(), CLAIM_TEMPLATE, true, None, NOW);
    registry.run(plan).unwrap();
    for _ in 2..=MAX_VERSIONS {
        let plan = registry.plan_create_template_version(&template(), CLAIM_TEMPLATE, false, NOW);
        registry.run(plan).unwrap();
    }
    let sixth = registry.plan_create_template_version(&template(), CLAIM_TEMPLATE, false, NOW);
    assert_eq!(codes(sixth), ("VersionsLimitExceededException", 409));
    let default = registry.plan_delete_template_version(&template(), 1, NOW);
    assert_eq!(codes(default), ("DeleteConflictException", 409));
    assert_eq!(codes(registry.plan_delete_template(&template())), ("DeleteConflictException", 409));
    for version in 2..=5 {
        let plan = registry.plan_delete_template_version(&template(), version, NOW);
        registry.run(plan).unwrap();
    }
    let plan = registry.plan_delete_template(&template());
    registry.run(plan).unwrap();
}
