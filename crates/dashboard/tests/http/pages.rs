//! What pages show, without a script and with one.

use crate::support::{Bench, Sample, access};

#[tokio::test]
async fn every_page_is_whole_without_a_script() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for (path, words) in [
        ("/", ["What happened", "Age of the certificates in use", "pump-000003"].as_slice()),
        ("/devices", &["3 devices", "pump-000001", "connected", "Rotate the selected"]),
        ("/devices/pump-000002", &["Certificates", "ACTIVE", "INACTIVE", "in use", "Timeline", "Rotate now"]),
        ("/devices/pump-000002/rotation", &["issued", "verified", "retired", "waiting", "Before", "After"]),
        ("/rotations", &["issued (3 of 8)", "waiting"]),
        ("/findings", &["Why it matters", "What to do", "high"]),
        ("/settings", &["script", "operator", "Log out"]),
        ("/policies", &["Why was it denied?", "all is well"]),
        ("/policies?thing=pump-000001&action=iot:Connect", &["allowed", "none denies it", "pump-000001"]),
        ("/policies?thing=pump-000001&action=iot:Publish&topic=a/b", &["denied explicitly", "a/b"]),
        ("/policies?thing=pump-000001&action=iot:Receive&topic=a/b", &["denied implicitly"]),
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
    let missing = bench.page("/devices/pump-999999", &session).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn no_page_shows_a_secret() {
    let bench = Bench::start().await;
    let link = bench.dashboard.url().rsplit('/').next().unwrap().to_owned();
    let session = bench.session().await;
    let value = session.split_once('=').unwrap().1;
    for path in ["/", "/devices", "/devices/pump-000001", "/settings", "/findings"] {
        let page = bench.page(path, &session).await;
        for secret in [link.as_str(), value, crate::support::OPERATOR, crate::support::AUDITOR, "PRIVATE KEY"]
        {
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
async fn devices_come_in_pages_by_cursor_and_each_comes_once() {
    let bench = Bench::with(Sample::of(250, "idle"), access()).await;
    let session = bench.session().await;
    let (mut path, mut seen) = ("/devices?q=pump".to_owned(), Vec::new());
    loop {
        let page = bench.page(&path, &session).await;
        let names = page.body.split("value=\"pump-").skip(1);
        seen.extend(names.map(|rest| rest.split('"').next().unwrap().to_owned()));
        let Some(next) = page.body.split("rel=\"next\" href=\"").nth(1) else {
            break;
        };
        path = next.split('"').next().unwrap().replace("&amp;", "&");
    }
    assert_eq!(seen.len(), 250);
    assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]));
    let none = bench.page("/devices?q=nothing-like-it", &session).await;
    assert!(none.body.contains("No device matches"));
}
