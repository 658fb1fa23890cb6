//! The actions of the MQTT data plane, and the patterns that a policy names them with.
//!
//! A policy may name other actions (shadows, jobs): they parse, and match none of these.

use alloc::vec::Vec;

use crate::context::Context;
use crate::pattern::{Pattern, Syntax};

/// An action that the broker asks about (Developer Guide, iot-policy-actions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `iot:Connect` on `client/CLIENT`.
    Connect,
    /// `iot:Publish` on `topic/TOPIC`.
    Publish,
    /// `iot:Subscribe` on `topicfilter/FILTER`.
    Subscribe,
    /// `iot:Receive` on `topic/TOPIC`, asked at every delivery.
    Receive,
    /// `iot:RetainPublish` on `topic/TOPIC`, asked besides `iot:Publish`.
    RetainPublish,
}

impl Action {
    /// Every action, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::Connect, Self::Publish, Self::Subscribe, Self::Receive, Self::RetainPublish];

    /// The name as policies write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "iot:Connect",
            Self::Publish => "iot:Publish",
            Self::Subscribe => "iot:Subscribe",
            Self::Receive => "iot:Receive",
            Self::RetainPublish => "iot:RetainPublish",
        }
    }

    /// Reads a name, whatever its case; `None` for any other action.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str().eq_ignore_ascii_case(name))
    }
}

/// An element of `Action` or `NotAction`, matched without regard to case, as in IAM: reduced to what it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActionPattern(Vec<Action>);

impl ActionPattern {
    /// Reads `*` or `SERVICE:NAME` with wildcards; `None` when there is no service.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (service, name) = text.split_once(':').unwrap_or((text, text));
        let bare = !text.contains(':') && text != "*";
        if bare || service.is_empty() || name.is_empty() {
            return None;
        }
        let pattern = Pattern::parse(&text.to_ascii_lowercase(), Syntax::WILDCARDS).ok()?;
        let matches =
            |action: &Action| pattern.matches(&action.as_str().to_ascii_lowercase(), &Context::new());
        Some(Self(Action::ALL.into_iter().filter(matches).collect()))
    }

    pub(crate) fn matches(&self, action: Action) -> bool {
        self.0.contains(&action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_in_any_case() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(action));
            assert_eq!(Action::parse(&action.as_str().to_ascii_uppercase()), Some(action));
        }
        assert_eq!(Action::parse("iot:GetThingShadow"), None);
    }

    #[test]
    fn patterns_match_as_in_iam() {
        let matches = |pattern, action| ActionPattern::parse(pattern).unwrap().matches(action);
        assert!(matches("*", Action::Connect) && matches("iot:*", Action::Receive));
        assert!(matches("IOT:pub*", Action::Publish) && !matches("iot:Pub*", Action::RetainPublish));
        assert!(matches("iot:*Publish", Action::RetainPublish));
        assert!(!matches("iotjobsdata:*", Action::Publish));
        for bad in ["Publish", "", ":", "iot:", ":Publish"] {
            assert_eq!(ActionPattern::parse(bad), None, "{bad}");
        }
    }
}
