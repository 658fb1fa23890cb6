//! Files that are torn, missing, or of two devices; a certificate that is over; a clock that is off.

use std::sync::Arc;

use fleetkey_agent::doctor::{Tier, Verdict};
use fleetkey_agent::keys::{Keys, P256Keys};
use fleetkey_model::time::Timestamp;
use fleetkey_testkit::{Bench, Identity};

use crate::bed::{Asked, Bed, HourAgo};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_certificate_is_found_in_the_files() {
    let mut bed = Bed::healthy().await;
    bed.target.key = bed.write("other.pem", P256Keys.generate().unwrap().expose());
    Bed::faults(&bed.report(Asked::Account).await, Tier::Files, "is not the key of this certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_certificate_and_a_key_that_is_not_there_are_found_in_the_files() {
    let mut bed = Bed::healthy().await;
    let whole = std::fs::read_to_string(&bed.target.certificate).unwrap();
    let kept = bed.target.certificate.clone();
    bed.target.certificate = bed.write("torn.pem", &whole[..whole.len() / 2]);
    let report = bed.report(Asked::Account).await;
    Bed::faults(&report, Tier::Files, "holds no certificate that reads");
    assert!(!report.has_failed(Tier::ServerTls), "the rest is looked at all the same\n{report}");
    bed.target.certificate = kept;
    bed.target.key = bed.bench.path("nowhere.pem");
    Bed::faults(&bed.report(Asked::Account).await, Tier::Files, "cannot be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_that_are_not_there_are_found_in_the_files() {
    let mut bed = Bed::healthy().await;
    bed.target.roots = vec![bed.bench.path("nowhere.pem")];
    Bed::faults(&bed.report(Asked::Account).await, Tier::Files, "nowhere.pem");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_found_in_the_files() {
    let bench = Bench::start_with(Arc::new(HourAgo), |_| {}).await;
    let template = bench.fleet.names.claim_template.clone();
    let minted = bench.core.account().create_provisioning_claim(&template).await.unwrap();
    let identity = Identity { key: minted.private_key.unwrap(), chain: minted.pem };
    let bed = Bed::with(bench, minted.facts.id, &identity);
    Bed::faults(&bed.report(Asked::Account).await, Tier::Files, "has expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_names_another_thing_is_a_matter_of_identity() {
    let bed = Bed::named("pump-2").await;
    Bed::faults(&bed.report(Asked::Account).await, Tier::Identity, "names pump-2, not pump-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_named_and_not_the_certificates_that_it_makes_look_bad() {
    let bed = Bed::healthy().await;
    for seconds in [1_000_000_000, 4_000_000_000] {
        let report = bed.report_at(Timestamp::from_secs(seconds), Asked::Account).await;
        Bed::faults(&report, Tier::Clock, "the server's");
        let others: Vec<_> = report.checks.iter().filter(|check| check.verdict == Verdict::Failed).collect();
        assert_eq!(others.len(), 1, "\n{report}");
    }
}
