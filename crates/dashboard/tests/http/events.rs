//! The stream of events: what it tells, where it goes on, when it ends.

use std::time::Duration;

use fleetkey_model::name::ThingName;

use crate::support::Bench;

fn thing(name: &str) -> Option<ThingName> {
    Some(ThingName::new(name).unwrap())
}

#[tokio::test]
async fn an_event_reaches_an_open_page() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let mut events = bench.events("/events?after=0", &[("cookie", &session)]).await;
    let head = events.until("event: hello").await.to_ascii_lowercase();
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    bench.hub.tell("rotation", thing("pump-000001"));
    let seen = events.until("pump-000001").await;
    assert!(
        seen.contains("id: 1\nevent: change\ndata: {\"kind\":\"rotation\",\"thing\":\"pump-000001\"}"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_browser_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for number in 1..=5 {
        bench.hub.tell("link", thing(&format!("pump-00000{number}")));
    }
    let headers = [("cookie", session.as_str()), ("last-event-id", "3")];
    let mut events = bench.events("/events?after=0", &headers).await;
    let seen = events.until("pump-000005").await;
    assert!(seen.contains("pump-000004") && !seen.contains("pump-000003"), "{seen}");
}

#[tokio::test]
async fn a_browser_that_was_away_too_long_is_told_to_read_everything() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    (0..5000).for_each(|_| bench.hub.tell("fleet", None));
    for id in ["1", "999999", "18446744073709551615"] {
        let headers = [("cookie", session.as_str()), ("last-event-id", id)];
        let mut events = bench.events("/events", &headers).await;
        let seen = events.until("event: reload").await;
        assert!(seen.contains("id: 5000\nevent: reload"), "{seen}");
    }
}

#[tokio::test]
async fn an_event_line_cannot_be_forged_by_a_header() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let headers = [("cookie", session.as_str()), ("last-event-id", "rubbish")];
    let mut events = bench.events("/events?after=%0aevent:%20x", &headers).await;
    let seen = events.until("event: hello").await;
    assert!(!seen.contains("event: x") && !seen.contains("rubbish"), "{seen}");
}

#[tokio::test]
async fn open_streams_are_limited_and_a_closed_one_makes_room() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut events = bench.events("/events", &[("cookie", &session)]).await;
        events.until("event: hello").await;
        open.push(events);
    }
    assert_eq!(bench.get("/events", &[("cookie", &session)]).await.status, 503);
    assert_eq!(bench.page("/", &session).await.status, 200, "pages are still served");
    drop(open.pop());
    let mut attempts = tokio::time::interval(Duration::from_millis(20));
    let room = async {
        loop {
            attempts.tick().await;
            let mut events = bench.events("/events", &[("cookie", &session)]).await;
            if events.until("\r\n\r\n").await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), room).await.expect("room within a minute");
}

#[tokio::test]
async fn stopping_ends_the_streams() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let mut events = bench.events("/events", &[("cookie", &session)]).await;
    events.until("event: hello").await;
    let (ended, ()) = tokio::join!(events.end(), bench.dashboard.stop());
    assert!(ended.contains("event: hello"));
}
