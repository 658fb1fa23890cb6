//! A dashboard on a port of its own over a fleet that is made up, a client that sends what it is told, and a clock
//! that stands until it is moved.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleetkey_dashboard::access::{Access, Scope, Token};
use fleetkey_dashboard::hub::Hub;
use fleetkey_dashboard::server::{Dashboard, Parts, StartError, Tls};
use fleetkey_model::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use fleet::{NOW, Sample};
pub(crate) use paths::{pages, questions};
pub(crate) use toy::Toy;

mod certificate;
mod fleet;
mod paths;
mod toy;

/// However busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const OPERATOR: &str = "an operator's token";
pub(crate) const AUDITOR: &str = "an auditor's token";
pub(crate) const ADMIN: &str = "an admin's token";

pub(crate) struct Bench {
    pub(crate) dashboard: Dashboard,
    pub(crate) hub: Arc<Hub>,
    pub(crate) fleet: Arc<Sample>,
    pub(crate) address: SocketAddr,
    millis: Arc<AtomicU64>,
}

impl Bench {
    /// With a token each for an operator and an auditor.
    pub(crate) async fn start() -> Self {
        Self::with(Sample::small(), access()).await
    }

    pub(crate) async fn with(fleet: Sample, access: Access) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, fleet, access, None).unwrap()
    }

    /// On a listener, with TLS or without.
    pub(crate) fn on(
        listener: TcpListener,
        fleet: Sample,
        access: Access,
        tls: Option<Tls>,
    ) -> Result<Self, StartError> {
        Self::of(listener, fleet, (access, tls), Some(Arc::new(Toy::default())))
    }

    /// As a controller has it.
    pub(crate) async fn without_bench() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::of(listener, Sample::small(), (access(), None), None).unwrap()
    }

    fn of(
        listener: TcpListener,
        fleet: Sample,
        (access, tls): (Access, Option<Tls>),
        bench: Option<Arc<dyn fleetkey_dashboard::bench::Bench>>,
    ) -> Result<Self, StartError> {
        let (hub, fleet) = (Arc::new(Hub::new()), Arc::new(fleet));
        let millis = Arc::new(AtomicU64::new(NOW.as_millis()));
        let read = millis.clone();
        let clock = Arc::new(move || Timestamp::from_millis(read.load(Ordering::SeqCst)));
        let parts = Parts { fleet: fleet.clone(), bench, hub: hub.clone(), clock };
        let dashboard = match tls {
            Some(tls) => Dashboard::start_tls(listener, tls, parts, access),
            None => Dashboard::start(listener, parts, access),
        }?;
        let address = dashboard.address();
        Ok(Self { dashboard, hub, fleet, address, millis })
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.millis.fetch_add(u64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The cookie that the one-time link gives.
    pub(crate) async fn session(&self) -> String {
        let path = self.dashboard.url().strip_prefix(&format!("http://{}", self.address)).unwrap().to_owned();
        self.get(&path, &[]).await.cookie()
    }

    /// The cookie that a login with this token gives.
    pub(crate) async fn login(&self, token: &str) -> String {
        let form = format!("token={}", token.replace(' ', "+"));
        self.send("POST", "/login", &[("sec-fetch-site", "same-origin")], &form).await.cookie()
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers, "").await
    }

    /// A page, as a browser that was let in asks for it.
    pub(crate) async fn page(&self, path: &str, session: &str) -> Reply {
        self.get(path, &[("cookie", session), ("accept", "text/html")]).await
    }

    /// A form that a page of ours sends.
    pub(crate) async fn post(&self, path: &str, session: &str, form: &str) -> Reply {
        let headers = [("cookie", session), ("sec-fetch-site", "same-origin")];
        self.send("POST", path, &headers, form).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.push_str(&format!("host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()));
        self.raw(request.as_bytes()).await
    }

    pub(crate) async fn raw(&self, request: &[u8]) -> Reply {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        };
        Reply::parse(&tokio::time::timeout(PATIENCE, exchange).await.expect("an answer within a minute"))
    }

    /// Sends a request, and is gone once `seen` has come.
    pub(crate) async fn abandoned<T>(&self, request: &[u8], seen: impl Future<Output = T>) -> T {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        tokio::time::timeout(PATIENCE, seen).await.expect("it was seen within a minute")
    }

    /// An open stream of events.
    pub(crate) async fn events(&self, path: &str, headers: &[(&str, &str)]) -> Events {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        Events { stream, seen: String::new() }
    }
}

pub(crate) fn access() -> Access {
    let tokens = vec![
        Token::new("script", Scope::Operator, OPERATOR),
        Token::new("reader", Scope::Auditor, AUDITOR),
        Token::new("head", Scope::Admin, ADMIN),
    ];
    Access { tokens, ..Access::default() }
}

pub(crate) struct Events {
    stream: TcpStream,
    seen: String,
}

impl Events {
    /// Reads until `text` has come, and returns everything so far.
    pub(crate) async fn until(&mut self, text: &str) -> &str {
        let read = async {
            while !self.seen.contains(text) {
                let mut chunk = [0; 4096];
                let count = self.stream.read(&mut chunk).await.unwrap();
                assert!(count > 0, "the stream ended before {text:?}: {}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("{text:?} did not come"));
        &self.seen
    }

    /// Reads until the server ends it.
    pub(crate) async fn end(mut self) -> String {
        let mut rest = Vec::new();
        let read = self.stream.read_to_end(&mut rest);
        tokio::time::timeout(PATIENCE, read).await.expect("the stream ends within a minute").unwrap();
        self.seen + &String::from_utf8_lossy(&rest)
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn parse(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).map_or(0, |code| code.parse().unwrap());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The session that was set, as the browser sends it back.
    pub(crate) fn cookie(&self) -> String {
        let set = self.header("set-cookie");
        assert!(!set.is_empty(), "no cookie was set: {self:?}");
        set.split(';').next().unwrap().to_owned()
    }
}
