//! Names as AWS IoT defines them, each a type with one fallible constructor. Clones share their text: a controller holds
//! the name of each of many things in many places.
//!
//! Not here: ARNs ([`crate::arn`]) and topic names ([`crate::topic`]).

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Serialize};

/// Separates a thing name from the role of an extra connection (`sensor-1~verify`).
/// `~` cannot occur in a thing name, so an extra client id can never be another device's.
pub const ROLE_SEPARATOR: char = '~';

/// The longest role suffix, `~verify`, in bytes; a serial must leave room for it in a client id of 128 bytes.
const LONGEST_ROLE: usize = 7;

/// Why a string is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The string is empty.
    #[error("{what} is empty")]
    Empty {
        /// The kind of name, as a person would call it.
        what: &'static str,
    },
    /// The string is longer than AWS allows.
    #[error("{what} has {len} bytes, at most {max} are allowed")]
    TooLong {
        /// The kind of name.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The string contains a character that AWS does not allow there.
    #[error("{what} contains {found:?}; allowed are {allowed}")]
    Character {
        /// The kind of name.
        what: &'static str,
        /// The first offending character.
        found: char,
        /// The allowed set, for the message.
        allowed: &'static str,
    },
}

fn check(
    what: &'static str,
    text: &str,
    max: usize,
    allowed: &'static str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > max {
        return Err(NameError::TooLong { what, len: text.len(), max });
    }
    match text.chars().find(|&c| !is_allowed(c)) {
        Some(found) => Err(NameError::Character { what, found, allowed }),
        None => Ok(()),
    }
}

/// Gives a validated string newtype its conversions; the type supplies `fn check(&str)`.
macro_rules! string_name {
    ($name:ident) => {
        impl $name {
            /// Parses the name.
            ///
            /// # Errors
            /// When the text breaks the rule in the type's documentation.
            pub fn new(text: impl Into<Arc<str>> + AsRef<str>) -> Result<Self, NameError> {
                Self::check(text.as_ref())?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl core::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().into()
            }
        }
    };
}

/// A topic rule's name: 1–128 of `[a-zA-Z0-9_]` (AWS IoT API Reference, CreateTopicRule).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleName(Arc<str>);

impl RuleName {
    fn check(text: &str) -> Result<(), NameError> {
        check("rule name", text, 128, "a-z A-Z 0-9 _", |c| c.is_ascii_alphanumeric() || c == '_')
    }
}
string_name!(RuleName);

/// A thing name: 1–128 of `[a-zA-Z0-9:_-]` (AWS IoT API Reference, CreateThing).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ThingName(Arc<str>);

impl ThingName {
    fn check(text: &str) -> Result<(), NameError> {
        check("thing name", text, 128, "a-z A-Z 0-9 : _ -", is_thing_char)
    }
}
string_name!(ThingName);

/// A device's serial number, which becomes its thing name: a thing name of at most 121 bytes, so that
/// `<thing>~verify` still fits a client id of 128 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SerialNumber(Arc<str>);

impl SerialNumber {
    /// The longest serial in bytes.
    pub const MAX: usize = 128 - LONGEST_ROLE;

    fn check(text: &str) -> Result<(), NameError> {
        check("serial number", text, Self::MAX, "a-z A-Z 0-9 : _ -", is_thing_char)
    }

    /// The thing that this serial names.
    pub fn thing(&self) -> ThingName {
        ThingName(self.0.clone())
    }
}
string_name!(SerialNumber);

/// An MQTT client id: 1–128 bytes of UTF-8 without control characters (AWS IoT Core quotas; MQTT 3.1.1 §1.5.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Arc<str>);

impl ClientId {
    fn check(text: &str) -> Result<(), NameError> {
        check("client id", text, 128, "UTF-8 without control characters", |c| !c.is_control())
    }

    /// The id of a thing's live session: exactly the thing name.
    pub fn live(thing: &ThingName) -> Self {
        Self(thing.0.clone())
    }

    /// The id that a candidate certificate is verified on, beside the live session: `<thing>~verify`.
    pub fn verify(thing: &ThingName) -> Self {
        Self::with_role(thing, "verify")
    }

    /// The id of an agent that serves a thing whose live session belongs to another client: `<thing>~agent`.
    pub fn agent(thing: &ThingName) -> Self {
        Self::with_role(thing, "agent")
    }

    fn with_role(thing: &ThingName, role: &str) -> Self {
        Self(alloc::format!("{thing}{ROLE_SEPARATOR}{role}").into())
    }

    /// The thing whose live session this is, if the id is a thing name at all.
    pub fn thing(&self) -> Option<ThingName> {
        ThingName::new(self.0.clone()).ok()
    }
}
string_name!(ClientId);

/// A provisioning template name: 1–36 of `[0-9A-Za-z_-]` (API Reference, CreateProvisioningTemplate).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemplateName(Arc<str>);

impl TemplateName {
    fn check(text: &str) -> Result<(), NameError> {
        check("template name", text, 36, "a-z A-Z 0-9 _ -", |c| {
            c.is_ascii_alphanumeric() || c == '_' || c == '-'
        })
    }
}
string_name!(TemplateName);

/// A policy name: 1–128 of `[\w+=,.@-]` (API Reference, CreatePolicy).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyName(Arc<str>);

impl PolicyName {
    fn check(text: &str) -> Result<(), NameError> {
        check("policy name", text, 128, "a-z A-Z 0-9 _ + = , . @ -", |c| {
            c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
        })
    }
}
string_name!(PolicyName);

/// A thing group name: 1–128 of `[a-zA-Z0-9:_-]` (API Reference, CreateThingGroup).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(Arc<str>);

impl GroupName {
    fn check(text: &str) -> Result<(), NameError> {
        check("thing group name", text, 128, "a-z A-Z 0-9 : _ -", is_thing_char)
    }
}
string_name!(GroupName);

fn is_thing_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-')
}

impl From<&ThingName> for ClientId {
    fn from(thing: &ThingName) -> Self {
        Self::live(thing)
    }
}

impl From<SerialNumber> for ThingName {
    fn from(serial: SerialNumber) -> Self {
        Self(serial.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_refuses_what_could_leave_its_directory_or_its_client_id() {
        for good in ["a", "PM500-0001", "a:b_c-9", &"s".repeat(121)] {
            assert!(SerialNumber::new(good).is_ok(), "{good}");
        }
        for bad in ["", "../x", "a/b", "a~verify", "é", "a b", &"s".repeat(122)] {
            assert!(SerialNumber::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_extra_client_id_fits_even_the_longest_serial_and_is_no_thing() {
        let thing = SerialNumber::new("s".repeat(SerialNumber::MAX)).unwrap().thing();
        let verify = ClientId::verify(&thing);
        assert!(ClientId::new(verify.as_str()).is_ok());
        assert_eq!(verify.thing(), None);
        assert_eq!(ClientId::live(&thing).thing(), Some(thing));
    }

    #[test]
    fn an_error_names_the_offender() {
        let error = TemplateName::new("a.b").unwrap_err();
        assert_eq!(
            error,
            NameError::Character { what: "template name", found: '.', allowed: "a-z A-Z 0-9 _ -" }
        );
    }
}
