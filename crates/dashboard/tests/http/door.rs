//! Coming in: the one-time link, tokens, sessions, brute force, fixation.

use std::time::Duration;

use fleetkey_dashboard::access::{Access, Scope, SessionKey, Token};

use crate::support::{AUDITOR, Bench, OPERATOR, Sample, access};

fn path(bench: &Bench) -> String {
    bench.dashboard.url().strip_prefix(&format!("http://{}", bench.host())).unwrap().to_owned()
}

#[tokio::test]
async fn the_link_lets_one_browser_in_once_and_the_cookie_is_strict() {
    let bench = Bench::start().await;
    let first = bench.get(&path(&bench), &[]).await;
    assert_eq!(first.status, 200);
    let set = first.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(attribute), "{attribute} is not in {set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    assert_eq!(bench.page("/", &first.cookie()).await.status, 200);
    let second = bench.get(&path(&bench), &[]).await;
    assert_eq!((second.status, second.header("set-cookie")), (410, ""));
}

#[tokio::test]
async fn without_a_session_pages_lead_to_the_login_and_programs_get_401() {
    let bench = Bench::start().await;
    for path in ["/", "/devices", "/devices/pump-000001", "/rotations", "/findings", "/settings", "/nowhere"]
    {
        let page = bench.get(path, &[("accept", "text/html")]).await;
        assert_eq!((page.status, page.header("location")), (303, "/login"), "{path}");
        assert_eq!(bench.get(path, &[]).await.status, 401, "{path}");
    }
    assert_eq!(bench.get("/events", &[]).await.status, 401);
    let order =
        bench.send("POST", "/devices/pump-000001/rotate", &[("sec-fetch-site", "same-origin")], "").await;
    assert_eq!(order.status, 401);
    assert!(bench.fleet.ordered().is_empty());
}

#[tokio::test]
async fn a_token_logs_in_and_its_scope_counts() {
    let bench = Bench::start().await;
    let form = format!("token={}", AUDITOR.replace(' ', "+"));
    let reply = bench.send("POST", "/login", &[("sec-fetch-site", "same-origin")], &form).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/"));
    let session = reply.cookie();
    assert_eq!(bench.page("/", &session).await.status, 200);
    assert_eq!(bench.post("/devices/pump-000001/rotate", &session, "").await.status, 403);
    assert!(bench.fleet.ordered().is_empty(), "an auditor looks");
    let bearer = format!("Bearer {OPERATOR}");
    let reply = bench.send("POST", "/devices/pump-000001/rotate", &[("authorization", &bearer)], "").await;
    assert_eq!((reply.status, bench.fleet.ordered().len()), (303, 1));
    assert_eq!(bench.get("/", &[("x-api-token", OPERATOR)]).await.status, 200);
}

#[tokio::test]
async fn whoever_guesses_tokens_is_slowed_down_at_page_and_header_alike() {
    let bench = Bench::start().await;
    let mut codes = Vec::new();
    for guess in 0..12 {
        let reply = if guess % 2 == 0 {
            let form = format!("token=guess{guess}");
            bench.send("POST", "/login", &[("sec-fetch-site", "same-origin")], &form).await
        } else {
            bench.get("/", &[("x-api-token", "guess")]).await
        };
        codes.push(reply.status);
    }
    assert_eq!(codes, [[401; 10].as_slice(), &[429; 2]].concat());
    let right = bench.get("/", &[("x-api-token", OPERATOR)]).await;
    assert_eq!(right.status, 429, "the right one is not told from the wrong ones");
    assert!(right.header("retry-after").parse::<u64>().unwrap() >= 1);
    bench.pass(Duration::from_secs(7));
    assert_eq!(bench.get("/", &[("x-api-token", OPERATOR)]).await.status, 200);
}

#[tokio::test]
async fn many_guesses_at_once_do_not_slip_through_together() {
    let bench = std::sync::Arc::new(Bench::start().await);
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let bench = bench.clone();
        guesses.spawn(async move { bench.get("/", &[("x-api-token", "guess")]).await.status });
    }
    let codes = guesses.join_all().await;
    assert_eq!(codes.iter().filter(|code| **code == 401).count(), 10);
    assert_eq!(codes.iter().filter(|code| **code == 429).count(), 30);
}

#[tokio::test]
async fn a_session_that_somebody_planted_is_none_and_login_makes_a_new_one() {
    let bench = Bench::start().await;
    let name = format!("fleetkey-{}", bench.address.port());
    let planted = format!("{name}=planted");
    assert_eq!(bench.page("/", &planted).await.status, 303);
    let form = format!("token={}", OPERATOR.replace(' ', "+"));
    let headers = [("sec-fetch-site", "same-origin"), ("cookie", planted.as_str())];
    let session = bench.send("POST", "/login", &headers, &form).await.cookie();
    assert_ne!(session, planted);
    assert_eq!(bench.page("/", &planted).await.status, 303, "the planted one did not become one");
    let both = format!("{planted}; {session}");
    assert_eq!(bench.page("/", &both).await.status, 303, "of two, neither counts");
}

#[tokio::test]
async fn logging_out_ends_the_session_on_the_server() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let reply = bench.post("/logout", &session, "").await;
    assert!(reply.header("set-cookie").contains("Max-Age=0"), "{reply:?}");
    assert_eq!(bench.page("/", &session).await.status, 303);
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.page("/", &session).await.status, 200);
    bench.pass(Duration::from_secs(3 * 3600));
    assert_eq!(bench.page("/", &session).await.status, 303);
}

/// What an open page reads by itself is no sign that somebody is there; nor is its stream, which the browser opens again and again.
#[tokio::test]
async fn a_page_that_reads_itself_again_keeps_no_session_from_its_end() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let itself = [("cookie", session.as_str()), ("accept", "text/html"), ("x-read", "again")];
    for status in [200, 200, 303] {
        bench.pass(Duration::from_secs(50 * 60));
        assert_eq!(bench.get("/", &itself).await.status, status);
        let mut stream = bench.events("/events", &[("cookie", &session), ("connection", "close")]).await;
        stream.until(if status == 200 { "event: hello" } else { "HTTP/1.1 401" }).await;
    }
    assert_eq!(bench.page("/", &session).await.status, 303);
}

#[tokio::test]
async fn a_further_link_gives_no_more_than_its_maker_has() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let page = bench.post("/settings/link", &session, "").await;
    let link = page.body.split("/start/").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let looked = bench.send("HEAD", &format!("/start/{link}"), &[], "").await;
    assert_eq!(looked.status, 401, "whoever previews a link does not use it up");
    let other = bench.get(&format!("/start/{link}"), &[]).await.cookie();
    assert_eq!(bench.page("/", &other).await.status, 200);
    assert_eq!(bench.get(&format!("/start/{link}"), &[]).await.status, 410);
    let reply = bench.send("POST", "/settings/link", &[("x-api-token", AUDITOR)], "").await;
    assert_eq!(reply.status, 403, "an auditor makes none");
}

#[tokio::test]
async fn with_a_given_key_a_session_outlives_the_process() {
    let kept = || Access { session_key: Some(SessionKey::new("kept")), ..access() };
    let before = Bench::with(Sample::small(), kept()).await;
    let session = before.session().await;
    let after = Bench::with(Sample::small(), kept()).await;
    // Another port, another cookie's name; the value is what counts.
    let value = session.split_once('=').unwrap().1;
    let carried = format!("fleetkey-{}={value}", after.address.port());
    assert_eq!(after.page("/", &carried).await.status, 200);
    let stranger = Bench::start().await;
    let carried = format!("fleetkey-{}={value}", stranger.address.port());
    assert_eq!(stranger.page("/", &carried).await.status, 303);
}

#[tokio::test]
async fn an_open_dashboard_says_so_on_every_page_and_still_checks_host_and_origin() {
    let bench = Bench::with(Sample::small(), Access { open: true, ..Access::default() }).await;
    for path in ["/", "/devices", "/devices/pump-000001", "/rotations", "/findings", "/settings"] {
        let page = bench.get(path, &[("accept", "text/html")]).await;
        assert!(page.status == 200 && page.body.contains("SKIP_AUTH"), "{path}");
    }
    assert_eq!(bench.get("/", &[("host", "evil.example")]).await.status, 403);
    let order =
        bench.send("POST", "/devices/pump-000001/rotate", &[("sec-fetch-site", "cross-site")], "").await;
    assert_eq!((order.status, bench.fleet.ordered().len()), (403, 0));
}

#[tokio::test]
async fn a_link_that_nobody_opened_in_time_opens_nothing() {
    let bench = Bench::start().await;
    bench.pass(Duration::from_secs(3600));
    let late = bench.get(&path(&bench), &[]).await;
    assert_eq!((late.status, late.header("set-cookie")), (410, ""));
    assert!(late.body.contains("too old"), "{}", late.body);

    let bench = Bench::start().await;
    let session = bench.session().await;
    let page = bench.post("/settings/link", &session, "").await;
    let link = page.body.split("/start/").nth(1).unwrap().split('<').next().unwrap().to_owned();
    bench.pass(Duration::from_secs(600));
    assert_eq!(bench.get(&format!("/start/{link}"), &[]).await.status, 410, "ten minutes to carry it over");
}

#[tokio::test]
async fn a_token_ends_when_it_is_to_end() {
    let until = fleetkey_model::time::Timestamp::from_secs(1_790_000_060);
    let tokens = vec![Token::new("brief", Scope::Operator, OPERATOR).ending(until)];
    let bench = Bench::with(Sample::small(), Access { tokens, ..Access::default() }).await;
    assert_eq!(bench.get("/", &[("x-api-token", OPERATOR)]).await.status, 200);
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.get("/", &[("x-api-token", OPERATOR)]).await.status, 401);
}
