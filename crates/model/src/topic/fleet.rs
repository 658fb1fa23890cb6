//! Fleetkey's own topics: control under `fleetkey/`, telemetry under a root that the operator chooses.
//!
//! A device may only publish `requests` and only receive `commands` and `answers`; it can touch `attested`
//! in no way, because what a device may publish it may forge.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::{TopicError, TopicFilter, TopicName};
use crate::name::ThingName;

/// A control topic of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FleetTopic {
    /// `fleetkey/things/THING/commands`: operator to device.
    Commands(ThingName),
    /// `fleetkey/things/THING/answers`: controller to device.
    Answers(ThingName),
    /// `fleetkey/things/THING/requests`: device to controller, as the device wrote it.
    Requests(ThingName),
    /// `fleetkey/attested/THING/requests`: the same with the broker's word on who sent it.
    Attested(ThingName),
}

impl FleetTopic {
    /// Every thing's requests, the source of the attesting rule.
    pub const ALL_REQUESTS: &'static str = "fleetkey/things/+/requests";
    /// Every thing's attested requests, what the controller subscribes to.
    pub const ALL_ATTESTED: &'static str = "fleetkey/attested/+/requests";

    /// Reads a topic; `None` when it is none of these.
    pub fn parse(topic: &str) -> Option<Self> {
        let rest = topic.strip_prefix("fleetkey/")?;
        let (family, rest) = rest.split_once('/')?;
        let (thing, leaf) = rest.split_once('/')?;
        let thing = ThingName::new(thing).ok()?;
        match (family, leaf) {
            ("things", "commands") => Some(Self::Commands(thing)),
            ("things", "answers") => Some(Self::Answers(thing)),
            ("things", "requests") => Some(Self::Requests(thing)),
            ("attested", "requests") => Some(Self::Attested(thing)),
            _ => None,
        }
    }
}

impl fmt::Display for FleetTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commands(thing) => write!(f, "fleetkey/things/{thing}/commands"),
            Self::Answers(thing) => write!(f, "fleetkey/things/{thing}/answers"),
            Self::Requests(thing) => write!(f, "fleetkey/things/{thing}/requests"),
            Self::Attested(thing) => write!(f, "fleetkey/attested/{thing}/requests"),
        }
    }
}

/// The first levels of every business topic, `device` by default: `device/THING/telemetry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRoot(String);

impl TopicRoot {
    /// Checks `text`: a topic name outside `$…` and `fleetkey/…` that leaves room for the thing and its leaves.
    ///
    /// # Errors
    /// When it is no topic name, reserved, or too long.
    pub fn new(text: impl Into<String>) -> Result<Self, TopicError> {
        let name = TopicName::new(text)?;
        // Room for `/THING/` and two more levels within 7 slashes and 256 bytes.
        let slashes = name.as_str().matches('/').count();
        if slashes > 3 {
            return Err(TopicError::TooDeep(slashes));
        }
        if name.as_str().len() > 64 {
            return Err(TopicError::TooLong(name.as_str().len()));
        }
        let first = name.as_str().split('/').next();
        if name.is_reserved() || first == Some("fleetkey") || first == Some("") {
            return Err(TopicError::Wildcard);
        }
        Ok(Self(name.0))
    }

    /// The root as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `ROOT/THING/telemetry`
    pub fn telemetry(&self, thing: &ThingName) -> String {
        format!("{}/{thing}/telemetry", self.0)
    }

    /// `ROOT/+/telemetry`, what an observer of the whole fleet subscribes to.
    pub fn all_telemetry(&self) -> String {
        format!("{}/+/telemetry", self.0)
    }

    /// `ROOT/THING/verify`: where a candidate certificate proves itself by an echo.
    pub fn verification(&self, thing: &ThingName) -> String {
        format!("{}/{thing}/verify", self.0)
    }
}

impl Default for TopicRoot {
    fn default() -> Self {
        Self("device".into())
    }
}

impl From<FleetTopic> for TopicFilter {
    fn from(topic: FleetTopic) -> Self {
        Self(format!("{topic}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_topic_reads_back_as_it_was_written() {
        let thing = ThingName::new("a:b").unwrap();
        for topic in [
            FleetTopic::Commands(thing.clone()),
            FleetTopic::Answers(thing.clone()),
            FleetTopic::Requests(thing.clone()),
            FleetTopic::Attested(thing),
        ] {
            assert_eq!(FleetTopic::parse(&topic.to_string()), Some(topic));
        }
        assert_eq!(FleetTopic::parse("fleetkey/attested/x/commands"), None);
    }

    #[test]
    fn a_root_may_not_shadow_reserved_topics() {
        assert!(TopicRoot::new("pm500").is_ok());
        for bad in ["$aws", "fleetkey", "fleetkey/x", "/a", "a/+", "a/b/c/d/e", ""] {
            assert!(TopicRoot::new(bad).is_err(), "{bad}");
        }
    }
}
