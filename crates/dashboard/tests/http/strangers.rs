//! Other people's pages and names: DNS rebinding, cross-site requests, headers, malformed requests.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::Bench;

#[tokio::test]
async fn a_name_that_was_rebound_to_us_reads_nothing() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let port = bench.address.port();
    let foreign = format!("rebound.example:{port}");
    let tricky = format!("127.0.0.1.evil.example:{port}");
    for host in [foreign.as_str(), &tricky, "rebound.example", "127.0.0.1", "127.0.0.1:1", ""] {
        for path in ["/", "/devices", "/login", "/events", "/assets/x"] {
            let reply =
                bench.get(path, &[("host", host), ("cookie", &session), ("accept", "text/html")]).await;
            assert!([400, 403].contains(&reply.status), "{host:?} {path}: {}", reply.status);
            assert!(!reply.body.contains("pump-"), "{host:?} {path}");
        }
    }
    let named = format!("localhost:{port}");
    assert_eq!(bench.get("/", &[("host", &named), ("cookie", &session)]).await.status, 200);
}

#[tokio::test]
async fn another_sites_page_gives_no_orders() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let foreign: [&[(&str, &str)]; 6] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[],
    ];
    for said in foreign {
        for path in ["/devices/pump-000001/rotate", "/devices/rotate", "/logout", "/settings/link"] {
            let headers = [said, &[("cookie", session.as_str())]].concat();
            let reply = bench.send("POST", path, &headers, "thing=pump-000001&confirm=yes").await;
            assert_eq!(reply.status, 403, "{path} {said:?}");
        }
    }
    assert!(bench.fleet.ordered().is_empty());
    assert_eq!(bench.page("/", &session).await.status, 200, "nobody was logged out");
    let origin = format!("http://{}", bench.host());
    let headers = [("cookie", session.as_str()), ("origin", origin.as_str())];
    let ours = bench.send("POST", "/devices/pump-000001/rotate", &headers, "").await;
    assert_eq!((ours.status, bench.fleet.ordered().len()), (303, 1), "a browser without Sec-Fetch-Site");
}

#[tokio::test]
async fn nobody_is_logged_in_by_another_site() {
    let bench = Bench::start().await;
    let form = format!("token={}", crate::support::OPERATOR.replace(' ', "+"));
    let reply = bench.send("POST", "/login", &[("sec-fetch-site", "cross-site")], &form).await;
    assert_eq!((reply.status, reply.header("set-cookie")), (403, ""));
}

#[tokio::test]
async fn nothing_is_embedded_elsewhere() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for mode in [("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe")] {
        let headers = [
            ("cookie", session.as_str()),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", mode.0),
            ("sec-fetch-dest", mode.1),
        ];
        assert_eq!(bench.get("/devices", &headers).await.status, 403, "{mode:?}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_confine_it() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    for path in ["/", "/login", "/devices", "/nowhere", "/assets/none"] {
        let reply = bench.page(path, &session).await;
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(reply.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_next_is_served() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let host = bench.host();
    let long = format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    let huge = format!("POST /login HTTP/1.1\r\nhost: {host}\r\ncontent-length: 99999999\r\n\r\n");
    let twice = format!("GET / HTTP/1.1\r\nhost: {host}\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    for (request, expected) in [
        ("rubbish\r\n\r\n".to_owned(), 400),
        (long, 431),
        (huge, 413),
        (twice, 403),
        (format!("GET /%ff HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 400),
        (format!("DELETE / HTTP/1.1\r\nhost: {host}\r\ncookie: {session}\r\nconnection: close\r\n\r\n"), 405),
    ] {
        assert_eq!(bench.raw(request.as_bytes()).await.status, expected, "{request:.60}");
    }
    assert_eq!(bench.page("/", &session).await.status, 200);
}

/// Whoever opens connections and says nothing gets only so many: they are closed at once, and those before them still served.
#[tokio::test]
async fn one_address_does_not_take_every_place() {
    let bench = Bench::start().await;
    let (mut silent, mut byte) = (Vec::new(), [0]);
    for _ in 0..128 {
        silent.push(TcpStream::connect(bench.address).await.unwrap());
    }
    let mut one_more = TcpStream::connect(bench.address).await.unwrap();
    assert!(matches!(one_more.read(&mut byte).await, Ok(0) | Err(_)), "it is closed");
    let asked = format!("GET /login HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", bench.host());
    let mut first = silent.swap_remove(0);
    first.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let neighbour = TcpSocket::new_v4().unwrap();
    neighbour.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = neighbour.connect(bench.address).await.unwrap();
    other.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
