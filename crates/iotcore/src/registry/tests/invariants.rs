//! Random histories of operations; after each, every invariant holds.

use proptest::prelude::*;

use super::*;

const OTHER_POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iot:Publish","Resource":"*"}}"#;

#[derive(Debug, Clone)]
enum Operation {
    CreateThing(u8),
    DeleteThing(u8),
    Register(u8),
    Pending(u8),
    Delete(u8, bool),
    Status(u8, CertificateStatus),
    AttachThing(u8, u8, ThingPrincipalType),
    DetachThing(u8, u8),
    CreatePolicy(u8),
    DeletePolicy(u8),
    AttachPolicy(u8, u8),
    DetachPolicy(u8, u8),
    CreateGroup(u8, Option<u8>),
    DeleteGroup(u8),
    Join(u8, u8),
    Move(u8, u8, u8),
    Retype(u8, Option<u8>),
    CreateType(u8),
    Deprecate(u8, bool),
    DeleteType(u8),
    AddVersion(u8, bool),
    SetVersion(u8, u32),
    DeleteVersion(u8, u32),
    CreateTemplate(u8),
    AddTemplateVersion(u8, bool),
    DeleteTemplateVersion(u8, u32),
    DeleteTemplate(u8),
    Claim(u8, u8),
    Tag(u8),
    UpdateGroup(u8),
    Expire(u32),
}

fn operation() -> impl Strategy<Value = Operation> {
    let n = || 0..4u8;
    let status = prop_oneof![
        Just(CertificateStatus::Active),
        Just(CertificateStatus::Inactive),
        Just(CertificateStatus::Revoked),
        Just(CertificateStatus::PendingActivation),
    ];
    let kind = prop_oneof![Just(EXCLUSIVE), Just(SHARED)];
    let version = || 1..8u32;
    let growth = prop_oneof![
        (n(), n(), n()).prop_map(|(t, to, from)| Operation::Move(t, to, from)),
        (n(), proptest::option::of(n())).prop_map(|(t, kind)| Operation::Retype(t, kind)),
        n().prop_map(Operation::CreateType),
        (n(), any::<bool>()).prop_map(|(n, undo)| Operation::Deprecate(n, undo)),
        n().prop_map(Operation::DeleteType),
        (n(), any::<bool>()).prop_map(|(p, default)| Operation::AddVersion(p, default)),
        (n(), version()).prop_map(|(p, version)| Operation::SetVersion(p, version)),
        (n(), version()).prop_map(|(p, version)| Operation::DeleteVersion(p, version)),
        n().prop_map(Operation::CreateTemplate),
        (n(), any::<bool>()).prop_map(|(n, default)| Operation::AddTemplateVersion(n, default)),
        (n(), version()).prop_map(|(n, version)| Operation::DeleteTemplateVersion(n, version)),
        n().prop_map(Operation::DeleteTemplate),
        (n(), n()).prop_map(|(c, t)| Operation::Claim(c, t)),
        n().prop_map(Operation::Tag),
        n().prop_map(Operation::UpdateGroup),
    ];
    let core = prop_oneof![
        n().prop_map(Operation::CreateThing),
        n().prop_map(Operation::DeleteThing),
        n().prop_map(Operation::Register),
        n().prop_map(Operation::Pending),
        (n(), any::<bool>()).prop_map(|(c, force)| Operation::Delete(c, force)),
        (n(), status).prop_map(|(c, status)| Operation::Status(c, status)),
        (n(), n(), kind).prop_map(|(t, c, kind)| Operation::AttachThing(t, c, kind)),
        (n(), n()).prop_map(|(t, c)| Operation::DetachThing(t, c)),
        n().prop_map(Operation::CreatePolicy),
        n().prop_map(Operation::DeletePolicy),
        (n(), n()).prop_map(|(p, c)| Operation::AttachPolicy(p, c)),
        (n(), n()).prop_map(|(p, c)| Operation::DetachPolicy(p, c)),
        (n(), proptest::option::of(n())).prop_map(|(g, parent)| Operation::CreateGroup(g, parent)),
        n().prop_map(Operation::DeleteGroup),
        (n(), n()).prop_map(|(t, g)| Operation::Join(t, g)),
        (0..7200u32).prop_map(Operation::Expire),
    ];
    prop_oneof![core, growth]
}

fn t(n: u8) -> ThingName {
    thing(&format!("t{n}"))
}

fn p(n: u8) -> PolicyName {
    policy(&format!("p{n}"))
}

fn g(n: u8) -> GroupName {
    group(&format!("g{n}"))
}

fn template(n: u8) -> TemplateName {
    TemplateName::new(format!("t{n}")).unwrap()
}

fn kind(n: u8) -> TypeUpdate {
    TypeUpdate::Set(g(n))
}

/// Later than any deprecation has to rest.
fn much_later() -> Timestamp {
    NOW + TYPE_REST
}

fn plan(registry: &Registry, operation: &Operation) -> Result<Vec<Change>, RegistryError> {
    use Operation as Op;
    match *operation {
        Op::CreateThing(n) => registry.plan_create_thing(&t(n), None, BTreeMap::new(), NOW),
        Op::DeleteThing(n) => registry.plan_delete_thing(&t(n), None),
        Op::Register(n) => Ok(registry.plan_register_certificate(new_certificate(n), NOW)?.map(drop)),
        Op::Pending(n) => {
            let token = OwnershipToken::new(format!("token {n}"));
            Ok(registry.plan_pending_certificate(new_certificate(n), &token, NOW)?.map(drop))
        }
        Op::Delete(n, force) => registry.plan_delete_certificate(&id(n), force),
        Op::Status(n, status) => registry.plan_update_certificate(&id(n), status, NOW),
        Op::AttachThing(n, c, kind) => registry.plan_attach_thing_principal(&t(n), &id(c), kind),
        Op::DetachThing(n, c) => registry.plan_detach_thing_principal(&t(n), &id(c)),
        Op::CreatePolicy(n) => registry.plan_create_policy(&p(n), POLICY, NOW),
        Op::DeletePolicy(n) => registry.plan_delete_policy(&p(n)),
        Op::AttachPolicy(n, c) => registry.plan_attach_policy(&p(n), &id(c)),
        Op::DetachPolicy(n, c) => registry.plan_detach_policy(&p(n), &id(c)),
        Op::CreateGroup(n, parent) => registry.plan_create_group(&g(n), parent.map(g), NOW),
        Op::DeleteGroup(n) => registry.plan_delete_group(&g(n), None),
        Op::Join(n, to) => registry.plan_add_to_group(&t(n), &g(to)),
        Op::Move(n, to, from) => registry.plan_change_groups(&t(n), &[g(to)].into(), &[g(from)].into()),
        Op::Retype(n, to) => {
            let type_name = to.map_or(TypeUpdate::Remove, kind);
            registry.plan_update_thing(&t(n), &ThingUpdate { type_name, ..ThingUpdate::default() })
        }
        Op::CreateType(n) => registry.plan_create_thing_type(&g(n), Default::default(), Tags::default(), NOW),
        Op::Deprecate(n, undo) => registry.plan_deprecate_thing_type(&g(n), undo, NOW),
        Op::DeleteType(n) => registry.plan_delete_thing_type(&g(n), TYPE_REST, much_later()),
        Op::AddVersion(n, default) => {
            Ok(registry.plan_create_policy_version(&p(n), OTHER_POLICY, default, NOW)?.map(drop))
        }
        Op::SetVersion(n, to) => registry.plan_set_default_policy_version(&p(n), to, NOW),
        Op::DeleteVersion(n, one) => registry.plan_delete_policy_version(&p(n), one, NOW),
        Op::CreateTemplate(n) => registry.plan_create_template(&template(n), CLAIM_TEMPLATE, true, None, NOW),
        Op::AddTemplateVersion(n, default) => {
            Ok(registry.plan_create_template_version(&template(n), CLAIM_TEMPLATE, default, NOW)?.map(drop))
        }
        Op::DeleteTemplateVersion(n, one) => registry.plan_delete_template_version(&template(n), one, NOW),
        Op::DeleteTemplate(n) => registry.plan_delete_template(&template(n)),
        Op::Claim(n, to) => {
            Ok(registry.plan_register_claim(new_certificate(n), &template(to), NOW)?.map(drop))
        }
        Op::Tag(n) => {
            let tags = Tags::new([(format!("k{n}"), "v".to_owned())])?;
            registry.plan_tag(&Taggable::Policy(p(n)), tags)
        }
        Op::UpdateGroup(n) => Ok(registry.plan_update_group(&g(n), GroupUpdate::default())?.map(drop)),
        Op::Expire(after) => Ok(registry.plan_expire(NOW + Duration::from_secs(after.into())).map(drop)),
    }
    .map(|plan| plan.changes)
}

fn no_attachment_dangles(registry: &Registry) {
    for record in registry.certificates() {
        assert!(record.things.keys().all(|name| registry.thing(name).is_some()));
        assert!(record.policies.iter().all(|name| registry.policy(name).is_some()));
    }
    for one in registry.things() {
        assert!(one.groups.iter().all(|name| registry.group(name).is_some()));
        assert!(one.type_name.iter().all(|name| registry.thing_type(name).is_some()));
    }
    for one in registry.groups() {
        assert!(one.parent.iter().all(|name| registry.group(name).is_some()));
    }
}

fn an_exclusive_certificate_has_one_thing(registry: &Registry) {
    for record in registry.certificates() {
        assert!(record.exclusive_thing().is_none() || record.things.len() == 1);
    }
}

fn both_sides_of_an_attachment_agree(registry: &Registry) {
    for one in registry.things() {
        let principals = registry.principals_of(&one.name);
        assert!(principals.iter().all(|id| registry.is_attached(id, &one.name)));
    }
    let forth: usize = registry.certificates().map(|record| record.things.len()).sum();
    let back: usize = registry.things().map(|one| registry.principals_of(&one.name).len()).sum();
    assert_eq!(forth, back);
}

fn only_pending_or_registered_certificates_have_tokens(registry: &Registry) {
    let owned = registry.certificates().filter(|record| record.ownership.is_some()).count();
    let claims = registry.certificates().filter(|record| record.claim_for.is_some()).count();
    assert_eq!((owned, owned + claims), (registry.tokens.len(), registry.expiries.len()));
    for record in registry.certificates() {
        assert!(record.status != CertificateStatus::PendingActivation || record.ownership.is_some());
    }
}

fn members_are_those_whose_records_say_so(registry: &Registry) {
    let forth: usize = registry.things().map(|one| one.groups.len()).sum();
    let back: usize = registry.groups().map(|one| registry.members_of(&one.name).len()).sum();
    assert_eq!((forth, registry.members.values().map(BTreeSet::len).sum()), (back, back));
    for one in registry.things() {
        assert!(one.groups.iter().all(|group| registry.members_of(group).contains(&one.name)));
    }
}

fn no_thing_is_twice_in_a_hierarchy(registry: &Registry) {
    for one in registry.things() {
        let roots: BTreeSet<_> = one.groups.iter().map(|group| registry.root_of(group)).collect();
        assert_eq!(roots.len(), one.groups.len());
    }
}

fn there_is_one_default_among_five_versions(registry: &Registry) {
    let policies = registry.policies().map(PolicyRecord::all_versions);
    let templates = registry.templates().map(TemplateRecord::all_versions);
    for versions in policies.chain(templates) {
        assert!(versions.len() <= MAX_VERSIONS);
        assert_eq!(versions.iter().filter(|version| version.is_default).count(), 1);
    }
    for policy in registry.policies() {
        assert_eq!(*policy.document, PolicyDocument::parse(&policy.text).unwrap());
    }
}

fn every_certificate_has_an_age(registry: &Registry) {
    assert_eq!(registry.certificates_by_age().count(), registry.certificates().count());
}

fn a_revoked_certificate_was_not_revived(before: &Registry, after: &Registry) {
    for record in before.certificates().filter(|one| one.status == CertificateStatus::Revoked) {
        let now = after.certificate(&record.id);
        assert!(now.is_none_or(|now| now.status == CertificateStatus::Revoked));
    }
}

proptest! {
    #[test]
    fn every_history_keeps_the_invariants(history in proptest::collection::vec(operation(), 1..80)) {
        let mut registry = Registry::new();
        let mut replica = Registry::new();
        for operation in history {
            let mut next = Registry::new();
            everything(&registry).iter().for_each(|change| next.apply(change));
            if let Ok(changes) = plan(&registry, &operation) {
                // Twice, because replaying a change must be harmless.
                changes.iter().chain(&changes).for_each(|change| next.apply(change));
                changes.iter().for_each(|change| replica.apply(change));
            }
            no_attachment_dangles(&next);
            an_exclusive_certificate_has_one_thing(&next);
            both_sides_of_an_attachment_agree(&next);
            members_are_those_whose_records_say_so(&next);
            no_thing_is_twice_in_a_hierarchy(&next);
            there_is_one_default_among_five_versions(&next);
            every_certificate_has_an_age(&next);
            only_pending_or_registered_certificates_have_tokens(&next);
            a_revoked_certificate_was_not_revived(&registry, &next);
            assert_eq!(everything(&next), everything(&replica));
            registry = next;
        }
    }
}

/// The whole registry as the changes that make it: what a restart reads from disk.
fn everything(registry: &Registry) -> Vec<Change> {
    let mut changes: Vec<Change> =
        registry.certificates.values().cloned().map(Change::PutCertificate).collect();
    changes.extend(registry.things.values().cloned().map(Change::PutThing));
    changes.extend(registry.groups.values().cloned().map(Change::PutGroup));
    changes.extend(registry.policies.values().cloned().map(Change::PutPolicy));
    changes.extend(registry.thing_types.values().cloned().map(Change::PutThingType));
    changes.extend(registry.templates.values().cloned().map(Change::PutTemplate));
    changes
}
