//! Setup: makes everything, changes nothing the second time, and completes whatever an earlier run left.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the account is shared by several tests")]

#[path = "support/account.rs"]
mod account;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use account::{Account, Failure};
use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::topic::TopicRoot;
use fleetkey_operator::control_plane::{ApiError, Hook};
use fleetkey_operator::documents::{Fleet, Names};
use fleetkey_operator::setup::{CredentialError, Outcome, Report, Settings, SetupError, setup};
use tempfile::TempDir;

fn settings(directory: &TempDir) -> Settings {
    Settings {
        fleet: Fleet { scope: Scope::local(), root: TopicRoot::default(), names: Names::new("").unwrap() },
        claim_hook: Some(Hook::Serials { allow: vec!["*".into()] }),
        rotation_hook: Some(Hook::OwnThing),
        recovery_hook: None,
        directory: directory.path().join("credentials"),
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn outcomes(report: &Report, outcome: Outcome) -> Vec<&str> {
    let steps = report.steps.iter().filter(|step| step.outcome == outcome);
    steps.map(|step| step.resource.as_str()).collect()
}

#[tokio::test]
async fn a_first_run_makes_everything() {
    let (account, directory) = (Account::default(), TempDir::new().unwrap());
    let report = setup(&account, &settings(&directory)).await.unwrap();
    assert_eq!(outcomes(&report, Outcome::Created).len(), report.steps.len());
    let state = account.state();
    assert_eq!((state.policies.len(), state.groups.len(), state.templates.len()), (4, 1, 3));
    let enabled: Vec<_> = state.templates.values().map(|t| (t.name.as_str(), t.enabled)).collect();
    assert_eq!(
        enabled,
        [
            ("CertRotationTemplate", true),
            ("CertRotationTemplate-recover", false),
            ("CertRotationTemplate-rotate", true)
        ]
    );
    for (credential, policy) in [
        (&report.claim, "ClaimPolicy"),
        (&report.observer, "ObserverPolicy"),
        (&report.controller, "ControllerPolicy"),
    ] {
        assert_eq!(state.certificates[&credential.id].status, CertificateStatus::Active);
        let attached: Vec<_> = state.attached.iter().filter(|(id, _)| *id == credential.id).collect();
        assert_eq!(attached.len(), 1);
        assert_eq!(attached[0].1.as_str(), policy);
        assert_eq!((mode(&credential.key), mode(&credential.certificate)), (0o600, 0o644));
        assert_eq!(mode(credential.key.parent().unwrap()), 0o700);
    }
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let (account, directory) = (Account::default(), TempDir::new().unwrap());
    let first = setup(&account, &settings(&directory)).await.unwrap();
    let calls = account.state().calls.len();
    let second = setup(&account, &settings(&directory)).await.unwrap();
    assert!(second.unchanged());
    assert_eq!((first.claim, first.controller), (second.claim, second.controller));
    let state = account.state();
    let changing = ["create", "replace", "attach_policy", "update", "delete", "detach"];
    let changes: Vec<_> = state.calls[calls..]
        .iter()
        .filter(|call| changing.iter().any(|verb| call.starts_with(verb)))
        .collect();
    assert!(changes.is_empty(), "{changes:?}");
}

/// Cut at every call in turn, before its effect and after it, a second run always completes the first.
#[tokio::test]
async fn a_run_cut_short_at_any_call_is_completed_by_the_next() {
    let total = {
        let (account, directory) = (Account::default(), TempDir::new().unwrap());
        setup(&account, &settings(&directory)).await.unwrap();
        account.state().calls.len()
    };
    for (at, after_effect) in (0..total).flat_map(|at| [(at, false), (at, true)]) {
        let (account, directory) = (Account::default(), TempDir::new().unwrap());
        let error = ApiError::Other("cut".into());
        account.state().fail = Some(Failure { at, times: usize::MAX / 2, after_effect, error });
        assert!(setup(&account, &settings(&directory)).await.is_err(), "call {at}");
        account.state().fail = None;
        let report = setup(&account, &settings(&directory)).await.unwrap();
        assert!(setup(&account, &settings(&directory)).await.unwrap().unchanged(), "call {at}");
        let state = account.state();
        let active = state.certificates.values().filter(|c| c.status == CertificateStatus::Active).count();
        assert_eq!(active, 3, "call {at}: an orphan may remain, but none that can connect");
        assert!(state.certificates.contains_key(&report.claim.id));
    }
}

#[tokio::test]
async fn what_differs_is_changed() {
    let (account, directory) = (Account::default(), TempDir::new().unwrap());
    let mut settings = settings(&directory);
    setup(&account, &settings).await.unwrap();
    settings.fleet.root = TopicRoot::new("pm500").unwrap();
    settings.rotation_hook = None;
    let report = setup(&account, &settings).await.unwrap();
    assert_eq!(
        outcomes(&report, Outcome::Changed),
        ["policy DevicePolicy", "policy ObserverPolicy", "provisioning template CertRotationTemplate-rotate"]
    );
    assert!(setup(&account, &settings).await.unwrap().unchanged());
}

#[tokio::test]
async fn a_policy_that_was_detached_is_attached_again() {
    let (account, directory) = (Account::default(), TempDir::new().unwrap());
    setup(&account, &settings(&directory)).await.unwrap();
    account.state().attached.clear();
    let report = setup(&account, &settings(&directory)).await.unwrap();
    assert_eq!(outcomes(&report, Outcome::Changed).len(), 3);
    assert_eq!(account.state().attached.len(), 3);
}

#[tokio::test]
async fn a_claim_that_was_taken_out_of_use_is_not_revived() {
    let (account, directory) = (Account::default(), TempDir::new().unwrap());
    let claim = setup(&account, &settings(&directory)).await.unwrap().claim;
    account.state().certificates.get_mut(&claim.id).unwrap().status = CertificateStatus::Inactive;
    let refused = setup(&account, &settings(&directory)).await.unwrap_err();
    assert!(matches!(refused, SetupError::Credential(CredentialError::NotActive { .. })), "{refused}");
    account.state().certificates.remove(&claim.id);
    let refused = setup(&account, &settings(&directory)).await.unwrap_err();
    assert!(matches!(refused, SetupError::Credential(CredentialError::Unknown { .. })), "{refused}");
}

#[tokio::test]
async fn a_lost_key_is_named() {
    let (account, directory) = (Account::default(), TempDir::new().unwrap());
    let claim = setup(&account, &settings(&directory)).await.unwrap().claim;
    std::fs::remove_file(&claim.key).unwrap();
    let refused = setup(&account, &settings(&directory)).await.unwrap_err();
    assert!(refused.to_string().contains("claim/key.pem is missing"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out() {
    let (account, directory) = (Account::default(), TempDir::new().unwrap());
    let error = ApiError::Throttled;
    account.state().fail = Some(Failure { at: 3, times: 5, after_effect: false, error });
    assert!(!setup(&account, &settings(&directory)).await.unwrap().unchanged());
}

#[tokio::test(start_paused = true)]
async fn a_throttle_that_never_ends_is_an_error_that_names_the_resource() {
    let (account, directory) = (Account::default(), TempDir::new().unwrap());
    let error = ApiError::Throttled;
    account.state().fail = Some(Failure { at: 0, times: 1000, after_effect: false, error });
    let refused = setup(&account, &settings(&directory)).await.unwrap_err();
    assert!(refused.to_string().starts_with("thing group fleet-devices: throttled"), "{refused}");
}
