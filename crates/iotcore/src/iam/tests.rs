//! Roles and policies as set-up and clean-up scripts use them.

use std::sync::Arc;

use fleetkey_model::arn::Scope;
use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::fixtures::NOW;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"Service":"iot.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const LOGS: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}"#;
const THINGS: &str = "arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration";

fn open(directory: &TempDir) -> Iam {
    Iam::open(directory.path(), Arc::new(ManualClock::new(NOW)), Scope::local()).unwrap()
}

fn role(name: &str) -> NewRole {
    NewRole { name: name.to_owned(), trust: TRUST.to_owned(), ..NewRole::default() }
}

#[tokio::test]
async fn a_role_is_deleted_only_when_nothing_hangs_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let iam = open(&directory);
    let made = iam.create_role(role("Provisioning")).await.unwrap();
    assert_eq!(made.arn(iam.scope()), "arn:aws:iam::123456789012:role/Provisioning");
    assert!(made.id.starts_with("AROA") && made.id.len() == 21, "{}", made.id);
    iam.attach_role_policy("Provisioning", THINGS).await.unwrap();
    iam.attach_role_policy("Provisioning", THINGS).await.unwrap();
    iam.put_role_policy("Provisioning", "logs", LOGS.to_owned()).await.unwrap();
    assert_eq!(iam.delete_role("Provisioning").await.unwrap_err().code(), "DeleteConflict");
    iam.detach_role_policy("Provisioning", THINGS).await.unwrap();
    assert_eq!(iam.detach_role_policy("Provisioning", THINGS).await.unwrap_err().code(), "NoSuchEntity");
    let error = iam.delete_role("Provisioning").await.unwrap_err();
    assert_eq!(error.to_string(), "Cannot delete entity, must delete policies first.");
    iam.delete_role_policy("Provisioning", "logs").await.unwrap();
    iam.delete_role("Provisioning").await.unwrap();
    assert_eq!(iam.role("Provisioning").unwrap_err().status(), 404);
}

#[tokio::test]
async fn a_name_is_taken_whatever_its_case() {
    let directory = tempfile::tempdir().unwrap();
    let iam = open(&directory);
    iam.create_role(role("Hook")).await.unwrap();
    for name in ["Hook", "hook"] {
        let error = iam.create_role(role(name)).await.unwrap_err();
        assert_eq!((error.code(), error.status()), ("EntityAlreadyExists", 409));
    }
    for name in ["", "a b", "ä", &"x".repeat(65)] {
        assert_eq!(iam.create_role(role(name)).await.unwrap_err().code(), "ValidationError", "{name}");
    }
}

#[tokio::test]
async fn roles_survive_a_restart_and_a_service_takes_only_what_trusts_it() {
    let directory = tempfile::tempdir().unwrap();
    let made = open(&directory).create_role(role("Provisioning")).await.unwrap();
    let iam = open(&directory);
    assert_eq!(iam.role("Provisioning").unwrap(), made);
    let arn = made.arn(iam.scope());
    assert!(iam.role_can_be_assumed_by(&arn, "iot.amazonaws.com"));
    assert!(!iam.role_can_be_assumed_by(&arn, "lambda.amazonaws.com"));
    assert!(!iam.role_can_be_assumed_by("arn:aws:iam::123456789012:role/Other", "iot.amazonaws.com"));
    iam.update_trust("Provisioning", TRUST.replace("iot.", "lambda.")).await.unwrap();
    assert!(iam.role_can_be_assumed_by(&arn, "lambda.amazonaws.com"));
    assert_eq!(
        iam.update_trust("Provisioning", LOGS.to_owned()).await.unwrap_err().code(),
        "MalformedPolicyDocument"
    );
}

#[tokio::test]
async fn a_policy_has_five_versions_and_goes_with_its_last() {
    let directory = tempfile::tempdir().unwrap();
    let iam = open(&directory);
    let new = NewPolicy { name: "Logs".to_owned(), document: LOGS.to_owned(), ..NewPolicy::default() };
    let arn = iam.create_policy(new).await.unwrap().arn.clone();
    for number in 2..=5 {
        assert_eq!(iam.create_policy_version(&arn, LOGS.to_owned(), number == 5).await.unwrap(), number);
    }
    let error = iam.create_policy_version(&arn, LOGS.to_owned(), true).await.unwrap_err();
    assert_eq!(error.code(), "LimitExceeded");
    assert_eq!(iam.delete_policy_version(&arn, "v5").await.unwrap_err().code(), "DeleteConflict");
    assert_eq!(iam.delete_policy(&arn).await.unwrap_err().code(), "DeleteConflict");
    for version in ["v1", "v2", "v3", "v4"] {
        iam.delete_policy_version(&arn, version).await.unwrap();
    }
    iam.create_role(role("Hook")).await.unwrap();
    iam.attach_role_policy("Hook", &arn).await.unwrap();
    assert_eq!(iam.attachment_count(&arn), 1);
    assert_eq!(iam.delete_policy(&arn).await.unwrap_err().code(), "DeleteConflict");
    iam.detach_role_policy("Hook", &arn).await.unwrap();
    iam.delete_policy(&arn).await.unwrap();
    assert_eq!(iam.policy(&arn).unwrap_err().code(), "NoSuchEntity");
}

#[tokio::test]
async fn awss_own_policies_are_there_and_cannot_be_changed() {
    let directory = tempfile::tempdir().unwrap();
    let iam = open(&directory);
    assert!(iam.policy(THINGS).unwrap().versions[&1].document.contains("iot:RemoveThingFromBillingGroup"));
    assert_eq!(iam.delete_policy(THINGS).await.unwrap_err().code(), "AccessDenied");
    iam.create_role(role("Hook")).await.unwrap();
    let unknown = "arn:aws:iam::aws:policy/NoSuchPolicy";
    assert_eq!(iam.attach_role_policy("Hook", unknown).await.unwrap_err().code(), "NoSuchEntity");
    assert_eq!(iam.policies(PolicyScope::Local, "/").len(), 0);
    assert_eq!(iam.policies(PolicyScope::Aws, "/service-role/").len(), 2);
}

#[tokio::test]
async fn tags_are_merged_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let iam = open(&directory);
    iam.create_role(role("Hook")).await.unwrap();
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    iam.tag_role("Hook", vec![tag("a", "1"), tag("b", "2")]).await.unwrap();
    iam.tag_role("Hook", vec![tag("a", "3")]).await.unwrap();
    iam.untag_role("Hook", &["b".to_owned(), "c".to_owned()]).await.unwrap();
    assert_eq!(iam.role("Hook").unwrap().tags, BTreeMap::from([tag("a", "3")]));
    assert_eq!(iam.tag_role("Hook", vec![tag("aws:x", "")]).await.unwrap_err().code(), "InvalidInput");
    let many = (0..50).map(|n| tag(&n.to_string(), "")).collect();
    assert_eq!(iam.tag_role("Hook", many).await.unwrap_err().code(), "LimitExceeded");
}
