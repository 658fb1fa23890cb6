//! Management events: each mutating call of the control plane as one line of JSON, in the shape of CloudTrail's
//! records (CloudTrail User Guide, "record contents").
//!
//! Secrets never get into it: members that hold one are left out by name, and text with a private key in it by what
//! it says. Calls of the data plane are not management events, as with AWS.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fleetkey_model::arn::Scope;
use fleetkey_model::time::Timestamp;
use serde_json::{Map, Value, json};

use super::context::{Caller, RequestId};
use super::refusal::Refusal;
use super::reply::{Content, Reply};
use super::service::Service;

/// How long the file grows before the next one begins, and how many old ones are kept.
const FILE_BYTES: u64 = 10 << 20;
const KEPT: u32 = 4;
/// What CloudTrail leaves out when it is longer.
const MAX_MEMBERS: usize = 100 * 1024;
/// What CloudTrail writes in place of secrets.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";
/// Operations of other services that CloudTrail counts among the data events.
const DATA_EVENTS: [&str; 2] = ["Invoke", "PutLogEvents"];
/// Members, in lower case, whose value is a secret, or code that may hold one.
const SECRETS: [&str; 9] = [
    "privatekey",
    "secretaccesskey",
    "sessiontoken",
    "certificateownershiptoken",
    "zipfile",
    "environment",
    "payload",
    "code",
    "password",
];

/// A call that was answered.
pub(super) struct Call<'a> {
    pub(super) service: Service,
    pub(super) name: &'static str,
    pub(super) members: &'a Map<String, Value>,
    pub(super) outcome: &'a Result<Reply, Refusal>,
    pub(super) caller: &'a Caller,
    pub(super) request: &'a RequestId,
    pub(super) now: Timestamp,
    pub(super) source: std::net::IpAddr,
    pub(super) user_agent: &'a str,
}

/// The log of management events.
#[derive(Debug)]
pub(super) struct Trail {
    path: PathBuf,
    scope: Scope,
    file: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

impl Trail {
    /// The log in `events/` of a data directory; its file is made with the first event.
    pub(super) fn new(data_dir: &Path, scope: Scope) -> Self {
        Self { path: data_dir.join("events/management.jsonl"), scope, file: Mutex::new(None) }
    }

    /// Notes a call, if it is one that changes something. A log that cannot be written stops nobody; it says so.
    pub(super) fn note(&self, call: &Call<'_>) {
        if call.service == Service::IotData || DATA_EVENTS.contains(&call.name) || is_read_only(call.name) {
            return;
        }
        let mut line = self.record(call).to_string();
        line.push('\n');
        // A page-cache write of a line is shorter than handing it to another thread; nothing is synced here.
        if let Err(error) = self.append(line.as_bytes()) {
            tracing::error!(%error, path = %self.path.display(), "a management event cannot be written");
        }
    }

    /// The last `count` events, the oldest first. Blocks.
    pub(super) fn last(&self, count: usize) -> io::Result<Vec<Value>> {
        let mut events = Vec::new();
        for path in [self.older(1), self.path.clone()] {
            match File::open(&path) {
                Ok(file) => {
                    for line in BufReader::new(file).split(b'\n') {
                        // A line that a crash has cut short is no event, and perhaps no text.
                        events.extend(serde_json::from_slice::<Value>(&line?).ok());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(events.split_off(events.len().saturating_sub(count)))
    }

    fn record(&self, call: &Call<'_>) -> Value {
        let time = call.now.to_string();
        let second = time.split('.').next().unwrap_or(&time);
        let mut record = json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": if call.caller.arn.contains(":assumed-role/") { "AssumedRole" } else { "IAMUser" },
                "principalId": call.caller.principal_id,
                "arn": call.caller.arn,
                "accountId": call.caller.account,
                "accessKeyId": call.caller.access_key,
            },
            "eventTime": format!("{second}Z"),
            "eventSource": format!("{}.amazonaws.com", call.service.signing_name()),
            "eventName": call.name,
            "awsRegion": self.scope.region,
            "sourceIPAddress": call.source.to_string(),
            "userAgent": call.user_agent,
            "requestParameters": bounded(redacted(&Value::Object(call.members.clone()))),
            "responseElements": null,
            "requestID": call.request.as_str(),
            "eventID": RequestId::random().as_str(),
            "readOnly": false,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": self.scope.account,
            "eventCategory": "Management",
        });
        let outcome = match call.outcome {
            Ok(Reply { content: Content::Model(output), .. }) => {
                vec![("responseElements", bounded(redacted(output)))]
            }
            Ok(_) => Vec::new(),
            Err(refusal) => {
                let code: &str = refusal.code.as_ref();
                vec![("errorCode", code.into()), ("errorMessage", hide_keys(&refusal.message).into())]
            }
        };
        if let Value::Object(members) = &mut record {
            members.extend(outcome.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        record
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|open| open.bytes >= FILE_BYTES) {
            *slot = None;
            self.rotate()?;
        }
        let open = match slot.as_mut() {
            Some(open) => open,
            None => slot.insert(self.open()?),
        };
        let written = open.file.write_all(line);
        open.bytes += u64::try_from(line.len()).unwrap_or_default();
        if written.is_err() {
            // The next event begins with a new look at the file.
            *slot = None;
        }
        written
    }

    fn open(&self) -> io::Result<Open> {
        if let Some(directory) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file =
            OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&self.path)?;
        let mut bytes = file.metadata()?.len();
        if is_torn(&mut file)? {
            file.write_all(b"\n")?;
            bytes += 1;
        }
        Ok(Open { file, bytes })
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            match fs::rename(self.older(number), self.older(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.older(1))
    }

    fn older(&self, number: u32) -> PathBuf {
        self.path.with_extension(format!("{number}.jsonl"))
    }
}

/// Whether the last line has no end: what is written next would be a part of it.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Whether an operation only reads, by the verbs that AWS's names begin with.
pub(super) fn is_read_only(name: &str) -> bool {
    const VERBS: [&str; 8] = ["Describe", "Get", "List", "Search", "Test", "Filter", "Simulate", "Validate"];
    VERBS.iter().any(|verb| name.starts_with(verb))
}

/// Whether a member's value is a secret, or may hold one.
pub(super) fn is_secret(member: &str) -> bool {
    SECRETS.contains(&member.to_ascii_lowercase().as_str())
}

fn redacted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                (name.clone(), if is_secret(name) { HIDDEN.into() } else { redacted(value) })
            };
            Value::Object(members.iter().map(member).collect())
        }
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::String(text) => hide_keys(text).into(),
        other => other.clone(),
    }
}

fn hide_keys(text: &str) -> &str {
    if text.contains("PRIVATE KEY") { HIDDEN } else { text }
}

fn bounded(value: Value) -> Value {
    match value {
        Value::Object(members) if members.is_empty() => Value::Null,
        value if value.to_string().len() > MAX_MEMBERS => {
            json!({"omitted": true, "reason": "longer than 100 KB"})
        }
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn note(trail: &Trail, name: &'static str, members: &Value, outcome: &Result<Reply, Refusal>) {
        let scope = Scope::local();
        trail.note(&Call {
            service: Service::Iot,
            name,
            members: members.as_object().unwrap(),
            outcome,
            caller: &crate::rest::auth::owner(&scope, "AKIA"),
            request: &RequestId::random(),
            now: Timestamp::from_secs(1_795_000_000),
            source: "127.0.0.1".parse().unwrap(),
            user_agent: "test",
        });
    }

    #[test]
    fn a_mutating_call_is_a_record_and_its_secrets_are_not_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let trail = Trail::new(dir.path(), Scope::local());
        let members = json!({"setAsActive": true, "certificatePem": "-----BEGIN PRIVATE KEY-----hush"});
        let output = json!({"keyPair": {"PrivateKey": "hush", "PublicKey": "p"}, "certificateId": "c"});
        note(&trail, "CreateKeysAndCertificate", &members, &Ok(Reply::json(&output)));
        note(&trail, "ListThings", &members, &Ok(Reply::empty()));
        note(&trail, "CreateThing", &json!({}), &Err(Refusal::invalid("no")));
        let text = fs::read_to_string(&trail.path).unwrap();
        assert!(!text.contains("hush"), "{text}");
        let events = trail.last(10).unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0]["eventName"], "CreateKeysAndCertificate");
        assert_eq!(events[0]["eventSource"], "iot.amazonaws.com");
        assert_eq!(events[0]["responseElements"]["keyPair"], json!({"PrivateKey": HIDDEN, "PublicKey": "p"}));
        assert_eq!(events[1]["errorCode"], "InvalidRequestException");
        assert_eq!(fs::metadata(&trail.path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_torn_line_costs_itself_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let trail = Trail::new(dir.path(), Scope::local());
        note(&trail, "CreateThing", &json!({"thingName": "before"}), &Ok(Reply::empty()));
        let mut file = OpenOptions::new().append(true).open(&trail.path).unwrap();
        file.write_all(b"{\"eventName\":\"\xc3").unwrap();
        let trail = Trail::new(dir.path(), Scope::local());
        assert_eq!(trail.last(9).unwrap().len(), 1);
        note(&trail, "CreateThing", &json!({"thingName": "after"}), &Ok(Reply::empty()));
        let names: Vec<_> = trail
            .last(9)
            .unwrap()
            .iter()
            .map(|event| event["requestParameters"]["thingName"].clone())
            .collect();
        assert_eq!(names, ["before", "after"]);
    }

    #[test]
    fn a_full_file_makes_room_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let trail = Trail::new(dir.path(), Scope::local());
        for round in 0..=KEPT + 1 {
            note(&trail, "CreateThing", &json!({"thingName": round.to_string()}), &Ok(Reply::empty()));
            if let Some(open) = trail.file.lock().unwrap().as_mut() {
                open.bytes = FILE_BYTES;
            }
        }
        let files = fs::read_dir(dir.path().join("events")).unwrap().count();
        assert_eq!(files, usize::try_from(KEPT).unwrap() + 1);
        let names: Vec<_> = trail
            .last(9)
            .unwrap()
            .iter()
            .map(|event| event["requestParameters"]["thingName"].clone())
            .collect();
        assert_eq!(names, ["4", "5"]);
    }
}
