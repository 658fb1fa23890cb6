//! Requests that nobody would send: no panic, no 500, and every refusal says what it is.
//!
//! A round is a world of its own and a few thousand requests that follow from one number, its seed. They begin as
//! botocore made them (`fixtures/rest-seeds.jsonl`) and are changed on every level: names, JSON, query, path, headers,
//! signature, bytes. `cargo test` runs a slice. `FLEETKEY_REST_FUZZ=1000000` in the environment asks for another
//! number of requests, `FLEETKEY_REST_FUZZ_SEED=S` for the rounds from S on; see CONTRIBUTING.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Answer, PATIENCE, World, read};

use mutate::{Draft, Seeds};
use outcomes::Outcomes;
use random::Random;

mod device;
mod mutate;
mod outcomes;
mod random;

/// Requests in the test command.
const SLICE: u64 = 20_000;
/// Requests of one world.
const ROUND: u64 = 2_500;
/// Requests after which a world is filled again.
const REFILL: u64 = 250;
/// Worlds at a time.
const ABREAST: usize = 4;

/// Panics of any thread of this process since [`watch_for_panics`].
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A server that is sent nonsense answers all of it, goes on, and blames nothing on itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_makes_the_server_fail() {
    watch_for_panics();
    let total = number("FLEETKEY_REST_FUZZ").unwrap_or(SLICE);
    let first = number("FLEETKEY_REST_FUZZ_SEED").unwrap_or(1);
    let rounds = total.div_ceil(ROUND);
    let mut running = tokio::task::JoinSet::new();
    let (mut tally, mut outcomes) = (Tally::default(), Outcomes::default());
    for seed in first..first + rounds {
        if running.len() >= ABREAST {
            let (ended, seen) = running.join_next().await.unwrap().unwrap();
            tally.add(&ended);
            outcomes.add(seen);
        }
        running.spawn(round(seed, ROUND.min(total)));
    }
    while let Some(ended) = running.join_next().await {
        let (ended, seen) = ended.unwrap();
        tally.add(&ended);
        outcomes.add(seen);
    }
    println!("{}\n{tally:?}; seeds {first} to {}", outcomes.table(), first + rounds - 1);
    println!("never succeeded: {:?}", outcomes.never_succeeded());
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "panicked, see above");
    // Nonsense alone would prove nothing: a good part must get as far as the operations.
    assert!(tally.succeeded * 40 > tally.requests, "{tally:?}");
    assert!(tally.refused * 20 > tally.requests, "{tally:?}");
    assert_eq!(
        outcomes.undocumented(),
        [""; 0],
        "add it to the operation's row in docs/local-iot-core.md, and a test"
    );
}

/// What became of the requests.
#[derive(Debug, Default)]
struct Tally {
    requests: u64,
    succeeded: u64,
    refused: u64,
    malformed: u64,
    unanswered: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.succeeded += other.succeeded;
        self.refused += other.refused;
        self.malformed += other.malformed;
        self.unanswered += other.unanswered;
    }

    /// Judges an answer.
    fn note(&mut self, answer: Option<&Answer>, draft: &Draft) -> Result<(), String> {
        self.requests += 1;
        let Some(answer) = answer else {
            self.unanswered += 1;
            return if draft.mangled { Ok(()) } else { Err("no answer".to_owned()) };
        };
        match answer.status {
            200..=299 => self.succeeded += 1,
            // What the HTTP layer refuses has no request id.
            400 | 413 | 414 | 431 if answer.header("x-amzn-requestid").is_none() => self.malformed += 1,
            400..=499 | 501 => {
                self.refused += 1;
                // The answer to HEAD has no room for a reason.
                if !draft.bytes.starts_with(b"HEAD") {
                    says_why(answer)?;
                }
            }
            status => return Err(format!("status {status}: {}", String::from_utf8_lossy(&answer.body))),
        }
        Ok(())
    }
}

/// A refusal has a name and a message, in the service's own way of writing it.
fn says_why(answer: &Answer) -> Result<(), String> {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let named = match answer.header("content-type") {
        Some(kind) if kind.contains("xml") => body.contains("<Code>") && body.contains("<Message"),
        _ => serde_json::from_str::<serde_json::Value>(&body).is_ok_and(|body| {
            let named = !answer.error().is_empty() || body.get("__type").is_some();
            named && ["message", "Message"].iter().any(|name| body[name].is_string())
        }),
    };
    if named { Ok(()) } else { Err(format!("a refusal without a reason, status {}: {body}", answer.status)) }
}

async fn round(seed: u64, requests: u64) -> (Tally, Outcomes) {
    let world = World::start().await;
    let device = device::stay(&world).await;
    let (mut random, mut seeds) = (Random::new(seed), Seeds::read());
    let (mut tally, mut connection) = (Tally::default(), None);
    let mut number = 0;
    while number < requests {
        // What was deleted comes back now and then, or all that is said soon is that nothing is there.
        let drafts = match number % REFILL {
            0 => {
                // Time passes too: thing types may be deleted, tokens and claims end.
                world.clock.advance(Duration::from_secs(300));
                seeds.good(&mut random, &world)
            }
            _ => vec![seeds.draft(&mut random, &world)],
        };
        for draft in drafts {
            let answer = match draft.mangled {
                true => alone(&world, &draft.bytes).await,
                false => kept(&world, &mut connection, &draft.bytes).await,
            };
            if let Err(why) = tally.note(answer.as_ref(), &draft) {
                let text = String::from_utf8_lossy(&draft.bytes).into_owned();
                panic!(
                    "{why}\nrequest {number} of seed {seed}: FLEETKEY_REST_FUZZ={} \
                     FLEETKEY_REST_FUZZ_SEED={seed}\n{text}",
                    number + 1
                );
            }
            seeds.learn(answer.as_ref());
        }
        number += 1;
    }
    let outcomes = Outcomes::of(&world).await;
    device.abort();
    world.handle.shutdown().await;
    (tally, outcomes)
}

/// One after the other on a connection, as long as the server keeps it.
async fn kept(world: &World, connection: &mut Option<TcpStream>, bytes: &[u8]) -> Option<Answer> {
    for _ in 0..2 {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => TcpStream::connect(("127.0.0.1", world.port())).await.unwrap(),
        };
        // A server that refuses a request early may close before it has read everything.
        let _ = stream.write_all(bytes).await;
        // An old connection may have been closed since; a second time it is new.
        if let Ok(Some(answer)) = timeout(PATIENCE, answered(&mut stream, bytes)).await {
            let closed = answer.header("connection").is_some_and(|value| value == "close");
            if !closed && answer.header("x-amzn-requestid").is_some() && !bytes.starts_with(b"HEAD") {
                *connection = Some(stream);
            }
            return Some(answer);
        }
    }
    None
}

async fn answered(stream: &mut TcpStream, request: &[u8]) -> Option<Answer> {
    stream.readable().await.ok()?;
    let mut byte = [0];
    if stream.peek(&mut byte).await.ok()? == 0 {
        return None;
    }
    if !request.starts_with(b"HEAD") {
        return Some(read(stream).await);
    }
    // The answer to HEAD has the length of a body, and none.
    let mut head = [0; 4096];
    let length = stream.read(&mut head).await.ok()?;
    let text = String::from_utf8_lossy(head.get(..length)?).into_owned();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, headers: vec![], body: vec![] })
}

/// On a connection of its own, which is closed behind it; the server may close without an answer.
async fn alone(world: &World, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", world.port())).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut whole = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut whole)).await;
    assert!(
        ended.is_ok(),
        "the server holds a connection that has ended: {}",
        String::from_utf8_lossy(bytes)
    );
    let text = String::from_utf8_lossy(&whole).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    // Several answers may follow each other when a request was cut in two; the first is judged by its status alone.
    let first = text.matches("HTTP/1.1 ").count() == 1 && status != 100;
    first.then(|| Answer { status, headers, body: body.as_bytes().to_vec() })
}

fn watch_for_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}
