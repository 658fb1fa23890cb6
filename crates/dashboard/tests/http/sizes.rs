//! A large fleet: pages stay small whatever the number of devices.

use crate::support::{Bench, Sample, access};

#[tokio::test]
async fn with_100_000_devices_every_page_is_less_than_200_kb() {
    let bench = Bench::with(Sample::of(100_000, "idle, and words of some length"), access()).await;
    let session = bench.session().await;
    for path in [
        "/",
        "/devices",
        "/devices?q=99",
        "/devices?after=pump-050000",
        "/devices/pump-100000",
        "/rotations",
        "/findings",
        "/inventory",
        "/inventory?q=9&status=ACTIVE",
        "/journal",
        "/campaigns",
        "/campaigns/autumn",
        "/campaigns?new=1",
        "/provisioning",
        "/setup",
        "/cleanup",
        "/policies",
    ] {
        let page = bench.page(path, &session).await;
        assert_eq!(page.status, 200, "{path}");
        println!("{path}: {} bytes", page.body.len());
        assert!(page.body.len() < 200_000, "{path}: {} bytes", page.body.len());
    }
}
