//! From a request of botocore's to one that nobody would send.

use serde_json::{Value, json};

use crate::support::{Answer, Request, World};

use super::random::Random;

/// Where a seed names a certificate.
const PLACEHOLDER: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
/// Operations that cost a new key, which is most of a second.
const COSTLY: [&str; 2] = ["CreateKeysAndCertificate", "CreateProvisioningClaim"];
/// Text that is trouble somewhere.
const TEXTS: [&str; 24] = [
    "",
    " ",
    "*",
    "..",
    "/",
    "%",
    "%2",
    "%00",
    "%ff",
    "%2F..%2F",
    "a b",
    "\u{0}",
    "\r\nx: y",
    "ü",
    "\u{1f980}",
    "\u{202e}",
    "null",
    "-1",
    "99999999999999999999",
    "1e999",
    "${iot:ClientId}",
    "arn:aws:iot:us-east-1:123456789012:cert/",
    "arn:aws:::::",
    "{\"a\":",
];
const METHODS: [&str; 8] = ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"];
const SERVICES: [&str; 10] =
    ["iot", "iotdata", "iotdevicegateway", "iam", "sts", "lambda", "logs", "servicequotas", "s3", ""];

/// A request as it travels.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) bytes: Vec<u8>,
    /// Whether it may be no HTTP at all any more.
    pub(super) mangled: bool,
}

/// What requests start from.
#[derive(Debug)]
pub(super) struct Seeds {
    seeds: Vec<Seed>,
    certificates: Vec<String>,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Seed {
    service: String,
    name: String,
    method: String,
    target: String,
    headers: std::collections::BTreeMap<String, String>,
    body: String,
    /// Whether it makes what the others are about.
    #[serde(default)]
    good: bool,
}

impl Seeds {
    pub(super) fn read() -> Self {
        let lines = include_str!("../../fixtures/rest-seeds.jsonl").lines();
        Self { seeds: lines.map(|line| serde_json::from_str(line).unwrap()).collect(), certificates: vec![] }
    }

    /// Remembers the certificates that were made last.
    pub(super) fn learn(&mut self, answer: Option<&Answer>) {
        let body = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
        let id = body.as_ref().and_then(|body| body.get("certificateId")?.as_str());
        if let Some(id) = id.filter(|id| id.len() == PLACEHOLDER.len()) {
            self.certificates.push(id.to_owned());
        }
        if self.certificates.len() > 4 {
            self.certificates.remove(0);
        }
    }

    /// The requests that fill an account, as they were made; what was there before refuses some of them.
    pub(super) fn good(&self, random: &mut Random, world: &World) -> Vec<Draft> {
        let makes =
            |seed: &&Seed| seed.good && !["De", "Un"].iter().any(|start| seed.name.starts_with(start));
        let seeds: Vec<_> = self.seeds.iter().filter(makes).cloned().collect();
        seeds.into_iter().map(|seed| self.filled(seed, random).draft(world)).collect()
    }

    /// The next request.
    pub(super) fn draft(&mut self, random: &mut Random, world: &World) -> Draft {
        let mut seed = random.choose(&self.seeds).clone();
        while COSTLY.contains(&seed.name.as_str()) && !random.once_in(20) {
            seed = random.choose(&self.seeds).clone();
        }
        self.filled(seed, random).spoiled(random, world)
    }

    /// With a certificate that exists, or did.
    fn filled(&self, mut seed: Seed, random: &mut Random) -> Seed {
        if !self.certificates.is_empty() {
            let id = random.choose(&self.certificates);
            seed.target = seed.target.replace(PLACEHOLDER, id);
            seed.body = seed.body.replace(PLACEHOLDER, id);
            seed.headers.values_mut().for_each(|value| *value = value.replace(PLACEHOLDER, id));
        }
        seed
    }
}

impl Seed {
    /// The request as it is, signed as it should be.
    fn draft(self, world: &World) -> Draft {
        let service = self.service.clone();
        let request = self.request().host(world.port());
        Draft { bytes: world.signer().sign(&service, request).bytes(), mangled: false }
    }

    fn request(self) -> Request {
        let request = Request {
            method: self.method,
            target: self.target,
            headers: vec![],
            body: self.body.into_bytes(),
        };
        let name = |name: &str| name.to_ascii_lowercase();
        self.headers.iter().fold(request, |request, (header, value)| request.header(&name(header), value))
    }

    /// Changes some levels of the request, signs it (mostly), and sometimes changes its bytes after that.
    fn spoiled(mut self, random: &mut Random, world: &World) -> Draft {
        // Most requests without a body stay so, or all that is read in them is that it cannot be read.
        if random.once_in(if self.body.is_empty() { 20 } else { 2 }) {
            self.body = spoiled_json(&self.body, random);
        }
        let service = self.service.clone();
        let mut request = self.request();
        match random.below(8) {
            0 => request.target = spoiled_target(&request.target, random),
            1 => request.method = (*random.choose(&METHODS)).to_owned(),
            2 => spoil_headers(&mut request, random),
            3 if !request.body.is_empty() => spoil_bytes(&mut request.body, random),
            _ => {}
        }
        let service = if random.once_in(40) { (*random.choose(&SERVICES)).to_owned() } else { service };
        let request = signed(request.host(world.port()), &service, random, world);
        let mut bytes = request.bytes();
        let mangled = random.once_in(15);
        if mangled {
            spoil_bytes(&mut bytes, random);
        }
        // Line breaks in a target or a header are no longer the request that was meant.
        let mangled = mangled || !well_formed(&request);
        Draft { bytes, mangled }
    }
}

/// Whether the server must take it for one request of HTTP.
fn well_formed(request: &Request) -> bool {
    let visible = |text: &str| text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
    let target = request.target.bytes().all(|byte| byte > b' ' && byte < 0x7f);
    target
        && request.target.starts_with('/')
        && request.headers.iter().all(|(name, value)| !name.is_empty() && visible(value))
}

/// A node of the JSON becomes another, or the text becomes none.
fn spoiled_json(body: &str, random: &mut Random) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        // A form: one value of it.
        let mut pairs: Vec<String> = body.split('&').map(str::to_owned).collect();
        let at = random.below(pairs.len());
        let name = pairs[at].split('=').next().unwrap_or_default().to_owned();
        pairs[at] = match random.below(4) {
            0 => name,
            1 => format!("{name}=%"),
            2 => format!("{}&{}", pairs[at], pairs[at]),
            _ => format!("{name}={}", random.choose(&TEXTS)),
        };
        return pairs.join("&");
    };
    for _ in 0..=random.below(2) {
        spoil(&mut value, random);
    }
    let text = value.to_string();
    match random.below(12) {
        0 => text.chars().take(random.below(text.len() + 1)).collect(),
        1 => format!("{text}{text}"),
        2 => text.replacen('{', "{\"a\":1,\"a\":2,", 1),
        3 => format!("{}{text}{}", "[".repeat(2_000), "]".repeat(2_000)),
        _ => text,
    }
}

fn spoil(value: &mut Value, random: &mut Random) {
    match value {
        Value::Object(members) if !members.is_empty() && !random.once_in(8) => {
            let name = members.keys().nth(random.below(members.len())).cloned().unwrap();
            match random.below(6) {
                0 => drop(members.remove(&name)),
                1 => drop(members.insert(name.to_uppercase(), json!("x"))),
                _ => spoil(members.get_mut(&name).unwrap(), random),
            }
        }
        Value::Array(items) if !items.is_empty() && !random.once_in(4) => {
            let at = random.below(items.len());
            spoil(&mut items[at], random);
        }
        // A document within the document: policies, templates.
        Value::String(text) if text.starts_with('{') && !random.once_in(3) => {
            *text = spoiled_json(text, random);
        }
        _ => *value = other(random),
    }
}

fn other(random: &mut Random) -> Value {
    match random.below(12) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1.5e300),
        5 => json!([]),
        6 => json!({}),
        7 => json!([[["x"]], {"a": null}]),
        8 => json!("x".repeat(1 << random.below(16))),
        _ => json!(random.choose(&TEXTS)),
    }
}

fn spoiled_target(target: &str, random: &mut Random) -> String {
    let text = random.choose(&TEXTS);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match random.below(7) {
        0 => format!("{target}{text}"),
        1 => format!("{}/{text}", path.rsplit_once('/').map_or("", |(head, _)| head)),
        2 => format!("{path}?pageSize={text}&maxResults={text}&marker={text}&nextToken={text}"),
        3 => format!("{path}?{query}&{query}&={text}&{text}"),
        4 => path.replacen('/', "//", 2),
        5 => format!("{path}/{}", "a/".repeat(200)),
        _ => format!(
            "{path}?{}={text}",
            ["setAsActive", "thingPrincipalType", "newStatus", "recursive", "qos"][random.below(5)]
        ),
    }
}

fn spoil_headers(request: &mut Request, random: &mut Random) {
    let text = *random.choose(&TEXTS);
    let name = [
        "x-amzn-principal",
        "x-amzn-iot-principal",
        "content-type",
        "x-amz-target",
        "x-amz-tagging",
        "x-amz-mqtt5-user-properties",
    ][random.below(6)];
    match random.below(4) {
        0 if !request.headers.is_empty() => {
            let at = random.below(request.headers.len());
            request.headers[at].1 = text.to_owned();
        }
        1 => request.headers.clear(),
        2 => (0..120).for_each(|number| request.headers.push((format!("x-{number}"), "y".into()))),
        _ => request.headers.push((name.to_owned(), text.to_owned())),
    }
}

/// Some bytes are flipped, taken out or put in.
fn spoil_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
            _ if random.once_in(4) => bytes.truncate(at),
            _ => bytes[at] = b"\r\n\0 :/%\xff"[random.below(8)],
        }
    }
}

/// Signs, mostly as one should.
fn signed(request: Request, service: &str, random: &mut Random, world: &World) -> Request {
    let mut signer = world.signer();
    match random.below(60) {
        0 => return request,
        1 => signer.secret.push('x'),
        2 => signer.access_key = (*random.choose(&TEXTS)).to_owned(),
        3 => signer.now = signer.now + std::time::Duration::from_secs(3600),
        4 => signer.region = (*random.choose(&TEXTS)).to_owned(),
        5 => signer.token = Some((*random.choose(&TEXTS)).to_owned()),
        _ => {}
    }
    let mut request = signer.sign(service, request);
    if random.once_in(40)
        && let Some((_, value)) = request.headers.iter_mut().find(|(name, _)| name == "authorization")
    {
        let mut bytes = value.clone().into_bytes();
        spoil_bytes(&mut bytes, random);
        *value = String::from_utf8_lossy(&bytes).into_owned();
    }
    request
}
