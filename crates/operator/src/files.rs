//! Small files that survive a power cut: temporary file with its final mode → fsync → rename → fsync the directory.
//!
//! Blocking; async callers go through `spawn_blocking`. One process owns a directory at a time ([`Lock`]). What root writes
//! belongs to the owner of the directory: a service that runs as that user is to read it. What that user has put there is
//! not followed elsewhere: who may write in the directory is not to write as root.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{ELOOP, ENXIO, O_NOFOLLOW, O_NONBLOCK};

pub use lock::Lock;

mod lock;
mod owner;

/// The mode of a file that only its owner may read: private keys, the ledger.
pub const PRIVATE: u32 = 0o600;
/// The mode of a file that everybody may read: certificates.
pub const PUBLIC: u32 = 0o644;

/// An operation on a file that failed, with the file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {cause}", path = path.display())]
pub struct FileError {
    /// For example `write` or `lock`.
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said. The text has it already, so it is no source beside that: a report of all causes would tell it twice.
    pub cause: io::Error,
}

impl FileError {
    pub(crate) fn new(action: &'static str, path: &Path, cause: io::Error) -> Self {
        Self { action, path: path.to_owned(), cause }
    }
}

/// Puts `content` at `path`, whole or not at all; the file has `mode` from its first moment.
///
/// # Errors
/// When any step fails; what was at `path` is then still there.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    write_by(path, mode, |file| file.write_all(content))
}

/// The same for what is not held in memory as a whole.
///
/// # Errors
/// Likewise.
pub fn write_by(
    path: &Path,
    mode: u32,
    content: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileError> {
    let temporary = temporary(path);
    let failed = |source| FileError::new("write", path, source);
    // A crash may have left one behind; it is nobody's.
    remove(&temporary)?;
    let written = write_new(&temporary, content, mode).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(failed)?;
    sync_parent(path)
}

/// Removes a file for good; one that is not there is removed already.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::new("remove", path, error)),
    }
}

/// Moves a directory or file, durably.
///
/// # Errors
/// When it cannot be moved.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    std::fs::rename(from, to).map_err(|error| FileError::new("rename", from, error))?;
    sync_parent(to)
}

/// Makes a directory and its parents for its owner alone; one that is there is left as it is.
///
/// # Errors
/// When it cannot be made.
pub fn make_directory(path: &Path) -> Result<(), FileError> {
    let failed = |error| FileError::new("make directory", path, error);
    let missing: Vec<_> = path.ancestors().take_while(|part| is_missing(part)).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    for made in missing.into_iter().rev() {
        owner::hand_over_directory(made).map_err(failed)?;
    }
    sync_parent(path)
}

/// The content of a file; `None` when there is none.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::new("read", path, error)),
    }
}

/// Opens a file, made with mode 0600 if it is not there. See [`open`].
pub(crate) fn open_or_make(options: &OpenOptions, path: &Path) -> io::Result<File> {
    match options.clone().create_new(true).mode(PRIVATE).open(path) {
        Ok(file) => owner::hand_over(&file, path).map(|()| file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(options, path),
        Err(error) => Err(error),
    }
}

/// Opens a file that is there: itself, not what a link leads to, and no pipe or device.
pub(crate) fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    // A pipe without another end would be waited for.
    let opened = options.clone().custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(replaced()),
        // open(2): a link, and a pipe or socket without another end.
        Err(error) if matches!(error.raw_os_error(), Some(ELOOP | ENXIO)) => Err(replaced()),
        Err(error) => Err(error),
    }
}

fn replaced() -> io::Error {
    io::Error::other(
        "it is a link or no regular file, and is not followed; put the file itself in its place, or remove it",
    )
}

fn is_missing(path: &Path) -> bool {
    !path.as_os_str().is_empty() && std::fs::symlink_metadata(path).is_err()
}

fn write_new(path: &Path, content: impl FnOnce(&mut File) -> io::Result<()>, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    content(&mut file)?;
    owner::hand_over(&file, path)?;
    file.sync_all()
}

/// `.NAME.tmp` beside the file.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(crate) fn sync_parent(path: &Path) -> Result<(), FileError> {
    let parent = parent(path);
    let synced = File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|error| FileError::new("sync", parent, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write(&path, b"one", PRIVATE).unwrap();
        write(&path, b"two", PRIVATE).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(mode(&path), 0o600);
        let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn a_temporary_file_left_by_a_crash_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        std::fs::write(temporary(&path), b"torn").unwrap();
        write(&path, b"whole", PRIVATE).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"whole"[..]));
    }

    #[test]
    fn an_error_names_the_file_and_leaves_no_temporary() {
        let directory = tempfile::tempdir().unwrap();
        let occupied = directory.path().join("taken");
        make_directory(&occupied.join("inside")).unwrap();
        let error = write(&occupied, b"x", PUBLIC).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert!(!temporary(&occupied).exists());
    }

    #[test]
    fn a_report_of_all_causes_tells_the_systems_words_once() {
        let error = FileError::new("open", Path::new("/x"), io::Error::other("the disk is gone"));
        assert_eq!(error.to_string(), "cannot open /x: the disk is gone");
        assert!(std::error::Error::source(&error).is_none());
    }

    #[test]
    fn what_is_not_there_is_read_as_nothing_and_removed_already() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("none");
        assert!(read(&path).unwrap().is_none());
        remove(&path).unwrap();
    }
}
