//! HTTP itself: what is malformed, too long or unknown gets an answer, and the server serves on.

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Request, World, exchange, read};

async fn still_serves(world: &World) {
    world.iot("GET", "/endpoint", Value::Null).await.ok();
}

/// What is no HTTP gets 400.
#[tokio::test]
async fn what_is_no_http_gets_400() {
    let world = World::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let answer = exchange(world.port(), bytes).await;
        assert_eq!(answer.status, 400, "{bytes:?}");
    }
    still_serves(&world).await;
}

/// A body beyond 1 MiB is refused; Lambda's may be longer.
#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let world = World::start().await;
    let body = vec![b' '; (1 << 20) + 1];
    let answer = world.call("iot", Request::new("POST", "/things/a").body(body.clone())).await;
    assert_eq!((answer.status, answer.error()), (413, "RequestEntityTooLargeException"));
    let answer = world.call("lambda", Request::new("POST", "/no/such/path").body(body)).await;
    assert_eq!(answer.status, 404);
    still_serves(&world).await;
}

/// Clients that wait for leave to send their body get it.
#[tokio::test]
async fn a_client_that_expects_100_continue_is_answered() {
    let world = World::start().await;
    let request = Request::new("POST", "/policies/a").body("{}").header("expect", "100-continue");
    let request = world.signer().sign("iot", request.host(world.port()));
    let bytes = request.bytes();
    let (head, body) = bytes.split_at(bytes.len() - 2);
    let mut stream = TcpStream::connect(("127.0.0.1", world.port())).await.unwrap();
    stream.write_all(head).await.unwrap();
    assert_eq!(read(&mut stream).await.status, 100);
    stream.write_all(body).await.unwrap();
    assert!(read(&mut stream).await.status >= 200);
}

/// One connection carries request after request.
#[tokio::test]
async fn a_connection_is_kept_alive() {
    let world = World::start().await;
    let mut stream = TcpStream::connect(("127.0.0.1", world.port())).await.unwrap();
    for _ in 0..3 {
        let request = world.signer().sign("iot", Request::new("GET", "/endpoint").host(world.port()));
        stream.write_all(&request.bytes()).await.unwrap();
        assert_eq!(read(&mut stream).await.status, 200);
    }
}

/// An operation that AWS has and we have not is named, with a status that no SDK tries again.
#[tokio::test]
async fn an_operation_that_is_missing_is_named() {
    let world = World::start().await;
    let answer = world.iot("POST", "/certificate-providers/a", Value::Null).await;
    assert_eq!((answer.status, answer.error()), (501, "NotImplementedException"));
    assert!(answer.message().starts_with("CreateCertificateProvider of iot "), "{}", answer.message());
    let answer = world.iot("GET", "/%ff/none", Value::Null).await;
    assert_eq!((answer.status, answer.error()), (404, "UnknownOperationException"));
    assert!(answer.message().contains("GET /%ff/none"), "{}", answer.message());
}

/// The server ends although a client holds its connection open.
#[tokio::test]
async fn shutdown_does_not_wait_for_idle_clients() {
    let world = World::start().await;
    let stream = TcpStream::connect(("127.0.0.1", world.port())).await.unwrap();
    still_serves(&world).await;
    tokio::time::timeout(crate::support::PATIENCE, world.handle.shutdown()).await.unwrap();
    drop(stream);
}
