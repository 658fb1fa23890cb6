//! What pages show, without a script and with one.

use crate::support::{Bench, Sample, access};

#[tokio::test]
async fn nothing_is_all_clear_while_the_account_is_being_listed() {
    let bench = Bench::with(Sample::of(0, "being listed"), access()).await;
    let session = bench.session().await;
    for path in ["/", "/findings"] {
        let page = bench.page(path, &session).await.body;
        assert!(page.contains("starting") && page.contains("being listed"), "{path}: {page}");
        assert!(!page.contains("all clear"), "{path}: {page}");
    }
}

#[tokio::test]
async fn every_page_is_whole_without_a_script() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for (path, words) in [
        ("/", ["What happened", "Age of the certificates in use", "pump-000003"].as_slice()),
        ("/devices", &["3 devices", "pump-000001", "connected", "Rotate the selected"]),
        ("/devices/pump-000002", &["Certificates", "ACTIVE", "INACTIVE", "in use", "Timeline", "Rotate now"]),
        ("/devices/pump-000002/rotation", &["issued", "verified", "retired", "waiting", "Before", "After"]),
        (
            "/devices/pump-000002/policies",
            &["What pump-000002 may do", "1 policy document counted", "all is well"],
        ),
        ("/rotations", &["issued (3 of 8)", "waiting"]),
        ("/findings", &["Why it matters", "What to do", "high", "3 findings"]),
        ("/settings", &["script", "operator", "Log out"]),
        ("/inventory", &["3 certificates", "ACTIVE", "pump-000002", "All of them as CSV"]),
        ("/inventory?status=REVOKED&older=3", &["REVOKED", "3 d", "status=REVOKED&amp;state=&amp;older=3"]),
        ("/journal", &["all is well", "pump-000001", "its chain is broken"]),
        ("/campaigns", &["Begin a campaign", "autumn", "running", "33 of 243", "paused", "aborted"]),
        (
            "/campaigns?new=1&rule=aged&things=press-*",
            &["First wave", "value=\"press-*\"", "Look what it comes to"],
        ),
        (
            "/campaigns/autumn",
            &["(canary)", "under way", "to come", "33 of 243 devices", "pump-000002", "Pause …", "Abort …"],
        ),
        ("/campaigns/winter", &["aborted", "1 more device", "5 % of the devices"]),
        ("/provisioning", &["Recovery window", "open", "enabled", "Claims", "in 1 min", "What set-up makes"]),
        ("/provisioning", &["not as it is to be", "no verdict", "7 ms", "Ask it now"]),
        ("/setup", &["1 step create", "not finished", "12 steps of 21", "Carry it out …", "journal"]),
        ("/cleanup", &["1 step delete", "Carry it out …", "On the command line"]),
        ("/policies/all%20is%20well", &["in effect", "1 line new, 1 line gone", "before", "after"]),
        ("/policies/all%20is%20well?from=2&to=3", &["Version 3", "all is well"]),
        ("/policies", &["Why was it denied?", "all is well"]),
        (
            "/policies?thing=pump-000001&action=iot:Connect",
            &["Allowed by statement 2 (all is well)", "no statement denies it", "pump-000001"],
        ),
        (
            "/policies?thing=pump-000001&action=iot:Publish&topic=a/b",
            &["denied explicitly", "Denied by statement 2 (all is well)", "a/b"],
        ),
        (
            "/policies?thing=pump-000001&action=iot:Receive&topic=a/b",
            &["denied implicitly", "Closest", "statement 2 (all is well)"],
        ),
    ] {
        let page = bench.page(path, &session).await;
        assert_eq!(page.status, 200, "{path}");
        for word in words {
            assert!(page.body.contains(word), "{word:?} is not on {path}");
        }
    }
    for query in
        ["thing=pump-999999&action=iot:Connect", "thing=..&action=iot:Connect", "thing=pump-000001&action=x"]
    {
        assert_eq!(bench.page(&format!("/policies?{query}"), &session).await.status, 400, "{query}");
    }
    for missing in ["/devices/pump-999999", "/policies/nobody", "/campaigns/nobody"] {
        assert_eq!(bench.page(missing, &session).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn what_is_not_known_yet_or_not_told_is_said_so() {
    for (words, shown) in [
        ("the account is asked", ["the account is being asked", "load the page again"]),
        ("the account refuses", ["the account does not tell", "On the command line"]),
    ] {
        let bench = Bench::with(Sample::of(3, words), access()).await;
        let session = bench.session().await;
        for path in ["/setup", "/cleanup"] {
            let page = bench.page(path, &session).await;
            assert!(page.status == 200 && shown.iter().all(|word| page.body.contains(word)), "{}", page.body);
            // What is missing of IAM is said by whoever was denied it, and of nothing else.
            assert!(!page.body.contains("print-iam"), "{}", page.body);
        }
        let asking = words == "the account is asked";
        for (path, known) in
            [("/policies/asked%20for", "being asked"), ("/policies/refused", "does not tell")]
        {
            let page = bench.page(path, &session).await;
            assert!(page.status == 200 && page.body.contains(known), "{path}: {}", page.body);
        }
        for path in [
            "/policies?thing=pump-000001&action=iot:Connect",
            "/devices/pump-000001/policies",
            "/devices/pump-000001",
        ] {
            let page = bench.page(path, &session).await;
            assert_eq!(page.body.contains("the account is being asked"), asking, "{path}: {}", page.body);
        }
    }
}

/// What only the account tells of a certificate is shown with its age; where it does not tell, the page says why, and that it is
/// asked again. A file that is not known yet is no empty file.
#[tokio::test]
async fn what_a_certificate_says_of_itself_has_an_age_and_a_refusal_its_reason() {
    for (words, told, refused) in [
        ("the account is asked", false, false),
        ("the account refuses", false, true),
        ("the account told", true, false),
        ("the account told once", true, true),
    ] {
        let bench = Bench::with(Sample::of(1, words), access()).await;
        let session = bench.session().await;
        let page = bench.page("/devices/pump-000001", &session).await.body;
        let section = |name: &str| {
            page.split(&format!("<section id=\"{name}\"")).nth(1).unwrap().split("</section>").next().unwrap()
        };
        for part in [section("chain"), section("changed")] {
            assert_eq!(
                part.contains("The account told it <time") && part.contains("1 min 30 s ago"),
                told,
                "{words}: {part}"
            );
            assert_eq!(
                part.contains("the account does not tell") && part.contains(words),
                refused,
                "{words}: {part}"
            );
            assert_eq!(part.contains("being asked"), !told && !refused, "{words}: {part}");
        }
        assert_eq!(section("certificates").contains("not told yet"), !told, "{words}");
        let rotation = bench.page("/devices/pump-000001/rotation", &session).await.body;
        let pair = rotation.split("<div class=\"pair\"").nth(1).unwrap();
        assert_eq!(pair.contains("<dt>Valid") && pair.contains("2049"), told, "{words}: {pair}");
        assert_eq!(pair.contains("the account does not tell"), refused, "{words}: {pair}");
        assert_eq!(pair.contains("being asked"), !told && !refused, "{words}: {pair}");
        let id = fleetkey_model::certificate::CertificateId::of_der(b"new");
        let file = bench.page(&format!("/devices/pump-000001/certificates/{id}"), &session).await;
        assert_eq!(file.status, if told { 200 } else { 503 }, "{words}: {}", file.body);
        let asked = bench.post(&format!("/devices/pump-000001/certificates/{id}/revoke"), &session, "").await;
        assert_eq!(asked.body.contains("not told yet"), !told, "{words}: {}", asked.body);
        let said = file.body.split("<main").nth(1).is_some_and(|main| main.contains(words));
        assert_eq!(said, refused && !told, "{words}: {}", file.body);
    }
}

/// Each link with what it says of itself, and what differs between the old certificate and the new one.
#[tokio::test]
async fn a_devices_chain_is_drawn_from_its_certificate_to_the_root() {
    let bench = Bench::start().await;
    let page = bench.page("/devices/pump-000001", &bench.session().await).await.body;
    let chain = page.split("<ol class=\"chain\"").nth(1).and_then(|rest| rest.split("</ol>").next()).unwrap();
    let (device, root) = chain.split_once("</li>").unwrap();
    for words in [
        "The device's",
        "CN=press-1",
        "CN=Plant CA",
        "2125",
        "EC P-256, signed by ECDSA with SHA-256",
        "press-1.plant.example, 192.0.2.7",
        "01:a2:03",
    ] {
        assert!(device.contains(words), "{words}: {device}");
    }
    assert!(root.contains("The root") && root.contains("CN=Plant CA") && !root.contains("press-1"), "{root}");
    let table =
        page.split("Table of differences").nth(1).and_then(|rest| rest.split("</table>").next()).unwrap();
    for words in ["former", "in use", "ACTIVE", "INACTIVE", "differs", "the same", "SHA-256 of the key"] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

/// Keys are not among them: this fleet has none. `crates/cli/tests/dashboard.rs` looks for those of a real one.
#[tokio::test]
async fn no_page_shows_what_lets_somebody_in() {
    let bench = Bench::start().await;
    let link = bench.dashboard.url().rsplit('/').next().unwrap().to_owned();
    let session = bench.session().await;
    let value = session.split_once('=').unwrap().1;
    assert_eq!(bench.post("/try/SN-1/provision", &session, "").await.status, 303);
    for path in [
        "/",
        "/devices",
        "/devices/pump-000001",
        "/devices/pump-000001/rotation",
        "/devices/pump-000001/policies",
        "/rotations",
        "/campaigns",
        "/campaigns/autumn",
        "/findings",
        "/inventory",
        "/inventory.csv",
        "/policies",
        "/provisioning",
        "/setup",
        "/cleanup",
        "/journal",
        "/try",
        "/try/SN-1",
        "/settings",
        "/api/status?serial=SN-1",
    ] {
        let page = bench.page(path, &session).await;
        for secret in [link.as_str(), value, crate::support::OPERATOR, crate::support::AUDITOR] {
            assert!(!page.body.contains(secret), "a secret is on {path}");
        }
    }
}

#[tokio::test]
async fn what_pages_refer_to_is_there_and_may_be_kept() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let page = bench.page("/", &session).await;
    let assets: Vec<&str> =
        page.body.split("\"/assets/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(assets.len(), 3, "{assets:?}");
    for name in assets {
        let asset = bench.get(&format!("/assets/{name}"), &[]).await;
        assert!(
            asset.status == 200 && asset.header("cache-control").contains("immutable"),
            "{name}: {asset:?}"
        );
    }
}

#[tokio::test]
async fn the_inventory_is_a_file_too_whole_and_each_certificate_once() {
    let bench = Bench::with(Sample::of(2500, "say \"so\""), access()).await;
    let session = bench.session().await;
    let file = bench.page("/inventory.csv?q=pump", &session).await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert!(file.header("content-disposition").starts_with("attachment"), "{file:?}");
    let body = unchunked(&file.body);
    let mut lines = body.split_terminator("\r\n");
    assert!(lines.next().unwrap().starts_with("certificate,thing,status,"));
    let ids: std::collections::BTreeSet<&str> = lines.clone().map(|line| &line[1..65]).collect();
    assert_eq!((ids.len(), lines.clone().count()), (2500, 2500));
    assert!(lines.all(|line| line.contains(",\"say \"\"so\"\"\",") && line.matches("\",\"").count() >= 8));
    let few = unchunked(&bench.page("/inventory.csv?q=pump-00000", &session).await.body);
    assert_eq!(few.split_terminator("\r\n").count(), 10);
    assert_eq!(bench.get("/inventory.csv", &[]).await.status, 401);
}

/// A chunked body (RFC 9112, 7.1) as one text.
fn unchunked(body: &str) -> String {
    let (mut whole, mut rest) = (String::new(), body);
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
}

/// What follows `mark` on this page and on all that come after it.
async fn collected(bench: &Bench, session: &str, path: &str, mark: &str) -> Vec<String> {
    let (mut path, mut seen) = (path.to_owned(), Vec::new());
    loop {
        let page = bench.page(&path, session).await;
        let names = page.body.split(mark).skip(1);
        seen.extend(names.map(|rest| rest.split('"').next().unwrap().to_owned()));
        let Some(next) = page.body.split("rel=\"next\" href=\"").nth(1) else {
            return seen;
        };
        path = next.split('"').next().unwrap().replace("&amp;", "&");
    }
}

#[tokio::test]
async fn devices_and_findings_come_in_pages_by_cursor_and_each_comes_once() {
    let bench = Bench::with(Sample::of(250, "idle"), access()).await;
    let session = bench.session().await;
    for (path, mark) in [("/devices?q=pump", "value=\"pump-"), ("/findings", "href=\"/devices/pump-")] {
        let seen = collected(&bench, &session, path, mark).await;
        assert_eq!(seen.len(), 250, "{path}");
        assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]), "{path}");
    }
    let none = bench.page("/devices?q=nothing-like-it", &session).await;
    assert!(none.body.contains("No device matches"));
}
