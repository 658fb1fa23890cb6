//! The inventory on disk: one JSON object a line, replaced whole. It is a cache: what cannot be read is made anew, and
//! said so.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ThingName;
use serde::{Deserialize, Serialize};

use super::crawl::Crawl;
use super::store::{Ages, Certificate, Own, Restoring, Store, Thing};
use super::watch::Watch;
use crate::files::{self, FileError, PRIVATE};
use crate::plan::Seen;

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

    /// The client ids that each of these certificates was connected under, as far as was known when it was written: who may be
    /// connected still.
    /// Blocking.
    ///
    /// # Errors
    /// When there is a file and it cannot be understood.
    pub fn clients_of(&self, certificates: &[CertificateId]) -> Result<Seen, SnapshotError> {
        let certificates: BTreeSet<_> = certificates.iter().collect();
        let mut clients = Seen::new();
        self.each_line(|line| {
            if let Line::Certificate { id, row } = line
                && certificates.contains(&id)
            {
                clients.insert(id, row.clients());
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
            taken.map_err(|reason| self.damaged(at + 1, reason))?;
        }
        Ok(true)
    }

    fn damaged(&self, line: usize, reason: String) -> SnapshotError {
        SnapshotError::Damaged { path: self.path.clone(), line, reason }
    }

    /// Reads them, if there are any, into a store that knows which certificates are the operator's own. Connections that were open
    /// then are not known to be now. Blocking.
    ///
    /// # Errors
    /// When there is a file and it cannot be understood.
    pub fn read(&self, own: Own) -> Result<Option<(Store, Crawl)>, SnapshotError> {
        let (mut crawled, mut restoring) = (None, Restoring::new(own));
        let is_there = self.each_line(|line| {
            match line {
                Line::Inventory { format: FORMAT, ages, crawl } => {
                    crawled = Some((Ages { watching_since: None, ..ages }, crawl.into_owned()));
                }
                Line::Inventory { format, .. } => return Err(format!("format {format}")),
                Line::Thing { name, row } => restoring.thing(name, row.into_owned())?,
                Line::Certificate { id, row } => {
                    restoring.certificate(id, Certificate { open: Vec::new(), ..row.into_owned() });
                }
            }
            Ok(())
        })?;
        match crawled {
            Some((ages, crawl)) => Ok(Some((restoring.done(ages), crawl))),
            None if is_there => Err(self.damaged(1, "it does not tell how old it is".to_owned())),
            None => Ok(None),
        }
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
    use crate::control_plane::CertificateSummary;
    use crate::controller::PresenceEvent;
    use crate::inventory::{Described, ListedCertificate};
    use fleetkey_model::certificate::CertificateStatus::{self, Active, Inactive, Revoked};
    use fleetkey_model::name::ClientId;
    use fleetkey_model::time::Timestamp;

    fn id(name: &str) -> CertificateId {
        CertificateId::of_der(name.as_bytes())
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn connect(store: &mut Store, client: &str, certificate: &str) {
        let (client, principal_identifier) = (ClientId::new(client).unwrap(), id(certificate));
        let session_identifier = Some(client.as_str().into());
        let event = PresenceEvent { timestamp: at(5), principal_identifier, session_identifier };
        store.connected(at(6), &client, &event);
    }

    /// Things with one certificate and with several, in every status; one certificate on none, one that was on one, one that was
    /// used under two names.
    fn filled() -> Store {
        let mut store = Store::new([(id("own"), "claim".to_owned())].into());
        let mut listed = |name: &str, certificates: &[(&str, CertificateStatus)]| {
            let summary = |(n, (name, status)): (usize, &(&str, CertificateStatus))| CertificateSummary {
                id: id(name),
                status: *status,
                created_at: at(n as u64),
            };
            let certificates: Vec<_> = certificates.iter().enumerate().map(summary).collect();
            store.listed(at(9), &ThingName::new(name).unwrap(), &certificates);
        };
        listed("press-1", &[("a", Revoked), ("b", Inactive), ("c", Active)]);
        listed("press-2", &[("d", Active), ("e", Active)]);
        listed("press-2", &[("e", Active)]);
        listed("press-3", &[("f", Active)]);
        for name in ["b", "c", "e"] {
            store.described(id(name), &Described { not_after: at(99) });
        }
        let orphan = ListedCertificate { id: id("g"), status: Active, created_at: at(3) };
        store.listed_certificates(at(9), &[orphan]);
        connect(&mut store, "press-3", "f");
        connect(&mut store, "other", "f");
        let thing = ThingName::new("press-1").unwrap();
        store.witnessed(&thing, id("c"), at(5));
        store.frozen(&thing, Some("why".into()));
        store
    }

    /// What is kept of a store, and where.
    fn kept(store: &Store) -> (tempfile::TempDir, Snapshot) {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = Snapshot::at(directory.path());
        snapshot.write(&Watch::new(store.clone(), Crawl::default())).unwrap();
        (directory, snapshot)
    }

    #[test]
    fn what_was_kept_is_read_back_but_for_who_was_connected() {
        let mut before = filled();
        let (_directory, snapshot) = kept(&before);
        let (after, crawl) = snapshot.read(before.own.clone()).unwrap().unwrap();
        assert_eq!(crawl, Crawl::default());
        before.presence_missed(before.ages.listened_until.unwrap());
        before.ages = Ages { watching_since: None, ..before.ages };
        // Rows, and what is known by them: who has which, and what rules and questions look at.
        assert_eq!(after, before);
    }

    #[test]
    fn where_nothing_was_kept_there_is_nothing_to_read() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Snapshot::at(directory.path()).read(Own::new()).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_said_to_be() {
        let (_directory, snapshot) = kept(&filled());
        let whole = std::fs::read_to_string(&snapshot.path).unwrap();
        let (head, rows) = whole.split_once('\n').unwrap();
        let thing = rows.lines().next().unwrap();
        let cut = format!("{whole}{{\"is\":\"thing");
        let late = format!("{whole}{thing}\n");
        let newer = head.replace("\"format\":1", "\"format\":2");
        let after_the_last = format!("line {} ", whole.lines().count() + 1);
        let damages = [
            (cut, after_the_last.as_str()),
            (late, "a thing after certificates"),
            (rows.to_owned(), "how old it is"),
            (String::new(), "how old it is"),
            (newer, "format 2"),
        ];
        for (text, expected) in damages {
            std::fs::write(&snapshot.path, text).unwrap();
            let error = snapshot.read(Own::new()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("anew"), "{error}");
        }
    }
}
