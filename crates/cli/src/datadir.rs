//! The data directory: its layout, its version, and the lock that keeps it to one process.
//!
//! ```text
//! VERSION      "fleetkey data 1"
//! lock         held while a process uses iotcore/ or operator/
//! iotcore/     registry, sessions and CAs of the local IoT Core
//! operator/    what setup made: claim, observer and controller identities, config.json
//! devices/     one directory a serial; each agent locks its own
//! ```

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fleetkey_model::name::SerialNumber;

use crate::ignore;

/// The layout that this program writes.
const VERSION: u32 = 1;
const VERSION_PREFIX: &str = "fleetkey data ";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// It cannot be made or written.
    #[error("the data directory {path} cannot be used; choose another with --data-dir", path = path.display())]
    Unusable {
        /// The directory or a file in it.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A later fleetkey wrote it.
    #[error(
        "the data directory {path} has layout {found}, this fleetkey knows layouts up to {VERSION}; \
         use the newer fleetkey, or another --data-dir",
        path = path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its layout.
        found: u32,
    },
    /// It is something else's directory.
    #[error(
        "{path} is not a fleetkey data directory: its VERSION file reads {found:?}; choose another --data-dir",
        path = path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What the file holds, shortened.
        found: String,
    },
    /// There is none, and the caller is not the one to make it.
    #[error(
        "there is no fleetkey data directory at {path}; `fleetkey local --setup` or `fleetkey setup` makes one, \
         and --data-dir or --fleet-dir names another",
        path = path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another process has it.
    #[error(
        "the data directory {path} is in use by another fleetkey process; stop it, or choose another --data-dir",
        path = path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

/// An opened data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// Keeps a data directory to this process while it lives.
#[derive(Debug)]
pub(crate) struct DataLock {
    file: File,
}

impl Drop for DataLock {
    /// Said, not left to the closing of the file: a child that was forked and has not become its program yet has it, too.
    fn drop(&mut self) {
        // The end of the process lets go of it all the same.
        let _ = self.file.unlock();
    }
}

impl DataDir {
    /// Opens the directory, making it with mode 0700 if it is not there, and brings its layout up to date.
    ///
    /// # Errors
    /// See [`DataDirError`].
    pub(crate) fn open(root: &Path) -> Result<Self, DataDirError> {
        make_private_dir(root)?;
        let dir = Self { root: root.canonicalize().map_err(unusable(root))? };
        match dir.version()? {
            None => dir.write_version()?,
            Some(found) if found > VERSION => {
                return Err(DataDirError::Newer { path: dir.root, found });
            }
            // Version 1 is the first: an upgrade from N to N + 1 is a function here, run in order.
            Some(_) => {}
        }
        dir.stay_out_of_repositories().map_err(unusable(&dir.root))?;
        Ok(dir)
    }

    /// A data directory is full of keys. Where it is also something else's, whose `.gitignore` stays as it is, each part
    /// of ours has its own.
    fn stay_out_of_repositories(&self) -> io::Result<()> {
        ignore::everything_in(&self.root)?;
        if ignore::covers(&self.root)? {
            return Ok(());
        }
        for part in ["iotcore", "operator", "devices"].map(|part| self.root.join(part)) {
            DirBuilder::new().recursive(true).mode(0o700).create(&part)?;
            ignore::everything_in(&part)?;
        }
        Ok(())
    }

    /// Opens a directory that must be there: who acts on a fleet makes none, least of all where a path was mistyped.
    ///
    /// # Errors
    /// See [`DataDirError`].
    pub(crate) fn existing(root: &Path) -> Result<Self, DataDirError> {
        match std::fs::metadata(root.join("VERSION")) {
            Ok(_) => Self::open(root),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                let path = std::path::absolute(root).map_err(unusable(root))?;
                Err(DataDirError::Missing { path })
            }
            Err(source) => Err(unusable(root)(source)),
        }
    }

    /// Takes the lock for the local IoT Core and the operator's files.
    ///
    /// # Errors
    /// When another process has it.
    pub(crate) fn lock(&self) -> Result<DataLock, DataDirError> {
        let path = self.root.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(unusable(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(DataLock { file }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(unusable(&path)(source)),
        }
    }

    /// The directory itself, as the file system names it.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The local IoT Core's directory.
    pub(crate) fn iotcore(&self) -> PathBuf {
        self.root.join("iotcore")
    }

    /// The operator's directory.
    pub(crate) fn operator(&self) -> PathBuf {
        self.root.join("operator")
    }

    /// A device's directory; a serial cannot leave it.
    pub(crate) fn device(&self, serial: &SerialNumber) -> PathBuf {
        self.root.join("devices").join(serial.as_str())
    }

    fn version(&self) -> Result<Option<u32>, DataDirError> {
        let path = self.root.join("VERSION");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(unusable(&path)(source)),
        };
        let number = text.trim().strip_prefix(VERSION_PREFIX).and_then(|number| number.parse().ok());
        match number {
            Some(number) => Ok(Some(number)),
            None => {
                Err(DataDirError::Foreign { path: self.root.clone(), found: text.chars().take(40).collect() })
            }
        }
    }

    fn write_version(&self) -> Result<(), DataDirError> {
        let (path, draft) = (self.root.join("VERSION"), self.root.join("VERSION.new"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&draft)?;
            writeln!(file, "{VERSION_PREFIX}{VERSION}")?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
            File::open(&self.root)?.sync_all()
        };
        write().map_err(unusable(&path))
    }
}

/// Makes a directory and its parents, readable by its owner alone.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), DataDirError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable(path))
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> DataDirError + use<> {
    let path = path.to_path_buf();
    move |source| DataDirError::Unusable { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_enters_a_repository_and_its_owners_file_stays() {
        let own = tempfile::tempdir().unwrap();
        DataDir::open(own.path()).unwrap();
        assert!(ignore::covers(own.path()).unwrap());
        assert!(!own.path().join("devices").exists());

        let shared = tempfile::tempdir().unwrap();
        let theirs = shared.path().join(".gitignore");
        std::fs::write(&theirs, "target/\n").unwrap();
        DataDir::open(shared.path()).unwrap();
        assert_eq!(std::fs::read_to_string(theirs).unwrap(), "target/\n");
        for part in ["iotcore", "operator", "devices"] {
            assert!(ignore::covers(&shared.path().join(part)).unwrap(), "{part}");
        }
    }

    #[test]
    fn a_directory_opens_again_and_keeps_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        DataDir::open(&root).unwrap();
        DataDir::open(&root).unwrap();
        let text = std::fs::read_to_string(root.join("VERSION")).unwrap();
        assert_eq!(text, "fleetkey data 1\n");
    }

    #[test]
    fn one_that_must_be_there_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        for _ in 0..2 {
            let error = DataDir::existing(&root).unwrap_err();
            assert!(matches!(&error, DataDirError::Missing { path } if *path == root), "{error}");
        }
        assert!(matches!(DataDir::existing(dir.path()), Err(DataDirError::Missing { .. })), "it is empty");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        DataDir::open(&root).unwrap();
        DataDir::existing(&root).unwrap();
        assert!(matches!(DataDir::existing(&root.join("VERSION")), Err(DataDirError::Missing { .. })));
    }

    #[test]
    fn a_newer_directory_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("VERSION"), "fleetkey data 99\n").unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, DataDirError::Newer { found: 99, .. }), "{error}");
    }

    #[test]
    fn something_elses_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("VERSION"), "9.6\n").unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::Foreign { .. })));
    }

    #[test]
    fn a_second_process_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let lock = data.lock().unwrap();
        assert!(matches!(data.lock(), Err(DataDirError::InUse { .. })));
        drop(lock);
        assert!(data.lock().is_ok());
    }

    #[test]
    fn a_path_that_cannot_be_a_directory_is_an_error_with_a_way_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::open(&file.path().join("x")).unwrap_err();
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }
}
