//! Orders: what is done, by whom, and what is asked before.

use fleetkey_dashboard::fleet::Order;

use crate::support::{Bench, PATIENCE, Sample, access};

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

/// Each is looked at once, however often it is named, and told of by what an order would come to for it. Whoever orders one that is
/// not there is told its name, and nobody is told to rotate.
#[tokio::test]
async fn many_are_sorted_and_asked_about_before_anything_is_done() {
    let bench = Bench::with(Sample::of(9, "all is well"), access()).await;
    let session = bench.session().await;
    let known: String = (1..=7).map(|number| format!("thing=pump-00000{number}&")).collect();
    let unknown = format!("{known}thing=pump-000001&thing=..%2fetc&thing=never-was-one");
    let asked = bench.post("/devices/rotate", &session, &unknown).await;
    for words in [
        "Rotate 4 devices?",
        "1 of them not connected: told when they come back",
        "1 device left out: under way already",
        "1 device left out: frozen, see their pages",
        "1 device left out: they cannot be told from here",
        "2 names left out: no such device",
        "never-was-one",
        "../etc",
    ] {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    assert_eq!(asked.body.matches("name=\"thing\"").count(), 4, "only who is told is ordered");
    let refused = bench.post("/devices/rotate", &session, &format!("{unknown}&confirm=yes")).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("There is no device ../etc. Nothing was sent"), "{}", refused.body);
    assert!(bench.fleet.ordered().is_empty());

    let done = bench.post("/devices/rotate", &session, &format!("{known}confirm=yes")).await;
    for words in ["4 devices rotate", "1 device left out: under way already.", "1 device left out: frozen"] {
        assert!(done.body.contains(words), "{words}: {}", done.body);
    }
    let ordered = bench.fleet.ordered();
    let Order::Rotate(things) = &ordered.first().unwrap().0 else { panic!("{ordered:?}") };
    assert_eq!((ordered.len(), things.len()), (1, 4));
}

#[tokio::test]
async fn an_order_that_nobody_can_be_told_is_none() {
    let bench = Bench::with(Sample::of(9, "all is well"), access()).await;
    let session = bench.session().await;
    assert_eq!(bench.post("/devices/rotate", &session, "confirm=yes").await.status, 400);
    let asked = bench.post("/devices/rotate", &session, "thing=pump-000005").await;
    assert!(
        asked.body.contains("Nobody to rotate") && !asked.body.contains("id=\"confirm\""),
        "{}",
        asked.body
    );
    let refused = bench.post("/devices/rotate", &session, "thing=pump-000005&confirm=yes").await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.body.contains("Nobody was told. 1 device left out: under way already."),
        "{}",
        refused.body
    );
    assert!(bench.fleet.ordered().is_empty());
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
