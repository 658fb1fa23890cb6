//! Hooks: what is run on this computer after a commit and after a retirement, for programs that must be told.
//!
//! A hook runs once the files of the identity in use are exported, one at a time and never in the agent's way. What has
//! run is noted on the disk afterwards, so that a crash in between runs it again, and nothing else does: a hook must
//! bear that. One that fails is tried again, with growing waits, until it succeeds or another identity is in use. Not
//! here: how one is run ([`run`]), and what the configuration says ([`crate::config::hooks`]).

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use fleetkey_lifecycle::{SlotId, Status};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use tokio::sync::{broadcast, watch};

use crate::clock::{Clock, FlooredClock};
use crate::config::hooks::{Hook, Hooks, Occasion};
use crate::disk::Disk;
use crate::event::AgentEvent;
use crate::store::HookNote;

mod run;
#[cfg(test)]
mod tests;

/// What an agent says for [`Runner::path`]: the directories of the system, whatever its own environment.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The wait after a first failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What a hook is told, in its environment. No key, and no path that needs one to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occurrence {
    pub(crate) on: Occasion,
    pub(crate) thing: ThingName,
    pub(crate) slot: SlotId,
    pub(crate) certificate: Option<CertificateId>,
    /// The directory with the exported files.
    pub(crate) export: PathBuf,
}

/// Runs hooks as they fall due.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) hooks: Hooks,
    pub(crate) export: PathBuf,
    /// Where programs are looked for that are named without a directory, and what hooks get as their `PATH`.
    pub(crate) path: OsString,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) disk: Disk,
    pub(crate) events: broadcast::Sender<AgentEvent>,
    pub(crate) clock: FlooredClock,
}

impl Runner {
    /// Until the agent ends. A hook that runs then is killed, and runs again with the next start.
    pub(crate) async fn run(mut self) {
        if self.hooks.is_empty() {
            return;
        }
        let mut note = self.disk.run(|files| Ok(files.store.hook_note())).await.unwrap_or_default();
        let mut failures = 0;
        loop {
            let status = self.status.borrow_and_update().clone();
            if note.begin(&status, &self.hooks) {
                self.keep(&note).await;
            }
            let Some((hook, occurrence)) = self.due(&note, &status) else {
                failures = 0;
                if self.status.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let (name, on, slot) = (hook.to_string(), occurrence.on, occurrence.slot);
            match run::run(&hook, &occurrence, &self.path).await {
                Ok(()) => {
                    failures = 0;
                    note.ran(&occurrence, hook.mark(), &self.hooks);
                    self.keep(&note).await;
                    self.emit(AgentEvent::HookRan { hook: name, on, slot });
                }
                Err(why) => {
                    self.emit(AgentEvent::HookFailed { hook: name, on, slot, why });
                    self.wait_or_another_identity(&occurrence, failures).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    /// The wait after a failure; one for an identity that is no longer in use need not be waited for.
    async fn wait_or_another_identity(&mut self, occurrence: &Occurrence, failures: u32) {
        let wait = FIRST_WAIT.saturating_mul(1 << failures.min(6)).min(LONGEST_WAIT);
        let slot = occurrence.slot;
        let another = self.status.wait_for(|status| status.current != Some(slot));
        let _ = tokio::time::timeout(wait, another).await;
    }

    /// The next hook that has not run on what has happened.
    fn due(&self, note: &HookNote, status: &Status) -> Option<(Hook, Occurrence)> {
        let slot = status.current.filter(|_| status.exported)?;
        let on = |on| Occurrence {
            on,
            thing: status.thing.clone(),
            slot,
            certificate: status.certificate,
            export: self.export.clone(),
        };
        let find = |occurrence: Occurrence| {
            let hooks = self.hooks.on(occurrence.on).iter();
            let hook = hooks.into_iter().find(|hook| !note.has_run(&occurrence, &hook.mark()))?;
            Some((hook.clone(), occurrence))
        };
        let retired = note.is_retirement(status).then(|| on(Occasion::Retire));
        find(on(Occasion::Commit)).or_else(|| find(retired?))
    }

    /// A note that cannot be written costs another run after the next start, no more.
    async fn keep(&self, note: &HookNote) {
        let note = note.clone();
        if let Err(fault) = self.disk.run(move |files| files.store.write_hook_note(&note)).await {
            tracing::warn!(%fault, "it is not noted which hooks have run");
        }
    }

    fn emit(&self, event: AgentEvent) {
        event.log();
        if let Some(entry) = event.audit_entry(self.clock.now()) {
            self.disk.note(entry);
        }
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }
}
