//! A signer of our own for the tests: Signature Version 4 in the Authorization header.

use aws_lc_rs::{digest, hmac};
use fleetkey_model::time::Timestamp;

/// A request before it is bytes.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With the query string, encoded.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A form, as Query services take it.
    pub(crate) fn form(form: &str) -> Self {
        let request = Self::new("POST", "/").body(form);
        request.header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
    }

    pub(crate) fn host(self, port: u16) -> Self {
        if self.headers.iter().any(|(name, _)| name == "host") {
            return self;
        }
        self.header("host", &format!("127.0.0.1:{port}"))
    }

    /// The request as it travels.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        [head.as_bytes(), &self.body].concat()
    }
}

/// Who signs, and when.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) region: String,
    pub(crate) now: Timestamp,
    pub(crate) token: Option<String>,
}

impl Signer {
    /// The request with its signature; every header that it has is signed.
    pub(crate) fn sign(&self, service: &str, request: Request) -> Request {
        let date = self.date();
        let mut request = request.header("x-amz-date", &date);
        if let Some(token) = &self.token {
            request = request.header("x-amz-security-token", token);
        }
        let (canonical, signed) = canonical(&request);
        let scope = format!("{}/{}/{service}/aws4_request", &date[..8], self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [&date[..8], &self.region, service, "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        let signature = hex(&mac(&key, to_sign.as_bytes()));
        let credential = format!("{}/{scope}", self.access_key);
        request.header(
            "authorization",
            &format!(
                "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
            ),
        )
    }

    fn date(&self) -> String {
        let text = self.now.to_string();
        let text = text.split('.').next().unwrap();
        format!("{}Z", text.replace(['-', ':'], ""))
    }
}

fn canonical(request: &Request) -> (String, String) {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut pairs: Vec<String> =
        query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    pairs.sort();
    let mut headers = request.headers.clone();
    headers.sort();
    let signed: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let signed = signed.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let path = path.replace('%', "%25");
    let hash = sha256(&request.body);
    (format!("{}\n{path}\n{}\n{lines}\n{signed}\n{hash}", request.method, pairs.join("&")), signed)
}

fn sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
