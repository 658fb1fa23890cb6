//! The heads of a device's audit chain as its requests carried them: informative, never needed for a decision.
//!
//! Whoever doubts a device's log looks for them in it: a log that does not contain what was once its head was
//! rewritten. Two are kept, so that a device which sends one more request does not take the proof along.

use serde::{Deserialize, Serialize};

/// Hexadecimal digits of a head: SHA-256.
const DIGITS: usize = 64;

/// The head of an audit chain, as 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditHead(String);

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
        let is_head = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_head.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
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
        assert_eq!(heads.last.as_ref().map(AuditHead::as_str), Some("b".repeat(64).as_str()));
        assert_eq!(heads.before.as_ref().map(AuditHead::as_str), Some(first.as_str()));
        assert_eq!(AuditHead::parse(&"g".repeat(64)), None);
        assert_eq!(AuditHead::parse(&"é".repeat(32)), None, "64 bytes, but no digits");
    }
}
