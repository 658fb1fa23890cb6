//! Whoever follows what a controller hears, by its API: how long each event took. Part of the example `events`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_model::time::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A stream that is open.
pub(crate) struct Follower {
    seen: Arc<AtomicU64>,
    reading: JoinHandle<()>,
    taken: tokio::sync::mpsc::Receiver<Taken>,
}

/// An event that it has seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// The broker's time of it.
    pub(crate) at: Timestamp,
    /// How long it took to here, in milliseconds.
    pub(crate) lag: u64,
}

/// More than there are.
const MOST: usize = 1 << 20;

impl Follower {
    /// Follows from now on.
    pub(crate) async fn start(url: &str, token: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // By HTTP/1.0 the answer comes as it is, not in chunks.
        let request = format!(
            "GET /api/v1/events HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next_line().await.unwrap().unwrap();
        assert!(status.contains(" 200 "), "{status}");
        let seen = Arc::new(AtomicU64::new(0));
        let (tell, taken) = tokio::sync::mpsc::channel(MOST);
        let counted = seen.clone();
        let reading = tokio::spawn(async move {
            let mut is_presence = false;
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(kind) = line.strip_prefix("event: ") {
                    assert_ne!(kind, "missed", "the follower is too slow");
                    is_presence = matches!(kind, "connected" | "disconnected");
                }
                let data = line.strip_prefix("data: ").filter(|_| is_presence);
                if let Some(taken) = data.and_then(Taken::of) {
                    tell.try_send(taken).unwrap();
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { seen, reading, taken }
    }

    /// How many events it has seen.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Ends it: all that it has seen, in the order in which it came.
    pub(crate) fn end(mut self) -> Vec<Taken> {
        self.reading.abort();
        std::iter::from_fn(|| self.taken.try_recv().ok()).collect()
    }
}

impl Taken {
    /// One of a device that has come now: the broker's clock is this machine's. That its own connections have ended a controller
    /// hears from the one before, when that was stopped.
    fn of(data: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(data).unwrap();
        let at = serde_json::from_value(event["at"].clone()).unwrap();
        let is_device = event["client"].as_str().unwrap().starts_with("press-");
        is_device.then(|| Self { at, lag: u64::try_from(SystemClock.now().since(at).as_millis()).unwrap() })
    }
}
