//! The strings of MQTT: UTF-8 without U+0000, at most 65535 bytes, slices of the packet they came in.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

/// A UTF-8 string (MQTT 5 §1.5.4). Cloning copies no bytes.
///
/// What was decoded, or passed [`Text::new`], fits the wire. The `From` conversions take any string; one that
/// MQTT cannot carry is refused when a packet with it is encoded.
///
/// A decoded text keeps the buffer of its packet alive: [`detach`](Text::detach) what is kept for long.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Bytes);

/// Why a string cannot stand in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Longer than the two-byte length can say.
    #[error("the string has {0} bytes, at most 65535 are allowed")]
    TooLong(usize),
    /// U+0000 (MQTT-1.5.4-2).
    #[error("the string contains U+0000")]
    Nul,
    /// Not UTF-8 (MQTT-1.5.4-1).
    #[error("the string is not UTF-8")]
    Utf8,
}

impl Text {
    /// The empty string.
    pub const fn empty() -> Self {
        Self(Bytes::new())
    }

    /// A string that lives as long as the program.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// Checks a string and copies it.
    ///
    /// # Errors
    /// When it is too long or contains U+0000.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let text = Self::from(text);
        text.check()?;
        Ok(text)
    }

    /// Takes bytes of the wire as they are.
    ///
    /// # Errors
    /// When they are no UTF-8, too long or contain U+0000.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, TextError> {
        if std::str::from_utf8(&bytes).is_err() {
            return Err(TextError::Utf8);
        }
        let text = Self(bytes);
        text.check()?;
        Ok(text)
    }

    /// The string. Costs a pass over it: `Bytes` cannot say that it is UTF-8, and this crate has no `unsafe`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The bytes of the string, at no cost.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// A copy that does not keep the buffer of its packet alive.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Whether it fits the wire.
    pub(crate) fn check(&self) -> Result<(), TextError> {
        if self.0.len() > usize::from(u16::MAX) {
            return Err(TextError::TooLong(self.0.len()));
        }
        if self.0.contains(&0) { Err(TextError::Nul) } else { Ok(()) }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

// As `str`, so that a map keyed by `Text` can be asked with a `&str`.
impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn what_mqtt_cannot_carry_is_refused() {
        assert_eq!(Text::new("a\0b"), Err(TextError::Nul));
        assert_eq!(Text::new(&"x".repeat(65536)), Err(TextError::TooLong(65536)));
        assert_eq!(Text::from_utf8(Bytes::from_static(&[0xC3, 0x28])), Err(TextError::Utf8));
        // A surrogate in UTF-8 is ill-formed (MQTT-1.5.4-1); U+FEFF is kept as it is (MQTT-1.5.4-3).
        assert_eq!(Text::from_utf8(Bytes::from_static(&[0xED, 0xA0, 0x80])), Err(TextError::Utf8));
        assert_eq!(Text::new("\u{feff}a").map(|text| text.len()), Ok(4));
    }

    #[test]
    fn a_map_of_texts_is_asked_with_a_str() {
        let map = HashMap::from([(Text::from("a/b"), 1)]);
        assert_eq!(map.get("a/b"), Some(&1));
    }
}
