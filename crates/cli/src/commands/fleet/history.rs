//! What became of a thing's certificates, gathered from the inventory and the fleet directory's journals.

use std::path::Path;

use fleetkey_model::name::ThingName;
use fleetkey_operator::chain::{CONTROLLER_JOURNAL_FILE, JOURNAL_FILE};
use fleetkey_operator::chronicle::lines_with;
use fleetkey_operator::files::FileError;
use fleetkey_operator::inventory::{Happening, History, Watch};

/// All that is known, oldest first; `directory` is the operator's. Blocking: it reads the journals, twice if they tell of
/// certificates that the inventory does not remember.
///
/// # Errors
/// When a journal cannot be read.
pub(super) fn of(watch: &Watch, directory: &Path, thing: &ThingName) -> Result<Vec<Happening>, FileError> {
    let journals = [JOURNAL_FILE, CONTROLLER_JOURNAL_FILE].map(|name| directory.join(name));
    let mut history = watch.look(|store, _| History::of(store, thing));
    let mut lines = lines_with(&journals, &history.words())?;
    if history.learn(&lines) {
        lines = lines_with(&journals, &history.words())?;
    }
    Ok(watch.look(|store, _| history.told(store, lines)))
}
