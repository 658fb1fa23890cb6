//! Set-up and clean-up: seen first, carried out as they were seen, by an admin who has shown who they are.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fleetkey_dashboard::fleet::{Direction, Order};

use crate::support::{ADMIN, AUDITOR, Bench, OPERATOR, Sample, access};

/// Past what a login is worth as a proof.
const LATER: Duration = Duration::from_secs(600);

/// The mark of the plan that a page before the order shows.
async fn mark(bench: &Bench, session: &str, path: &str) -> String {
    let asked = bench.post(path, session, "").await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let value = asked.body.split("name=\"plan\" value=\"").nth(1).unwrap();
    value.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_plan_is_shown_before_it_is_carried_out_and_carried_out_as_it_was_shown() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for (path, direction, title) in [
        ("/setup", Direction::SetUp, "Set the fleet presses up?"),
        ("/cleanup", Direction::CleanUp, "Remove the fleet presses?"),
    ] {
        let asked = bench.post(path, &session, "").await;
        assert!(asked.status == 200 && asked.body.contains(title), "{}", asked.body);
        assert!(asked.body.contains("1 step"), "{}", asked.body);
        let mark = mark(&bench, &session, path).await;
        for (form, status, words) in [
            (format!("plan={mark}"), 400, "Say why"),
            ("plan=&why=new".to_owned(), 409, "has changed since it was shown"),
            ("plan=another&why=new".to_owned(), 409, "has changed since it was shown"),
        ] {
            let refused = bench.post(path, &session, &format!("{form}&confirm=yes&fleet=presses")).await;
            assert!(refused.status == status && refused.body.contains(words), "{form}: {}", refused.body);
        }
        assert!(bench.fleet.ordered().is_empty());
        let form = format!("confirm=yes&plan={mark}&why=a+new+site&fleet=presses");
        let done = bench.post(path, &session, &form).await;
        assert_eq!((done.status, done.header("location")), (303, path), "{}", done.body);
        let (order, by) = bench.fleet.orders.lock().unwrap().pop().unwrap();
        let Order::Build { direction: ordered, plan, why } = order else { panic!("{order:?}") };
        assert_eq!((ordered, plan.changes(), why.as_str()), (direction, 1, "a new site"));
        assert!(by.starts_with("session "), "{by}");
    }
}

/// A plan that took many calls is shown for a while. Whoever may order has it made anew, and orders nothing by that.
#[tokio::test]
async fn whoever_may_order_looks_again() {
    let bench = Bench::start().await;
    let (operator, auditor) = (bench.login(OPERATOR).await, bench.login(AUDITOR).await);
    assert!(bench.page("/cleanup", &operator).await.body.contains("Look again"));
    assert!(!bench.page("/cleanup", &auditor).await.body.contains("Look again"));
    assert_eq!(bench.post("/cleanup", &auditor, "look=anew").await.status, 403);
    assert!(bench.fleet.anew.lock().unwrap().is_empty());
    let looked = bench.post("/cleanup", &operator, "look=anew").await;
    assert_eq!((looked.status, looked.header("location")), (303, "/cleanup"), "{}", looked.body);
    assert_eq!(*bench.fleet.anew.lock().unwrap(), [Direction::CleanUp]);
    assert!(bench.fleet.ordered().is_empty());
}

/// Of a large plan the page shows both ends; what has changed between them was not agreed to either.
#[tokio::test]
async fn a_plan_that_has_changed_where_the_page_shows_nothing_is_not_carried_out() {
    let bench = Bench::with(Sample::of(5000, "idle"), access()).await;
    let session = bench.session().await;
    let asked = bench.post("/cleanup", &session, "").await.body;
    assert!(asked.contains("pump-000001") && asked.contains("more steps") && !asked.contains("pump-002500"));
    let mark = mark(&bench, &session, "/cleanup").await;
    bench.fleet.moved.store(true, Ordering::SeqCst);
    let form = format!("confirm=yes&plan={mark}&why=the+end&fleet=presses");
    let refused = bench.post("/cleanup", &session, &form).await;
    assert!(
        refused.status == 409 && refused.body.contains("has changed since it was shown"),
        "{}",
        refused.body
    );
    assert!(bench.fleet.ordered().is_empty());
    bench.fleet.moved.store(false, Ordering::SeqCst);
    assert_eq!(bench.post("/cleanup", &session, &form).await.status, 303);
}

#[tokio::test]
async fn a_fleet_is_removed_only_by_its_name() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let mark = mark(&bench, &session, "/cleanup").await;
    for typed in ["", "Presses", "press", "yes"] {
        let form = format!("confirm=yes&plan={mark}&why=the+end&fleet={typed}");
        let refused = bench.post("/cleanup", &session, &form).await;
        assert!(refused.status == 400 && refused.body.contains("Type the name of the fleet"), "{typed}");
    }
    assert!(bench.fleet.ordered().is_empty());
}

#[tokio::test]
async fn a_login_of_some_time_ago_and_less_than_an_admin_carry_nothing_out() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let mark = mark(&bench, &session, "/cleanup").await;
    let form = format!("confirm=yes&plan={mark}&why=the+end&fleet=presses");
    for token in [OPERATOR, AUDITOR] {
        let headers = [("x-api-token", token)];
        for path in ["/setup", "/cleanup"] {
            assert_eq!(bench.send("POST", path, &headers, &form).await.status, 403);
            assert!(!bench.get(path, &headers).await.body.contains("Carry it out"), "no button for them");
        }
    }
    let foreign = [("cookie", session.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(bench.send("POST", "/cleanup", &foreign, &form).await.status, 403);
    bench.pass(LATER);
    let refused = bench.post("/cleanup", &session, &form).await;
    assert!(refused.status == 403 && refused.body.contains("Enter a token of an admin"), "{}", refused.body);
    assert_eq!(bench.post("/cleanup", &session, &format!("{form}&token=guess")).await.status, 401);
    assert!(bench.fleet.ordered().is_empty());
    let token = ADMIN.replace(' ', "+");
    assert_eq!(bench.post("/cleanup", &session, &format!("{form}&token={token}")).await.status, 303);
    assert!(bench.fleet.ordered().pop().unwrap().1.ends_with(", token head"));
}

#[tokio::test]
async fn a_run_is_followed_and_none_begins_beside_it() {
    let bench = Bench::with(Sample::of(1, "somebody cleans up"), access()).await;
    let session = bench.session().await;
    for path in ["/setup", "/cleanup"] {
        let page = bench.page(path, &session).await;
        for words in ["under way", "The clean-up that", "12 steps of 21", "<progress", "Now: "] {
            assert!(page.body.contains(words), "{words} on {path}: {}", page.body);
        }
        assert!(!page.body.contains("Carry it out"), "{}", page.body);
    }
}

#[tokio::test]
async fn a_plan_that_nobody_knows_is_not_carried_out() {
    for words in ["the account is asked", "the account refuses"] {
        let bench = Bench::with(Sample::of(1, words), access()).await;
        let session = bench.session().await;
        let refused = bench.post("/setup", &session, "").await;
        assert!(refused.status == 409 && refused.body.contains("not known yet"), "{}", refused.body);
    }
}

#[tokio::test]
async fn the_hook_is_asked_by_an_operator_and_by_no_auditor() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let asked = bench.post("/provisioning/hook", &session, "").await;
    assert_eq!((asked.status, asked.header("location")), (303, "/provisioning"));
    assert_eq!(bench.fleet.ordered().pop().unwrap().0, Order::TestHook);
    let headers = [("x-api-token", AUDITOR)];
    assert_eq!(bench.send("POST", "/provisioning/hook", &headers, "").await.status, 403);
    assert!(!bench.get("/provisioning", &headers).await.body.contains("Ask it now"));
    assert_eq!(bench.fleet.ordered().len(), 1);
}
