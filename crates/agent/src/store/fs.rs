//! The seam between the store and a disk: the few operations whose order decides what survives a power cut.
//!
//! [`RealFs`] is the operating system. A simulated disk implements the same trait and fails at any call.
//! Not here: locking, which is about processes and not about disks ([`super::lock`]).

use core::fmt;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// A file that was just made and is not yet under its final name, or one that is appended to.
pub trait NewFile {
    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// What the operating system reports; the file is then worthless.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// `fsync`: returns when the content is on the medium.
    ///
    /// # Errors
    /// After an error the file must be given up: a second `fsync` may lie.
    fn sync(&mut self) -> io::Result<()>;
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The last component of its path.
    pub name: OsString,
    /// Whether it is a directory (a symbolic link to one is not).
    pub is_dir: bool,
}

/// A disk. Every call is synchronous and returns after the operating system has answered.
pub trait Filesystem: fmt::Debug + Send + Sync {
    /// Makes a file that did not exist (`O_EXCL`) with its final permission bits.
    ///
    /// # Errors
    /// As the operating system reports, `AlreadyExists` included.
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>>;

    /// Opens a file for writing at its end (`O_APPEND`), and makes it with these permission bits if there is none.
    /// Only the audit log is written so.
    ///
    /// # Errors
    /// As the operating system reports.
    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>>;

    /// Makes a directory with its final permission bits.
    ///
    /// # Errors
    /// As the operating system reports, `AlreadyExists` included.
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Makes a symbolic link at `link` that points to `target`.
    ///
    /// # Errors
    /// As the operating system reports, `AlreadyExists` included.
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()>;

    /// Renames within one file system, replacing a file of that name.
    ///
    /// # Errors
    /// As the operating system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// `fsync` of a directory: its names are durable afterwards.
    ///
    /// # Errors
    /// As the operating system reports.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes a file or a symbolic link.
    ///
    /// # Errors
    /// As the operating system reports, `NotFound` included.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Overwrites a file with zeros where it lies and syncs them, as far as its medium does so: one that copies on
    /// write, or a flash translation layer, may keep what was there. A disk whose content nobody else can read has
    /// nothing to do.
    ///
    /// # Errors
    /// As the operating system reports, `NotFound` included.
    fn wipe(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Ok(())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the operating system reports, `NotFound` included.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// The content of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// As the operating system reports; `InvalidData` when the file is longer.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// What a symbolic link points to.
    ///
    /// # Errors
    /// As the operating system reports.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// As the operating system reports, `NotFound` included.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
}

/// Room beyond a file's length, in bytes, in which its end is found without growing the buffer.
const SPARE: usize = 64;

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

impl NewFile for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Filesystem for RealFs {
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(mode).open(path)?;
        Ok(Box::new(file))
    }

    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn NewFile>> {
        let file = OpenOptions::new().append(true).create(true).mode(mode).open(path)?;
        Ok(Box::new(file))
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().mode(mode).create(path)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        symlink(target, link)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn wipe(&self, path: &Path) -> io::Result<()> {
        // Not truncated: that would give its blocks free as they are.
        let mut file = OpenOptions::new().write(true).open(path)?;
        let length = file.metadata()?.len();
        io::copy(&mut io::repeat(0).take(length), &mut file)?;
        file.sync_all()
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        // Room for all of it at once: a buffer that grows leaves copies of a key in memory that nobody wipes.
        let length = file.metadata()?.len().min(limit);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default().saturating_add(SPARE));
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            let message = format!("longer than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(bytes)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            entries.push(Entry { name: entry.file_name(), is_dir: entry.file_type()?.is_dir() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}
