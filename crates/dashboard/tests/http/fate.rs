//! What cannot be undone, or cuts a device off: only an admin who has just shown that they are themselves.

use std::time::Duration;

use fleetkey_dashboard::access::Access;
use fleetkey_dashboard::fleet::{Fate, Order};
use fleetkey_model::certificate::CertificateId;

use crate::support::{ADMIN, AUDITOR, Bench, OPERATOR, Reply, Sample, access};

/// Past what a login is worth as a proof.
const LATER: Duration = Duration::from_secs(600);

fn path(der: &[u8], verb: &str) -> String {
    format!("/devices/pump-000001/certificates/{}/{verb}", CertificateId::of_der(der))
}

fn form(token: &str) -> String {
    format!("confirm=yes&why=a+theft&token={}", token.replace(' ', "+"))
}

async fn revoke(bench: &Bench, session: &str, form: &str) -> Reply {
    bench.post(&path(b"new", "revoke"), session, form).await
}

#[tokio::test]
async fn what_would_be_done_is_told_before_it_is_done() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let asked = revoke(&bench, &session, "").await;
    assert_eq!(asked.status, 200);
    for words in
        ["Revoke a certificate of pump-000001?", "identity in use", "Nothing brings it back", "all is well"]
    {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    assert!(bench.fleet.ordered().is_empty());
    for silent in ["confirm=yes", "confirm=yes&why=+%0a+"] {
        let refused = revoke(&bench, &session, silent).await;
        assert!(refused.status == 400 && refused.body.contains("Say why"), "{}", refused.body);
    }
    assert!(bench.fleet.ordered().is_empty());
    let done = revoke(&bench, &session, "confirm=yes&why=a+theft").await;
    assert_eq!((done.status, done.header("location")), (303, "/devices/pump-000001"));
    let (order, by) = bench.fleet.ordered().pop().unwrap();
    let certificate = CertificateId::of_der(b"new");
    assert!(
        matches!(&order, Order::Certificate { certificate: of, fate: Fate::Revoke, why, .. } if *of == certificate && why == "a theft"),
        "{order:?}"
    );
    assert!(by.starts_with("session "), "{by}");
}

#[tokio::test]
async fn a_login_of_some_time_ago_is_no_proof_and_a_token_is() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    bench.pass(LATER);
    let asked = revoke(&bench, &session, "").await;
    assert!(asked.body.contains("Token of an admin"), "{}", asked.body);
    for (form, status, words) in [
        ("confirm=yes&why=a+theft".to_owned(), 403, "Enter a token"),
        (form("a guess"), 401, "not known"),
        (form(OPERATOR), 403, "needs admin"),
        (form(AUDITOR), 403, "needs admin"),
    ] {
        let reply = revoke(&bench, &session, &form).await;
        assert!(
            reply.status == status && reply.body.contains(words),
            "{form}: {} {}",
            reply.status,
            reply.body
        );
    }
    assert!(bench.fleet.ordered().is_empty());
    assert_eq!(revoke(&bench, &session, &form(ADMIN)).await.status, 303);
    let (_, by) = bench.fleet.ordered().pop().unwrap();
    assert!(by.starts_with("session ") && by.ends_with(", token head"), "{by}");
    assert_eq!(
        revoke(&bench, &session, "confirm=yes&why=a+theft").await.status,
        403,
        "it proves this order, not the next"
    );
}

#[tokio::test]
async fn logging_in_again_is_proof() {
    let bench = Bench::start().await;
    bench.pass(LATER);
    let login = format!("token={}", ADMIN.replace(' ', "+"));
    let fresh = bench.send("POST", "/login", &[("sec-fetch-site", "same-origin")], &login).await.cookie();
    assert_eq!(revoke(&bench, &fresh, "confirm=yes&why=a+theft").await.status, 303);
}

#[tokio::test]
async fn a_link_that_a_page_made_is_no_proof() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let page = bench.post("/settings/link", &session, "").await;
    let link = page.body.split("/start/").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let other = bench.get(&format!("/start/{link}"), &[]).await.cookie();
    assert_eq!(revoke(&bench, &other, "confirm=yes&why=a+theft").await.status, 403);
    assert!(bench.fleet.ordered().is_empty());
}

#[tokio::test]
async fn who_guesses_here_is_slowed_down_as_at_the_door() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    bench.pass(LATER);
    for _ in 0..10 {
        assert_eq!(revoke(&bench, &session, &form("guess")).await.status, 401);
    }
    let slowed = revoke(&bench, &session, &form(ADMIN)).await;
    assert!(slowed.status == 429 && !slowed.header("retry-after").is_empty(), "{slowed:?}");
    assert_eq!(bench.get("/", &[("x-api-token", ADMIN)]).await.status, 429);
    assert!(bench.fleet.ordered().is_empty());
}

#[tokio::test]
async fn less_than_an_admin_decides_nothing_and_sees_no_button() {
    let bench = Bench::start().await;
    for token in [OPERATOR, AUDITOR] {
        let headers = [("x-api-token", token)];
        let reply = bench.send("POST", &path(b"new", "revoke"), &headers, "confirm=yes&why=a+theft").await;
        assert_eq!(reply.status, 403);
        let page = bench.get("/devices/pump-000001", &headers).await;
        assert!(!page.body.contains("/revoke\""), "{}", page.body);
    }
    assert!(bench.fleet.ordered().is_empty());
    let script = bench
        .send("POST", &path(b"new", "revoke"), &[("x-api-token", ADMIN)], "confirm=yes&why=a+theft")
        .await;
    assert_eq!((script.status, bench.fleet.ordered().len()), (303, 1), "who sends the token has shown it");
}

#[tokio::test]
async fn another_sites_page_decides_nothing() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let headers = [("cookie", session.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(
        bench.send("POST", &path(b"new", "revoke"), &headers, "confirm=yes&why=a+theft").await.status,
        403
    );
    assert!(bench.fleet.ordered().is_empty());
}

#[tokio::test]
async fn only_what_its_status_allows_can_be_decided_of_a_certificate() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for (der, verb, status) in [
        (b"new".as_slice(), "reactivate", 409),
        (b"old", "deactivate", 409),
        (b"old", "explode", 404),
        (b"none", "revoke", 404),
        (b"old", "reactivate", 303),
        (b"new", "deactivate", 303),
    ] {
        let reply = bench.post(&path(der, verb), &session, "confirm=yes&why=a+theft").await;
        assert_eq!(reply.status, status, "{verb}");
    }
    assert_eq!(bench.fleet.ordered().len(), 2);
}

#[tokio::test]
async fn where_nobody_is_asked_who_they_are_nothing_is_decided_without_a_token() {
    let bench = Bench::with(Sample::small(), Access { open: true, ..Access::default() }).await;
    let ours = [("sec-fetch-site", "same-origin")];
    let refused = bench.send("POST", &path(b"new", "revoke"), &ours, "confirm=yes&why=a+theft").await;
    assert!(refused.status == 403 && refused.body.contains("API_TOKEN"), "{}", refused.body);
    let bench = Bench::with(Sample::small(), Access { open: true, ..access() }).await;
    assert_eq!(
        bench.send("POST", &path(b"new", "revoke"), &ours, "confirm=yes&why=a+theft").await.status,
        403
    );
    assert_eq!(bench.send("POST", &path(b"new", "revoke"), &ours, &form(ADMIN)).await.status, 303);
}
