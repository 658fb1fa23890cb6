//! Tags, event settings, provisioning claims, and the order of certificates.

use super::*;

fn tags(pairs: &[(&str, &str)]) -> Tags {
    Tags::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).unwrap()
}

#[test]
fn a_resource_is_tagged_and_untagged_and_nothing_else_of_it_changes() {
    let mut registry = Registry::new().with_policy("p").with_group("g", None);
    for resource in [Taggable::Policy(policy("p")), Taggable::Group(group("g"))] {
        let plan = registry.plan_tag(&resource, tags(&[("team", "a"), ("stage", "b")]));
        registry.run(plan).unwrap();
        let plan = registry.plan_tag(&resource, tags(&[("team", "c")]));
        registry.run(plan).unwrap();
        assert_eq!(*registry.tags(&resource).unwrap(), tags(&[("stage", "b"), ("team", "c")]));
        let plan = registry.plan_untag(&resource, &["stage".to_owned(), "none".to_owned()]);
        registry.run(plan).unwrap();
        assert_eq!(*registry.tags(&resource).unwrap(), tags(&[("team", "c")]));
        assert!(registry.plan_untag(&resource, &["none".to_owned()]).unwrap().changes.is_empty());
    }
    assert_eq!(registry.policy(&policy("p")).unwrap().text, POLICY);
    assert_eq!(registry.group(&group("g")).unwrap().version, 1);
    let missing = registry.plan_tag(&Taggable::ThingType(group("t")), Tags::default());
    assert_eq!(codes(missing), ("ResourceNotFoundException", 404));
}

#[test]
fn event_settings_are_off_until_set_and_set_one_by_one() {
    let mut registry = Registry::new();
    assert!(EventType::ALL.into_iter().all(|kind| !registry.event_settings().wants(kind)));
    let plan = registry.plan_update_events(&[(EventType::Thing, true)].into(), NOW);
    registry.run(Ok(plan)).unwrap();
    let later = NOW + Duration::from_secs(1);
    let plan = registry.plan_update_events(&[(EventType::Job, true)].into(), later);
    registry.run(Ok(plan)).unwrap();
    let settings = registry.event_settings();
    assert!(settings.wants(EventType::Thing) && settings.wants(EventType::Job));
    assert_eq!((settings.created_at, settings.last_modified), (Some(NOW), Some(later)));
    let again = registry.plan_update_events(&[(EventType::Job, true)].into(), later);
    assert!(again.changes.is_empty());
}

#[test]
fn a_provisioning_claim_has_rights_of_its_own_and_is_deleted_when_it_expires() {
    let mut registry = Registry::new();
    let name = TemplateName::new("t").unwrap();
    let missing = registry.plan_register_claim(new_certificate(1), &name, NOW);
    assert_eq!(codes(missing), ("ResourceNotFoundException", 404));
    let plan = registry.plan_create_template(&name, CLAIM_TEMPLATE, true, None, NOW);
    registry.run(plan).unwrap();
    let mut claim = new_certificate(1);
    claim.facts.not_after = NOW + CLAIM_LIFETIME;
    let end = claim.facts.not_after;
    let plan = registry.plan_register_claim(claim, &name, NOW);
    assert_eq!(registry.run(plan), Ok(id(1)));
    assert_eq!(registry.policies_for(&id(1), None).len(), 1);
    assert_eq!(registry.next_expiry(), Some(end));
    let plan = registry.plan_expire(end);
    assert_eq!(registry.run(Ok(plan)), Ok(vec![id(1)]));
    assert!(registry.certificate(&id(1)).is_none() && registry.next_expiry().is_none());
}

#[test]
fn certificates_are_listed_from_the_oldest() {
    let mut registry = Registry::new();
    for (n, at) in [(3, 0), (1, 1), (2, 1)] {
        let plan = registry.plan_register_certificate(new_certificate(n), NOW + Duration::from_secs(at));
        registry.run(plan).unwrap();
    }
    let order: Vec<_> = registry.certificates_by_age().map(|record| record.id).collect();
    assert_eq!(order, [id(3), id(1), id(2)]);
    let plan = registry.plan_update_certificate(&id(3), CertificateStatus::Inactive, NOW);
    registry.run(plan).unwrap();
    assert_eq!(registry.certificates_by_age().count(), 3);
}
