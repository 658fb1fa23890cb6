//! Every order that there is, from whoever may not give it: another site's page, nobody, an auditor, an operator where it takes
//! an admin, a browser that somebody has left open, a guesser.

use std::time::Duration;

use fleetkey_model::certificate::CertificateId;

use crate::support::{ADMIN, AUDITOR, Bench, OPERATOR};

/// Past what a login is worth as a proof.
const LATER: Duration = Duration::from_secs(600);

/// What a browser, a person or a program has to be for an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// An operator.
    Operator,
    /// An operator who has just shown that they are themselves.
    Proof,
    /// An admin, likewise.
    Admin,
}

struct Meant {
    path: String,
    form: String,
    asks: Asks,
}

/// Every order, complete: given by whoever may, each of them is carried out at once.
async fn orders(bench: &Bench, session: &str) -> Vec<Meant> {
    let meant = |path: &str, form: &str, asks| Meant { path: path.to_owned(), form: form.to_owned(), asks };
    let mut all = vec![
        meant("/devices/rotate", "thing=pump-000001&thing=pump-000002&confirm=yes", Asks::Operator),
        meant("/devices/pump-000001/rotate", "", Asks::Operator),
        meant("/provisioning/hook", "", Asks::Operator),
        meant("/try/SN-1/provision", "", Asks::Operator),
        meant("/campaigns", "name=summer&why=x&things=*&confirm=yes", Asks::Proof),
        meant("/campaigns/autumn/pause", "why=x&confirm=yes", Asks::Proof),
        meant("/campaigns/spring/resume", "why=x&confirm=yes", Asks::Proof),
        meant("/campaigns/autumn/abort", "why=x&confirm=yes", Asks::Proof),
    ];
    for (of, verb) in [("new", "deactivate"), ("new", "revoke"), ("old", "reactivate"), ("old", "revoke")] {
        let id = CertificateId::of_der(of.as_bytes());
        let path = format!("/devices/pump-000001/certificates/{id}/{verb}");
        all.push(meant(&path, "why=x&confirm=yes", Asks::Admin));
    }
    for path in ["/setup", "/cleanup"] {
        let asked = bench.post(path, session, "").await.body;
        let mark = asked.split("name=\"plan\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let form = format!("plan={}&fleet=presses&why=x&confirm=yes", mark.unwrap());
        all.push(meant(path, &form, Asks::Admin));
    }
    all
}

/// Nothing was ordered of the fleet, nor of the bench.
async fn nothing_was_done(bench: &Bench) {
    assert!(bench.fleet.ordered().is_empty(), "{:?}", bench.fleet.ordered());
    let shown = bench.get("/try", &[("x-api-token", AUDITOR)]).await;
    assert!(shown.body.contains("None yet."), "{}", shown.body);
}

#[tokio::test]
async fn each_is_carried_out_for_whoever_may_give_it() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for Meant { path, form, .. } in orders(&bench, &session).await {
        let done = bench.post(&path, &session, &form).await;
        assert!([200, 303].contains(&done.status), "{path}: {} {}", done.status, done.body);
        let ordered = bench.fleet.orders.lock().unwrap().drain(..).count();
        assert_eq!(ordered, usize::from(!path.starts_with("/try")), "{path}");
    }
    let page = bench.page("/try", &session).await;
    assert!(page.body.contains("SN-1"), "{}", page.body);
}

#[tokio::test]
async fn another_sites_page_gives_none_of_them() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let cookie = ("cookie", session.as_str());
    let foreign: [&[(&str, &str)]; 7] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[],
    ];
    let mut all = orders(&bench, &session).await;
    for path in ["/settings/link", "/logout", "/api/provision"] {
        all.push(Meant {
            path: path.to_owned(),
            form: "{\"serial\": \"SN-1\"}".to_owned(),
            asks: Asks::Operator,
        });
    }
    for Meant { path, form, .. } in all {
        for said in foreign {
            let reply = bench.send("POST", &path, &[said, &[cookie]].concat(), &form).await;
            assert_eq!(reply.status, 403, "{path} {said:?}");
        }
    }
    nothing_was_done(&bench).await;
    assert_eq!(bench.page("/", &session).await.status, 200, "nobody was logged out");
}

#[tokio::test]
async fn nobody_and_whoever_may_only_look_give_none_of_them_and_a_link_gives_none() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for Meant { path, form, .. } in orders(&bench, &session).await {
        let own = [("sec-fetch-site", "same-origin")];
        assert_eq!(bench.send("POST", &path, &own, &form).await.status, 401, "{path}");
        let planted = [own[0], ("cookie", "fleetkey=planted")];
        assert_eq!(bench.send("POST", &path, &planted, &form).await.status, 401, "{path}");
        let auditor = [("x-api-token", AUDITOR)];
        assert_eq!(bench.send("POST", &path, &auditor, &form).await.status, 403, "{path}");
        bench.page(&format!("{path}?{form}"), &session).await;
    }
    nothing_was_done(&bench).await;
}

#[tokio::test]
async fn an_operator_gives_none_that_takes_an_admin() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let headers = [("x-api-token", OPERATOR)];
    for Meant { path, form, .. } in
        orders(&bench, &session).await.into_iter().filter(|order| order.asks == Asks::Admin)
    {
        let token = OPERATOR.replace(' ', "+");
        for form in [form.clone(), format!("{form}&token={token}")] {
            let refused = bench.send("POST", &path, &headers, &form).await;
            assert!(
                refused.status == 403 && refused.body.contains("scope admin"),
                "{path}: {}",
                refused.body
            );
        }
    }
    nothing_was_done(&bench).await;
}

/// The tab that somebody has left open, and a script in it that knows every form.
#[tokio::test]
async fn a_login_of_some_time_ago_gives_none_that_asks_for_proof() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let all = orders(&bench, &session).await;
    bench.pass(LATER);
    for Meant { path, form, .. } in all.iter().filter(|order| order.asks != Asks::Operator) {
        let refused = bench.post(path, &session, form).await;
        assert!(refused.status == 403 && refused.body.contains("Enter a token"), "{path}: {}", refused.body);
    }
    nothing_was_done(&bench).await;
    let token = ADMIN.replace(' ', "+");
    for Meant { path, form, .. } in all.iter().filter(|order| order.asks != Asks::Operator) {
        let done = bench.post(path, &session, &format!("{form}&token={token}")).await;
        assert_eq!(done.status, 303, "{path}: {}", done.body);
    }
}

/// Whichever order is guessed at, the guesses are counted together.
#[tokio::test]
async fn whoever_guesses_the_token_of_an_order_is_slowed_down_at_all_of_them() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let mut all = orders(&bench, &session).await;
    all.retain(|order| order.asks != Asks::Operator);
    bench.pass(LATER);
    let mut codes = Vec::new();
    for (number, Meant { path, form, .. }) in all.iter().cycle().take(12).enumerate() {
        codes.push(bench.post(path, &session, &format!("{form}&token=guess-{number}")).await.status);
    }
    assert_eq!(codes, [[401; 10].as_slice(), &[429; 2]].concat());
    let token = ADMIN.replace(' ', "+");
    for Meant { path, form, .. } in &all {
        let slowed = bench.post(path, &session, &format!("{form}&token={token}")).await;
        assert_eq!(slowed.status, 429, "{path}: the right one is not told from the wrong ones");
        assert!(!slowed.header("retry-after").is_empty(), "{path}: {slowed:?}");
    }
    assert!(bench.fleet.ordered().is_empty());
}
