//! The redb file behind the sessions: tables, opening, loading, one commit.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Batch, SessionRecord};

/// The version of this layout.
const VERSION: u64 = 2;
/// Pages of the file kept in memory; the data itself lives in the sessions.
const CACHE_BYTES: usize = 8 << 20;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SESSIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("sessions");
const MESSAGES: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("messages");
const RETAINED: TableDefinition<&str, &[u8]> = TableDefinition::new("retained");

/// Why the sessions file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// It cannot be opened or made.
    #[error("cannot open the sessions file {}: {source}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process has it open, or it is no sessions file.
    #[error("cannot use the sessions file {}: {source} (is another local IoT Core running on this data directory?)", path.display())]
    Database {
        /// Which file.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// A newer release wrote it.
    #[error(
        "the sessions file has version {found}, this release knows {known}: use the release that wrote it"
    )]
    Newer {
        /// In the file.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// It cannot be read or written.
    #[error("sessions file: {0}")]
    Storage(Box<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for SessionsError {
    fn from(error: E) -> Self {
        Self::Storage(Box::new(error.into()))
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// By client id.
    pub(crate) sessions: BTreeMap<String, Stored>,
    /// By topic.
    pub(crate) retained: BTreeMap<String, Bytes>,
}

/// A persistent session in the file.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) record: SessionRecord,
    /// What waits for it, by number, oldest first.
    pub(crate) messages: Vec<(u64, Bytes)>,
}

/// Opens or makes the file; nobody but its owner can read it.
///
/// # Errors
/// When the file cannot be opened, is no database, or is open elsewhere.
pub(crate) fn open(path: &Path) -> Result<Database, SessionsError> {
    let open = |source| SessionsError::Open { path: path.to_owned(), source };
    let file = private_file(path).map_err(open)?;
    if let Some(parent) = path.parent() {
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(open)?;
    }
    FileBackend::new(file)
        .and_then(|backend| Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend))
        .map_err(|error| SessionsError::Database { path: path.to_owned(), source: Box::new(error.into()) })
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

pub(super) fn load(database: &Database) -> Result<Loaded, SessionsError> {
    let write = database.begin_write()?;
    check_version(&write)?;
    // Tables are made here once, so that reading never meets a missing one.
    drop((write.open_table(SESSIONS)?, write.open_table(MESSAGES)?, write.open_table(RETAINED)?));
    write.commit()?;
    let read = database.begin_read()?;
    let mut loaded = Loaded::default();
    for row in read.open_table(SESSIONS)?.iter()? {
        let (client, record) = row?;
        match serde_json::from_slice(record.value()) {
            Ok(record) => {
                let messages = Vec::new();
                loaded.sessions.insert(client.value().to_owned(), Stored { record, messages });
            }
            Err(error) => tracing::warn!(client = client.value(), %error, "unreadable session dropped"),
        }
    }
    for row in read.open_table(MESSAGES)?.iter()? {
        let (key, message) = row?;
        let (client, number) = key.value();
        if let Some(session) = loaded.sessions.get_mut(client) {
            session.messages.push((number, Bytes::copy_from_slice(message.value())));
        }
    }
    for row in read.open_table(RETAINED)?.iter()? {
        let (topic, message) = row?;
        loaded.retained.insert(topic.value().to_owned(), Bytes::copy_from_slice(message.value()));
    }
    Ok(loaded)
}

fn check_version(write: &redb::WriteTransaction) -> Result<(), SessionsError> {
    let mut meta = write.open_table(META)?;
    let found = meta.get("version")?.map_or(VERSION, |version| version.value());
    if found > VERSION {
        return Err(SessionsError::Newer { found, known: VERSION });
    }
    if found < 2 {
        date_retained(write)?;
    }
    meta.insert("version", VERSION)?;
    Ok(())
}

/// From version 1 to 2: a retained message's row begins with the moment and the quality of its publish. Of old ones
/// the moment is not known, and QoS 1 is what they were read back at.
fn date_retained(write: &redb::WriteTransaction) -> Result<(), SessionsError> {
    let mut retained = write.open_table(RETAINED)?;
    let mut rows = Vec::new();
    for row in retained.iter()? {
        let (topic, message) = row?;
        rows.push((topic.value().to_owned(), [&[0, 0, 0, 0, 0, 0, 0, 0, 1], message.value()].concat()));
    }
    for (topic, row) in rows {
        retained.insert(topic.as_str(), row.as_slice())?;
    }
    Ok(())
}

/// Writes a batch and returns when it is durable (one fsync).
pub(super) fn commit(database: &Database, batch: &Batch) -> Result<(), SessionsError> {
    let write = database.begin_write()?;
    {
        let mut sessions = write.open_table(SESSIONS)?;
        let mut messages = write.open_table(MESSAGES)?;
        for client in &batch.forgotten {
            let client: &str = client;
            sessions.remove(client)?;
            messages.retain_in((client, 0)..=(client, u64::MAX), |_, _| false)?;
        }
        for (client, record) in &batch.sessions {
            let record = serde_json::to_vec(record).map_err(io::Error::other)?;
            let client: &str = client;
            sessions.insert(client, record.as_slice())?;
        }
        for ((client, number), message) in &batch.messages {
            let client: &str = client;
            match message {
                Some(message) => drop(messages.insert((client, *number), message.as_ref())?),
                None => drop(messages.remove((client, *number))?),
            }
        }
        let mut retained = write.open_table(RETAINED)?;
        for (topic, message) in &batch.retained {
            let topic: &str = topic;
            match message {
                Some(message) => drop(retained.insert(topic, message.as_ref())?),
                None => drop(retained.remove(topic)?),
            }
        }
    }
    write.commit()?;
    Ok(())
}

#[cfg(test)]
pub(super) fn set_version(database: &Database, version: u64) -> Result<(), SessionsError> {
    let write = database.begin_write()?;
    write.open_table(META)?.insert("version", version)?;
    write.commit()?;
    Ok(())
}
