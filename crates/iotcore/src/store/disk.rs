//! The redb file: opening, locking, its format version, loading and writing rows.
//!
//! Blocking; the caller sees to it that no async thread waits here.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, TableError, WriteTransaction,
};

use super::error::{OpenError, StorageError};
use super::row::{Row, Table};
use crate::registry::Change;

/// The newest format that this program reads, and the one it writes.
const FORMAT: u32 = 2;
/// Format 1 had fewer tables and fewer fields; what it lacks has defaults, so that nothing but the tables is added.
const OLDER: u32 = 1;
const FORMAT_KEY: &str = "format";
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
/// The registry is held in memory anyway: redb's page cache (1 GiB by default) would be a second copy.
const CACHE_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Disk {
    database: Database,
}

impl Disk {
    /// Opens or makes the file; a new one is durable in its directory before it is used.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::File { path: path.to_owned(), source };
        let file = open_file(path).map_err(failed)?;
        let backend = FileBackend::new(file).map_err(open_error)?;
        Self::with_backend(backend)
    }

    pub(super) fn with_backend(backend: impl StorageBackend) -> Result<Self, OpenError> {
        let database =
            Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend).map_err(open_error)?;
        let disk = Self { database };
        disk.check_format()?;
        Ok(disk)
    }

    /// Refuses a newer format, writes the present one into a new file or one of format 1. When [`FORMAT`] rises, the
    /// steps from each older format to the next go here, in the same transaction as the new version row.
    fn check_format(&self) -> Result<(), OpenError> {
        let transaction = self.begin()?;
        {
            let mut meta = transaction.open_table(META).map_err(StorageError::new)?;
            let found = meta.get(FORMAT_KEY).map_err(StorageError::new)?.map(|row| row.value().to_owned());
            match found {
                Some(text) if text.parse() == Ok(FORMAT) => return Ok(()),
                Some(text) if text.parse() != Ok(OLDER) => {
                    return Err(OpenError::TooNew { found: text, known: FORMAT });
                }
                Some(_) | None => {
                    meta.insert(FORMAT_KEY, FORMAT.to_string().as_str()).map_err(StorageError::new)?
                }
            };
        }
        for table in Table::ALL {
            transaction.open_table(definition(table)).map_err(StorageError::new)?;
        }
        transaction.commit().map_err(StorageError::new)?;
        Ok(())
    }

    /// Hands every record to `apply`, as the change that makes it.
    pub(super) fn load(&self, mut apply: impl FnMut(Change)) -> Result<(), OpenError> {
        let transaction = self.database.begin_read().map_err(StorageError::new)?;
        for table in Table::ALL {
            let rows = match transaction.open_table(definition(table)) {
                Ok(rows) => rows,
                // A file made before the program knew this table; the first row makes it.
                Err(TableError::TableDoesNotExist(_)) => continue,
                Err(error) => return Err(StorageError::new(error).into()),
            };
            for row in rows.iter().map_err(StorageError::new)? {
                let (key, json) = row.map_err(StorageError::new)?;
                apply(table.read(json.value()).map_err(|error| OpenError::Damaged {
                    table: table.name(),
                    key: key.value().to_owned(),
                    reason: error.to_string(),
                })?);
            }
        }
        Ok(())
    }

    /// Writes all changes in one transaction and returns after they are synced.
    pub(super) fn write(&self, changes: &[Change]) -> Result<(), StorageError> {
        let transaction = self.begin()?;
        for change in changes {
            write_row(&transaction, &Row::of(change)?)?;
        }
        transaction.commit().map_err(StorageError::new)
    }

    /// Removes every record in one transaction and returns after that is synced.
    pub(super) fn clear(&self) -> Result<(), StorageError> {
        let transaction = self.begin()?;
        for table in Table::ALL {
            transaction.delete_table(definition(table)).map_err(StorageError::new)?;
            transaction.open_table(definition(table)).map_err(StorageError::new)?;
        }
        transaction.commit().map_err(StorageError::new)
    }

    fn begin(&self) -> Result<WriteTransaction, StorageError> {
        let mut transaction = self.database.begin_write().map_err(StorageError::new)?;
        transaction.set_durability(Durability::Immediate).map_err(StorageError::new)?;
        Ok(transaction)
    }
}

fn write_row(transaction: &WriteTransaction, row: &Row) -> Result<(), StorageError> {
    let mut table = transaction.open_table(definition(row.table)).map_err(StorageError::new)?;
    let key = row.key.as_str();
    match &row.json {
        Some(json) => table.insert(key, json.as_slice()).map(drop),
        None => table.remove(key).map(drop),
    }
    .map_err(StorageError::new)
}

fn definition(table: Table) -> TableDefinition<'static, &'static str, &'static [u8]> {
    TableDefinition::new(table.name())
}

fn open_error(error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => OpenError::InUse,
        DatabaseError::UpgradeRequired(version) => OpenError::Storage(StorageError::because(format!(
            "its file format {version} is older than this program can read"
        ))),
        other => OpenError::Storage(StorageError::new(other)),
    }
}

/// Opens the file for reading and writing; a new one has mode 0600 from its first moment.
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            file.sync_all()?;
            sync_directory(path)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
        Err(error) => Err(error),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
