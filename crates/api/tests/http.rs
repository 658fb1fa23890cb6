//! What is served, asked over a socket as any client would.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetkey_api::backend::{Order, Question, Trouble};
use fleetkey_api::feed::Feed;
use fleetkey_api::token::{Holder, Role, Tokens};
use fleetkey_api::{Backend, Server, ServerConfig};
use fleetkey_model::time::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A controller that hears the broker, or does not, and knows of one thing.
#[derive(Default)]
struct Fake {
    hears: AtomicBool,
    tokens: Tokens,
    feed: Arc<Feed>,
    orders: Mutex<Vec<(String, Order)>>,
}

impl Backend for Fake {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1000)
    }

    fn unready(&self) -> Option<String> {
        (!self.hears.load(Ordering::Relaxed)).then(|| "not connected to the broker".to_owned())
    }

    async fn metrics(&self) -> String {
        "fleetkey_things 3\n".to_owned()
    }

    fn holder(&self, token: &str) -> Option<Holder> {
        self.tokens.holder(token, self.now())
    }

    async fn ask(&self, question: Question) -> Result<Value, Trouble> {
        match question {
            Question::Thing(thing) if thing.as_str() == "press-1" => Ok(json!({ "thing": thing })),
            Question::Thing(thing) => Err(Trouble::Missing(format!("no thing {thing}"))),
            other => Ok(json!(format!("{other:?}"))),
        }
    }

    async fn order(&self, holder: &Holder, order: Order) -> Result<Value, Trouble> {
        self.orders.lock().unwrap().push((holder.name.clone(), order));
        Ok(json!({}))
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}

/// A server with a token of each role, and one that has ended.
struct Served {
    server: Server,
    backend: Arc<Fake>,
    auditor: String,
    operator: String,
    admin: String,
    ended: String,
}

async fn served() -> Served {
    let mut tokens = Tokens::default();
    let mut issue = |name: &str, role, byte, end| {
        let end = Timestamp::from_secs(end);
        tokens.issue(name, role, &[byte; 32], Timestamp::default(), end).expose().to_owned()
    };
    let auditor = issue("ann", Role::Auditor, 1, 2000);
    let operator = issue("otto", Role::Operator, 2, 2000);
    let admin = issue("ada", Role::Admin, 4, 2000);
    let ended = issue("eve", Role::Admin, 3, 900);
    let backend = Arc::new(Fake { tokens, ..Fake::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(listener, backend.clone(), &ServerConfig::default()).unwrap();
    Served { server, backend, auditor, operator, admin, ended }
}

/// Status line and body of the answer to a request.
async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
}

async fn with(address: SocketAddr, token: &str, line: &str, body: &str) -> (String, String) {
    let length = body.len();
    ask(
        address,
        &format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        ),
    )
    .await
}

#[tokio::test]
async fn it_is_alive_from_the_start_and_ready_when_it_hears_the_broker() {
    let Served { server, backend, .. } = served().await;
    let address = server.address();
    assert!(get(address, "/healthz").await.0.contains("200"));
    let (status, body) = get(address, "/readyz").await;
    assert!(status.contains("503") && body.contains("not connected"), "{status} {body}");
    backend.hears.store(true, Ordering::Relaxed);
    assert!(get(address, "/readyz").await.0.contains("200"));
    let (status, body) = get(address, "/metrics").await;
    assert!(status.contains("200") && body == "fleetkey_things 3\n");
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_is_not_there_or_not_asked_properly_is_refused() {
    let Served { server, .. } = served().await;
    let address = server.address();
    assert!(get(address, "/").await.0.contains("404"));
    let close = "Connection: close\r\n\r\n";
    for (request, status) in [
        (format!("POST /metrics HTTP/1.1\r\nHost: localhost\r\n{close}"), "405"),
        (format!("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n{close}"), "403"),
        (format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n{close}"), "403"),
        (format!("GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\n{close}"), "403"),
    ] {
        let answered = ask(address, &request).await.0;
        assert!(answered.contains(status), "{answered}: {request}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_api_is_for_those_who_hold_a_token_and_each_role_has_its_own() {
    let Served { server, backend, auditor, operator, ended, .. } = served().await;
    let address = server.address();
    assert!(get(address, "/api/v1/status").await.0.contains("401"));
    assert!(with(address, &ended, "GET /api/v1/status", "").await.0.contains("401"));
    assert!(with(address, &auditor, "GET /api/v1/status", "").await.0.contains("200"));
    let (status, body) = with(address, &auditor, "GET /api/v1/things/press-1", "").await;
    assert!(status.contains("200") && body == r#"{"thing":"press-1"}"#);
    assert!(with(address, &auditor, "GET /api/v1/things/other", "").await.0.contains("404"));
    assert!(with(address, &auditor, "GET /api/v1/things/..%2f", "").await.0.contains("400"));
    assert!(with(address, &auditor, "GET /api/v1/certificates?limit=0", "").await.0.contains("400"));
    assert!(with(address, &auditor, "GET /api/v1/nothing", "").await.0.contains("404"));

    let release = "POST /api/v1/things/press-1/release";
    let why = r#"{"why":"a copied disk, which was wiped"}"#;
    assert!(with(address, &auditor, release, why).await.0.contains("403"));
    assert!(with(address, &operator, release, r#"{"why":" "}"#).await.0.contains("400"));
    assert!(backend.orders.lock().unwrap().is_empty());
    assert!(with(address, &operator, release, why).await.0.contains("200"));
    assert_eq!(backend.orders.lock().unwrap()[0].0, "otto");
    server.stop().await;
}

/// What each role may order, and in whose name it reaches the controller.
#[tokio::test]
async fn operators_run_campaigns_and_only_admins_end_certificates() {
    let Served { server, backend, auditor, operator, admin, .. } = served().await;
    let address = server.address();
    let id = "0".repeat(64);
    let why = r#"{"why":"yearly"}"#;
    let draft = r#"{"name":"spring","why":"yearly","thing":"press-*"}"#;
    let operators = [
        ("POST /api/v1/campaigns".to_owned(), draft),
        ("POST /api/v1/campaigns/spring/pause".to_owned(), why),
        ("POST /api/v1/campaigns/spring/resume".to_owned(), why),
        ("POST /api/v1/campaigns/spring/abort".to_owned(), why),
        ("POST /api/v1/things/press-1/rotate".to_owned(), why),
    ];
    let ends = ["deactivate", "reactivate", "revoke"]
        .map(|fate| (format!("POST /api/v1/certificates/{id}/{fate}"), why));
    let decision = format!(r#"{{"why":"seen there","certificate":"{id}"}}"#);
    let verdicts = ["approve", "reject"]
        .map(|verdict| (format!("POST /api/v1/things/press-1/{verdict}"), decision.as_str()));
    let opening = r#"{"why":"back from repair","serials":["press-1"],"for":3600}"#;
    let doors = [
        ("POST /api/v1/recovery", opening),
        ("POST /api/v1/recovery/1/close", why),
        ("POST /api/v1/panic/claims", why),
        ("POST /api/v1/panic/policies/fleetkey-device", why),
        ("POST /api/v1/panic/undo", why),
    ];
    let doors = doors.map(|(line, body)| (line.to_owned(), body));
    let admins: Vec<_> = ends.into_iter().chain(verdicts).chain(doors).collect();
    for (line, body) in operators.iter().chain(&admins) {
        assert!(with(address, &auditor, line, body).await.0.contains("403"), "{line}");
    }
    for (line, body) in &admins {
        let (status, told) = with(address, &operator, line, body).await;
        assert!(status.contains("403") && told.contains("takes the role admin"), "{line}: {told}");
    }
    assert!(backend.orders.lock().unwrap().is_empty());
    for (line, body) in &operators {
        assert!(with(address, &operator, line, body).await.0.contains("200"), "{line}");
    }
    for (line, body) in &admins {
        assert!(with(address, &admin, line, body).await.0.contains("200"), "{line}");
    }
    let orders = backend.orders.lock().unwrap().clone();
    let names: Vec<_> = orders.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [["otto"; 5].as_slice(), &["ada"; 10]].concat());
    assert!(matches!(&orders[0].1, Order::Start(draft) if draft.name == "spring" && !draft.dry_run));
    let reasonless = with(address, &operator, "POST /api/v1/campaigns/spring/abort", "{}").await;
    assert!(reasonless.0.contains("400") && reasonless.1.contains("journal"), "{reasonless:?}");
    assert!(with(address, &auditor, "GET /api/v1/campaigns", "").await.0.contains("200"));
    assert!(with(address, &auditor, "GET /api/v1/recovery", "").await.1.contains("Recovery"));
    assert!(with(address, &auditor, "GET /api/v1/panic", "").await.1.contains("Panic"));
    let things = with(address, &auditor, "GET /api/v1/things?state=rotating&limit=5", "").await;
    assert!(things.0.contains("200") && things.1.contains("rotating"), "{things:?}");
    assert!(with(address, &auditor, "GET /api/v1/campaigns/spring", "").await.1.contains("spring"));
    assert!(with(address, &auditor, "DELETE /api/v1/campaigns", "").await.0.contains("405"));
    server.stop().await;
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down_and_right_ones_are_not() {
    let Served { server, auditor, .. } = served().await;
    let address = server.address();
    for _ in 0..10 {
        assert!(with(address, "fleetkey_x", "GET /api/v1/status", "").await.0.contains("401"));
    }
    assert!(with(address, "fleetkey_x", "GET /api/v1/status", "").await.0.contains("429"));
    assert!(with(address, &auditor, "GET /api/v1/status", "").await.0.contains("200"));
    server.stop().await;
}

#[tokio::test]
async fn whoever_comes_back_to_the_stream_gets_what_was_missed() {
    let Served { server, backend, auditor, .. } = served().await;
    for n in 1..=3 {
        backend.feed.push("frozen", json!({ "n": n }));
    }
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {auditor}\r\nLast-Event-ID: 1\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    read_until(&mut stream, &mut seen, "id: 3").await;
    assert!(
        seen.contains("text/event-stream") && seen.contains("id: 2\nevent: frozen\ndata: {\"n\":2}"),
        "{seen}"
    );
    assert!(!seen.contains("id: 1\n"));
    backend.feed.push("frozen", json!({ "n": 4 }));
    read_until(&mut stream, &mut seen, "id: 4").await;
    drop(stream);
    server.stop().await;
}

/// A stream of events that has been answered, and the status line of that.
async fn stream(address: SocketAddr, token: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    read_until(&mut stream, &mut seen, "\r\n").await;
    (stream, seen.lines().next().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_that_has_all_its_streams_open_keeps_nobody_else_out() {
    let Served { server, auditor, operator, .. } = served().await;
    let address = server.address();
    let mut open = Vec::new();
    let refused = loop {
        let (stream, status) = stream(address, &auditor).await;
        if !status.contains("200") {
            break status;
        }
        open.push(stream);
    };
    assert!(refused.contains("429") && open.len() == 8, "{refused} after {}", open.len());
    assert!(stream(address, &operator).await.1.contains("200"));
    // Whoever goes leaves a place, as soon as that is noticed.
    drop(open.pop());
    let in_again = async {
        while !stream(address, &auditor).await.1.contains("200") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), in_again).await.unwrap();
    drop(open);
    server.stop().await;
}

async fn read_until(stream: &mut TcpStream, seen: &mut String, word: &str) {
    let mut buffer = [0; 4096];
    while !seen.contains(word) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the stream ended: {seen}");
        seen.push_str(std::str::from_utf8(buffer.get(..read).unwrap()).unwrap());
    }
}
