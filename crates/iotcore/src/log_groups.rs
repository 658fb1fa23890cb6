//! Log groups of CloudWatch Logs as resources: name, retention, tags. What is in them is [`Logs`]'.
//!
//! A group comes with a function's first line, as Lambda makes it, or by CreateLogGroup; the latter are durable.
//! Retention is kept and told, nothing is removed by it: lines live in memory only.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::document::{Document, DocumentError};
use crate::functions::Logs;

/// Groups of an account that are kept here.
const MAX_GROUPS: usize = 10_000;
/// Days that CloudWatch Logs offers (API reference, PutRetentionPolicy).
const DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// A refusal of CloudWatch Logs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogsError {
    #[error("The specified log group does not exist.")]
    NoSuchGroup,
    #[error("The specified log stream does not exist.")]
    NoSuchStream,
    #[error("The specified log group already exists")]
    GroupExists,
    #[error("{0}")]
    Invalid(String),
    #[error("Resource limit exceeded.")]
    Limit,
    #[error(transparent)]
    Storage(#[from] DocumentError),
}

/// A log group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogGroup {
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    /// Days; `None` is for ever.
    pub(crate) retention: Option<u32>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// The groups of an account. Clones share them.
#[derive(Clone)]
pub(crate) struct LogGroups {
    groups: Document<BTreeMap<String, LogGroup>>,
    clock: Arc<dyn Clock>,
    logs: Logs,
}

impl LogsError {
    /// The name on the wire.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchGroup | Self::NoSuchStream => "ResourceNotFoundException",
            Self::GroupExists => "ResourceAlreadyExistsException",
            Self::Invalid(_) => "InvalidParameterException",
            Self::Limit => "LimitExceededException",
            Self::Storage(_) => "ServiceUnavailableException",
        }
    }

    /// The HTTP status.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::Storage(_) => 500,
            _ => 400,
        }
    }
}

impl LogGroups {
    /// Opens `log-groups.json` in the data directory. Blocks on the disk.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn open(data_dir: &Path, clock: Arc<dyn Clock>, logs: Logs) -> Result<Self, DocumentError> {
        Ok(Self { groups: Document::open(data_dir.join("log-groups.json"))?, clock, logs })
    }

    /// CreateLogGroup.
    ///
    /// # Errors
    /// When it exists, or its name is none.
    pub(crate) async fn create(&self, name: &str, tags: BTreeMap<String, String>) -> Result<(), LogsError> {
        check_name(name)?;
        if self.group(name).is_ok() {
            return Err(LogsError::GroupExists);
        }
        let group = LogGroup { name: name.to_owned(), created_at: self.clock.now(), retention: None, tags };
        self.groups
            .change(|groups| {
                if groups.len() >= MAX_GROUPS {
                    return Err(LogsError::Limit);
                }
                match groups.insert(name.to_owned(), group) {
                    Some(_) => Err(LogsError::GroupExists),
                    None => Ok(()),
                }
            })
            .await
    }

    /// DeleteLogGroup: the group and its lines.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), LogsError> {
        self.group(name)?;
        self.groups.change(|groups| Ok::<_, LogsError>(groups.remove(name))).await?;
        self.logs.forget(name);
        Ok(())
    }

    /// PutRetentionPolicy, or with `None` DeleteRetentionPolicy.
    ///
    /// # Errors
    /// When there is no such group, or CloudWatch Logs does not offer this number of days.
    pub(crate) async fn retain(&self, name: &str, days: Option<u32>) -> Result<(), LogsError> {
        if days.is_some_and(|days| !DAYS.contains(&days)) {
            let message =
                format!("1 validation error detected: Value at 'retentionInDays' must be one of {DAYS:?}");
            return Err(LogsError::Invalid(message));
        }
        self.edit(name, |group| group.retention = days).await
    }

    /// TagResource.
    ///
    /// # Errors
    /// When there is no such group.
    pub(crate) async fn tag(&self, name: &str, tags: BTreeMap<String, String>) -> Result<(), LogsError> {
        self.edit(name, |group| group.tags.extend(tags)).await
    }

    /// UntagResource.
    ///
    /// # Errors
    /// When there is no such group.
    pub(crate) async fn untag(&self, name: &str, keys: &[String]) -> Result<(), LogsError> {
        self.edit(name, |group| group.tags.retain(|key, _| !keys.contains(key))).await
    }

    /// One group.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn group(&self, name: &str) -> Result<LogGroup, LogsError> {
        self.all().remove(name).ok_or(LogsError::NoSuchGroup)
    }

    /// All groups by name, those of functions that have printed included.
    pub(crate) fn all(&self) -> BTreeMap<String, LogGroup> {
        let mut all = self.groups.read().as_ref().clone();
        for name in self.logs.groups() {
            let first = self.logs.streams(&name).first().map(|stream| stream.first);
            let made = || LogGroup {
                name: name.clone(),
                created_at: first.unwrap_or_default(),
                retention: None,
                tags: BTreeMap::new(),
            };
            all.entry(name.clone()).or_insert_with(made);
        }
        all
    }

    /// What is in them.
    pub(crate) const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Removes everything.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) async fn reset(&self) -> Result<(), LogsError> {
        self.groups.change(|groups| Ok::<_, LogsError>(std::mem::take(groups))).await?;
        self.logs.clear();
        Ok(())
    }

    /// Changes one group; one that a function made becomes durable by it.
    async fn edit(&self, name: &str, edit: impl FnOnce(&mut LogGroup)) -> Result<(), LogsError> {
        let group = self.group(name)?;
        self.groups
            .change(|groups| {
                edit(groups.entry(name.to_owned()).or_insert(group));
                Ok(())
            })
            .await
    }
}

fn check_name(name: &str) -> Result<(), LogsError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/.#".contains(&byte);
    if !name.is_empty() && name.len() <= 512 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(LogsError::Invalid(
        "1 validation error detected: Value at 'logGroupName' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn there_are_ten_thousand_groups_at_most() {
        let dir = tempfile::tempdir().unwrap();
        let groups = LogGroups::open(dir.path(), Arc::new(SystemClock), Logs::default()).unwrap();
        groups.create("one", BTreeMap::new()).await.unwrap();
        let one = groups.group("one").unwrap();
        let fill = |all: &mut BTreeMap<String, LogGroup>| {
            all.extend((1..MAX_GROUPS).map(|number| (number.to_string(), one.clone())));
            Ok::<_, LogsError>(())
        };
        groups.groups.change(fill).await.unwrap();
        let refused = groups.create("more", BTreeMap::new()).await.unwrap_err();
        assert_eq!((refused.code(), refused.status()), ("LimitExceededException", 400));
        groups.delete("1").await.unwrap();
        groups.create("more", BTreeMap::new()).await.unwrap();
    }
}
