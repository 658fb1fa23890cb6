//! The inventory on disk: one JSON object a line, replaced whole. It is a cache: what cannot be read is made anew, and
//! said so.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use serde::{Deserialize, Serialize};

use super::crawl::Crawl;
use super::store::{Ages, Certificate, Kept, Store, Thing};
use super::watch::Watch;
use crate::files::{self, FileError, PRIVATE};

/// The form that this version writes and reads.
const FORMAT: u32 = 1;
/// The file's name in the operator's directory.
const FILE: &str = "inventory.jsonl";

/// Why there is no inventory to go on from.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what this version writes.
    #[error("line {line} of {path} cannot be understood ({reason}): the inventory is taken anew", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Where the inventory is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
enum Line<'a> {
    Inventory { format: u32, ages: Ages, crawl: Cow<'a, Crawl> },
    Thing { name: ThingName, row: Cow<'a, Thing> },
    Certificate { id: CertificateId, row: Cow<'a, Certificate> },
}

impl Snapshot {
    /// In the operator's directory.
    pub fn at(directory: &Path) -> Self {
        Self { path: directory.join(FILE) }
    }

    /// Puts all rows on disk, a part at a time: no second copy of them in memory, and nobody waits for the disk who waits
    /// for the store. Blocking.
    ///
    /// # Errors
    /// When it cannot be written; what was there is then still there.
    pub fn write(&self, watch: &Watch) -> Result<(), SnapshotError> {
        Ok(files::write_by(&self.path, PRIVATE, |file| write_rows(watch, file))?)
    }

    /// The client ids that these certificates were connected under when it was written: who may be connected still.
    /// Blocking.
    ///
    /// # Errors
    /// When there is a file and it cannot be understood.
    pub fn clients_of(&self, certificates: &[CertificateId]) -> Result<Vec<ClientId>, SnapshotError> {
        let mut clients = Vec::new();
        self.each_line(|line| {
            if let Line::Certificate { id, row } = line
                && certificates.contains(&id)
            {
                clients.extend(row.open.iter().map(|open| open.client.clone()));
            }
            Ok(())
        })?;
        Ok(clients)
    }

    /// Whether there is a file; each of its lines is handed to `take`, which may refuse it.
    fn each_line(&self, mut take: impl FnMut(Line<'_>) -> Result<(), String>) -> Result<bool, SnapshotError> {
        let failed = |error| FileError::new("read", &self.path, error);
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file.map_err(failed)?,
        };
        for (at, text) in BufReader::new(file).lines().enumerate() {
            let text = text.map_err(failed)?;
            let taken = serde_json::from_str(&text).map_err(|error| error.to_string()).and_then(&mut take);
            let line = at + 1;
            taken.map_err(|reason| SnapshotError::Damaged { path: self.path.clone(), line, reason })?;
        }
        Ok(true)
    }

    /// Reads them into `store`, which has none yet; whether there were any. Connections that were open then are not known to be now.
    /// Blocking.
    ///
    /// # Errors
    /// When there is a file and it cannot be understood; `store` then has none of it.
    pub fn read(&self, store: &mut Store) -> Result<Option<Crawl>, SnapshotError> {
        let (mut crawled, mut kept) = (None, Kept::default());
        self.each_line(|line| {
            match line {
                Line::Inventory { format: FORMAT, ages, crawl } => {
                    crawled = Some((Ages { watching_since: None, ..ages }, crawl.into_owned()));
                }
                Line::Inventory { format, .. } => return Err(format!("format {format}")),
                Line::Thing { name, row } => kept.things.push((name, Box::new(row.into_owned()))),
                Line::Certificate { id, row } => {
                    let row = Certificate { open: Vec::new(), ..row.into_owned() };
                    kept.certificates.push((id, Box::new(row)));
                }
            }
            Ok(())
        })?;
        store.restore(kept);
        Ok(crawled.map(|(ages, crawl)| {
            store.ages = ages;
            crawl
        }))
    }
}

/// How far the crawl is comes first: what it learns meanwhile it will learn again.
fn write_rows(watch: &Watch, file: &mut File) -> io::Result<()> {
    let mut text = Vec::new();
    watch.look(|store, crawl| {
        let (ages, crawl) = (store.ages, Cow::Borrowed(crawl));
        push(&mut text, &Line::Inventory { format: FORMAT, ages, crawl });
    });
    let mut after = None;
    while watch.part(&|store| &store.things, &mut after, |_, name, row| {
        push(&mut text, &Line::Thing { name: name.clone(), row: Cow::Borrowed(row) });
    }) {
        hand_on(&mut text, file)?;
    }
    let mut after = None;
    while watch.part(&|store| &store.certificates, &mut after, |_, id, row| {
        push(&mut text, &Line::Certificate { id: *id, row: Cow::Borrowed(row) });
    }) {
        hand_on(&mut text, file)?;
    }
    hand_on(&mut text, file)
}

fn push(text: &mut Vec<u8>, line: &Line<'_>) {
    // Nothing in a row can fail to be written to memory.
    let _ = serde_json::to_writer(&mut *text, line);
    text.push(b'\n');
}

fn hand_on(text: &mut Vec<u8>, file: &mut File) -> io::Result<()> {
    file.write_all(text)?;
    text.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::PresenceEvent;
    use fleetkey_model::time::Timestamp;

    fn filled() -> Store {
        let mut store = Store::default();
        let event = PresenceEvent {
            timestamp: Timestamp::from_secs(5),
            principal_identifier: CertificateId::of_der(b"x"),
            session_identifier: Some("s".into()),
        };
        store.connected(Timestamp::from_secs(6), &ClientId::new("press-1").unwrap(), &event);
        let thing = ThingName::new("press-1").unwrap();
        store.witnessed(&thing, CertificateId::of_der(b"x"), Timestamp::from_secs(5));
        store.frozen(&thing, Some("why".into()));
        store
    }

    fn watch(store: &Store) -> Watch {
        Watch::new(store.clone(), Crawl::default(), [])
    }

    #[test]
    fn what_was_kept_is_read_back_but_for_who_was_connected() {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = Snapshot::at(directory.path());
        assert_eq!(snapshot.read(&mut Store::default()).unwrap(), None);
        let before = filled();
        snapshot.write(&watch(&before)).unwrap();
        let mut after = Store::default();
        assert_eq!(snapshot.read(&mut after).unwrap(), Some(Crawl::default()));
        assert_eq!(after.things, before.things);
        let id = CertificateId::of_der(b"x");
        let row = before.certificate(&id).unwrap().clone();
        assert_eq!(after.certificate(&id), Some(&Certificate { open: Vec::new(), ..row }));
        assert_eq!(after.ages().watching_since, None);
    }

    #[test]
    fn a_damaged_file_is_said_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = Snapshot::at(directory.path());
        snapshot.write(&watch(&filled())).unwrap();
        let mut text = std::fs::read_to_string(&snapshot.path).unwrap();
        text.push_str("{\"is\":\"thing");
        std::fs::write(&snapshot.path, text).unwrap();
        let error = snapshot.read(&mut Store::default()).unwrap_err().to_string();
        assert!(error.contains("line 4") && error.contains("anew"), "{error}");
    }
}
