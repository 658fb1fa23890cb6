//! A function as it is kept.

use std::collections::BTreeMap;
use std::fmt;

use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::permission::Permission;

/// A function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Function {
    /// Unique in the account.
    pub(crate) name: String,
    /// The number of a published version, which never changes; `None` is `$LATEST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u32>,
    /// For example `python3.12`; which interpreter runs it is [`super::runtime::Family`]'s.
    pub(crate) runtime: String,
    /// `module.function`.
    pub(crate) handler: String,
    /// The role's ARN.
    pub(crate) role: String,
    /// For people.
    pub(crate) description: String,
    /// Seconds that an invocation may take.
    pub(crate) timeout: u32,
    /// MB.
    pub(crate) memory: u32,
    /// MB of `/tmp`, told back only.
    pub(crate) storage: u32,
    /// `x86_64` or `arm64`, told back only: code runs on this computer.
    pub(crate) architecture: String,
    /// The environment's own variables.
    pub(crate) environment: Variables,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// The code.
    pub(crate) code: CodeRef,
    /// Where it logs, if not to `/aws/lambda/NAME`.
    pub(crate) log_group: Option<String>,
    /// Who may invoke it: the resource policy.
    pub(crate) permissions: Vec<Permission>,
    /// Another after each change.
    pub(crate) revision: String,
    /// The last change.
    pub(crate) last_modified: Timestamp,
}

/// A function's environment: values may be secrets, so they are not printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Variables(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Which zip file the code is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeRef {
    /// SHA-256 of the zip file, hexadecimal.
    pub(crate) sha256: String,
    /// The same as Lambda tells it, base64.
    pub(crate) sha256_base64: String,
    /// Bytes of the zip file.
    pub(crate) size: u64,
}

impl Function {
    /// Where it logs.
    pub(crate) fn log_group(&self) -> String {
        self.log_group.clone().unwrap_or_else(|| format!("/aws/lambda/{}", self.name))
    }
}
