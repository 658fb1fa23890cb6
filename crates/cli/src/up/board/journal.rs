//! Who changed what in this run: orders from pages, what set-up made, what the controller retired. Bounded.

use fleetkey_dashboard::fleet::{JournalEntry, JournalPage, Tone};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;

use super::{Board, State, push};

/// Entries that are kept.
const KEPT: usize = 1000;

/// A change that was carried out, or was not.
pub(crate) struct Change<'a> {
    pub(crate) who: &'a str,
    pub(crate) action: &'a str,
    pub(crate) what: String,
    /// On whose word, where it is more than an order.
    pub(crate) why: &'a str,
    pub(crate) thing: Option<&'a ThingName>,
    /// Why it failed, if it did.
    pub(crate) failed: bool,
}

impl Board {
    /// Enters a change.
    pub(crate) fn enter(&self, change: Change<'_>) {
        let now = self.account.now();
        self.state().enter(now, change);
        self.hub.tell("journal", None);
    }

    /// One page.
    pub(super) fn entered(&self, before: Option<u64>, limit: usize) -> JournalPage {
        let state = self.state();
        let mut rest = state.journal.iter().filter(|entry| before.is_none_or(|before| entry.number < before));
        let entries: Vec<JournalEntry> = rest.by_ref().take(limit).cloned().collect();
        let more = rest.next().is_some();
        let next = entries.last().filter(|_| more).map(|entry| entry.number);
        let kept = format!("Kept while this process runs, the last {KEPT} changes.");
        JournalPage { entries, next, kept, chain: None }
    }
}

impl State {
    /// Enters a change.
    pub(super) fn enter(&mut self, at: Timestamp, change: Change<'_>) {
        self.changes += 1;
        let (outcome, tone) = if change.failed { ("failed", Tone::Bad) } else { ("done", Tone::Good) };
        let entry = JournalEntry {
            number: self.changes,
            at,
            who: change.who.to_owned(),
            action: change.action.to_owned(),
            what: change.what,
            why: change.why.to_owned(),
            thing: change.thing.cloned(),
            outcome: outcome.to_owned(),
            tone,
        };
        push(&mut self.journal, entry, KEPT);
    }
}
