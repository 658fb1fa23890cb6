//! Certificates that the account does not take: the wire says one thing to all, the account which.

use fleetkey_agent::doctor::{Tier, UNDECIDED};
use fleetkey_agent::keys::{Keys, P256Keys};
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::SerialNumber;
use fleetkey_testkit::{Bench, Identity};

use crate::bed::{Asked, Bed, THING};

async fn with_status(status: CertificateStatus) -> Bed {
    let bed = Bed::healthy().await;
    bed.bench.core.account().update_certificate(&bed.id, status).await.unwrap();
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_certificate_is_told_with_the_command_that_brings_it_back() {
    let bed = with_status(CertificateStatus::Inactive).await;
    let report = bed.report(Asked::Account).await;
    Bed::faults(&report, Tier::Certificate, "--new-status ACTIVE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_told_to_be_gone_for_good() {
    let bed = with_status(CertificateStatus::Revoked).await;
    Bed::faults(&bed.report(Asked::Account).await, Tier::Certificate, "REVOKED, for good");
}

/// Issued by another account, and never registered in this one.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_account_is_told_to_be_unregistered() {
    let other = Bench::start().await;
    let key = P256Keys.generate().unwrap();
    let csr = P256Keys.request(&key, &SerialNumber::new(THING).unwrap()).unwrap();
    let minted = other.core.account().create_certificate_from_csr(&csr, true).await.unwrap();
    other.core.shutdown().await;
    let identity = Identity { key, chain: minted.pem };
    let bed = Bed::with(Bench::start().await, minted.facts.id, &identity);
    Bed::faults(&bed.report(Asked::Account).await, Tier::Certificate, "is not registered in account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_only_the_account_could_explain_is_called_undecided_without_it() {
    let mut bed = with_status(CertificateStatus::Inactive).await;
    let report = bed.report(Asked::Nobody).await;
    assert_eq!(report.exit_code(), UNDECIDED, "\n{report}");
    assert_eq!(report.unknown().map(|check| check.tier), Some(Tier::Certificate), "\n{report}");
    bed.target.take_over = true;
    Bed::faults(&bed.report(Asked::Nobody).await, Tier::Certificate, "under no client id");
}

/// The agent proves candidates on the id that the doctor would use.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_agent_is_not_disturbed() {
    let mut bed = Bed::healthy().await;
    bed.target.busy = Some("the agent is rotating".into());
    let report = bed.report(Asked::Account).await;
    assert_eq!(report.exit_code(), 0, "\n{report}");
    assert!(!report.to_string().contains("done as"), "nothing was tried\n{report}");
    assert!(bed.bench.core.connections().is_empty());
}
