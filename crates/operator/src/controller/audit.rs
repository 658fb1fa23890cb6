//! The heads of a device's audit chain as its requests carried them: informative, never needed for a decision.
//!
//! Whoever doubts a device's log looks for them in it: a log that does not contain what was once its head was
//! rewritten. Two are kept, so that a device which sends one more request does not take the proof along.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The head of an audit chain: SHA-256, written as 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AuditHead([u8; 32]);

/// The last two different heads that attested requests carried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHeads {
    /// Of the last request that carried one.
    pub last: Option<AuditHead>,
    /// The one before.
    pub before: Option<AuditHead>,
}

impl AuditHead {
    /// Reads a head; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let read = base16ct::mixed::decode(text, &mut bytes).ok()?.len();
        (read == bytes.len()).then_some(Self(bytes))
    }
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TryFrom<String> for AuditHead {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("the head of an audit chain is 64 hexadecimal digits")
    }
}

impl From<AuditHead> for String {
    fn from(head: AuditHead) -> Self {
        head.to_string()
    }
}

impl AuditHeads {
    /// Takes in what a request carried. A repeated head changes nothing, and neither does what is no head.
    pub(super) fn take(&mut self, text: Option<&str>) {
        let head = text.and_then(AuditHead::parse);
        if head.is_some() && head != self.last {
            self.before = core::mem::replace(&mut self.last, head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_different_heads_are_kept_and_what_is_none_is_passed_over() {
        let mut heads = AuditHeads::default();
        let (first, second) = ("a".repeat(64), "B".repeat(64));
        let long = "a".repeat(65);
        for text in [Some(first.as_str()), Some("a"), Some(&second), None, Some(&second), Some(&long)] {
            heads.take(text);
        }
        assert_eq!(heads.last.map(String::from), Some("b".repeat(64)));
        assert_eq!(heads.before.map(String::from), Some(first));
        assert_eq!(AuditHead::parse(&"g".repeat(64)), None);
        assert_eq!(AuditHead::parse(&"é".repeat(32)), None, "64 bytes, but no digits");
    }
}
