//! Campaigns: counted before they begin, and begun, paused and ended by whoever has shown that they are themselves.

use std::time::Duration;

use fleetkey_dashboard::fleet::{CampaignOrder, Order};

use crate::support::{ADMIN, AUDITOR, Bench, OPERATOR};

/// Past what a login is worth as a proof.
const LATER: Duration = Duration::from_secs(600);
const DRAFT: &str = "name=summer&why=yearly&things=pump-*&older=30&rate=120&patience=10";

#[tokio::test]
async fn a_campaign_is_counted_and_asked_about_before_it_begins() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let asked = bench.post("/campaigns", &session, DRAFT).await;
    assert_eq!(asked.status, 200);
    for words in [
        "3 devices would be told to rotate, in 2 waves",
        "Left out",
        "2 devices: all is well",
        "1, 2",
        "pump-*",
        "at least 30 d",
        "value=\"120\"",
    ] {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    assert!(!asked.body.contains("quotas leave"), "as fast as it was asked to be: {}", asked.body);
    let fast = bench.post("/campaigns", &session, &DRAFT.replace("rate=120", "rate=9000")).await;
    assert!(fast.body.contains("at most 300 a minute, not 9000"), "{}", fast.body);
    assert!(bench.fleet.ordered().is_empty());
    let begun = bench.post("/campaigns", &session, &format!("{DRAFT}&confirm=yes")).await;
    assert_eq!((begun.status, begun.header("location")), (303, "/campaigns/summer"));
    let (order, by) = bench.fleet.ordered().pop().unwrap();
    let Order::Campaign(CampaignOrder::Start(draft)) = order else { panic!("{order:?}") };
    assert_eq!((draft.things.as_str(), draft.why.as_str(), draft.pace.rate), ("pump-*", "yearly", 120));
    assert_eq!((draft.pace.patience, draft.pace.canary), (Duration::from_secs(600), 5));
    assert!(by.starts_with("session "), "{by}");
}

#[tokio::test]
async fn what_cannot_be_a_campaign_is_said_in_words_and_what_was_entered_stays() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for (form, words) in [
        ("name=summer&things=*", "says what it is for"),
        ("why=yearly&things=*", "has a name"),
        ("name=summer&why=yearly", "Say which devices"),
        ("name=summer&why=yearly&things=*&rate=fast", "is no rate a minute"),
        ("name=summer&why=yearly&things=*&canary=101", "is no first wave in percent"),
        ("name=summer&why=yearly&things=*&older=-1", "is no age in days"),
        ("name=summer&why=yearly&things=nobody&group=hall-3", "all is well"),
    ] {
        let refused = bench.post("/campaigns", &session, &format!("{form}&confirm=yes")).await;
        assert!(refused.status == 400 && refused.body.contains(words), "{form}: {}", refused.body);
        assert_eq!(refused.body.contains("value=\"summer\""), form.contains("summer"), "{form}");
    }
    assert!(bench.fleet.ordered().is_empty());
}

#[tokio::test]
async fn a_campaign_is_paused_resumed_and_aborted_with_a_reason_after_a_look() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for (path, expected) in [
        ("/campaigns/autumn/pause", "autumn rain"),
        ("/campaigns/spring/resume", "spring rain"),
        ("/campaigns/autumn/abort", "autumn rain"),
    ] {
        let asked = bench.post(path, &session, "").await;
        assert!(asked.status == 200 && asked.body.contains("Why, for the journal"), "{}", asked.body);
        assert_eq!(bench.post(path, &session, "confirm=yes").await.status, 400);
        assert!(bench.fleet.ordered().is_empty());
        let done = bench.post(path, &session, "confirm=yes&why=rain").await;
        assert_eq!(done.status, 303, "{path}: {}", done.body);
        let (order, _) = bench.fleet.orders.lock().unwrap().pop().unwrap();
        let Order::Campaign(
            CampaignOrder::Pause { name, why }
            | CampaignOrder::Resume { name, why }
            | CampaignOrder::Abort { name, why },
        ) = order
        else {
            panic!("{order:?}")
        };
        assert_eq!(format!("{name} {why}"), expected);
    }
    for (path, status) in [
        ("/campaigns/autumn/resume", 409),
        ("/campaigns/spring/pause", 409),
        ("/campaigns/winter/abort", 409),
        ("/campaigns/autumn/explode", 404),
        ("/campaigns/nobody/pause", 404),
    ] {
        assert_eq!(bench.post(path, &session, "confirm=yes&why=rain").await.status, status, "{path}");
    }
    assert!(bench.fleet.ordered().is_empty());
}

#[tokio::test]
async fn a_login_of_some_time_ago_and_an_auditor_begin_and_end_nothing() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    bench.pass(LATER);
    for (path, form) in [("/campaigns", DRAFT), ("/campaigns/autumn/abort", "why=rain")] {
        let refused = bench.post(path, &session, &format!("{form}&confirm=yes")).await;
        assert!(
            refused.status == 403 && refused.body.contains("Enter a token of an operator"),
            "{}",
            refused.body
        );
        let guessed = bench.post(path, &session, &format!("{form}&confirm=yes&token=guess")).await;
        assert_eq!(guessed.status, 401);
        let headers = [("x-api-token", AUDITOR)];
        assert_eq!(bench.send("POST", path, &headers, &format!("{form}&confirm=yes")).await.status, 403);
        assert!(bench.fleet.ordered().is_empty());
        let token = OPERATOR.replace(' ', "+");
        let done = bench.post(path, &session, &format!("{form}&confirm=yes&token={token}")).await;
        assert_eq!(done.status, 303, "{}", done.body);
        let (_, by) = bench.fleet.orders.lock().unwrap().pop().unwrap();
        assert!(by.ends_with(", token script"), "{by}");
    }
    let page = bench.get("/campaigns/autumn", &[("x-api-token", AUDITOR)]).await;
    assert!(!page.body.contains("/abort\""), "no button for who may not");
}

#[tokio::test]
async fn a_campaign_is_about_a_group_where_one_is_named() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let form = bench.page("/campaigns?new=1", &session).await;
    assert!(form.body.contains("name=\"group\""), "{}", form.body);
    let draft = "name=summer&why=yearly&group=hall-3";
    let asked = bench.post("/campaigns", &session, draft).await;
    assert!(asked.status == 200 && asked.body.contains("value=\"hall-3\""), "{}", asked.body);
    assert_eq!(bench.post("/campaigns", &session, &format!("{draft}&confirm=yes")).await.status, 303);
    let (order, _) = bench.fleet.ordered().pop().unwrap();
    let Order::Campaign(CampaignOrder::Start(draft)) = order else { panic!("{order:?}") };
    assert_eq!((draft.group.as_str(), draft.things.as_str()), ("hall-3", ""));
}

#[tokio::test]
async fn an_admin_rolls_a_campaign_back_after_a_count_as_long_as_something_can_be_undone() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let path = "/campaigns/autumn/rollback";
    let asked = bench.post(path, &session, "").await;
    assert_eq!(asked.status, 200);
    for words in
        ["Roll back the campaign autumn?", "5 devices", "3 devices", "4 devices", "Why, for the journal"]
    {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    assert_eq!(bench.post(path, &session, "confirm=yes").await.status, 400, "why?");
    let past = bench.post("/campaigns/winter/rollback", &session, "confirm=yes&why=rain").await;
    assert!(past.status == 409 && past.body.contains("Nothing of it can be undone"), "{}", past.body);
    let operator = [("x-api-token", OPERATOR)];
    assert_eq!(bench.send("POST", path, &operator, "confirm=yes&why=rain").await.status, 403);
    let page = bench.get("/campaigns/autumn", &operator).await;
    assert!(page.body.contains("/abort\"") && !page.body.contains("/rollback\""), "{}", page.body);

    bench.pass(LATER);
    let doubted = bench.post(path, &session, "confirm=yes&why=rain").await;
    assert!(doubted.status == 403 && doubted.body.contains("Enter a token of an admin"), "{}", doubted.body);
    assert!(bench.fleet.ordered().is_empty());
    let proof = format!("confirm=yes&why=rain&token={}", ADMIN.replace(' ', "+"));
    assert_eq!(bench.post(path, &session, &proof).await.status, 303);
    let (order, _) = bench.fleet.ordered().pop().unwrap();
    let Order::Campaign(CampaignOrder::Rollback { name, why }) = order else { panic!("{order:?}") };
    assert_eq!((name.as_str(), why.as_str()), ("autumn", "rain"));
}
