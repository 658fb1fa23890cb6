//! Who changed what: the journals of set-up and of the controller, read as one, and whether their chains hold.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetkey_dashboard::fleet::{JournalEntry, JournalPage, Tone};
use fleetkey_model::name::ThingName;
use fleetkey_operator::chain::{self, CONTROLLER_JOURNAL_FILE, JOURNAL_FILE};
use fleetkey_operator::chronicle::{Chronicle, Kept, Leaf};

use super::super::super::now;

/// How often the chains are followed from their beginning.
const CHECK_EVERY: Duration = Duration::from_secs(600);

/// The journals of a fleet directory.
#[derive(Debug)]
pub(super) struct Journals {
    paths: [PathBuf; 2],
    /// There once all that stands in them is known.
    chronicle: Mutex<Option<Chronicle>>,
    checked: Mutex<Option<Result<String, String>>>,
}

impl Journals {
    /// Of the operator's directory; nothing is read yet.
    pub(super) fn of(directory: &Path) -> Self {
        let paths = [JOURNAL_FILE, CONTROLLER_JOURNAL_FILE].map(|name| directory.join(name));
        Self { paths, chronicle: Mutex::default(), checked: Mutex::default() }
    }

    /// One page, with what was entered up to this moment.
    pub(super) fn page(&self, before: Option<u64>, limit: usize) -> JournalPage {
        let mut chronicle = lock(&self.chronicle);
        let Some(known) = chronicle.as_mut() else {
            return JournalPage { kept: "The journals are being read.".to_owned(), ..JournalPage::default() };
        };
        let kept = "Kept in the fleet directory for good; `fleetkey journal export` hands it on.".to_owned();
        match known.refresh().and_then(|()| known.leaf(before, limit)) {
            Ok(Leaf { lines, next }) => {
                let entries = lines.into_iter().map(|(number, kept)| entry(number, kept)).collect();
                JournalPage { entries, next, kept, chain: lock(&self.checked).clone() }
            }
            Err(error) => JournalPage { kept, chain: Some(Err(error.to_string())), ..JournalPage::default() },
        }
    }

    /// Reads them for the first time. Blocking, and of a large fleet's it takes seconds.
    fn read(&self) {
        let mut chronicle = Chronicle::of(self.paths.clone());
        if let Err(error) = chronicle.refresh() {
            tracing::error!(%error, "a journal cannot be read");
        }
        *lock(&self.chronicle) = Some(chronicle);
    }

    /// Follows both chains. Blocking, likewise.
    fn check(&self) {
        let found = self.paths.iter().filter(|path| chain::is_there(path)).map(|path| chain::verify(path));
        let checked = match found.collect::<Result<Vec<_>, _>>() {
            Ok(heads) => {
                let lines: u64 = heads.iter().map(|head| head.lines).sum();
                Ok(format!("{lines} lines were followed from their beginning, at {}.", now()))
            }
            Err(error) => {
                tracing::error!(%error, "a journal is not what it was");
                Err(format!("{error}; found at {}.", now()))
            }
        };
        *lock(&self.checked) = Some(checked);
    }
}

/// Reads the journals, and checks them again and again; `told` is called when there is news.
pub(super) async fn tend(journals: std::sync::Arc<Journals>, told: impl Fn()) {
    let reading = journals.clone();
    // Neither panics, and a runtime that ends takes both along.
    _ = tokio::task::spawn_blocking(move || reading.read()).await;
    told();
    loop {
        let checking = journals.clone();
        _ = tokio::task::spawn_blocking(move || checking.check()).await;
        told();
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

fn entry(number: u64, kept: Kept) -> JournalEntry {
    let tone = match kept.phase.as_str() {
        "done" => Tone::Good,
        "begun" => Tone::Busy,
        _ => Tone::Bad,
    };
    JournalEntry {
        number,
        at: kept.at,
        thing: thing(&kept.what),
        who: kept.who,
        action: kept.action,
        what: kept.what,
        why: kept.why.unwrap_or_default(),
        outcome: kept.phase,
        tone,
    }
}

/// The thing that an entry is about: `thing NAME`, `certificate ID of NAME`.
fn thing(what: &str) -> Option<ThingName> {
    let name = match what.split_once(' ')? {
        ("thing", name) => name,
        ("certificate", rest) => rest.split_once(" of ")?.1,
        _ => return None,
    };
    ThingName::new(name).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thing_of_an_entry_is_named_where_there_is_one() {
        for (what, named) in [
            ("thing press-1", Some("press-1")),
            ("certificate 0a1b of press-1", Some("press-1")),
            ("certificate 0a1b", None),
            ("policy DevicePolicy", None),
            ("thing type fleet-device", None),
            ("", None),
        ] {
            assert_eq!(thing(what).as_ref().map(ThingName::as_str), named, "{what}");
        }
    }
}
