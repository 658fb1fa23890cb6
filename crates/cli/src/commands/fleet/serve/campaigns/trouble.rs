//! Campaigns that cannot be carried out at the moment, and those that cannot be at all.
//!
//! A disk that is full, or a process that has too many files open, is otherwise a minute later: such a campaign is tried
//! again, and what is wrong is said once. What a file says is not otherwise later: nobody carries that out until the
//! controller is started anew.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetkey_model::time::Timestamp;
use fleetkey_operator::campaign::LogError;
use fleetkey_operator::files::FileError;

/// How long one rests that cannot be carried out.
const REST: Duration = Duration::from_secs(5);

/// Why a campaign cannot be carried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It may be otherwise at the next try.
    Passing(String),
    /// It is not.
    Lasting(String),
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        match error.may_pass() {
            true => Self::Passing(error.to_string()),
            false => Self::Lasting(error.to_string()),
        }
    }
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Self {
        Self::Passing(error.to_string())
    }
}

/// Those campaigns, by name.
#[derive(Debug, Default)]
pub(super) struct Troubled(BTreeMap<String, (Trouble, Timestamp)>);

impl Troubled {
    /// One cannot be carried out.
    pub(super) fn stops(&mut self, name: &str, at: Timestamp, trouble: Trouble) {
        if self.note(name, at, trouble)
            && let Some((Trouble::Passing(why) | Trouble::Lasting(why), _)) = self.0.get(name)
        {
            tracing::error!(campaign = name, why, "a campaign cannot be carried out: nobody is told");
        }
    }

    /// One is carried out.
    pub(super) fn goes_on(&mut self, name: &str) {
        if self.0.remove(name).is_some() {
            tracing::info!(campaign = name, "a campaign is carried out again");
        }
    }

    /// Whether one is not to be tried now.
    pub(super) fn rests(&self, name: &str, at: Timestamp) -> bool {
        self.0.get(name).is_some_and(|(trouble, since)| match trouble {
            Trouble::Lasting(_) => true,
            Trouble::Passing(_) => at >= *since && at.since(*since) < REST,
        })
    }

    /// Whether that is news.
    fn note(&mut self, name: &str, at: Timestamp, trouble: Trouble) -> bool {
        let known = self.0.get(name).is_some_and(|(known, _)| *known == trouble);
        self.0.insert(name.to_owned(), (trouble, at));
        !known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    #[test]
    fn what_may_pass_is_tried_again_and_said_once() {
        let mut troubled = Troubled::default();
        let full = || Trouble::Passing("no space".into());
        assert!(!troubled.rests("autumn", at(100)));
        assert!(troubled.note("autumn", at(100), full()));
        assert!(troubled.rests("autumn", at(104)) && !troubled.rests("autumn", at(105)));
        assert!(!troubled.rests("autumn", at(10)), "a clock that was put back");
        assert!(!troubled.note("autumn", at(105), full()), "said already");
        assert!(troubled.note("autumn", at(110), Trouble::Passing("too many open files".into())));
        troubled.goes_on("autumn");
        assert!(!troubled.rests("autumn", at(110)) && troubled.note("autumn", at(120), full()));
    }

    #[test]
    fn what_a_file_says_does_not_pass() {
        let mut troubled = Troubled::default();
        let missing = LogError::Missing("autumn".into());
        troubled.stops("autumn", at(100), missing.into());
        assert!(troubled.rests("autumn", at(1_000_000)) && !troubled.rests("winter", at(100)));
        let io = std::fs::read("/nowhere").unwrap_err();
        let unopened = FileError { action: "open", path: "x".into(), cause: io };
        assert!(matches!(Trouble::from(LogError::from(unopened)), Trouble::Passing(_)));
    }
}
