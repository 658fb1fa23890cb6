//! A large fleet: pages stay small whatever there is to show.

use crate::support::{Bench, Reply, Sample, access, pages, questions};

const LIMIT: usize = 200_000;

#[track_caller]
fn is_small(path: &str, page: &Reply) {
    assert_eq!(page.status, 200, "{path}: {}", page.body);
    assert!(page.body.len() < LIMIT, "{path}: {} bytes", page.body.len());
}

/// Names as long as they may be, findings on every device, policies as large as they may be.
#[tokio::test]
async fn with_100_000_devices_every_page_is_less_than_200_kb() {
    let fleet = Sample::full(100_000);
    let (thing, policy) = (fleet.thing(50_000).to_string(), fleet.policy());
    let bench = Bench::with(fleet, access()).await;
    let session = bench.session().await;
    for topic in 0..200 {
        let form = format!("topic=device/SN-1/{topic}&payload={}", "x".repeat(1000));
        let verb = if topic == 0 { "provision" } else { "publish" };
        assert_eq!(bench.post(&format!("/try/SN-1/{verb}"), &session, &form).await.status, 303);
    }
    for path in pages(&thing, &policy) {
        is_small(&path, &bench.page(&path, &session).await);
    }
}

/// What is asked before an order is as large as the order: a whole page of devices, a plan that names hundreds.
#[tokio::test]
async fn with_100_000_devices_every_page_before_an_order_is_less_than_200_kb() {
    let fleet = Sample::full(100_000);
    let things: Vec<String> = (0..100).map(|number| fleet.thing(number).to_string()).collect();
    let bench = Bench::with(fleet, access()).await;
    let session = bench.session().await;
    for (path, form) in questions(&things) {
        is_small(&path, &bench.post(&path, &session, &form).await);
    }
}
