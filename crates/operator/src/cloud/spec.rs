//! What a resource is: its kind and name, and everything about it that may differ.

use std::collections::BTreeMap;
use std::fmt;

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The kinds of resource of a fleet.
///
/// The order is that in which they are taken down: what makes new devices first, and what something else still names
/// last (`aws-iot-core.md`, 6.3, from the API Reference's preconditions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A provisioning template.
    Template,
    /// A topic rule.
    Rule,
    /// A policy of AWS IoT.
    Policy,
    /// A thing type.
    ThingType,
    /// A thing group.
    Group,
    /// A Lambda function.
    Function,
    /// A log group of CloudWatch.
    LogGroup,
    /// A role of IAM.
    Role,
}

impl Kind {
    /// All of them, in the order in which they are taken down.
    pub const ALL: [Self; 8] = [
        Self::Template,
        Self::Rule,
        Self::Policy,
        Self::ThingType,
        Self::Group,
        Self::Function,
        Self::LogGroup,
        Self::Role,
    ];

    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Template => "provisioning template",
            Self::Rule => "topic rule",
            Self::Policy => "policy",
            Self::ThingType => "thing type",
            Self::Group => "thing group",
            Self::Function => "function",
            Self::LogGroup => "log group",
            Self::Role => "role",
        }
    }
}

/// Which resource: unique within an account and region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The resource of this kind and name.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// A resource as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Which.
    pub key: Key,
    /// What it is to be like.
    pub spec: Spec,
}

/// What a resource is like. Documents are JSON and compared as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// A policy of AWS IoT, by its default version.
    Policy {
        /// The document.
        document: String,
    },
    /// A thing type, which is no more than its name here.
    ThingType {
        /// Whether it is on its way out: things can no longer get it.
        deprecated: bool,
    },
    /// A thing group without parent.
    Group,
    /// A log group.
    LogGroup {
        /// How long a line is kept.
        retention_days: Option<i32>,
    },
    /// A role with one inline policy and no other.
    Role {
        /// Who may assume it.
        trust: String,
        /// What it may do.
        permissions: String,
    },
    /// A function.
    Function(FunctionSpec),
    /// A provisioning template.
    Template {
        /// Its default version.
        body: String,
        /// RegisterThing is refused while this is false.
        enabled: bool,
        /// The ARN of the function that decides.
        hook: Option<String>,
        /// The ARN of the role that provisions.
        role: String,
    },
    /// A topic rule with one action, republish at QoS 1.
    Rule {
        /// What it selects.
        sql: String,
        /// Where to, with substitutions.
        topic: String,
        /// The ARN of the role that publishes.
        role: String,
    },
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// What it runs.
    pub archive: Archive,
    /// For example `python3.13`.
    pub runtime: String,
    /// Module and function, for example `fleetkey_hook.handler`.
    pub handler: String,
    /// The ARN of its role.
    pub role: String,
    /// Seconds.
    pub timeout: i32,
    /// Statement id → the ARN that AWS IoT may call it for.
    pub callers: BTreeMap<String, String>,
}

/// The code of a function: a zip, or only the digest of one that is elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Archive {
    bytes: Vec<u8>,
    digest: String,
}

impl Archive {
    /// A zip.
    pub fn new(bytes: Vec<u8>) -> Self {
        let digest = Base64::encode_string(&Sha256::digest(&bytes));
        Self { bytes, digest }
    }

    /// What GetFunction tells of a zip: the SHA-256 of its bytes in base64 (`CodeSha256`).
    pub fn elsewhere(digest: impl Into<String>) -> Self {
        Self { bytes: Vec::new(), digest: digest.into() }
    }

    /// The zip; empty when it is elsewhere.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its SHA-256 in base64.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({})", self.digest)
    }
}

impl Spec {
    /// What differs from `wanted`, by the names that people know the fields under; empty when nothing does.
    pub fn differences(&self, wanted: &Self) -> Vec<&'static str> {
        let (Value::Object(found), Value::Object(wanted)) = (self.comparable(), wanted.comparable()) else {
            return Vec::new();
        };
        FIELDS.iter().copied().filter(|field| found.get(*field) != wanted.get(*field)).collect()
    }

    /// The spec for the journal and for comparison: documents as JSON, code as its digest.
    pub fn comparable(&self) -> Value {
        match self {
            Self::Policy { document } => json!({ "document": parsed(document) }),
            Self::ThingType { deprecated } => json!({ "deprecated": deprecated }),
            Self::Group => json!({}),
            Self::LogGroup { retention_days } => json!({ "retention": retention_days }),
            Self::Role { trust, permissions } => {
                json!({ "trust": parsed(trust), "permissions": parsed(permissions) })
            }
            Self::Function(function) => json!({
                "code": function.archive.digest(),
                "runtime": function.runtime,
                "handler": function.handler,
                "role": function.role,
                "timeout": function.timeout,
                "callers": function.callers,
            }),
            Self::Template { body, enabled, hook, role } => {
                json!({ "body": parsed(body), "enabled": enabled, "hook": hook, "role": role })
            }
            Self::Rule { sql, topic, role } => json!({ "sql": sql, "topic": topic, "role": role }),
        }
    }
}

/// Every name that [`Spec::comparable`] uses.
const FIELDS: &[&str] = &[
    "document",
    "deprecated",
    "retention",
    "trust",
    "permissions",
    "code",
    "runtime",
    "handler",
    "role",
    "timeout",
    "callers",
    "body",
    "enabled",
    "hook",
    "sql",
    "topic",
];

/// A document as JSON; what is none compares as the text that it is.
fn parsed(document: &str) -> Value {
    serde_json::from_str(document).unwrap_or_else(|_| Value::from(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_the_same_however_they_are_written() {
        let spec = |document: &str| Spec::Policy { document: document.to_owned() };
        assert!(spec(r#"{"a":1,"b":2}"#).differences(&spec(r#"{ "b": 2, "a": 1 }"#)).is_empty());
        assert_eq!(spec("{}").differences(&spec(r#"{"a":1}"#)), ["document"]);
    }

    #[test]
    fn code_is_told_apart_by_its_digest() {
        let here = Archive::new(b"zip".to_vec());
        assert_eq!(here.digest(), "SnD+mqZDbgLC3qNA+9HjUuTvLYzmylKtJdS5VHH8i/I=");
        assert!(Archive::elsewhere(here.digest()).bytes().is_empty());
    }

    #[test]
    fn every_field_that_may_differ_is_compared() {
        let function = |timeout| {
            Spec::Function(FunctionSpec {
                archive: Archive::new(Vec::new()),
                runtime: "r".into(),
                handler: "h".into(),
                role: "a".into(),
                timeout,
                callers: BTreeMap::new(),
            })
        };
        let specs = [
            Spec::Policy { document: "{}".into() },
            Spec::ThingType { deprecated: false },
            Spec::Group,
            Spec::LogGroup { retention_days: None },
            Spec::Role { trust: "{}".into(), permissions: "{}".into() },
            function(5),
            Spec::Template { body: "{}".into(), enabled: true, hook: None, role: "r".into() },
            Spec::Rule { sql: "s".into(), topic: "t".into(), role: "r".into() },
        ];
        for spec in &specs {
            for field in spec.comparable().as_object().unwrap().keys() {
                assert!(FIELDS.contains(&field.as_str()), "{field} is never compared");
            }
        }
        assert_eq!(function(5).differences(&function(4)), ["timeout"]);
    }
}
