//! A disk that takes no writes whatever the one below would: for a directory that a newer version has written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fs::{Entry, Filesystem, NewFile};

/// Reads what is there; every write fails as on a file system that is mounted read-only.
#[derive(Debug, Clone)]
pub(crate) struct ReadOnly(pub(crate) Arc<dyn Filesystem>);

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Filesystem for ReadOnly {
    fn create(&self, _: &Path, _: u32) -> io::Result<Box<dyn NewFile>> {
        refused()
    }

    fn append(&self, _: &Path, _: u32) -> io::Result<Box<dyn NewFile>> {
        refused()
    }

    fn create_dir(&self, _: &Path, _: u32) -> io::Result<()> {
        refused()
    }

    fn symlink(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove_file(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn wipe(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.0.read(path, limit)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.read_link(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(path)
    }
}
