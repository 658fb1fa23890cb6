//! Just enough of HTTP/1.1 to read one answer.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;

/// An answer of the server.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header, named in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The exception's name as botocore reads it.
    pub(crate) fn error(&self) -> &str {
        self.header("x-amzn-errortype").unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Fails the test unless the operation succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.status < 300, "{} {}: {}", self.status, self.error(), self.text());
        self
    }
}

/// Sends bytes on a connection of their own and reads one answer.
pub(crate) async fn exchange(port: u16, bytes: &[u8]) -> Answer {
    let whole = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // A server that refuses a long request may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        read(&mut stream).await
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("an answer in time")
}

/// Reads one answer.
pub(crate) async fn read(stream: &mut TcpStream) -> Answer {
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0, "closed without an answer");
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<_> = lines.map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = buffer.split_off(end + 4);
    while body.len() < length {
        assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0, "closed within an answer");
    }
    Answer { status, headers, body }
}
