//! A browser that asks for pages again and again: how long each takes, and how large it is, as parts of what it may be. Part of
//! the example `pages`, and of `boards` in `crates/testkit`.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What a page may take (the product's limits).
const TIME: Duration = Duration::from_millis(50);
const SIZE: usize = 200_000;

/// A browser that was let in.
pub(crate) struct Browser {
    address: String,
    cookie: String,
}

/// What a page took.
pub(crate) struct Figures {
    pub(crate) path: String,
    bytes: usize,
    pub(crate) median: Duration,
    worst: Duration,
}

impl Browser {
    /// Opens the one-time link.
    pub(crate) async fn open(link: &str) -> Self {
        let (address, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut browser = Self { address: address.to_owned(), cookie: String::new() };
        let answer = browser.get(&format!("/{path}")).await;
        let set =
            answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("the link is good");
        browser.cookie = set.split(';').next().unwrap().to_owned();
        browser
    }

    /// Asks for a page, or sends a form there, so many times; `None` where there is no such page.
    pub(crate) async fn measure(&self, path: &str, form: &str, rounds: usize) -> Option<Figures> {
        let (mut spans, mut bytes) = (Vec::new(), 0);
        for _ in 0..rounds {
            let begun = Instant::now();
            let answer = self.ask(path, form).await;
            spans.push(begun.elapsed());
            bytes = if answer.starts_with("HTTP/1.1 200") { answer.len() } else { 0 };
        }
        spans.sort();
        let form = if form.is_empty() { String::new() } else { format!(" {form}") };
        let path = format!("{path}{form}");
        let (median, worst) = (spans[rounds / 2], spans[rounds - 1]);
        (bytes > 0).then_some(Figures { path, bytes, median, worst })
    }

    /// What a list's first entry is called, in an address.
    pub(crate) async fn first(&self, list: &str) -> String {
        let page = self.get(list).await;
        let link = page.split(&format!("<a href=\"{list}/")).nth(1).and_then(|rest| rest.split('"').next());
        link.unwrap_or("none").to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        self.ask(path, "").await
    }

    async fn ask(&self, path: &str, form: &str) -> String {
        let mut answer = String::new();
        self.send(path, form).await.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub(crate) async fn send(&self, path: &str, form: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let Self { address, cookie } = self;
        let kept = if path.starts_with("/events") { "keep-alive" } else { "close" };
        let (method, length) = (if form.is_empty() { "GET" } else { "POST" }, form.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\naccept: text/html\r\nsec-fetch-site: same-origin\r\n\
             content-length: {length}\r\nconnection: {kept}\r\n\r\n{form}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

impl Figures {
    /// What the columns are.
    pub(crate) const HEAD: &str =
        "page                                                     bytes of max     median     worst of max";

    /// Whether it takes more than it may, usually.
    pub(crate) fn is_above(&self) -> bool {
        self.bytes >= SIZE || self.median >= TIME
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, bytes, median, worst } = self;
        let of = millis(*median) / millis(TIME);
        write!(
            f,
            "{path:<52.52} {bytes:>9} {:>6.2}  {:>6.2} ms {:>6.2} ms {of:>6.2}",
            ratio(*bytes, SIZE),
            millis(*median),
            millis(*worst)
        )
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole).unwrap())
}

pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
