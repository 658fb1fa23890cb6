//! The journal: who changed what.

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::Tone;

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// One after the other, from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a session, a token, the controller, an ARN.
    pub who: String,
    /// What was done: `rotate`, `revoke`, `create` …
    pub action: String,
    /// To what, for people.
    pub what: String,
    /// Why, and on whose word; may be empty.
    pub why: String,
    /// The device, if it is about one.
    pub thing: Option<ThingName>,
    /// What came of it, a word: `done`, `begun`, `failed`.
    pub outcome: String,
    /// What that asks for.
    pub tone: Tone,
}

/// One page of it, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalPage {
    /// The entries.
    pub entries: Vec<JournalEntry>,
    /// Before which the next page begins; `None` for the last.
    pub next: Option<u64>,
    /// Where it is kept and for how long, one sentence.
    pub kept: String,
    /// What was found when its chain was last checked; `None` where it has none.
    pub chain: Option<Result<String, String>>,
}
