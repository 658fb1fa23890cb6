//! Topic names and filters, and what matches what.
//!
//! The topics that AWS reserves are [`ReservedTopic`], those of fleetkey [`FleetTopic`]; both are types both
//! ways. AWS departs from the MQTT specification in one place that matters here: `a/#` does not match `a`.

use alloc::string::String;
use core::fmt;

pub use fleet::{FleetTopic, TopicRoot};
pub use registry::{RecordChange, RegistryTopic, RelationChange};
pub use reserved::{Format, Leg, PresenceKind, ReservedTopic, SubscriptionKind};

mod fleet;
mod registry;
mod reserved;

/// The longest topic or filter in bytes (AWS IoT Core quotas).
pub const MAX_TOPIC_BYTES: usize = 256;
/// The most slashes in a topic or filter (AWS IoT Core quotas); Basic Ingest's prefix is exempt.
pub const MAX_SLASHES: usize = 7;

/// Why a string is no topic or no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Empty.
    #[error("a topic has at least one character")]
    Empty,
    /// Longer than [`MAX_TOPIC_BYTES`].
    #[error("the topic has {0} bytes, at most {MAX_TOPIC_BYTES} are allowed")]
    TooLong(usize),
    /// More slashes than [`MAX_SLASHES`].
    #[error("the topic has {0} slashes, at most {MAX_SLASHES} are allowed")]
    TooDeep(usize),
    /// A wildcard in a topic name, or in a place of a filter where none may stand.
    #[error("a wildcard stands where none may: '+' is a whole level of a filter, '#' its whole last level")]
    Wildcard,
    /// U+0000, which MQTT forbids in every string.
    #[error("the topic contains U+0000")]
    Nul,
}

/// How `#` treats the parent level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matching {
    /// As AWS IoT Core: `a/#` matches `a/b` but not `a` (Developer Guide, topics).
    #[default]
    Aws,
    /// As the MQTT specification: `a/#` matches `a` too (MQTT 3.1.1 §4.7.1.2).
    Spec,
}

fn check(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > MAX_TOPIC_BYTES {
        return Err(TopicError::TooLong(text.len()));
    }
    if text.contains('\0') {
        return Err(TopicError::Nul);
    }
    let slashes = text.matches('/').count();
    let exempt = basic_ingest_slashes(text);
    match slashes.saturating_sub(exempt) {
        deep if deep > MAX_SLASHES => Err(TopicError::TooDeep(slashes)),
        _ => Ok(()),
    }
}

/// The slashes of `$aws/rules/NAME/`, which count towards no limit.
fn basic_ingest_slashes(text: &str) -> usize {
    if text.starts_with("$aws/rules/") { 3 } else { 0 }
}

/// A topic name that a message can be published to: no wildcard, within AWS's limits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(String);

impl TopicName {
    /// Checks `text` as a topic name.
    ///
    /// # Errors
    /// When AWS would refuse a publish to it; see [`TopicError`].
    pub fn new(text: impl Into<String>) -> Result<Self, TopicError> {
        let text = text.into();
        check(&text)?;
        if text.contains(['+', '#']) {
            return Err(TopicError::Wildcard);
        }
        Ok(Self(text))
    }

    /// The topic as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the topic begins with `$`: no leading wildcard matches it.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A topic filter that can be subscribed to: well-formed wildcards, within AWS's limits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(String);

impl TopicFilter {
    /// Checks `text` as a topic filter.
    ///
    /// # Errors
    /// When a wildcard stands where none may, or a limit is broken; see [`TopicError`].
    pub fn new(text: impl Into<String>) -> Result<Self, TopicError> {
        let text = text.into();
        check(&text)?;
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let whole = level.len() == 1;
            let last = levels.peek().is_none();
            if level.contains('+') && !whole || level.contains('#') && !(whole && last) {
                return Err(TopicError::Wildcard);
            }
        }
        Ok(Self(text))
    }

    /// The filter as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the filter contains a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.0.contains(['+', '#'])
    }

    /// Whether a message on `topic` reaches a subscriber to this filter.
    pub fn matches(&self, topic: &str, matching: Matching) -> bool {
        if topic.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut filter = self.0.split('/');
        let mut levels = topic.split('/');
        loop {
            match (filter.next(), levels.next()) {
                (Some("#"), Some(_)) | (None, None) => return true,
                (Some("#"), None) => return matching == Matching::Spec,
                (Some("+"), Some(_)) => {}
                (Some(want), Some(level)) if want == level => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<TopicName> for TopicFilter {
    fn from(name: TopicName) -> Self {
        Self(name.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn names_keep_aws_limits() {
        assert!(TopicName::new("a/b/c/d/e/f/g/h").is_ok());
        assert_eq!(TopicName::new("a/b/c/d/e/f/g/h/i"), Err(TopicError::TooDeep(8)));
        assert!(TopicName::new("$aws/rules/r/a/b/c/d/e/f/g/h").is_ok());
        assert_eq!(TopicName::new("x".repeat(257)), Err(TopicError::TooLong(257)));
        assert_eq!(TopicName::new("a/+"), Err(TopicError::Wildcard));
        assert_eq!(TopicName::new(""), Err(TopicError::Empty));
        assert_eq!(TopicName::new("a\0"), Err(TopicError::Nul));
    }

    #[test]
    fn filters_allow_wildcards_only_as_whole_levels() {
        for good in ["#", "+", "a/+/b", "a/#", "+/+/#", "/"] {
            assert!(TopicFilter::new(good).is_ok(), "{good}");
        }
        for bad in ["a#", "#/a", "a+/b", "a/#/b", "++"] {
            assert_eq!(TopicFilter::new(bad), Err(TopicError::Wildcard), "{bad}");
        }
    }

    #[test]
    fn matching_follows_the_table() {
        let table = vec![
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$aws/events", false),
            ("+/events", "$aws/events", false),
            ("$aws/#", "$aws/events", true),
            ("/+", "/a", true),
        ];
        for (filter, topic, expected) in table {
            let filter = TopicFilter::new(filter).unwrap();
            assert_eq!(filter.matches(topic, Matching::Aws), expected, "{filter} ~ {topic}");
        }
        let parent = TopicFilter::new("a/#").unwrap();
        assert!(!parent.matches("a", Matching::Aws) && parent.matches("a", Matching::Spec));
    }
}
