//! A certificate for a key that a device keeps: whole after a kill at any call, and never two of them.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the account is shared by several tests")]

#[path = "support/cloud.rs"]
mod cloud;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use cloud::{Death, FakeCloud, FakeKeys, Killed};
use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use fleetkey_model::name::{PolicyName, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_operator::chain::{self, JOURNAL_FILE};
use fleetkey_operator::cloud::Tags;
use fleetkey_operator::plan::{Admission, Operator, Patience, PlanError, Silent, Tools};
use tempfile::TempDir;

/// The request, which is its own key here.
const REQUEST: &str = "a request";
/// What somebody else has signed: the last of the certificates that the account would not come to.
const ALL: &str = include_str!("support/certificates.pem");

fn thing() -> ThingName {
    ThingName::new("PLC1").unwrap()
}

fn policy() -> PolicyName {
    PolicyName::new("DevicePolicy").unwrap()
}

fn foreign() -> String {
    let end = "-----END CERTIFICATE-----\n";
    ALL.split_inclusive(end).filter(|pem| pem.contains(end)).last().unwrap().to_owned()
}

/// An account with the thing in it.
fn account() -> (FakeCloud, TempDir) {
    let cloud = FakeCloud::default();
    cloud.state().things.insert(thing(), Tags::new());
    (cloud, TempDir::new().unwrap())
}

/// One process that has the account sign, or brings what was signed elsewhere, and admits it.
async fn session(
    cloud: &FakeCloud,
    directory: &Path,
    foreign: Option<String>,
) -> Result<CertificateId, PlanError> {
    let keys = FakeKeys::default();
    let clock = || Timestamp::from_secs(1_000_000);
    let tools = Tools {
        cloud,
        keys: &keys,
        clock: &clock,
        progress: &Silent,
        making: Patience::MAKING,
        deleting: Patience::DELETING,
    };
    let mut operator = Operator::open(tools, directory, "default", false).await?;
    operator.expect_thing(&thing()).await?;
    let certificate = match &foreign {
        Some(pem) => CertificateFacts::from_pem(pem).unwrap().id,
        None => operator.issue_for(&thing(), REQUEST, REQUEST.as_bytes()).await?.id,
    };
    operator.admit(&Admission { certificate, foreign, thing: thing(), policy: policy() }).await?;
    Ok(certificate)
}

/// Runs to the end with time that passes by itself; `None` when the account killed it.
fn run<T>(work: impl Future<Output = T>) -> Option<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(work))) {
        Ok(done) => Some(done),
        Err(payload) if payload.is::<Killed>() => None,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

fn is_admitted(cloud: &FakeCloud, directory: &Path, id: CertificateId) {
    let state = cloud.state();
    assert_eq!(state.certificates.keys().collect::<Vec<_>>(), [&id], "one, and no other");
    let found = state.certificates.get(&id).unwrap();
    assert_eq!(found.status, CertificateStatus::Active);
    assert!(found.policies.iter().eq([&policy()]) && found.things.iter().eq([&thing()]));
    chain::verify(&directory.join(JOURNAL_FILE)).unwrap();
}

#[test]
fn a_run_that_is_killed_at_any_call_is_completed_by_the_next_and_no_second_certificate_is_made() {
    for foreign in [None, Some(foreign())] {
        let mut killed = 0;
        for at in 0.. {
            let mut died = false;
            for after_effect in [false, true] {
                let (cloud, directory) = account();
                cloud.state().death = Some(Death { at, after_effect });
                died |= run(session(&cloud, directory.path(), foreign.clone())).is_none();
                cloud.state().death = None;
                let done = run(session(&cloud, directory.path(), foreign.clone())).unwrap();
                is_admitted(&cloud, directory.path(), done.unwrap());
            }
            if !died {
                break;
            }
            killed += 1;
        }
        assert!(killed >= 6, "identity, thing, signing or registering, policy, thing, status: {killed}");
    }
}

#[test]
fn it_is_active_last_of_all() {
    let (cloud, directory) = account();
    run(session(&cloud, directory.path(), Some(foreign()))).unwrap().unwrap();
    let calls = cloud.state().calls.clone();
    let order: Vec<_> = calls.iter().map(|call| call.split(' ').next().unwrap()).collect();
    assert_eq!(order[2..], ["register", "attach_policy", "attach_thing", "update_certificate"], "{calls:?}");
}

#[test]
fn a_thing_that_is_not_there_is_named_with_the_command_that_makes_it() {
    let (cloud, directory) = account();
    cloud.state().things.clear();
    let error = run(session(&cloud, directory.path(), None)).unwrap().unwrap_err();
    assert!(error.to_string().contains("fleetkey device provision --serial PLC1"), "{error}");
    assert!(cloud.state().certificates.is_empty());
}
