//! The registry's rules, one scenario a test; random histories are in `invariants`.

use std::time::Duration;

use fleetkey_model::secret::OwnershipToken;
use fleetkey_policy::PolicyDocument;

use super::quota::*;
use super::*;
use crate::fixtures::{CLAIM_TEMPLATE, NOW, POLICY, id, new_certificate};

mod account_wide;
mod groups;
mod happenings;
mod invariants;
mod types;
mod versions;

const EXCLUSIVE: ThingPrincipalType = ThingPrincipalType::ExclusiveThing;
const SHARED: ThingPrincipalType = ThingPrincipalType::NonExclusiveThing;

fn thing(name: &str) -> ThingName {
    ThingName::new(name).unwrap()
}

fn policy(name: &str) -> PolicyName {
    PolicyName::new(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

impl Registry {
    /// Applies what was planned.
    fn run<T>(&mut self, plan: Result<Plan<T>, RegistryError>) -> Result<T, RegistryError> {
        let plan = plan?;
        plan.changes.iter().for_each(|change| self.apply(change));
        Ok(plan.output)
    }

    fn with_certificate(mut self, n: u8) -> Self {
        let plan = self.plan_register_certificate(new_certificate(n), NOW);
        self.run(plan).unwrap();
        self
    }

    fn with_thing(mut self, name: &str) -> Self {
        let plan = self.plan_create_thing(&thing(name), None, BTreeMap::new(), NOW);
        self.run(plan).unwrap();
        self
    }

    fn with_policy(mut self, name: &str) -> Self {
        let plan = self.plan_create_policy(&policy(name), POLICY, NOW);
        self.run(plan).unwrap();
        self
    }

    fn with_group(mut self, name: &str, parent: Option<&str>) -> Self {
        let plan = self.plan_create_group(&group(name), parent.map(group), NOW);
        self.run(plan).unwrap();
        self
    }

    fn attach(&mut self, name: &str, n: u8, kind: ThingPrincipalType) -> Result<(), RegistryError> {
        let plan = self.plan_attach_thing_principal(&thing(name), &id(n), kind);
        self.run(plan)
    }

    fn set(&mut self, n: u8, status: CertificateStatus) -> Result<(), RegistryError> {
        let plan = self.plan_update_certificate(&id(n), status, NOW);
        self.run(plan)
    }
}

fn codes<T: std::fmt::Debug>(result: Result<T, RegistryError>) -> (&'static str, u16) {
    let error = result.unwrap_err();
    (error.code(), error.status())
}

#[test]
fn a_plan_changes_nothing_until_it_is_applied() {
    let registry = Registry::new().with_thing("a").with_certificate(1);
    let plan = registry.plan_attach_thing_principal(&thing("a"), &id(1), EXCLUSIVE).unwrap();
    assert!(!registry.is_attached(&id(1), &thing("a")));
    assert_eq!(plan.changes.len(), 1);
}

#[test]
fn a_revoked_certificate_stays_revoked() {
    let mut registry = Registry::new().with_certificate(1);
    registry.set(1, CertificateStatus::Inactive).unwrap();
    registry.set(1, CertificateStatus::Active).unwrap();
    registry.set(1, CertificateStatus::Revoked).unwrap();
    registry.set(1, CertificateStatus::Revoked).unwrap();
    for status in [CertificateStatus::Active, CertificateStatus::Inactive] {
        assert_eq!(codes(registry.set(1, status)), ("CertificateStateException", 406));
    }
}

#[test]
fn nobody_can_ask_for_a_pending_status() {
    let mut registry = Registry::new().with_certificate(1);
    for status in [CertificateStatus::PendingActivation, CertificateStatus::PendingTransfer] {
        assert_eq!(codes(registry.set(1, status)), ("InvalidRequestException", 400));
    }
}

#[test]
fn only_an_active_certificate_within_its_validity_may_connect() {
    let mut registry = Registry::new().with_certificate(1);
    let record = registry.certificate(&id(1)).unwrap();
    assert!(record.may_connect(NOW));
    assert!(!record.may_connect(NOW - Duration::from_secs(121)));
    assert!(!record.may_connect(record.not_after + Duration::from_millis(1)));
    registry.set(1, CertificateStatus::Inactive).unwrap();
    assert!(!registry.certificate(&id(1)).unwrap().may_connect(NOW));
}

#[test]
fn a_certificate_is_deleted_only_when_nothing_hangs_on_it() {
    let mut registry = Registry::new().with_certificate(1).with_thing("a").with_policy("p");
    registry.attach("a", 1, SHARED).unwrap();
    let plan = registry.plan_attach_policy(&policy("p"), &id(1));
    registry.run(plan).unwrap();

    let refused = |registry: &Registry, force| codes(registry.plan_delete_certificate(&id(1), force));
    assert_eq!(refused(&registry, true), ("CertificateStateException", 406));
    registry.set(1, CertificateStatus::Revoked).unwrap();
    assert_eq!(refused(&registry, true), ("DeleteConflictException", 409));
    let plan = registry.plan_detach_thing_principal(&thing("a"), &id(1));
    registry.run(plan).unwrap();
    assert_eq!(refused(&registry, false), ("DeleteConflictException", 409));
    let plan = registry.plan_delete_certificate(&id(1), true);
    registry.run(plan).unwrap();
    assert!(registry.certificate(&id(1)).is_none());
    let plan = registry.plan_delete_policy(&policy("p"));
    registry.run(plan).unwrap();
    assert_eq!(codes(registry.plan_delete_certificate(&id(1), true)), ("ResourceNotFoundException", 404));
}

#[test]
fn a_certificate_is_registered_once_and_not_after_its_end() {
    let registry = Registry::new().with_certificate(1);
    let again = registry.plan_register_certificate(new_certificate(1), NOW);
    assert_eq!(codes(again), ("ResourceAlreadyExistsException", 409));
    let late = Timestamp::AWS_CERTIFICATE_END + Duration::from_secs(1);
    let expired = registry.plan_register_certificate(new_certificate(2), late);
    assert_eq!(codes(expired), ("CertificateValidationException", 400));
}

#[test]
fn an_exclusive_certificate_belongs_to_one_thing_and_a_thing_may_have_two() {
    let mut registry = Registry::new()
        .with_thing("a")
        .with_thing("b")
        .with_certificate(1)
        .with_certificate(2)
        .with_certificate(3);
    registry.attach("a", 1, EXCLUSIVE).unwrap();
    registry.attach("a", 1, EXCLUSIVE).unwrap();
    registry.attach("a", 2, EXCLUSIVE).unwrap();
    assert_eq!(registry.principals_of(&thing("a")).len(), 2);
    assert_eq!(registry.exclusive_thing(&id(1)), Some(&thing("a")));
    for (name, kind) in [("b", EXCLUSIVE), ("b", SHARED), ("a", SHARED)] {
        assert_eq!(codes(registry.attach(name, 1, kind)), ("InvalidRequestException", 400));
    }
    registry.attach("a", 3, SHARED).unwrap();
    registry.attach("b", 3, SHARED).unwrap();
    assert_eq!(codes(registry.attach("b", 3, EXCLUSIVE)), ("InvalidRequestException", 400));
    assert_eq!(registry.exclusive_thing(&id(3)), None);

    let plan = registry.plan_detach_thing_principal(&thing("a"), &id(1));
    registry.run(plan).unwrap();
    registry.attach("b", 1, EXCLUSIVE).unwrap();
}

#[test]
fn a_thing_with_certificates_is_not_deleted() {
    let mut registry = Registry::new().with_thing("a").with_certificate(1);
    registry.attach("a", 1, EXCLUSIVE).unwrap();
    assert_eq!(codes(registry.plan_delete_thing(&thing("a"), None)), ("InvalidRequestException", 400));
    let plan = registry.plan_detach_thing_principal(&thing("a"), &id(1));
    registry.run(plan).unwrap();
    let plan = registry.plan_delete_thing(&thing("a"), None);
    registry.run(plan).unwrap();
    assert_eq!(codes(registry.attach("a", 1, SHARED)), ("ResourceNotFoundException", 404));
}

#[test]
fn a_certificate_carries_ten_policies_and_a_group_two() {
    let mut registry = Registry::new().with_certificate(1).with_group("g", None);
    for n in 0..=MAX_POLICIES {
        registry = registry.with_policy(&format!("p{n}"));
        let plan = registry.plan_attach_policy(&policy(&format!("p{n}")), &id(1));
        match registry.run(plan) {
            Ok(()) => assert!(n < MAX_POLICIES),
            refused => assert_eq!((n, codes(refused)), (MAX_POLICIES, ("LimitExceededException", 410))),
        }
    }
    let plan = registry.plan_attach_policy(&policy("p0"), &id(1));
    registry.run(plan).unwrap();
    for n in 0..=MAX_GROUP_POLICIES {
        let plan = registry.plan_attach_group_policy(&policy(&format!("p{n}")), &group("g"));
        assert_eq!(registry.run(plan).is_ok(), n < MAX_GROUP_POLICIES);
    }
    assert_eq!(codes(registry.plan_delete_policy(&policy("p1"))), ("DeleteConflictException", 409));
}

#[test]
fn group_policies_count_only_where_the_thing_is_named_and_are_inherited() {
    let mut registry = Registry::new()
        .with_certificate(1)
        .with_thing("a")
        .with_policy("own")
        .with_policy("fleet")
        .with_policy("line")
        .with_group("fleet", None)
        .with_group("line", Some("fleet"));
    for plan in [
        registry.plan_attach_policy(&policy("own"), &id(1)),
        registry.plan_attach_group_policy(&policy("fleet"), &group("fleet")),
        registry.plan_attach_group_policy(&policy("line"), &group("line")),
        registry.plan_add_to_group(&thing("a"), &group("line")),
    ] {
        registry.run(plan).unwrap();
    }
    let names = |thing: Option<&ThingName>| -> Vec<String> {
        let policies = registry.policies_for(&id(1), thing);
        policies.into_iter().map(|(name, _)| name.to_string()).collect()
    };
    assert_eq!(names(None), ["own"]);
    assert_eq!(names(Some(&thing("a"))), ["fleet", "line", "own"]);
    assert_eq!(names(Some(&thing("unknown"))), ["own"]);
}

#[test]
fn a_thing_without_a_type_has_three_attributes_at_most() {
    let mut registry = Registry::new();
    let attributes = |count: usize| (0..count).map(|n| (format!("a{n}"), "v".to_owned())).collect();
    let plan = registry.plan_create_thing(&thing("a"), None, attributes(3), NOW);
    registry.run(plan).unwrap();
    let four = registry.plan_create_thing(&thing("b"), None, attributes(4), NOW);
    assert_eq!(codes(four), ("InvalidRequestException", 400));
    let typed = || registry.plan_create_thing(&thing("b"), Some(group("type")), attributes(50), NOW);
    assert_eq!(codes(typed()), ("ResourceNotFoundException", 404));
    let plan = registry.plan_create_thing_type(&group("type"), Default::default(), Tags::default(), NOW);
    registry.run(plan).unwrap();
    let plan = registry.plan_create_thing(&thing("b"), Some(group("type")), attributes(50), NOW);
    registry.run(plan).unwrap();
    let odd = [("a b".to_owned(), "v".to_owned())].into();
    assert_eq!(
        codes(registry.plan_create_thing(&thing("c"), None, odd, NOW)),
        ("InvalidRequestException", 400)
    );
}

#[test]
fn attributes_are_merged_and_an_empty_value_removes_one() {
    let mut registry = Registry::new();
    let first = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
    let plan = registry.plan_create_thing(&thing("a"), None, first.into(), NOW);
    registry.run(plan).unwrap();
    let change = [("a".to_owned(), String::new()), ("c".to_owned(), "3".to_owned())].into();
    let attributes = Some(AttributeUpdate { attributes: change, merge: true });
    let plan = registry.plan_update_thing(&thing("a"), &ThingUpdate { attributes, ..ThingUpdate::default() });
    registry.run(plan).unwrap();
    let found = registry.thing(&thing("a")).unwrap();
    assert_eq!(found.attributes.keys().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(found.version, 2);
}

#[test]
fn creating_the_same_again_is_fine_and_creating_another_is_not() {
    let registry = Registry::new().with_thing("a").with_group("g", None).with_policy("p");
    let same = registry.plan_create_thing(&thing("a"), None, BTreeMap::new(), NOW).unwrap();
    assert!(same.changes.is_empty());
    let other = [("x".to_owned(), "y".to_owned())].into();
    assert_eq!(
        codes(registry.plan_create_thing(&thing("a"), None, other, NOW)),
        ("ResourceAlreadyExistsException", 409)
    );
    assert!(registry.plan_create_group(&group("g"), None, NOW).unwrap().changes.is_empty());
    assert_eq!(
        codes(registry.plan_create_policy(&policy("p"), POLICY, NOW)),
        ("ResourceAlreadyExistsException", 409)
    );
}

#[test]
fn documents_and_bodies_that_do_not_parse_are_refused() {
    let registry = Registry::new();
    let refused = registry.plan_create_policy(&policy("p"), "{}", NOW);
    assert_eq!(codes(refused), ("MalformedPolicyException", 400));
    let name = TemplateName::new("t").unwrap();
    let refused = registry.plan_create_template(&name, "{}", true, None, NOW);
    assert_eq!(codes(refused), ("InvalidRequestException", 400));
}

#[test]
fn a_template_is_opened_closed_and_keeps_its_name() {
    let mut registry = Registry::new();
    let name = TemplateName::new("recovery").unwrap();
    let plan = registry.plan_create_template(&name, CLAIM_TEMPLATE, false, None, NOW);
    registry.run(plan).unwrap();
    let later = NOW + Duration::from_secs(9);
    let plan = registry.plan_update_template(&name, later, |template| {
        template.enabled = true;
        template.name = TemplateName::new("other").unwrap();
    });
    registry.run(plan).unwrap();
    let template = registry.template(&name).unwrap();
    assert!(template.enabled && template.last_modified == later);
    assert_eq!(registry.templates().count(), 1);
}

#[test]
fn a_pending_certificate_is_deleted_with_its_token_and_a_registered_one_only_loses_it() {
    let mut registry = Registry::new();
    let (first, second) = (OwnershipToken::new("one"), OwnershipToken::new("two"));
    for (n, token) in [(1, &first), (2, &second)] {
        let plan = registry.plan_pending_certificate(new_certificate(n), token, NOW);
        registry.run(plan).unwrap();
    }
    assert!(registry.plan_pending_certificate(new_certificate(3), &first, NOW).is_err());
    registry.set(2, CertificateStatus::Active).unwrap();
    let end = NOW + OwnershipToken::LIFETIME;
    assert_eq!(registry.next_expiry(), Some(end));
    let just_before = end - Duration::from_millis(1);
    assert!(registry.owned_by(&first, just_before).is_some() && registry.owned_by(&first, end).is_none());
    assert!(registry.plan_expire(just_before).changes.is_empty());

    let plan = registry.plan_expire(end);
    assert_eq!(registry.run(Ok(plan)).unwrap(), [id(1)]);
    assert!(registry.certificate(&id(1)).is_none());
    assert!(registry.certificate(&id(2)).unwrap().ownership.is_none());
    assert_eq!(registry.next_expiry(), None);
}

#[test]
fn a_token_is_kept_as_a_hash_only() {
    let mut registry = Registry::new();
    let token = OwnershipToken::new("s3cret-token");
    let plan = registry.plan_pending_certificate(new_certificate(1), &token, NOW);
    registry.run(plan).unwrap();
    let record = registry.certificate(&id(1)).unwrap();
    let stored = serde_json::to_string(record).unwrap();
    assert!(!stored.contains("s3cret-token") && !format!("{registry:?}").contains("s3cret"));
    assert_eq!(&serde_json::from_str::<CertificateRecord>(&stored).unwrap(), record);
}

#[test]
fn groups_nest_seven_deep_and_a_parent_is_not_deleted() {
    let mut registry = Registry::new().with_group("g1", None);
    for n in 2..=MAX_DEPTH {
        registry = registry.with_group(&format!("g{n}"), Some(&format!("g{}", n - 1)));
    }
    let deeper = registry.plan_create_group(&group("g8"), Some(group("g7")), NOW);
    assert_eq!(codes(deeper), ("InvalidRequestException", 400));
    assert_eq!(codes(registry.plan_delete_group(&group("g6"), None)), ("InvalidRequestException", 400));
    let mut registry = registry.with_thing("a");
    let plan = registry.plan_add_to_group(&thing("a"), &group("g7"));
    registry.run(plan).unwrap();
    let plan = registry.plan_delete_group(&group("g7"), None);
    registry.run(plan).unwrap();
    assert!(registry.thing(&thing("a")).unwrap().groups.is_empty());
}
