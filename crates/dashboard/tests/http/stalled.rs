//! Connections on which nothing moves: whoever reads nothing of what it asked for is let go, whoever only has nothing to hear of
//! is not. Here the time is the tests' own: it passes when nobody has anything to do.

use std::time::Duration;

use fleetkey_model::name::ThingName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::Bench;

/// As long as the dashboard waits for somebody who takes nothing.
const STALL: Duration = Duration::from_secs(30);
/// As many connections as one address may have.
const EACH: usize = 128;

/// Asks and asks, and reads nothing, until it is cut off.
async fn greedy(address: std::net::SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let asked = format!("GET /assets/x HTTP/1.1\r\nhost: {address}\r\n\r\n").repeat(64);
    while stream.write_all(asked.as_bytes()).await.is_ok() {}
}

#[tokio::test]
async fn whoever_asks_and_reads_nothing_keeps_others_out_for_half_a_minute_only() {
    let bench = Bench::start().await;
    let mut all = JoinSet::new();
    for _ in 0..EACH {
        all.spawn(greedy(bench.address));
    }
    tokio::time::pause();
    let begun = Instant::now();
    let first = tokio::time::timeout(STALL * 10, all.join_next()).await;
    first.expect("the first is cut off in time").unwrap().unwrap();
    assert!(begun.elapsed() >= STALL, "whoever reads has {STALL:?}: {:?}", begun.elapsed());
    tokio::time::timeout(STALL * 10, all.join_all()).await.expect("the others, too");
    assert_eq!(bench.get("/login", &[]).await.status, 200, "there is room again");
}

#[tokio::test]
async fn a_stream_that_is_read_stays_open_however_long_nothing_happens() {
    let bench = Bench::start().await;
    let session = bench.session().await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let asked = format!("GET /events HTTP/1.1\r\nhost: {}\r\ncookie: {session}\r\n\r\n", bench.address);
    stream.write_all(asked.as_bytes()).await.unwrap();
    tokio::time::pause();
    let (begun, mut chunk) = (Instant::now(), [0; 4096]);
    while begun.elapsed() < Duration::from_secs(3600) {
        assert!(stream.read(&mut chunk).await.unwrap() > 0, "it has ended after {:?}", begun.elapsed());
    }
    bench.hub.tell("link", Some(ThingName::new("pump-000001").unwrap()));
    let count = stream.read(&mut chunk).await.unwrap();
    assert!(String::from_utf8_lossy(&chunk[..count]).contains("pump-000001"));
}
