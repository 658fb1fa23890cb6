//! Orders: what is done, by whom, and what is asked before.

use fleetkey_dashboard::fleet::Order;

use crate::support::{Bench, PATIENCE};

#[tokio::test]
async fn one_device_is_ordered_to_rotate_and_the_browser_follows_it() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let reply = bench.post("/devices/pump-000002/rotate", &session, "").await;
    assert_eq!((reply.status, reply.header("location")), (303, "/devices/pump-000002/rotation"));
    let ordered = bench.fleet.ordered();
    let (order, by) = ordered.first().unwrap();
    let Order::Rotate(things) = order else { panic!("{order:?}") };
    assert_eq!(things.iter().map(|thing| thing.as_str()).collect::<Vec<_>>(), ["pump-000002"]);
    assert!(by.starts_with("session "), "{by}");
    assert_eq!(bench.post("/devices/not-here/rotate", &session, "").await.status, 404);
}

#[tokio::test]
async fn many_are_counted_and_asked_about_before_anything_is_done() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let form = "thing=pump-000001&thing=pump-000003&thing=..%2fetc";
    let asked = bench.post("/devices/rotate", &session, form).await;
    assert!(asked.body.contains("Rotate 2 devices?"), "{}", asked.body);
    assert!(bench.fleet.ordered().is_empty());
    let done = bench.post("/devices/rotate", &session, &format!("{form}&confirm=yes")).await;
    assert!(done.body.contains("2 devices rotate"), "{}", done.body);
    assert_eq!(bench.fleet.ordered().len(), 1);
    assert_eq!(bench.post("/devices/rotate", &session, "confirm=yes").await.status, 400);
}

/// A tab is closed, a network goes: what was ordered is carried out as if somebody waited for it.
#[tokio::test]
async fn an_order_comes_to_its_end_although_nobody_waits_for_it_any_more() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let shut = bench.fleet.gate.acquire().await.unwrap();
    let mut begun = bench.fleet.begun.subscribe();
    let request = format!(
        "POST /devices/pump-000002/rotate HTTP/1.1\r\nhost: {}\r\ncookie: {session}\r\nsec-fetch-site: same-origin\r\n\
         content-length: 0\r\n\r\n",
        bench.host()
    );
    let gone = bench.abandoned(request.as_bytes(), begun.wait_for(|count| *count == 1)).await;
    gone.unwrap();
    // The server has seen the end of the connection once it has answered another that came after it.
    assert_eq!(bench.page("/", &session).await.status, 200);
    assert!(bench.fleet.ordered().is_empty());
    drop(shut);
    let done = async {
        while bench.fleet.ordered().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.expect("the order is carried out");
}

#[tokio::test]
async fn reading_changes_nothing() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for path in ["/devices/pump-000001/rotate", "/devices/rotate", "/logout", "/settings/link"] {
        assert_eq!(bench.page(path, &session).await.status, 404, "{path}");
    }
    assert!(bench.fleet.ordered().is_empty());
    assert_eq!(bench.page("/", &session).await.status, 200);
}
