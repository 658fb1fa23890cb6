//! The five functions of the demo: by its routes, and as one path of pages.

use serde_json::{Value, json};

use crate::support::{AUDITOR, Bench, OPERATOR, Reply};

async fn call(bench: &Bench, route: &str, body: &Value) -> (u16, Value) {
    let headers = [("x-api-token", OPERATOR), ("content-type", "application/json")];
    let reply = bench.send("POST", &format!("/api/{route}"), &headers, &body.to_string()).await;
    (reply.status, parse(&reply))
}

fn parse(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{reply:?}"))
}

#[tokio::test]
async fn the_demos_routes_answer_with_its_members() {
    let bench = Bench::start().await;
    let (code, provisioned) = call(&bench, "provision", &json!({"serial": " SN-1 "})).await;
    assert_eq!(
        (code, &provisioned["ok"], &provisioned["status"]["has_cert"]),
        (200, &json!(true), &json!(true))
    );
    assert_eq!(provisioned["cert_id"].as_str().unwrap().len(), 64);
    let (_, connected) = call(&bench, "connect", &json!({"serial": "SN-1"})).await;
    assert_eq!(connected["status"]["connected"], true);
    let message = json!({"serial": "SN-1", "topic": "device/SN-1/data", "payload": {"t": 1}});
    assert_eq!(call(&bench, "publish", &message).await.0, 200);
    assert_eq!(call(&bench, "subscribe", &json!({"serial": "SN-1", "topic": "device/SN-1/#"})).await.0, 200);
    let (_, rotated) = call(&bench, "rotate", &json!({"serial": "SN-1"})).await;
    assert_eq!(
        (&rotated["status"]["cert_count"], rotated["cert_id"] == provisioned["cert_id"]),
        (&json!(2), false)
    );
    let rule = json!({"serial": "SN-1", "check_hours": 12, "rotate_before_days": 7});
    let (_, automatic) = call(&bench, "auto_rotate", &rule).await;
    assert_eq!(automatic["status"]["rotate_interval_hours"], 12.0);
    let (_, stopped) = call(&bench, "auto_rotate", &json!({"serial": "SN-1", "action": "stop"})).await;
    assert_eq!(stopped["status"]["auto_rotate"], false);
    let (_, gone) = call(&bench, "disconnect", &json!({"serial": "SN-1"})).await;
    assert_eq!(gone["status"]["connected"], false);

    let status = bench.get("/api/status?serial=SN-1", &[("x-api-token", OPERATOR)]).await;
    let status = parse(&status);
    assert_eq!(status["status"]["serial"], "SN-1");
    assert!(
        status["logs"].as_array().unwrap().iter().any(|line| line == "[2026-09-21T14:13:20.000Z] {\"t\":1}"),
        "{status}"
    );
    let devices = parse(&bench.get("/api/devices", &[("x-api-token", OPERATOR)]).await);
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_demos_errors_are_its_errors() {
    let bench = Bench::start().await;
    for (route, body, code, words) in [
        ("provision", json!({}), 400, "serial required"),
        ("provision", json!({"serial": 7}), 400, "serial required"),
        ("provision", json!({"serial": "../../etc"}), 400, "serial"),
        ("provision", json!(["serial"]), 400, "JSON object"),
        ("connect", json!({"serial": "never-seen"}), 409, "not provisioned"),
        ("publish", json!({"serial": "a", "topic": "device/b/x"}), 400, "Topic must start with device/a/"),
        ("subscribe", json!({"serial": "a", "topic": "#"}), 400, "Topic must start with device/a/"),
        ("auto_rotate", json!({"serial": "a", "check_hours": -3}), 400, "check_hours"),
        ("nothing", json!({"serial": "a"}), 404, "route"),
    ] {
        let (status, answer) = call(&bench, route, &body).await;
        assert_eq!(status, code, "{route} {body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{route} {body}: {answer}");
    }
    let unknown = bench.get("/api/status?serial=none", &[("x-api-token", OPERATOR)]).await;
    assert_eq!((unknown.status, &parse(&unknown)["error"]), (404, &json!("device not found")));
    assert_eq!(bench.get("/api/devices", &[]).await.status, 401);
    let body = json!({"serial": "SN-1"}).to_string();
    assert_eq!(bench.send("POST", "/api/provision", &[("x-api-token", AUDITOR)], &body).await.status, 403);
    let session = bench.session().await;
    let foreign = [("cookie", session.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(bench.send("POST", "/api/provision", &foreign, &body).await.status, 403);
}

#[tokio::test]
async fn where_there_is_no_bench_its_places_say_who_has_one() {
    let bench = Bench::without_bench().await;
    let session = bench.session().await;
    let token = [("x-api-token", OPERATOR)];
    for reply in [
        bench.page("/try", &session).await,
        bench.page("/try/SN-1", &session).await,
        bench.post("/try/SN-1/provision", &session, "").await,
        bench.get("/api/devices", &token).await,
        bench.send("POST", "/api/provision", &token, "{\"serial\": \"SN-1\"}").await,
    ] {
        assert_eq!(reply.status, 404, "{reply:?}");
        assert!(reply.body.contains("fleetkey up") && reply.body.contains("no claim"), "{reply:?}");
    }
}

#[tokio::test]
async fn the_five_steps_are_one_path_of_forms() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let begun = bench.page("/try?serial=SN-1", &session).await;
    assert_eq!((begun.status, begun.header("location")), (303, "/try/SN-1"));
    for (verb, form) in [
        ("provision", ""),
        ("connect", ""),
        ("subscribe", "filter=device/SN-1/%23"),
        ("publish", "topic=device/SN-1/x&payload=%3Cscript%3Ealert(1)%3C/script%3E"),
        ("rotate", ""),
        ("automatic", "every=5&before=30"),
        ("manual", ""),
        ("disconnect", ""),
    ] {
        let reply = bench.post(&format!("/try/SN-1/{verb}"), &session, form).await;
        assert_eq!((reply.status, reply.header("location")), (303, "/try/SN-1"), "{verb}: {}", reply.body);
    }
    let page = bench.page("/try/SN-1", &session).await;
    assert!(page.body.contains("disconnected") && page.body.contains("device/SN-1/#"), "{}", page.body);
    assert!(
        page.body.contains("&lt;script&gt;alert(1)") && !page.body.contains("<script>alert"),
        "a payload is text"
    );
    assert!(bench.page("/try", &session).await.body.contains("SN-1"));
    let link = "href=\"/try/pump-000001\"";
    assert!(!bench.page("/devices/pump-000001", &session).await.body.contains(link));
    assert_eq!(bench.post("/try/pump-000001/provision", &session, "").await.status, 303);
    assert!(bench.page("/devices/pump-000001", &session).await.body.contains(link), "its console");
}

#[tokio::test]
async fn a_step_that_cannot_be_done_says_why_where_it_was_asked_for() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for (verb, form, words) in [
        ("connect", "", "not provisioned"),
        ("publish", "topic=device/other/x&payload=1", "Topic must start with device/SN-2/"),
        ("automatic", "every=0&before=30", "from 1"),
        ("automatic", "every=5&before=99999999999999999999", "from 0"),
    ] {
        let reply = bench.post(&format!("/try/SN-2/{verb}"), &session, form).await;
        assert!(reply.status == 409 && reply.body.contains(words), "{verb}: {}", reply.status);
    }
    assert_eq!(bench.post("/try/..%2fx/provision", &session, "").await.status, 404);
    assert_eq!(bench.post("/try/SN-2/explode", &session, "").await.status, 404);
    let bad = bench.page("/try?serial=..%2fx", &session).await;
    assert!(bad.status == 400 && bad.body.contains("serial number"), "{}", bad.body);
}
