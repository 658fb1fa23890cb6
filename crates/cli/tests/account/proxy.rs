//! A loopback proxy between a command and the account: writes down each call, and can keep one of them in its hand,
//! before the account has seen it or before the command sees the answer.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// On which side of its effect a call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The account has not seen it.
    Before,
    /// The account has done it and answered; the command has not seen the answer.
    After,
}

/// Which call is held: counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) at: usize,
    pub(crate) side: Side,
}

/// What becomes of the calls whose [`Call::what`] holds a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    /// The first is held before the account has seen it.
    Held(&'static str),
    /// The first is held before the account has seen it, until [`Proxy::release`].
    Delayed(&'static str),
    /// Each is answered as IAM does where the caller lacks this action.
    Refused(&'static str, &'static str),
    /// Each is answered with this JSON.
    Answered(&'static str, &'static str),
    /// So many of them are answered as AWS does beyond the account's rate.
    Throttled(&'static str, usize),
}

/// A call as it went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Method and path, and what else tells the operation: `Action` or `X-Amz-Target`.
    pub(crate) what: String,
    /// Region and service of the signature's scope.
    pub(crate) region: String,
}

/// The proxy; it lives as long as its process, or until nobody dials it any more.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    held: Receiver<()>,
    release: Sender<()>,
}

struct Shared {
    upstream: SocketAddr,
    stop: Option<Stop>,
    meant: Option<Meant>,
    calls: Mutex<Vec<Call>>,
    held: Sender<()>,
    go_on: Mutex<Option<Receiver<()>>>,
}

/// One message of HTTP/1.1, as it came.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `upstream`, but for the call to stop at.
    pub(crate) fn start(upstream: SocketAddr, stop: Option<Stop>) -> Self {
        Self::with(upstream, stop, None)
    }

    /// Holds the first call that has this in its line, before the account has seen it.
    pub(crate) fn holding(upstream: SocketAddr, line: &'static str) -> Self {
        Self::with(upstream, None, Some(Meant::Held(line)))
    }

    /// Holds the first call that has this in its line until it is released.
    pub(crate) fn delaying(upstream: SocketAddr, line: &'static str) -> Self {
        Self::with(upstream, None, Some(Meant::Delayed(line)))
    }

    /// Refuses every call that has this in its line, as IAM does to whoever lacks `action`.
    pub(crate) fn refusing(upstream: SocketAddr, line: &'static str, action: &'static str) -> Self {
        Self::with(upstream, None, Some(Meant::Refused(line, action)))
    }

    /// Answers every call that has this in its line with this JSON, in the account's place.
    pub(crate) fn answering(upstream: SocketAddr, line: &'static str, body: &'static str) -> Self {
        Self::with(upstream, None, Some(Meant::Answered(line, body)))
    }

    /// Throttles the first `count` calls that have this in their line.
    pub(crate) fn throttling(upstream: SocketAddr, line: &'static str, count: usize) -> Self {
        Self::with(upstream, None, Some(Meant::Throttled(line, count)))
    }

    fn with(upstream: SocketAddr, stop: Option<Stop>, meant: Option<Meant>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, held) = channel();
        let (release, go_on) = channel();
        let go_on = Mutex::new(Some(go_on));
        let shared = Arc::new(Shared { upstream, stop, meant, calls: Mutex::default(), held: tell, go_on });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if Arc::strong_count(&accepting) == 1 {
                    return;
                }
                let shared = accepting.clone();
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Self { address, shared, held, release }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls so far, the held one included.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// Passes the delayed call on.
    pub(crate) fn release(&self) {
        self.release.send(()).unwrap();
    }

    /// Is told when the call is held.
    pub(crate) fn held(&self) -> &Receiver<()> {
        &self.held
    }
}

impl Drop for Proxy {
    /// Lets the accepting thread see that nobody needs it.
    fn drop(&mut self) {
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) {
        let mut client = BufReader::new(client);
        let mut account = BufReader::new(TcpStream::connect(self.upstream).unwrap());
        while let Some(request) = Message::read(&mut client) {
            let at = self.enter(&request);
            let held = |side| self.stop == Some(Stop { at, side });
            let what = request.call().what;
            if let Some(refusal) = self.refusal(&what) {
                refusal.write(client.get_mut());
                continue;
            }
            if let Some(Meant::Answered(line, body)) = self.meant
                && what.contains(line)
            {
                Message::answer("200 OK", "", body.to_owned()).write(client.get_mut());
                continue;
            }
            if matches!(self.meant, Some(Meant::Delayed(line)) if what.contains(line)) {
                self.delay();
            }
            let meant = matches!(self.meant, Some(Meant::Held(line)) if what.contains(line));
            if meant || held(Side::Before) {
                return self.hold(&mut client);
            }
            request.write(account.get_mut());
            let answer = Message::read(&mut account).expect("the account hung up");
            if held(Side::After) {
                return self.hold(&mut client);
            }
            answer.write(client.get_mut());
        }
    }

    /// The answer to a call that the account is not to see.
    fn refusal(&self, what: &str) -> Option<Message> {
        match self.meant {
            Some(Meant::Refused(line, action)) => what.contains(line).then(|| Message::refusal(action)),
            Some(Meant::Throttled(line, count)) if what.contains(line) => {
                let calls = self.calls.lock().unwrap();
                let so_far = calls.iter().filter(|call| call.what.contains(line)).count();
                (so_far <= count).then(Message::throttle)
            }
            _ => None,
        }
    }

    fn enter(&self, request: &Message) -> usize {
        let mut calls = self.calls.lock().unwrap();
        calls.push(request.call());
        calls.len() - 1
    }

    /// Says that the call is in hand, and keeps it until it is released; further ones pass.
    fn delay(&self) {
        if let Some(go_on) = self.go_on.lock().unwrap().take() {
            self.held.send(()).unwrap();
            let _ = go_on.recv();
        }
    }

    /// Says that the call is in hand, and keeps it until the caller is gone.
    fn hold(&self, client: &mut BufReader<TcpStream>) {
        self.held.send(()).unwrap();
        while client.read(&mut [0; 1]).is_ok_and(|read| read > 0) {}
    }
}

impl Message {
    /// The next message; `None` when the other side has hung up.
    fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match stream.read_line(&mut head) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
        let message = Self { head, body: Vec::new() };
        assert_eq!(message.header("transfer-encoding"), None, "lengths are known on both sides");
        let length = message.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        Some(Self { body, ..message })
    }

    /// IAM's answer to whoever lacks an action.
    fn refusal(action: &str) -> Self {
        let body = format!(
            "{{\"message\":\"User: arn:aws:iam::000000000000:user/fleetkey is not authorized to perform: {action}\"}}"
        );
        Self::answer("403 Forbidden", "x-amzn-errortype: AccessDeniedException\r\n", body)
    }

    /// AWS's answer beyond the account's rate.
    fn throttle() -> Self {
        let body = "{\"message\":\"Rate exceeded\"}".to_owned();
        Self::answer("429 Too Many Requests", "x-amzn-errortype: ThrottlingException\r\n", body)
    }

    fn answer(status: &str, fields: &str, body: String) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\n{fields}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self { head, body: body.into_bytes() }
    }

    /// Whoever was killed reads nothing any more.
    fn write(&self, stream: &mut TcpStream) {
        let _ = stream.write_all(self.head.as_bytes()).and_then(|()| stream.write_all(&self.body));
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn call(&self) -> Call {
        let line = self.head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
        let form = String::from_utf8_lossy(&self.body);
        let action = form.split('&').find_map(|field| field.strip_prefix("Action="));
        let target = self.header("x-amz-target");
        let what = format!("{line} {}", action.or(target).unwrap_or_default()).trim_end().to_owned();
        // Credential=AKID/20261122/us-east-1/iot/aws4_request
        let scope = self.header("authorization").unwrap_or_default();
        let region = scope.split('/').nth(2).unwrap_or_default().to_owned();
        Call { what, region }
    }
}
