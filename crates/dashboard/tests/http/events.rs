//! The stream of events: what it tells, where it goes on, when it ends.

use std::time::Duration;

use fleetkey_model::name::ThingName;

use fleetkey_dashboard::access::{Scope, Token};

use crate::support::{AUDITOR, Bench, Events, NOW, OPERATOR, Reply, Sample, access};

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

/// So many open streams of whoever sends this header.
async fn open(bench: &Bench, header: (&str, &str), count: usize) -> Vec<Events> {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut events = bench.events("/events", &[header]).await;
        events.until("event: hello").await;
        open.push(events);
    }
    open
}

/// A closed stream makes room once the server has found that out.
async fn room(bench: &Bench, header: (&str, &str)) -> Events {
    let mut attempts = tokio::time::interval(Duration::from_millis(20));
    let room = async {
        loop {
            attempts.tick().await;
            let mut events = bench.events("/events", &[header]).await;
            if events.until("\r\n\r\n").await.starts_with("HTTP/1.1 200") {
                return events;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), room).await.expect("room within a minute")
}

#[track_caller]
fn is_crowded(refused: &Reply, status: u16, words: &str) {
    assert_eq!((refused.status, refused.header("retry-after")), (status, "10"), "{}", refused.body);
    assert!(refused.body.contains(words), "{}", refused.body);
}

#[tokio::test]
async fn one_session_has_its_part_of_the_streams_and_a_closed_one_makes_room() {
    let bench = Bench::start().await;
    let (session, other) = (bench.session().await, bench.login(OPERATOR).await);
    let cookie = ("cookie", session.as_str());
    let mut mine = open(&bench, cookie, 8).await;
    for path in ["/events", "/inventory.csv"] {
        is_crowded(&bench.get(path, &[cookie]).await, 429, "8 of this session or program alone");
    }
    assert_eq!(bench.page("/", &session).await.status, 200, "pages are still served");
    open(&bench, ("cookie", &other), 1).await;
    open(&bench, ("x-api-token", OPERATOR), 1).await;
    drop(mine.pop());
    room(&bench, cookie).await;
}

#[tokio::test]
async fn a_token_has_its_part_with_all_its_sessions_and_all_together_have_theirs() {
    let bench = Bench::start().await;
    let mut streams = Vec::new();
    for token in [OPERATOR, AUDITOR] {
        for _ in 0..3 {
            let session = bench.login(token).await;
            streams.extend(open(&bench, ("cookie", &session), 8).await);
        }
        streams.extend(open(&bench, ("x-api-token", token), 8).await);
        let session = bench.login(token).await;
        is_crowded(&bench.get("/events", &[("cookie", &session)]).await, 429, "32, its sessions included");
    }
    let session = bench.session().await;
    let cookie = ("cookie", session.as_str());
    is_crowded(&bench.get("/events", &[cookie]).await, 503, "64 of all who are logged in");
    drop(streams.pop());
    room(&bench, cookie).await;
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

/// Logging out ends what is open at once, in every window of that browser, and nobody else's.
#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let bench = Bench::start().await;
    let (session, link) = (bench.session().await, "/settings/link");
    let page = bench.post(link, &session, "").await;
    let link = page.body.split("/start/").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let other = bench.get(&format!("/start/{link}"), &[]).await.cookie();
    let headers = [("cookie", session.as_str()), ("connection", "close")];
    let mut mine = bench.events("/events?after=0", &headers).await;
    let mut theirs = bench.events("/events?after=0", &[("cookie", &other)]).await;
    mine.until("event: hello").await;
    theirs.until("event: hello").await;
    assert_eq!(bench.post("/logout", &session, "").await.status, 303);
    mine.end().await;
    bench.hub.tell("fleet", None);
    theirs.until("event: change").await;
}

/// What happens after a session or a token is over is told to nobody who had it. A page that is only open keeps no session.
#[tokio::test]
async fn a_stream_tells_nothing_after_its_time() {
    const HOUR: Duration = Duration::from_secs(3600);
    let (mut access, token) = (access(), "a token for an hour");
    access.tokens.push(Token::new("short", Scope::Auditor, token).ending(NOW + HOUR));
    let bench = Bench::with(Sample::small(), access).await;
    let session = bench.session().await;
    for (header, span) in [(("x-api-token", token), HOUR), (("cookie", session.as_str()), 2 * HOUR)] {
        let mut events = bench.events("/events", &[header, ("connection", "close")]).await;
        events.until("event: hello").await;
        // News is no use of a session.
        bench.hub.tell("link", thing("pump-000001"));
        events.until("pump-000001").await;
        bench.pass(span);
        bench.hub.tell("link", thing("pump-000002"));
        let told = events.end().await;
        assert!(!told.contains("pump-000002"), "{told}");
    }
}
