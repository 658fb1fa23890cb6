//! `hooks.json`: which hooks have run, and for which slot. Only hooks hang on it: a note that is lost or does not read
//! has them run once more.

use fleetkey_lifecycle::{SlotId, Status};
use serde::{Deserialize, Serialize};

use super::Store;
use super::atomic::{self, SECRET};
use super::fault::StoreFault;
use crate::config::hooks::{Hooks, Occasion};
use crate::hooks::Occurrence;

const NOTE: &str = "hooks.json";
const MAX_NOTE: u64 = 64 * 1024;

/// What has run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HookNote {
    /// After the commit of a slot.
    #[serde(default)]
    commit: Ran,
    /// After the retirement of what is older than a slot.
    #[serde(default)]
    retire: Ran,
    /// The slot whose predecessors are known to be settled: gone with their hooks run, or never there.
    #[serde(default)]
    settled: Option<SlotId>,
}

/// The hooks that have run for a slot, by their marks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ran {
    slot: Option<SlotId>,
    hooks: Vec<String>,
}

impl HookNote {
    /// Takes up the identity that is there when hooks come to a device: nothing older than it has been retired since. A
    /// retirement on which nothing is run is settled as it is. Whether any of that is news.
    pub(crate) fn begin(&mut self, status: &Status, hooks: &Hooks) -> bool {
        let before = self.settled;
        self.settled = before.or(status.previous).or(status.current);
        if self.is_retirement(status) && hooks.on(Occasion::Retire).is_empty() {
            self.settled = status.current;
        }
        self.settled != before
    }

    /// Whether what was older than the identity in use has been retired, and that was not settled yet.
    pub(crate) fn is_retirement(&self, status: &Status) -> bool {
        status.previous.is_none()
            && status.current.is_some()
            && self.settled.is_some()
            && self.settled != status.current
    }

    pub(crate) fn has_run(&self, occurrence: &Occurrence, mark: &str) -> bool {
        let ran = match occurrence.on {
            Occasion::Commit => &self.commit,
            Occasion::Retire => &self.retire,
        };
        ran.slot == Some(occurrence.slot) && ran.hooks.iter().any(|known| known == mark)
    }

    /// Notes that a hook has run; with the last of a retirement that is settled.
    pub(crate) fn ran(&mut self, occurrence: &Occurrence, mark: String, hooks: &Hooks) {
        let ran = match occurrence.on {
            Occasion::Commit => &mut self.commit,
            Occasion::Retire => &mut self.retire,
        };
        if ran.slot != Some(occurrence.slot) {
            *ran = Ran { slot: Some(occurrence.slot), hooks: Vec::new() };
        }
        ran.hooks.push(mark);
        let all = hooks.on(occurrence.on).iter().all(|hook| self.has_run(occurrence, &hook.mark()));
        if occurrence.on == Occasion::Retire && all {
            self.settled = Some(occurrence.slot);
        }
    }
}

impl Store {
    /// The note; an empty one where there is none that reads.
    pub(crate) fn hook_note(&self) -> HookNote {
        let read = atomic::read_optional(&*self.fs, &self.root.join(NOTE), MAX_NOTE);
        let bytes = read.unwrap_or_else(|fault| {
            tracing::warn!(%fault, "hooks may run once more");
            None
        });
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Makes the note durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn write_hook_note(&self, note: &HookNote) -> Result<(), StoreFault> {
        let path = self.root.join(NOTE);
        let bytes = serde_json::to_vec(note)
            .map_err(|error| StoreFault::content("encode", &path, error.to_string()))?;
        atomic::replace(&*self.fs, &self.root, NOTE, SECRET, &bytes)
    }
}
