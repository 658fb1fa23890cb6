//! The control plane as an operator uses it, on a registry in memory.

use fleetkey_model::certificate::ThingPrincipalType;
use fleetkey_model::name::{GroupName, PolicyName, TemplateName, ThingName};

use super::*;
use crate::clock::ManualClock;
use crate::fixtures::{CLAIM_TEMPLATE, NOW, POLICY, devices};
use crate::registry::{BuiltinHook, Source};

fn account() -> Account {
    let clock = Arc::new(ManualClock::new(NOW));
    Account::new(Store::in_memory().unwrap(), devices(), clock, Scope::local())
}

fn outcome<T: std::fmt::Debug>(result: Result<T, AccountError>) -> (&'static str, u16) {
    let error = result.unwrap_err();
    (error.code(), error.status())
}

#[tokio::test]
async fn an_operator_sets_up_a_claim_and_takes_it_down_again() {
    let account = account();
    let policy = PolicyName::new("claim").unwrap();
    account.create_policy(&policy, POLICY).await.unwrap();
    let claim = account.create_claim().await.unwrap();
    let id = claim.facts.id;
    account.attach_policy(&policy, &id).await.unwrap();
    let record = account.describe_certificate(&id).unwrap();
    assert_eq!((record.status, record.source), (CertificateStatus::Active, Source::Claim));
    assert_eq!(record.pem, claim.pem);

    assert_eq!(outcome(account.delete_certificate(&id, true).await), ("CertificateStateException", 406));
    account.update_certificate(&id, CertificateStatus::Revoked).await.unwrap();
    assert_eq!(outcome(account.delete_policy(&policy).await), ("DeleteConflictException", 409));
    account.detach_policy(&policy, &id).await.unwrap();
    account.delete_certificate(&id, false).await.unwrap();
    account.delete_policy(&policy).await.unwrap();
    assert_eq!(outcome(account.describe_certificate(&id)), ("ResourceNotFoundException", 404));
    assert_eq!(outcome(account.describe_policy(&policy)), ("ResourceNotFoundException", 404));
}

#[tokio::test]
async fn a_certificate_is_born_active_or_inactive_and_counted() {
    let account = account();
    let csr = include_str!("../../fixtures/csr/p384-sha384.pem");
    account.create_keys_and_certificate(true).await.unwrap();
    account.create_certificate_from_csr(csr, false).await.unwrap();
    let again = account.create_certificate_from_csr(csr, false).await.unwrap();
    assert!(again.private_key.is_none());
    let counts = account.count_by_status();
    let expected = [(CertificateStatus::Active, 1), (CertificateStatus::Inactive, 2)];
    assert_eq!(counts, expected.into());
    let refused = account.create_certificate_from_csr("rubbish", true).await;
    assert_eq!(outcome(refused), ("InvalidRequestException", 400));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let account = account();
    for _ in 0..3 {
        let csr = include_str!("../../fixtures/csr/p256-sha256.pem");
        account.create_certificate_from_csr(csr, true).await.unwrap();
    }
    let all: Vec<_> = account.list_certificates(None, 10).into_iter().map(|one| one.id).collect();
    let first = account.list_certificates(None, 2);
    let rest = account.list_certificates(Some(&first[1].id), 2);
    let paged: Vec<_> = first.iter().chain(&rest).map(|one| one.id).collect();
    assert_eq!((all.len(), paged), (3, all));
    for name in ["b", "a"] {
        let name = ThingName::new(name).unwrap();
        account.create_thing(&name, None, BTreeMap::new()).await.unwrap();
    }
    let page = account.list_things(Some(&ThingName::new("a").unwrap()), 5);
    assert_eq!(page.len(), 1);
}

#[tokio::test]
async fn any_certificate_can_be_registered_but_only_once_and_only_a_certificate() {
    let elsewhere = account().create_keys_and_certificate(true).await.unwrap();
    let account = account();
    let id = account.register_certificate(&elsewhere.pem, CertificateStatus::Active).await.unwrap();
    assert_eq!(id, elsewhere.facts.id);
    let again = account.register_certificate(&elsewhere.pem, CertificateStatus::Active).await;
    assert_eq!(outcome(again), ("ResourceAlreadyExistsException", 409));
    let rubbish = account.register_certificate("rubbish", CertificateStatus::Active).await;
    assert_eq!(outcome(rubbish), ("CertificateValidationException", 400));
}

#[tokio::test]
async fn things_and_principals_are_attached_from_either_side() {
    let account = account();
    let (thing, group) = (ThingName::new("a").unwrap(), GroupName::new("fleet").unwrap());
    let kind = ThingPrincipalType::ExclusiveThing;
    account.create_thing_group(&group, None).await.unwrap();
    account.create_thing(&thing, None, BTreeMap::new()).await.unwrap();
    account.add_thing_to_group(&thing, &group).await.unwrap();
    let id = account.create_keys_and_certificate(true).await.unwrap().facts.id;
    account.attach_thing_principal(&thing, &id, kind).await.unwrap();
    assert_eq!(account.list_thing_principals(&thing).unwrap(), [id].into());
    let records = account.thing_certificates(&thing).unwrap();
    assert_eq!(records.iter().map(|record| record.id).collect::<Vec<_>>(), [id]);
    account.describe_thing_group(&group).unwrap();
    assert_eq!(account.list_principal_things(&id).unwrap(), [(thing.clone(), kind)].into());
    assert_eq!(outcome(account.delete_thing(&thing).await), ("InvalidRequestException", 400));
    account.detach_thing_principal(&thing, &id).await.unwrap();
    account.delete_thing(&thing).await.unwrap();
    account.delete_thing_group(&group).await.unwrap();
    assert_eq!(outcome(account.list_thing_principals(&thing)), ("ResourceNotFoundException", 404));
}

#[tokio::test]
async fn a_template_is_made_closed_opened_given_a_hook_and_replaced() {
    let account = account();
    let name = TemplateName::new("recovery").unwrap();
    account.create_template(&name, CLAIM_TEMPLATE, false, None).await.unwrap();
    account.set_template_enabled(&name, true).await.unwrap();
    account.set_template_hook(&name, Some(BuiltinHook::OwnThing)).await.unwrap();
    let template = account.describe_template(&name).unwrap();
    assert!(template.enabled && template.hook == Some(BuiltinHook::OwnThing));
    assert_eq!(
        outcome(account.replace_template(&name, "{}", false, None).await),
        ("InvalidRequestException", 400)
    );
    assert_eq!(account.describe_template(&name).unwrap(), template);
    let body = CLAIM_TEMPLATE.replace("device", "other");
    account.replace_template(&name, &body, false, None).await.unwrap();
    let replaced = account.describe_template(&name).unwrap();
    assert_eq!((replaced.body, replaced.enabled, replaced.hook), (body, false, None));
    account.delete_template(&name).await.unwrap();
    assert_eq!(outcome(account.set_template_enabled(&name, true).await), ("ResourceNotFoundException", 404));
}
