//! Texts as a stranger would choose them: names in paths, words in pages.

use crate::support::{Bench, Reply, Sample, access};

const SCRIPT: &str =
    "</title></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}\u{202e}";

#[tokio::test]
async fn a_name_in_the_path_leaves_nowhere() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for path in [
        "/devices/..",
        "/devices/..%2f..%2fetc%2fpasswd",
        "/devices/%2e%2e/%2e%2e/etc/passwd",
        "/devices/pump-000001%00",
        "/devices/pump-000001%2f..",
        "/devices/%3Cscript%3E",
        "/devices/a~verify",
        "/assets/..%2fstyle.css",
        "/assets/../../Cargo.toml",
        "/start/..%2f",
        "/try/..",
        "/try/..%2f..%2fetc%2fpasswd",
        "/try/..%5c..%5cetc",
        "/try/bench%00",
        "/try/%2fetc%2fpasswd",
        "/try/a%2fb",
        "/try/a.b",
        "/try/bench%0a",
    ] {
        let reply = bench.page(path, &session).await;
        assert!([404, 410].contains(&reply.status), "{path}: {}", reply.status);
        assert!(!reply.body.contains("root:") && !reply.body.contains("<script>alert"), "{path}");
    }
    for long in [format!("/devices/{}", "a".repeat(5000)), format!("/try/{}", "a".repeat(122))] {
        assert_eq!(bench.page(&long, &session).await.status, 404);
    }
}

#[tokio::test]
async fn a_serial_that_is_a_path_is_ordered_nothing() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for serial in
        ["..%2f..%2fetc", "%2e%2e", "a%2f..%2fb", "..%5cx", "a%00", "a%0a", "%2fetc%2fpasswd", "a.b", "%20"]
    {
        for verb in ["provision", "connect", "rotate"] {
            let reply = bench.post(&format!("/try/{serial}/{verb}"), &session, "").await;
            assert_eq!(reply.status, 404, "{serial} {verb}");
        }
        let asked = bench.page(&format!("/try?serial={serial}"), &session).await;
        assert_eq!(asked.status, 400, "{serial}");
    }
    assert!(bench.page("/try", &session).await.body.contains("None yet."), "nothing was put on the bench");
}

/// Topics, payloads, certificates' subjects, findings, policy names, reasons: all reach a page as words of the fleet.
#[tokio::test]
async fn words_of_strangers_are_text_on_every_page() {
    let bench = Bench::with(Sample::of(3, SCRIPT), access()).await;
    let session = bench.session().await;
    for path in [
        "/",
        "/devices",
        "/devices?q=%3Cscript%3Ealert(1)%3C/script%3E%22&filter=%3Cscript%3E",
        "/devices/pump-000001",
        "/devices/pump-000001/rotation",
        "/devices/pump-000001/policies",
        "/rotations",
        "/campaigns",
        "/campaigns/spring",
        "/campaigns?new=1&name=%3Cscript%3Ealert(1)%3C/script%3E&things=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/findings",
        "/settings",
        "/inventory",
        "/inventory?q=%3Cscript%3Ealert(1)%3C/script%3E%22&status=%3Cscript%3E&older=%3Cscript%3E&ends=-1",
        "/journal",
        "/provisioning",
        "/setup",
        "/cleanup",
        "/policies",
        &format!("/policies/{}?from=1&to=3", percent(SCRIPT)),
        "/policies?thing=pump-000001&action=iot:Publish&topic=%3Cscript%3Ealert(3)",
    ] {
        let page = bench.page(path, &session).await;
        assert_eq!(page.status, 200, "{path}");
        is_harmless(path, &page);
    }
    let subject = bench.page("/devices/pump-000001", &session).await;
    let cell =
        subject.body.split("<td class=\"text\">").nth(1).and_then(|rest| rest.split("</td>").next()).unwrap();
    assert!(
        cell.contains("&lt;script&gt;alert(1)") && !cell.contains('<'),
        "the subject is there, as words: {cell}"
    );
    let page = bench.page("/findings", &session).await;
    assert!(page.body.contains("&lt;script&gt;alert(1)"), "the words are there, as words");
}

#[track_caller]
fn is_harmless(path: &str, page: &Reply) {
    for never in ["<script>alert", "<img", "onerror=alert(2)>\"", "</title></script>", " style="] {
        assert!(!page.body.contains(never), "{never} in {path}");
    }
    assert_eq!(page.body.matches("<script").count(), 1, "{path}: our own, by its address");
}

/// What a device on the bench sends and hears, and what is refused there.
#[tokio::test]
async fn what_is_tried_by_hand_is_text() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let script = percent(SCRIPT);
    for (verb, form, status) in [
        ("provision", String::new(), 303),
        ("subscribe", format!("filter=device/SN-1/{script}"), 303),
        ("publish", format!("topic=device/SN-1/{script}&payload={script}"), 303),
        ("publish", "topic=device/SN-1/x&payload=%1b[31m".to_owned(), 303),
        ("publish", format!("topic={script}&payload={script}"), 409),
        ("automatic", format!("every={script}&before={script}"), 409),
    ] {
        let reply = bench.post(&format!("/try/SN-1/{verb}"), &session, &form).await;
        assert_eq!(reply.status, status, "{verb}: {}", reply.body);
        if status != 303 {
            is_harmless(verb, &reply);
        }
    }
    let page = bench.page("/try/SN-1", &session).await;
    is_harmless("/try/SN-1", &page);
    assert!(!page.body.contains('\u{202e}') && page.body.matches("[U+202E]").count() >= 2, "{}", page.body);
    assert!(!page.body.contains('\u{1b}') && page.body.contains("[U+001B]"), "{}", page.body);
    assert!(page.body.matches("&lt;script&gt;alert(1)").count() >= 3, "{}", page.body);
    let asked = bench.page(&format!("/try?serial={script}"), &session).await;
    assert_eq!(asked.status, 400);
    is_harmless("/try?serial=", &asked);
}

/// The page before an order shows what the fleet tells, and what was entered with the last attempt.
#[tokio::test]
async fn what_is_asked_before_an_order_is_text() {
    let bench = Bench::with(Sample::of(3, SCRIPT), access()).await;
    let session = bench.session().await;
    let (script, id) = (percent(SCRIPT), fleetkey_model::certificate::CertificateId::of_der(b"new"));
    let certificate = format!("/devices/pump-000001/certificates/{id}/revoke");
    let entered = format!("confirm=yes&plan={script}&why={script}&fleet={script}&token={script}");
    for (path, form, status) in [
        ("/devices/rotate", format!("thing=pump-000001&thing={script}"), 200),
        ("/setup", String::new(), 200),
        ("/cleanup", String::new(), 200),
        ("/setup", entered.clone(), 409),
        ("/cleanup", entered.clone(), 409),
        ("/campaigns/spring/abort", format!("why={script}"), 200),
        (
            "/campaigns",
            format!("name={script}&why={script}&things={script}&window={script}&rate={script}"),
            400,
        ),
        ("/campaigns", format!("name=summer&why={script}&things={script}&window={script}"), 200),
        (certificate.as_str(), format!("why={script}"), 200),
    ] {
        let reply = bench.post(path, &session, &form).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        is_harmless(path, &reply);
    }
    bench.pass(std::time::Duration::from_secs(600));
    for path in ["/campaigns/spring/abort", &certificate] {
        let refused = bench.post(path, &session, &entered).await;
        assert_eq!(refused.status, 401, "{path}: {}", refused.body);
        is_harmless(path, &refused);
        assert!(refused.body.contains("&lt;script&gt;alert(1)"), "what was entered stays: {}", refused.body);
    }
    assert!(bench.fleet.ordered().is_empty());
}

/// Every byte encoded.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test]
async fn a_refusals_words_are_text_too() {
    let bench = Bench::with(Sample::of(1, SCRIPT), access()).await;
    let session = bench.session().await;
    let reply = bench.post("/devices/rotate", &session, "thing=not-here&confirm=yes").await;
    assert_eq!(reply.status, 409);
    assert!(!reply.body.contains("<script>alert") && reply.body.contains("&lt;script&gt;"), "{}", reply.body);
}

#[tokio::test]
async fn a_certificate_is_a_download_and_never_a_page_of_ours() {
    let bench = Bench::with(Sample::of(1, SCRIPT), access()).await;
    let session = bench.session().await;
    let id = fleetkey_model::certificate::CertificateId::of_der(b"new");
    let file = bench.page(&format!("/devices/pump-000001/certificates/{id}"), &session).await;
    assert_eq!(file.header("content-type"), "application/x-pem-file");
    assert!(file.header("content-disposition").starts_with("attachment; filename=\""), "{file:?}");
    assert!(file.body.starts_with("-----BEGIN CERTIFICATE-----"));
    let none = format!("/devices/pump-000001/certificates/{}", "0".repeat(64));
    assert_eq!(bench.page(&none, &session).await.status, 404);
}
