//! Where nothing is wrong, nothing is found, and nobody notices.

use fleetkey_agent::doctor::{Tier, Verdict};
use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::SerialNumber;
use fleetkey_testkit::Bench;
use fleetkey_testkit::wait::within;

use crate::bed::{Asked, Bed, THING};

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_device_passes_every_tier_and_its_live_session_notices_nothing() {
    let bench = Bench::start().await;
    let agent = bench.provisioned(THING).await;
    let session = |bench: &Bench| {
        let connections = bench.core.connections();
        let live = connections.iter().find(|open| open.client_id.as_str() == THING);
        live.map(|open| open.session_identifier.clone())
    };
    let before = session(&bench);
    let id = agent.status().certificate.unwrap();
    let identity = bench.exported(THING);
    let bed = Bed::with(bench, id, &identity);
    let report = bed.report(Asked::Account).await;
    assert_eq!(report.exit_code(), 0, "\n{report}");
    for tier in Tier::ALL {
        let checks: Vec<_> = report.checks.iter().filter(|check| check.tier == tier).collect();
        assert!(!checks.is_empty(), "{tier} was not looked at\n{report}");
        assert!(
            checks.iter().all(|check| matches!(check.verdict, Verdict::Ok | Verdict::Note)),
            "\n{report}"
        );
    }
    assert!(before.is_some() && session(&bed.bench) == before, "the live session is the one before");
    agent.stop().await;
    bed.bench.core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_account_the_clients_own_id_is_left_alone_and_that_is_said() {
    let bed = Bed::healthy().await;
    let report = bed.report(Asked::Nobody).await;
    assert_eq!(report.exit_code(), 0, "\n{report}");
    let connect = report.checks.iter().find(|check| check.tier == Tier::Connect).unwrap();
    assert_eq!(connect.verdict, Verdict::NotChecked, "\n{report}");
    let taken_over =
        Bed { target: fleetkey_agent::doctor::Target { take_over: true, ..bed.target.clone() }, ..bed };
    let report = taken_over.report(Asked::Nobody).await;
    let connect = report.checks.iter().find(|check| check.tier == Tier::Connect).unwrap();
    assert_eq!((connect.verdict, report.exit_code()), (Verdict::Ok, 0), "\n{report}");
}

/// What the wire alone cannot tell, the certificate before can: it is let in the same way.
#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_before_tells_that_it_is_the_new_one_that_is_refused() {
    let bench = Bench::start().await;
    let agent = bench.provisioned(THING).await;
    let first = agent.status().certificate.unwrap();
    agent.rotate().await;
    let rotated =
        agent.until(|status| status.certificate != Some(first) && status.exported && status.connected);
    let id = within("a rotation", rotated).await.unwrap().certificate.unwrap();
    agent.stop().await;
    bench.core.account().update_certificate(&id, CertificateStatus::Inactive).await.unwrap();
    let identity = bench.exported(THING);
    let state_dir = bench.device(THING).state_dir;
    let mut bed = Bed::with(bench, id, &identity);
    let unaided = bed.report(Asked::Nobody).await;
    assert_eq!(unaided.unknown().map(|check| check.tier), Some(Tier::Certificate), "\n{unaided}");
    let previous = fleetkey_agent::store::read_previous(&state_dir, SerialNumber::new(THING).unwrap());
    bed.target.previous = Some((&previous.unwrap()).into());
    Bed::faults(&bed.report(Asked::Nobody).await, Tier::Certificate, "the one before is let in");
}
