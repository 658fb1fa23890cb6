//! How fast the account lets campaigns be, by what it said last, kept in the operator's directory: whoever begins a campaign
//! there may have no way to ask. A note and no more; campaigns themselves go by what is asked while they run.

use std::path::Path;

use fleetkey_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::pace::Pace;
use crate::files::{self, FileError, PRIVATE};

/// The name of the file in the operator's directory.
pub const PACE_FILE: &str = "pace.json";

/// What the account said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KnownPace {
    /// When.
    pub at: Timestamp,
    /// How many devices a second it provisions, by Service Quotas.
    pub provisionings: f64,
}

impl KnownPace {
    /// What it said last; `None` where nobody has asked it, or what was kept cannot be read.
    pub fn read(directory: &Path) -> Option<Self> {
        let text = files::read(&directory.join(PACE_FILE)).ok()??;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps it in the directory, which must be there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, directory: &Path) -> Result<(), FileError> {
        let path = directory.join(PACE_FILE);
        let text = serde_json::to_vec(self).map_err(|error| FileError::new("write", &path, error.into()))?;
        files::write(&path, &text, PRIVATE)
    }

    fn a_minute(&self) -> u32 {
        let mut pace = Pace::default();
        pace.learn(self.provisionings);
        pace.a_minute()
    }
}

/// How fast all campaigns of an account are together, whatever their rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    /// Commands a minute.
    pub a_minute: u32,
    /// The account has told what that follows from; otherwise it is by AWS's defaults.
    pub is_told: bool,
}

impl Ceiling {
    /// By what is noted in the operator's directory.
    pub fn read(directory: &Path) -> Self {
        match KnownPace::read(directory) {
            Some(said) => Self { a_minute: said.a_minute(), is_told: true },
            None => Self { a_minute: Pace::default().a_minute(), is_told: false },
        }
    }

    /// How many commands a minute a campaign gets at most that asks for more than that.
    pub fn below(self, rate: u32) -> Option<u32> {
        (self.a_minute < rate).then_some(self.a_minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::FASTEST;

    #[test]
    fn what_was_kept_is_told_and_what_cannot_be_read_is_not_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(KnownPace::read(path), None);
        assert_eq!(Ceiling::read(path), Ceiling { a_minute: FASTEST, is_told: false });
        let said = KnownPace { at: Timestamp::from_secs(7), provisionings: 2.0 };
        said.keep(path).unwrap();
        assert_eq!(KnownPace::read(path), Some(said));
        let ceiling = Ceiling::read(path);
        assert_eq!(ceiling, Ceiling { a_minute: 60, is_told: true });
        assert_eq!([60, 61].map(|rate| ceiling.below(rate)), [None, Some(60)]);
        std::fs::write(path.join(PACE_FILE), "half").unwrap();
        assert_eq!(KnownPace::read(path), None);
    }

    #[test]
    fn it_is_what_campaigns_go_by() {
        let a_minute = |provisionings| KnownPace { at: Timestamp::default(), provisionings }.a_minute();
        assert_eq!([10.0, 0.0, 1e9].map(a_minute), [FASTEST, 1, crate::campaign::MOST_A_MINUTE]);
    }
}
